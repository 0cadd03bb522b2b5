"""Trades and their refunds as the channel keeps them, whoever asks.

Statuses are Alipay's: WAIT_BUYER_PAY, TRADE_SUCCESS, TRADE_CLOSED (never paid, or given back in
full) and TRADE_FINISHED, which this channel never sets: it keeps every trade refundable.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from shanmen.simulators.alipay import notices
from shanmen.simulators.alipay.wire import yuan
from shanmen.simulators.books import BalanceTooLow, Books
from shanmen.simulators.clearing import Later
from shanmen.simulators.moments import china_time

WAITING: Final = "WAIT_BUYER_PAY"
PAID: Final = "TRADE_SUCCESS"
CLOSED: Final = "TRADE_CLOSED"


@dataclass(frozen=True)
class NewTrade:
    """What a merchant asked to be paid, and by whom."""

    merchant_no: str
    app_id: str
    out_trade_no: str
    buyer_no: str
    agreement_no: str
    amount_fen: int
    subject: str
    body: str | None
    passback_params: str | None
    notify_url: str | None
    fingerprint: str


def find(
    books: Books, merchant_no: str, *, trade_no: str | None, out_trade_no: str | None
) -> sqlite3.Row | None:
    """A merchant's trade; `trade_no` wins where both are given."""
    if trade_no:
        return books.row(
            "SELECT * FROM trades WHERE merchant_no = ? AND trade_no = ?", merchant_no, trade_no
        )
    return books.row(
        "SELECT * FROM trades WHERE merchant_no = ? AND out_trade_no = ?",
        merchant_no,
        out_trade_no,
    )


def get(books: Books, trade_no: str) -> sqlite3.Row:
    """A trade that exists."""
    row = books.row("SELECT * FROM trades WHERE trade_no = ?", trade_no)
    if row is None:
        raise LookupError(f"no trade {trade_no} in the books")
    return row


def open_trade(books: Books, new: NewTrade, later: Later | None) -> sqlite3.Row:
    """Record a trade and, unless it is to be paid later, take the money.

    Raises BalanceTooLow, and then nothing of it may be kept.
    """
    trade_no = books.next_number("2200100")
    waiting = {} if later is None else later.columns()
    books.leaves_work |= later is not None
    books.insert(
        "trades",
        trade_no=trade_no,
        **vars(new),
        status=WAITING,
        created_ms=books.now_ms,
        **waiting,
    )
    trade = get(books, trade_no)
    return trade if later is not None else take_payment(books, trade)


def take_payment(books: Books, trade: sqlite3.Row) -> sqlite3.Row:
    """Move the money of a waiting trade and tell the merchant. Raises BalanceTooLow."""
    books.pay(
        kind="trade",
        channel_no=trade["trade_no"],
        business_no=trade["out_trade_no"],
        payer_no=trade["buyer_no"],
        payee_no=trade["merchant_no"],
        amount_fen=trade["amount_fen"],
    )
    books.write(
        "UPDATE trades SET status = ?, paid_ms = ?, ending = NULL, due_ms = NULL"
        " WHERE trade_no = ?",
        PAID,
        books.now_ms,
        trade["trade_no"],
    )
    paid = get(books, trade["trade_no"])
    announce(books, paid, "alipay.trade.pay")
    return paid


def finish_waiting(books: Books, trade: sqlite3.Row) -> sqlite3.Row:
    """End a payment that was left waiting: paid, or closed where the buyer cannot pay."""
    try:
        if trade["ending"] == "success":
            return take_payment(books, trade)
    except BalanceTooLow:
        pass
    return close(books, trade, "alipay.trade.pay")


def close(books: Books, trade: sqlite3.Row, method: str) -> sqlite3.Row:
    """Close a trade that was never paid, for good, and tell the merchant."""
    books.write(
        "UPDATE trades SET status = ?, closed_ms = ?, ending = NULL, due_ms = NULL"
        " WHERE trade_no = ?",
        CLOSED,
        books.now_ms,
        trade["trade_no"],
    )
    closed = get(books, trade["trade_no"])
    announce(books, closed, method)
    return closed


