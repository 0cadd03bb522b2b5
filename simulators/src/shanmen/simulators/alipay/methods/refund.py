"""alipay.trade.refund and alipay.trade.fastpay.refund.query."""

import sqlite3

from shanmen.simulators.alipay import trades
from shanmen.simulators.alipay.methods.call import Call
from shanmen.simulators.alipay.methods.trade import buyer_fields, require_named
from shanmen.simulators.alipay.wire import Answer, Refusal, success, yuan
from shanmen.simulators.books import BalanceTooLow, Books
from shanmen.simulators.moments import china_time


def refund(books: Books, call: Call) -> Answer:
    """Give money of a paid trade back, once per `out_request_no`.

    `fund_change` is `Y` when money moved in this call; `refund_fee` is the trade's total so far.
    """
    trade = require_named(books, call)
    amount_fen = call.amount_fen("refund_amount")
    out_request_no = _request_no(call, trade, amount_fen)
    known = trades.find_refund(books, trade["trade_no"], out_request_no)
    if known is not None:
        if known["amount_fen"] != amount_fen:
            raise Refusal("ACQ.DISCORDANT_REPEAT_REQUEST", "不一致的请求")
        return _refund_answer(books, trade, known["refunded_ms"], fund_change="N")
    _require_refundable(trade, amount_fen)
    try:
        after = trades.refund(
            books,
            trade,
            out_request_no=out_request_no,
            amount_fen=amount_fen,
            reason=call.text("refund_reason"),
            method=call.method,
        )
    except BalanceTooLow:
        raise Refusal("ACQ.SELLER_BALANCE_NOT_ENOUGH", "卖家余额不足") from None
    return _refund_answer(books, after, books.now_ms, fund_change="Y")


def _request_no(call: Call, trade: sqlite3.Row, amount_fen: int) -> str:
    out_request_no = call.text("out_request_no", 64)
    if out_request_no is not None:
        return out_request_no
    if amount_fen != trade["amount_fen"]:
        raise Refusal("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "部分退款需要 out_request_no")
    return str(trade["out_trade_no"])


def _require_refundable(trade: sqlite3.Row, amount_fen: int) -> None:
    if trade["status"] == trades.WAITING:
        raise Refusal("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
    if trade["paid_ms"] is None:
        raise Refusal("ACQ.TRADE_HAS_CLOSE", "交易已关闭")
    if amount_fen > trade["amount_fen"] - trade["refunded_fen"]:
        raise Refusal("ACQ.REASON_TRADE_REFUND_FEE_ERR", "退款金额无效")


def _refund_answer(
    books: Books, trade: sqlite3.Row, refunded_ms: int, *, fund_change: str
) -> Answer:
    return success(
        trade_no=trade["trade_no"],
        out_trade_no=trade["out_trade_no"],
        **buyer_fields(books, trade),
        fund_change=fund_change,
        refund_fee=yuan(trade["refunded_fen"]),
        gmt_refund_pay=china_time(refunded_ms),
    )


def refund_query(books: Books, call: Call) -> Answer:
    """What became of one refund; no `refund_status` means that no such refund was made."""
    trade = require_named(books, call)
    out_request_no = call.required("out_request_no", 64)
    known = trades.find_refund(books, trade["trade_no"], out_request_no)
    if known is None:
        return success()
    return success(
        trade_no=trade["trade_no"],
        out_trade_no=trade["out_trade_no"],
        out_request_no=out_request_no,
        refund_reason=known["reason"],
        total_amount=yuan(trade["amount_fen"]),
        refund_amount=yuan(known["amount_fen"]),
        refund_status="REFUND_SUCCESS",
        gmt_refund_pay=china_time(known["refunded_ms"]),
    )
