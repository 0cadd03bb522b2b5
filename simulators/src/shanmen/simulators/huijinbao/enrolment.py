"""Setting the channel up: accounts, agreements, merchants and wealth products.

An account's money is set only when it is created; afterwards it moves by top-ups and business.
"""

import re
from datetime import date
from typing import Final

from shanmen.simulators.books import Books
from shanmen.simulators.enrolment import Section, require_account
from shanmen.simulators.fields import BadInput, Fields
from shanmen.simulators.huijinbao import wealth
from shanmen.simulators.moments import china_date
from shanmen.simulators.signing import load_public_key

ACCOUNT_STATUSES: Final = ("NORMAL", "ABNORMAL")
AGREEMENT_STATUSES: Final = ("NORMAL", "STOP", "UNSIGN")
PRODUCT_STATUSES: Final = (wealth.OPEN, wealth.CLOSED)

_YIELD: Final = re.compile(r"(\d{1,4})(?:\.(\d{1,4}))?", re.ASCII)


def put_account(books: Books, given: object) -> str:
    """Create an account, or change its name and status: `account_no` (the cst_no), `name`,
    `status`, and `balance_fen`, which counts once.

    Returns the account number. Raises BadInput.
    """
    fields = Fields(given, "an account")
    account_no, name = fields.text("account_no"), fields.text("name")
    status = _status(fields, ACCOUNT_STATUSES)
    balance_fen = fields.optional_integer("balance_fen", 0)
    fields.finish()
    is_new = books.account(account_no) is None
    books.write(
        "INSERT INTO accounts (account_no, name, operator_no, status, created_ms)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT (account_no) DO UPDATE SET"
        " name = excluded.name, status = excluded.status",
        account_no,
        name,
        f"{account_no}-01",
        status,
        books.now_ms,
    )
    if is_new and balance_fen:
        books.add_from_outside(
            kind="opening", reference=account_no, account_no=account_no, amount_fen=balance_fen
        )
    return account_no


def put_agreement(books: Books, given: object) -> str:
    """Create or change an agreement: `agreement_no`, `account_no`, `status`, and the quotas
    `single_quota_fen` and `daily_quota_fen`.

    Returns the agreement number. Raises BadInput.
    """
    fields = Fields(given, "an agreement")
    agreement_no, account_no = fields.text("agreement_no"), fields.text("account_no")
    status = _status(fields, AGREEMENT_STATUSES)
    single_fen = fields.optional_integer("single_quota_fen", 1)
    daily_fen = fields.optional_integer("daily_quota_fen", 1)
    fields.finish()
    require_account(books, account_no)
    books.write(
        "INSERT INTO agreements VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (agreement_no) DO UPDATE"
        " SET account_no = excluded.account_no, status = excluded.status,"
        " single_quota_fen = excluded.single_quota_fen,"
        " daily_quota_fen = excluded.daily_quota_fen",
        agreement_no,
        account_no,
        status,
        single_fen,
        daily_fen,
        books.now_ms,
    )
    return agreement_no


def put_merchant(books: Books, given: object) -> str:
    """Create or change a merchant: `merchant_id`, its own `account_no`, `notify_url`, and `keys`,
    its public keys in PEM by key id. Keys that are not named any more are refused from then on.

    Returns the merchant's id. Raises BadInput.
    """
    fields = Fields(given, "a merchant")
    merchant_id, account_no = fields.text("merchant_id"), fields.text("account_no")
    notify_url, keys = fields.optional_text("notify_url"), fields.mapping("keys")
    fields.finish()
    require_account(books, account_no)
    for key_id, public_key_pem in keys.items():
        try:
            load_public_key(public_key_pem)
        except ValueError:
            raise BadInput(f"keys: {key_id} must be an RSA public key in PEM") from None
    books.write(
        "INSERT INTO merchants VALUES (?, ?, ?) ON CONFLICT (merchant_id) DO UPDATE SET"
        " account_no = excluded.account_no, notify_url = excluded.notify_url",
        merchant_id,
        account_no,
        notify_url,
    )
    books.write("DELETE FROM merchant_keys WHERE merchant_id = ?", merchant_id)
    for key_id, public_key_pem in keys.items():
        books.insert(
            "merchant_keys",
            merchant_id=merchant_id,
            key_id=key_id,
            public_key_pem=public_key_pem,
        )
    return merchant_id


def put_product(books: Books, given: object) -> str:
    """Create or change a wealth product: `product_code`, `name`, `status`, `yield_10k` of every
    day that has none of its own (such as "0.5432"), and `fast_limit_fen` a day.

    The product's money is in the account `FUND-<product_code>`. Days that are over keep their
    yields. Returns the product's code. Raises BadInput.
    """
    fields = Fields(given, "a wealth product")
    product_code, name = fields.text("product_code"), fields.text("name")
    status = _status(fields, PRODUCT_STATUSES)
    yield_e4 = _yield_e4(fields)
    fast_limit_fen = fields.optional_integer("fast_limit_fen", 0)
    fields.finish()
    wealth.accrue(books)
    account_no = f"FUND-{product_code}"
    books.write(
        "INSERT OR IGNORE INTO accounts (account_no, kind, name, operator_no, created_ms)"
        " VALUES (?1, 'fund', ?2, ?1, ?3)",
        account_no,
        name,
        books.now_ms,
    )
    books.write(
        "INSERT INTO products VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (product_code) DO UPDATE SET"
        " name = excluded.name, status = excluded.status,"
        " yield_10k_e4 = excluded.yield_10k_e4, fast_limit_fen = excluded.fast_limit_fen",
        product_code,
        account_no,
        name,
        status,
        yield_e4,
        fast_limit_fen,
    )
    return product_code


def put_yield(books: Books, product_code: str, given: object) -> None:
    """Give a product's day a yield of its own: `date`, `yield_10k`. Raises BadInput."""
    fields = Fields(given, "a yield")
    day, yield_e4 = fields.text("date"), _yield_e4(fields)
    fields.finish()
    try:
        parsed = date.fromisoformat(day)
    except ValueError:
        raise BadInput("a yield: date must be a day such as 2026-01-02") from None
    if parsed < china_date(books.now_ms):
        raise BadInput(f"a yield: {day} is over, and its yield is booked")
    books.write(
        "INSERT INTO product_yields VALUES (?, ?, ?)"
        " ON CONFLICT (product_code, date) DO UPDATE SET yield_10k_e4 = excluded.yield_10k_e4",
        product_code,
        parsed.isoformat(),
        yield_e4,
    )


SECTIONS: Final[tuple[Section, ...]] = (
    ("accounts", "account_no", put_account),
    ("agreements", "agreement_no", put_agreement),
    ("merchants", "merchant_id", put_merchant),
    ("products", "product_code", put_product),
)


def _status(fields: Fields, known: tuple[str, ...]) -> str:
    """A status; the first of the known ones where none is given. Raises BadInput."""
    status = fields.optional_text("status") or known[0]
    if status not in known:
        raise BadInput(f"status is one of {', '.join(known)}")
    return status


def _yield_e4(fields: Fields) -> int:
    match = _YIELD.fullmatch(fields.text("yield_10k"))
    if match is None:
        raise BadInput("yield_10k must be text such as 0.5432, with at most four decimals")
    whole, decimals = match.groups()
    return int(whole) * 10_000 + int((decimals or "").ljust(4, "0"))
