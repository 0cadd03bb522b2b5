"""alipay.trade.pay (by agreement), .query, .cancel and .close."""

import re
import sqlite3
from typing import Final

from shanmen.simulators.alipay import trades
from shanmen.simulators.alipay.methods.call import Call
from shanmen.simulators.alipay.wire import Answer, Refusal, success, yuan
from shanmen.simulators.books import BalanceTooLow, Books
from shanmen.simulators.clearing import is_finished_by_query
from shanmen.simulators.moments import china_time

_NUMBER: Final = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
_NOT_IN_A_SUBJECT: Final = re.compile(r"[/=&]")
_PRODUCTS: Final = frozenset({"GENERAL_WITHHOLDING", "CYCLE_PAY_AUTH"})


def pay(books: Books, call: Call) -> Answer:
    """Debit a buyer under a withholding agreement. One payment per `out_trade_no`."""
    out_trade_no = call.required("out_trade_no", 64)
    if not _NUMBER.fullmatch(out_trade_no):
        raise call.invalid("out_trade_no takes letters, digits and underscores")
    known = trades.find(books, call.merchant_no, trade_no=None, out_trade_no=out_trade_no)
    if known is not None:
        return _pay_again(books, call, known)
    new = _read_payment(books, call, out_trade_no)
    try:
        trade = trades.open_trade(books, new, call.later)
    except BalanceTooLow:
        raise Refusal("ACQ.BUYER_BALANCE_NOT_ENOUGH", "买家余额不足", **_NO_MONEY) from None
    return _payment_answer(books, trade)


_NO_MONEY: Final = {
    "buyer_pay_amount": "0.00",
    "invoice_amount": "0.00",
    "point_amount": "0.00",
    "receipt_amount": "0.00",
}


def _pay_again(books: Books, call: Call, known: sqlite3.Row) -> Answer:
    if known["fingerprint"] != call.fingerprint("total_amount"):
        raise Refusal("ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改", **_NO_MONEY)
    if known["status"] == trades.CLOSED:
        raise Refusal("ACQ.TRADE_HAS_CLOSE", "交易已经关闭", **_NO_MONEY)
    return _payment_answer(books, known)


def _read_payment(books: Books, call: Call, out_trade_no: str) -> trades.NewTrade:
    amount_fen = call.amount_fen("total_amount")
    subject = call.required("subject")
    if _NOT_IN_A_SUBJECT.search(subject):
        raise call.invalid("subject takes none of / = &")
    if call.required("product_code") not in _PRODUCTS:
        raise call.invalid(f"product_code must be one of {', '.join(sorted(_PRODUCTS))}")
    agreement_no = call.inner("agreement_params").get("agreement_no")
    if not isinstance(agreement_no, str) or not agreement_no:
        raise call.invalid("agreement_params.agreement_no is missing")
    agreement = books.row("SELECT * FROM agreements WHERE agreement_no = ?", agreement_no)
    _require_usable(call, agreement, amount_fen)
    return trades.NewTrade(
        merchant_no=call.merchant_no,
        app_id=call.app["app_id"],
        out_trade_no=out_trade_no,
        buyer_no=agreement["account_no"] if agreement else "",
        agreement_no=agreement_no,
        amount_fen=amount_fen,
        subject=subject,
        body=call.text("body", 400),
        passback_params=call.text("passback_params", 512),
        notify_url=call.notify_url,
        fingerprint=call.fingerprint("total_amount"),
    )


def _require_usable(call: Call, agreement: sqlite3.Row | None, amount_fen: int) -> None:
    if agreement is None:
        raise Refusal("ACQ.AGREEMENT_NOT_EXIST", "用户协议不存在", **_NO_MONEY)
    if agreement["status"] != "NORMAL":
        raise Refusal("ACQ.AGREEMENT_STATUS_NOT_NORMAL", "用户协议状态非NORMAL", **_NO_MONEY)
    quota_fen = agreement["single_quota_fen"]
    if quota_fen is not None and amount_fen > quota_fen:
        raise Refusal("ACQ.PRODUCT_AMOUNT_LIMIT_ERROR", "产品额度超限", **_NO_MONEY)
    if agreement["account_no"] == call.merchant_no:
        raise Refusal("ACQ.BUYER_SELLER_EQUAL", "买卖家不能相同", **_NO_MONEY)


