"""Money orders of every kind as the channel keeps them: under way (P), done (S) or failed (F).

What a kind does is in `_KINDS`: what it sets aside when it is accepted, how its money moves, and
how what was set aside goes back if it fails. `order_status` is the channel's older, finer code.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shanmen.simulators import postbox
from shanmen.simulators.books import BalanceTooLow, Books
from shanmen.simulators.clearing import Later
from shanmen.simulators.huijinbao import wealth
from shanmen.simulators.huijinbao.wire import FAILED, PROCESSING, SUCCESS, Answer, answered
from shanmen.simulators.moments import china_rfc3339

DONE_STATUS: Final = "1"
FAILED_STATUS: Final = "2"
UNDER_WAY_STATUS: Final = "3"
CANCELLED_STATUS: Final = "5"
REFUNDED_STATUS: Final = "51"

FAST: Final = "FAST"
NORMAL: Final = "NORMAL"
"""Modes of a redemption: paid at once, or when the next day begins."""

NEVER_RECEIVED: Final = "none"
"""The kind of an order that was cancelled before it came."""


@dataclass(frozen=True)
class NewOrder:
    """What a merchant asked for; fields that its kind has no use for stay None."""

    merchant_id: str
    req_seq_id: str
    biz_type: str
    payer_no: str
    payee_no: str
    amount_fen: int
    biz_no: str | None = None
    agreement_no: str | None = None
    original_no: str | None = None
    refunded_total_fen: int | None = None
    position_id: int | None = None
    mode: str | None = None
    purpose: str | None = None
    principal_fen: int | None = None
    yield_fen: int | None = None
    confirm_date: str | None = None
    arrive_ms: int | None = None
    notify_url: str | None = None


def find(
    books: Books, merchant_id: str, *, req_seq_id: str | None, hjb_seq_id: str | None = None
) -> sqlite3.Row | None:
    """A merchant's order; the channel's number wins where both are given."""
    column, value = ("hjb_seq_id", hjb_seq_id) if hjb_seq_id else ("req_seq_id", req_seq_id)
    return books.row(
        f"SELECT * FROM orders WHERE merchant_id = ? AND {column} = ?", merchant_id, value
    )


def get(books: Books, hjb_seq_id: str) -> sqlite3.Row:
    """An order that exists."""
    row = books.row("SELECT * FROM orders WHERE hjb_seq_id = ?", hjb_seq_id)
    if row is None:
        raise LookupError(f"no order {hjb_seq_id} in the books")
    return row


def open_order(books: Books, new: NewOrder, later: Later | None) -> sqlite3.Row:
    """Record an order and, unless it is to be finished later, move its money.

    Raises BalanceTooLow, and then nothing of it may be kept.
    """
    hjb_seq_id = books.next_number("5500")
    waiting = {} if later is None else later.columns()
    books.leaves_work |= later is not None
    books.insert(
        "orders",
        hjb_seq_id=hjb_seq_id,
        **vars(new),
        status=PROCESSING,
        order_status=UNDER_WAY_STATUS,
        created_ms=books.now_ms,
        **waiting,
    )
    order = get(books, hjb_seq_id)
    return order if later is not None else _carry_out(books, order)


def finish_waiting(books: Books, order: sqlite3.Row) -> sqlite3.Row:
    """End an order that was under way, well or badly, and tell the merchant."""
    if order["ending"] != "success":
        return _fail(books, order, FAILED_STATUS, "HJB_0010")
    try:
        return _carry_out(books, order)
    except BalanceTooLow:
        return _fail(books, order, FAILED_STATUS, "HJB_0005")


def cancel(books: Books, merchant_id: str, req_seq_id: str) -> sqlite3.Row:
    """See to it that an order can never succeed, if it has not yet; the order as it is then.

    One that was never received is kept as cancelled, and answers for itself should it come.
    """
    order = find(books, merchant_id, req_seq_id=req_seq_id)
    if order is None:
        return _forbid(books, merchant_id, req_seq_id)
    if order["status"] == PROCESSING:
        return _fail(books, order, CANCELLED_STATUS, None)
    return order


def answer_of(books: Books, order: sqlite3.Row, *, is_query: bool = False) -> Answer:
    """What the channel says about an order, to the call that made it or to a query."""
    is_for_tomorrow = order["mode"] == NORMAL
    is_under_way = order["status"] == PROCESSING and not is_query and not is_for_tomorrow
    return answered(
        "00000100" if is_under_way else "00000000", order["status"], **_told(books, order)
    )


def _told(books: Books, order: sqlite3.Row) -> dict[str, object]:
    """The fields of an order in answers and notifications."""
    original = None if order["original_no"] is None else get(books, order["original_no"])
    is_subscription = order["biz_type"] == "subscribe"
    told = {
        "req_seq_id": order["req_seq_id"],
        "hjb_seq_id": order["hjb_seq_id"],
        "biz_type": order["biz_type"],
        "order_status": order["order_status"],
        "fail_code": order["fail_code"],
        "trx_amount": order["amount_fen"],
        "biz_no": order["biz_no"],
        "finish_time": _moment(order["finished_ms"]),
        "org_req_seq_id": None if original is None else original["req_seq_id"],
        "refunded_total": order["refunded_total_fen"],
        "sub_order_no": order["hjb_seq_id"] if is_subscription else None,
        "confirm_date": order["confirm_date"] if is_subscription else None,
        "arrive_at": _moment(order["arrive_ms"]),
    }
    if order["biz_type"] == "liquidate":
        told |= {"principal_out": order["principal_fen"], "yield_total": order["yield_fen"]}
    return {name: value for name, value in told.items() if value is not None}


def _carry_out(books: Books, order: sqlite3.Row) -> sqlite3.Row:
    if order["amount_fen"]:
        books.pay(
            kind=order["biz_type"],
            channel_no=order["hjb_seq_id"],
            business_no=order["req_seq_id"],
            payer_no=order["payer_no"],
            payee_no=order["payee_no"],
            amount_fen=order["amount_fen"],
        )
    _KINDS[order["biz_type"]].complete(books, order)
    return _finish(books, order, SUCCESS, DONE_STATUS, None)


def _fail(
    books: Books, order: sqlite3.Row, order_status: str, fail_code: str | None
) -> sqlite3.Row:
    _KINDS[order["biz_type"]].undo(books, order)
    return _finish(books, order, FAILED, order_status, fail_code)


def _finish(
    books: Books, order: sqlite3.Row, status: str, order_status: str, fail_code: str | None
) -> sqlite3.Row:
    books.write(
        "UPDATE orders SET status = ?, order_status = ?, fail_code = ?, finished_ms = ?,"
        " ending = NULL, due_ms = NULL WHERE hjb_seq_id = ?",
        status,
        order_status,
        fail_code,
        books.now_ms,
        order["hjb_seq_id"],
    )
    finished = get(books, order["hjb_seq_id"])
    _announce(books, finished)
    return finished


def _forbid(books: Books, merchant_id: str, req_seq_id: str) -> sqlite3.Row:
    hjb_seq_id = books.next_number("5500")
    books.insert(
        "orders",
        hjb_seq_id=hjb_seq_id,
        merchant_id=merchant_id,
        req_seq_id=req_seq_id,
        biz_type=NEVER_RECEIVED,
        amount_fen=0,
        status=FAILED,
        order_status=CANCELLED_STATUS,
        created_ms=books.now_ms,
        finished_ms=books.now_ms,
    )
    return get(books, hjb_seq_id)


def _announce(books: Books, order: sqlite3.Row) -> None:
    """Queue the notification of how an order ended, if it is wanted."""
    merchant = books.row("SELECT * FROM merchants WHERE merchant_id = ?", order["merchant_id"])
    url = order["notify_url"] or (merchant["notify_url"] if merchant else None)
    if url is None:
        return
    told = _told(books, order)
    postbox.enqueue(
        books,
        method=order["biz_type"],
        merchant_id=order["merchant_id"],
        url=url,
        number=order["req_seq_id"],
        parent_number=str(told.get("org_req_seq_id", order["req_seq_id"])),
        account_no=order["payer_no"],
        fields={"event": order["biz_type"], "trans_stat": order["status"], **told},
    )


Step = Callable[[Books, sqlite3.Row], None]


@dataclass(frozen=True)
class _Kind:
    """What a kind of order does beside moving its money."""

    complete: Step
    undo: Step


def _nothing(_books: Books, _order: sqlite3.Row) -> None:
    """Only the money moves."""


def _mark_refunded(books: Books, order: sqlite3.Row) -> None:
    """A debit is refunded when all of it is given back and no refund is under way any more."""
    books.write(
        "UPDATE orders SET order_status = ?1 WHERE hjb_seq_id = ?2 AND refunded_fen = amount_fen"
        " AND NOT EXISTS (SELECT 1 FROM orders WHERE original_no = ?2 AND status = 'P'"
        " AND hjb_seq_id <> ?3)",
        REFUNDED_STATUS,
        order["original_no"],
        order["hjb_seq_id"],
    )


def _release_refund(books: Books, order: sqlite3.Row) -> None:
    books.write(
        "UPDATE orders SET refunded_fen = refunded_fen - ? WHERE hjb_seq_id = ?",
        order["amount_fen"],
        order["original_no"],
    )


def _invest(books: Books, order: sqlite3.Row) -> None:
    confirm_date = wealth.next_confirm_date(books)
    wealth.add_lot(books, order["position_id"], order["amount_fen"], confirm_date)
    books.write(
        "UPDATE orders SET confirm_date = ? WHERE hjb_seq_id = ?",
        confirm_date,
        order["hjb_seq_id"],
    )


def _reinvest(books: Books, order: sqlite3.Row) -> None:
    """A redemption has failed: its principal goes back to where it was."""
    if order["principal_fen"]:
        wealth.add_lot(books, order["position_id"], order["principal_fen"], order["confirm_date"])
    wealth.pay_yield(books, order["position_id"], -(order["yield_fen"] or 0))


_KINDS: Final[dict[str, _Kind]] = {
    "pay": _Kind(_nothing, _nothing),
    "transfer": _Kind(_nothing, _nothing),
    "refund": _Kind(_mark_refunded, _release_refund),
    "subscribe": _Kind(_invest, _nothing),
    "redeem": _Kind(_nothing, _reinvest),
    "liquidate": _Kind(_nothing, _reinvest),
}


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else china_rfc3339(at_ms)