def find_refund(books: Books, trade_no: str, out_request_no: str) -> sqlite3.Row | None:
    """A refund by the merchant's request number, which is unique within its trade."""
    return books.row(
        "SELECT * FROM refunds WHERE trade_no = ? AND out_request_no = ?", trade_no, out_request_no
    )


def refund(
    books: Books,
    trade: sqlite3.Row,
    *,
    out_request_no: str,
    amount_fen: int,
    reason: str | None,
    method: str,
) -> sqlite3.Row:
    """Give part of a paid trade back and tell the merchant; the trade as it is afterwards.

    A trade given back in full is closed. Raises BalanceTooLow.
    """
    refund_no = books.next_number("3300200")
    books.insert(
        "refunds",
        refund_no=refund_no,
        trade_no=trade["trade_no"],
        out_request_no=out_request_no,
        amount_fen=amount_fen,
        reason=reason,
        refunded_ms=books.now_ms,
    )
    books.pay(
        kind="refund",
        channel_no=refund_no,
        business_no=out_request_no,
        payer_no=trade["merchant_no"],
        payee_no=trade["buyer_no"],
        amount_fen=amount_fen,
    )
    is_full = trade["refunded_fen"] + amount_fen == trade["amount_fen"]
    books.write(
        "UPDATE trades SET refunded_fen = refunded_fen + ?, status = ?, closed_ms = ?"
        " WHERE trade_no = ?",
        amount_fen,
        CLOSED if is_full else PAID,
        books.now_ms if is_full else None,
        trade["trade_no"],
    )
    after = get(books, trade["trade_no"])
    announce(books, after, method, out_request_no=out_request_no)
    return after


def announce(
    books: Books, trade: sqlite3.Row, method: str, *, out_request_no: str | None = None
) -> None:
    """Queue the `trade_status_sync` notification of what has just happened, if it is wanted."""
    if trade["notify_url"] is None:
        return
    buyer, seller = books.account(trade["buyer_no"]), books.account(trade["merchant_no"])
    if buyer is None or seller is None:
        raise LookupError(f"trade {trade['trade_no']} names an account that does not exist")
    amount = yuan(trade["amount_fen"])
    paid_amount = amount if trade["paid_ms"] else "0.00"
    fields = {
        "notify_type": "trade_status_sync",
        "trade_no": trade["trade_no"],
        "out_trade_no": trade["out_trade_no"],
        "buyer_id": buyer["user_id"],
        "buyer_logon_id": masked(buyer["logon_id"]),
        "seller_id": seller["user_id"],
        "seller_email": seller["logon_id"],
        "trade_status": trade["status"],
        "total_amount": amount,
        "receipt_amount": paid_amount,
        "invoice_amount": paid_amount,
        "buyer_pay_amount": paid_amount,
        "point_amount": "0.00",
        "subject": trade["subject"],
        "gmt_create": china_time(trade["created_ms"]),
    }
    optional = {
        "body": trade["body"],
        "passback_params": trade["passback_params"],
        "gmt_payment": _moment(trade["paid_ms"]),
        "gmt_close": _moment(trade["closed_ms"]),
        "out_biz_no": out_request_no,
        "refund_fee": yuan(trade["refunded_fen"]) if out_request_no else None,
        "gmt_refund": _moment(books.now_ms) if out_request_no else None,
    }
    fields |= {name: value for name, value in optional.items() if value is not None}
    notices.enqueue(
        books,
        notices.Notice(
            method=method,
            app_id=trade["app_id"],
            url=trade["notify_url"],
            number=out_request_no or trade["out_trade_no"],
            parent_number=trade["out_trade_no"],
            account_no=trade["buyer_no"],
            fields=fields,
        ),
    )


def masked(logon_id: str) -> str:
    """A sign-in name as the channel shows it to others."""
    name, at, host = logon_id.partition("@")
    return f"{name[:3]}***{at}{host}" if at else f"{name[:3]}****{name[-2:]}"


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else china_time(at_ms)