def _payment_answer(books: Books, trade: sqlite3.Row) -> Answer:
    fields = _trade_fields(books, trade)
    if trade["status"] == trades.WAITING:
        return Answer("10003", "order success pay inprocess", fields=fields)
    fields |= {
        "gmt_payment": china_time(trade["paid_ms"]),
        "fund_bill_list": [{"fund_channel": "ALIPAYACCOUNT", "amount": fields["total_amount"]}],
        "async_payment_mode": "SYNC_DIRECT_PAY",
    }
    return success(**fields)


def _trade_fields(books: Books, trade: sqlite3.Row) -> dict[str, object]:
    paid = yuan(trade["amount_fen"] if trade["paid_ms"] else 0)
    return {
        "trade_no": trade["trade_no"],
        "out_trade_no": trade["out_trade_no"],
        **buyer_fields(books, trade),
        "total_amount": yuan(trade["amount_fen"]),
        "receipt_amount": paid,
        "buyer_pay_amount": paid,
        "invoice_amount": paid,
        "point_amount": "0.00",
    }


def buyer_fields(books: Books, trade: sqlite3.Row) -> dict[str, object]:
    """How answers name a trade's buyer."""
    buyer = books.account(trade["buyer_no"])
    if buyer is None:
        raise LookupError(f"trade {trade['trade_no']} names a buyer that does not exist")
    return {
        "buyer_logon_id": trades.masked(buyer["logon_id"]),
        "buyer_user_id": buyer["user_id"],
    }


def find_named(books: Books, call: Call) -> sqlite3.Row | None:
    """The trade that a call names by `trade_no` or `out_trade_no`. Raises Refusal."""
    trade_no, out_trade_no = call.text("trade_no", 64), call.text("out_trade_no", 64)
    if trade_no is None and out_trade_no is None:
        raise call.invalid("trade_no or out_trade_no is needed")
    return trades.find(books, call.merchant_no, trade_no=trade_no, out_trade_no=out_trade_no)


def require_named(books: Books, call: Call) -> sqlite3.Row:
    """As `find_named`, and the trade must exist. Raises Refusal."""
    trade = find_named(books, call)
    if trade is None:
        raise Refusal("ACQ.TRADE_NOT_EXIST", "交易不存在")
    return trade


def query(books: Books, call: Call) -> Answer:
    """What became of a trade."""
    trade = require_named(books, call)
    if is_finished_by_query(books, "trades", "trade_no", trade):
        trade = trades.finish_waiting(books, trade)
    fields = _trade_fields(books, trade) | {"trade_status": trade["status"]}
    if trade["paid_ms"]:
        fields["send_pay_date"] = china_time(trade["paid_ms"])
    return success(**fields)


def cancel(books: Books, call: Call) -> Answer:
    """Undo a payment of unknown outcome: `action` is `close`, `refund`, or absent.

    Absent: there is no such trade. Repeating it changes nothing and answers the same.
    """
    trade = find_named(books, call)
    if trade is None:
        return success(out_trade_no=call.text("out_trade_no", 64), retry_flag="N")
    if trade["status"] != trades.CLOSED:
        _undo(books, call, trade)
    return success(
        trade_no=trade["trade_no"],
        out_trade_no=trade["out_trade_no"],
        retry_flag="N",
        action="close" if trade["paid_ms"] is None else "refund",
    )


def _undo(books: Books, call: Call, trade: sqlite3.Row) -> None:
    if trade["status"] == trades.WAITING:
        trades.close(books, trade, call.method)
        return
    if trade["refunded_fen"]:
        raise Refusal("ACQ.CANCEL_NOT_ALLOWED", "交易已部分退款, 不允许撤销")
    try:
        trades.refund(
            books,
            trade,
            out_request_no=trade["out_trade_no"],
            amount_fen=trade["amount_fen"],
            reason=None,
            method=call.method,
        )
    except BalanceTooLow:
        raise Refusal("ACQ.SELLER_BALANCE_NOT_ENOUGH", "商户余额不足") from None


def close(books: Books, call: Call) -> Answer:
    """Close a trade that was not paid."""
    trade = require_named(books, call)
    if trade["status"] == trades.WAITING:
        trade = trades.close(books, trade, call.method)
    elif trade["paid_ms"] is not None:
        raise Refusal("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
    return success(trade_no=trade["trade_no"], out_trade_no=trade["out_trade_no"])
