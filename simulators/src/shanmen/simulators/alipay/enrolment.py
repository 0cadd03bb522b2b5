"""Setting the channel up: accounts, agreements and apps, each as often as one likes.

An account's money is set only when it is created; afterwards it moves by top-ups and business.
"""

from typing import Final

from shanmen.simulators.books import Books
from shanmen.simulators.enrolment import Section, require_account
from shanmen.simulators.fields import BadInput, Fields
from shanmen.simulators.signing import load_public_key

AGREEMENT_STATUSES: Final = ("TEMP", "NORMAL", "STOP", "UNSIGN")


def put_account(books: Books, given: object) -> str:
    """Create an account, or change its names: `account_no`, `name`, and optionally `user_id`,
    `logon_id` (both default to `account_no`) and `balance_fen`, which counts once.

    Returns the account number. Raises BadInput.
    """
    fields = Fields(given, "an account")
    account_no, name = fields.text("account_no"), fields.text("name")
    user_id = fields.optional_text("user_id") or account_no
    logon_id = fields.optional_text("logon_id") or account_no
    balance_fen = fields.optional_integer("balance_fen", 0)
    fields.finish()
    _require_unused(books, account_no, user_id, logon_id)
    is_new = books.account(account_no) is None
    books.write(
        "INSERT INTO accounts (account_no, user_id, logon_id, name, created_ms)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT (account_no) DO UPDATE SET"
        " user_id = excluded.user_id, logon_id = excluded.logon_id, name = excluded.name",
        account_no,
        user_id,
        logon_id,
        name,
        books.now_ms,
    )
    if is_new and balance_fen:
        books.add_from_outside(
            kind="opening", reference=account_no, account_no=account_no, amount_fen=balance_fen
        )
    return account_no


def put_agreement(books: Books, given: object) -> str:
    """Create or change an agreement: `agreement_no`, `account_no`, `status`, `single_quota_fen`.

    Returns the agreement number. Raises BadInput.
    """
    fields = Fields(given, "an agreement")
    agreement_no, account_no = fields.text("agreement_no"), fields.text("account_no")
    status = fields.optional_text("status") or "NORMAL"
    quota_fen = fields.optional_integer("single_quota_fen", 1)
    fields.finish()
    if status not in AGREEMENT_STATUSES:
        raise BadInput(f"an agreement's status is one of {', '.join(AGREEMENT_STATUSES)}")
    require_account(books, account_no)
    books.write(
        "INSERT INTO agreements VALUES (?, ?, ?, ?, ?) ON CONFLICT (agreement_no) DO UPDATE SET"
        " account_no = excluded.account_no, status = excluded.status,"
        " single_quota_fen = excluded.single_quota_fen",
        agreement_no,
        account_no,
        status,
        quota_fen,
        books.now_ms,
    )
    return agreement_no


def put_app(books: Books, given: object) -> str:
    """Create or change an app: `app_id`, `account_no` it acts for, `public_key_pem`,
    `gateway_notify_url` for payout notifications.

    Returns the app id. Raises BadInput.
    """
    fields = Fields(given, "an app")
    app_id, account_no = fields.text("app_id"), fields.text("account_no")
    public_key_pem = fields.text("public_key_pem")
    gateway_notify_url = fields.optional_text("gateway_notify_url")
    fields.finish()
    try:
        load_public_key(public_key_pem)
    except ValueError:
        raise BadInput("public_key_pem must be an RSA public key in PEM") from None
    require_account(books, account_no)
    books.write(
        "INSERT INTO apps VALUES (?, ?, ?, ?) ON CONFLICT (app_id) DO UPDATE SET"
        " account_no = excluded.account_no, public_key_pem = excluded.public_key_pem,"
        " gateway_notify_url = excluded.gateway_notify_url",
        app_id,
        account_no,
        public_key_pem,
        gateway_notify_url,
    )
    return app_id


SECTIONS: Final[tuple[Section, ...]] = (
    ("accounts", "account_no", put_account),
    ("agreements", "agreement_no", put_agreement),
    ("apps", "app_id", put_app),
)


def _require_unused(books: Books, account_no: str, user_id: str, logon_id: str) -> None:
    other = books.row(
        "SELECT account_no FROM accounts WHERE (user_id = ? OR logon_id = ?) AND account_no <> ?",
        user_id,
        logon_id,
        account_no,
    )
    if other is not None:
        raise BadInput(f"account {other['account_no']} already has that user_id or logon_id")
