"""Payouts as the channel keeps them: DEALING while under way, then SUCCESS or FAIL."""

import json
import sqlite3
from dataclasses import dataclass
from typing import Final

from shanmen.simulators.alipay import notices
from shanmen.simulators.alipay.wire import yuan
from shanmen.simulators.books import BalanceTooLow, Books
from shanmen.simulators.clearing import Later
from shanmen.simulators.moments import china_time

DEALING: Final = "DEALING"
SUCCESS: Final = "SUCCESS"
FAIL: Final = "FAIL"

_METHOD: Final = "alipay.fund.trans.uni.transfer"


@dataclass(frozen=True)
class NewTransfer:
    """What a merchant asked to be paid out, and to whom."""

    merchant_no: str
    app_id: str
    out_biz_no: str
    payee_no: str
    amount_fen: int
    order_title: str | None
    remark: str | None
    product_code: str
    biz_scene: str
    fingerprint: str


def find(
    books: Books,
    merchant_no: str,
    *,
    pay_fund_order_id: str | None = None,
    order_id: str | None = None,
    out_biz_no: str | None = None,
) -> sqlite3.Row | None:
    """A merchant's payout by the first of the three numbers that is given."""
    for column, value in (
        ("pay_fund_order_id", pay_fund_order_id),
        ("order_id", order_id),
        ("out_biz_no", out_biz_no),
    ):
        if value:
            return books.row(
                f"SELECT * FROM transfers WHERE merchant_no = ? AND {column} = ?",
                merchant_no,
                value,
            )
    return None


def get(books: Books, order_id: str) -> sqlite3.Row:
    """A payout that exists."""
    row = books.row("SELECT * FROM transfers WHERE order_id = ?", order_id)
    if row is None:
        raise LookupError(f"no transfer {order_id} in the books")
    return row


def open_transfer(books: Books, new: NewTransfer, later: Later | None) -> sqlite3.Row:
    """Record a payout and, unless it is to be finished later, move the money.

    Raises BalanceTooLow, and then nothing of it may be kept.
    """
    order_id = books.next_number("1100700")
    waiting = {} if later is None else later.columns()
    books.leaves_work |= later is not None
    books.insert(
        "transfers",
        order_id=order_id,
        pay_fund_order_id=books.next_number("1100701"),
        **vars(new),
        status=DEALING,
        created_ms=books.now_ms,
        **waiting,
    )
    transfer = get(books, order_id)
    return transfer if later is not None else _pay_out(books, transfer)


def finish_waiting(books: Books, transfer: sqlite3.Row) -> sqlite3.Row:
    """End a payout that was under way, well or badly, and tell the merchant."""
    if transfer["ending"] != "success":
        return _fail(books, transfer, "PAYEE_ACCOUNT_STATUS_ERROR", "收款方账户异常")
    try:
        return _pay_out(books, transfer)
    except BalanceTooLow:
        return _fail(books, transfer, "PAYER_BALANCE_NOT_ENOUGH", "付款方余额不足")


def _pay_out(books: Books, transfer: sqlite3.Row) -> sqlite3.Row:
    books.pay(
        kind="transfer",
        channel_no=transfer["pay_fund_order_id"],
        business_no=transfer["out_biz_no"],
        payer_no=transfer["merchant_no"],
        payee_no=transfer["payee_no"],
        amount_fen=transfer["amount_fen"],
    )
    return _finish(books, transfer, SUCCESS, None, None)


def _fail(books: Books, transfer: sqlite3.Row, error_code: str, reason: str) -> sqlite3.Row:
    return _finish(books, transfer, FAIL, error_code, reason)


def _finish(
    books: Books,
    transfer: sqlite3.Row,
    status: str,
    error_code: str | None,
    fail_reason: str | None,
) -> sqlite3.Row:
    books.write(
        "UPDATE transfers SET status = ?, error_code = ?, fail_reason = ?, finished_ms = ?,"
        " ending = NULL, due_ms = NULL WHERE order_id = ?",
        status,
        error_code,
        fail_reason,
        books.now_ms,
        transfer["order_id"],
    )
    finished = get(books, transfer["order_id"])
    _announce(books, finished)
    return finished


def _announce(books: Books, transfer: sqlite3.Row) -> None:
    app = books.row("SELECT * FROM apps WHERE app_id = ?", transfer["app_id"])
    if app is None or app["gateway_notify_url"] is None:
        return
    content = {
        "out_biz_no": transfer["out_biz_no"],
        "order_id": transfer["order_id"],
        "pay_fund_order_id": transfer["pay_fund_order_id"],
        "status": transfer["status"],
        "product_code": transfer["product_code"],
        "biz_scene": transfer["biz_scene"],
        "trans_amount": yuan(transfer["amount_fen"]),
        "pay_date": china_time(transfer["finished_ms"]),
        "error_code": transfer["error_code"],
        "fail_reason": transfer["fail_reason"],
    }
    told = {name: value for name, value in content.items() if value is not None}
    notices.enqueue(
        books,
        notices.Notice(
            method=_METHOD,
            app_id=transfer["app_id"],
            url=app["gateway_notify_url"],
            number=transfer["out_biz_no"],
            parent_number=transfer["out_biz_no"],
            account_no=transfer["payee_no"],
            fields={
                "msg_method": "alipay.fund.trans.order.changed",
                "biz_content": json.dumps(told, ensure_ascii=False, separators=(",", ":")),
            },
        ),
    )
