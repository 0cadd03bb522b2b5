"""Money between accounts: debits under an agreement, payouts, refunds."""

import sqlite3
from typing import Final

from shanmen.simulators.books import Books
from shanmen.simulators.huijinbao import orders
from shanmen.simulators.huijinbao.methods.account import NORMAL
from shanmen.simulators.huijinbao.methods.call import Call
from shanmen.simulators.huijinbao.wire import SUCCESS, Answer, Refusal
from shanmen.simulators.moments import china_date, china_midnight_ms

_PAYER_CODES: Final = ("HJB_0007", "HJB_0009")
_PAYEE_CODES: Final = ("HJB_0008", "HJB_0010")


def pay(books: Books, call: Call) -> Answer:
    """Debit a customer under its agreement, to the merchant's own account."""
    amount_fen = call.amount_fen()
    payer = _usable_account(books, call.required("pay_cst_no"), _PAYER_CODES)
    payee = _usable_account(books, call.required("rcv_cst_no"), _PAYEE_CODES)
    if payee["account_no"] != call.account_no:
        raise Refusal("HJB_0010", "rcv_cst_no must be the merchant's own account")
    if payer["account_no"] == payee["account_no"]:
        raise Refusal("HJB_0009", "payer and payee are the same")
    expire_ms = call.moment_ms("expire_at")
    if expire_ms is not None and expire_ms <= books.now_ms:
        raise Refusal("HJB_0006", "expire_at is over")
    agreement_no = call.required("agreement_no")
    _require_agreement(books, agreement_no, payer["account_no"], amount_fen)
    return _opened(
        books,
        call,
        orders.NewOrder(
            merchant_id=call.merchant_id,
            req_seq_id=call.key(),
            biz_type="pay",
            payer_no=payer["account_no"],
            payee_no=payee["account_no"],
            amount_fen=amount_fen,
            biz_no=call.required("biz_no", 64),
            agreement_no=agreement_no,
            notify_url=call.text("notify_url", 512),
        ),
    )


def transfer(books: Books, call: Call) -> Answer:
    """Pay a customer out of the merchant's own account."""
    amount_fen = call.amount_fen()
    payer = _usable_account(books, call.required("pay_cst_no"), _PAYER_CODES)
    payee = _usable_account(books, call.required("rcv_cst_no"), _PAYEE_CODES)
    if payer["account_no"] != call.account_no:
        raise Refusal("HJB_0009", "pay_cst_no must be the merchant's own account")
    if payer["account_no"] == payee["account_no"]:
        raise Refusal("HJB_0010", "payer and payee are the same")
    return _opened(
        books,
        call,
        orders.NewOrder(
            merchant_id=call.merchant_id,
            req_seq_id=call.key(),
            biz_type="transfer",
            payer_no=payer["account_no"],
            payee_no=payee["account_no"],
            amount_fen=amount_fen,
            biz_no=call.required("biz_no", 64),
            purpose=call.text("purpose"),
            notify_url=call.text("notify_url", 512),
        ),
    )


def refund(books: Books, call: Call) -> Answer:
    """Give a part of a debit back; all its refunds together are at most the debit."""
    amount_fen = call.amount_fen()
    original = orders.find(books, call.merchant_id, req_seq_id=call.required("org_req_seq_id", 64))
    if original is None or original["biz_type"] != "pay" or original["status"] != SUCCESS:
        raise Refusal("HJB_0019", "org_req_seq_id names no debit that succeeded")
    refunded_fen = original["refunded_fen"] + amount_fen
    if refunded_fen > original["amount_fen"]:
        left_fen = original["amount_fen"] - original["refunded_fen"]
        raise Refusal("HJB_0006", f"trx_amount is more than is left to refund, {left_fen}")
    books.write(
        "UPDATE orders SET refunded_fen = ? WHERE hjb_seq_id = ?",
        refunded_fen,
        original["hjb_seq_id"],
    )
    return _opened(
        books,
        call,
        orders.NewOrder(
            merchant_id=call.merchant_id,
            req_seq_id=call.key(),
            biz_type="refund",
            payer_no=original["payee_no"],
            payee_no=original["payer_no"],
            amount_fen=amount_fen,
            biz_no=original["biz_no"],
            original_no=original["hjb_seq_id"],
            refunded_total_fen=refunded_fen,
            purpose=call.text("reason"),
            notify_url=call.text("notify_url", 512),
        ),
    )


def _opened(books: Books, call: Call, new: orders.NewOrder) -> Answer:
    return orders.answer_of(books, orders.open_order(books, new, call.later))


def _usable_account(books: Books, account_no: str, codes: tuple[str, str]) -> sqlite3.Row:
    """An account that may pay or receive; `codes` are for a missing and an unusable one."""
    missing, unusable = codes
    account = books.account(account_no)
    if account is None or account["kind"] != "customer":
        raise Refusal(missing, account_no)
    if account["status"] != NORMAL:
        raise Refusal(unusable, account_no)
    return account


def _require_agreement(books: Books, agreement_no: str, payer_no: str, amount_fen: int) -> None:
    agreement = books.row("SELECT * FROM agreements WHERE agreement_no = ?", agreement_no)
    if agreement is None or agreement["account_no"] != payer_no or agreement["status"] != NORMAL:
        raise Refusal("HJB_0009", "the payer has no such agreement in force")
    single_fen, daily_fen = agreement["single_quota_fen"], agreement["daily_quota_fen"]
    if single_fen is not None and amount_fen > single_fen:
        raise Refusal("HJB_0040", f"single_quota is {single_fen}")
    if daily_fen is not None and _debited_today_fen(books, agreement_no) + amount_fen > daily_fen:
        raise Refusal("HJB_0040", f"daily_quota is {daily_fen}")


def _debited_today_fen(books: Books, agreement_no: str) -> int:
    row = books.row(
        "SELECT coalesce(sum(amount_fen), 0) AS sum_fen FROM orders"
        " WHERE agreement_no = ? AND created_ms >= ? AND status <> 'F'",
        agreement_no,
        china_midnight_ms(china_date(books.now_ms)),
    )
    return int(row["sum_fen"]) if row else 0
