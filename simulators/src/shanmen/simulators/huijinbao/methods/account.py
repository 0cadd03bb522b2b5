"""Accounts and agreements: opening and signing, asking, ending."""

import sqlite3
from typing import Final

from shanmen.simulators.books import Books
from shanmen.simulators.huijinbao import wealth
from shanmen.simulators.huijinbao.methods.call import Call
from shanmen.simulators.huijinbao.wire import Answer, Refusal, success
from shanmen.simulators.moments import china_rfc3339

NORMAL: Final = "NORMAL"
UNSIGNED: Final = "UNSIGN"


def open_account(books: Books, call: Call) -> Answer:
    """Open an account for a person or a company."""
    name = call.required("cst_name", 128)
    call.choice("cst_type", ("1", "2"))
    for field in ("cert_type", "cert_no", "contact_mobile"):
        call.required(field, 64)
    account_no, operator_no = books.next_number("62"), books.next_number("63")
    books.insert(
        "accounts",
        account_no=account_no,
        name=name,
        operator_no=operator_no,
        opened_by=call.merchant_id,
        created_ms=books.now_ms,
    )
    return success(cst_no=account_no, operator_no=operator_no)


def query_balance(books: Books, call: Call) -> Answer:
    """What an account holds: to spend, frozen (never here), and invested."""
    account = _visible_account(books, call)
    return success(
        cst_no=account["account_no"],
        avl_bal=account["balance_fen"],
        frz_bal=0,
        wealth_bal=wealth.holding(books, account["account_no"]).total_fen,
        as_of=china_rfc3339(books.now_ms),
    )


def sign_agreement(books: Books, call: Call) -> Answer:
    """Let the merchant debit an account, within quotas in fen."""
    account_no = call.required("cst_no")
    if books.account(account_no) is None:
        raise Refusal("HJB_0007", account_no)
    agreement_no = books.next_number("70")
    books.insert(
        "agreements",
        agreement_no=agreement_no,
        account_no=account_no,
        status=NORMAL,
        single_quota_fen=_quota_fen(call, "single_quota"),
        daily_quota_fen=_quota_fen(call, "daily_quota"),
        signed_ms=books.now_ms,
    )
    return success(agreement_no=agreement_no, status=NORMAL)


def query_agreement(books: Books, call: Call) -> Answer:
    """An agreement by its number, or the newest one of an account."""
    agreement = _named_agreement(books, call)
    return success(
        agreement_no=agreement["agreement_no"],
        cst_no=agreement["account_no"],
        status=agreement["status"],
        single_quota=agreement["single_quota_fen"],
        daily_quota=agreement["daily_quota_fen"],
    )


def unsign_agreement(books: Books, call: Call) -> Answer:
    """End an agreement, for good."""
    agreement = _named_agreement(books, call)
    books.write(
        "UPDATE agreements SET status = ? WHERE agreement_no = ?",
        UNSIGNED,
        agreement["agreement_no"],
    )
    return success(agreement_no=agreement["agreement_no"], status=UNSIGNED)


def _quota_fen(call: Call, name: str) -> int | None:
    return None if call.data.get(name) is None else call.amount_fen(name)


def _named_agreement(books: Books, call: Call) -> sqlite3.Row:
    agreement_no = call.text("agreement_no")
    column, value = (
        ("agreement_no", agreement_no) if agreement_no else ("account_no", call.required("cst_no"))
    )
    row = books.row(
        f"SELECT * FROM agreements WHERE {column} = ? ORDER BY rowid DESC LIMIT 1", value
    )
    if row is None:
        raise Refusal("HJB_0021", f"no agreement for {value}")
    return row


def _visible_account(books: Books, call: Call) -> sqlite3.Row:
    account = books.account(call.required("cst_no"))
    if account is None or (
        account["account_no"] != call.account_no and account["opened_by"] != call.merchant_id
    ):
        raise Refusal("HJB_0007", "no such account of this merchant")
    return account
