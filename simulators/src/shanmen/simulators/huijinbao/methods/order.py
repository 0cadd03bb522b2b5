"""Asking what became of an order, and seeing to it that one never succeeds."""

import sqlite3

from shanmen.simulators.books import Books
from shanmen.simulators.clearing import is_finished_by_query
from shanmen.simulators.huijinbao import orders
from shanmen.simulators.huijinbao.methods.call import Call
from shanmen.simulators.huijinbao.wire import FAILED, SUCCESS, Answer, Refusal, answered


def query(books: Books, call: Call) -> Answer:
    """What became of an order: `trans_stat` and `order_status` are the order's own."""
    req_seq_id, hjb_seq_id = call.text("org_req_seq_id", 64), call.text("hjb_seq_id", 64)
    if not (req_seq_id or hjb_seq_id):
        raise Refusal("HJB_0001", "org_req_seq_id or hjb_seq_id")
    biz_type = call.text("biz_type")
    order = orders.find(books, call.merchant_id, req_seq_id=req_seq_id, hjb_seq_id=hjb_seq_id)
    if order is None or not _is_of_type(order, biz_type):
        raise Refusal("HJB_0021", req_seq_id or hjb_seq_id or "")
    if is_finished_by_query(books, "orders", "hjb_seq_id", order):
        order = orders.finish_waiting(books, order)
    answer = orders.answer_of(books, order, is_query=True)
    return answer.with_fields(
        refunded_total=order["refunded_fen"] if order["biz_type"] == "pay" else None,
        **_numbers(call, order),
    )


def cancel(books: Books, call: Call) -> Answer:
    """Forbid an order to succeed. S: it never will; F: it has succeeded already."""
    order = orders.cancel(books, call.merchant_id, call.required("org_req_seq_id", 64))
    is_too_late = order["status"] == SUCCESS
    return answered(
        "00000000",
        FAILED if is_too_late else SUCCESS,
        order_status=order["order_status"],
        hjb_seq_id=order["hjb_seq_id"],
        fail_code="ALREADY_SUCCEEDED" if is_too_late else None,
        **_numbers(call, order),
    )


def _is_of_type(order: sqlite3.Row, biz_type: str | None) -> bool:
    """A number that was cancelled before it came is of whatever type is asked for."""
    return biz_type is None or order["biz_type"] in {biz_type.lower(), orders.NEVER_RECEIVED}


def _numbers(call: Call, order: sqlite3.Row) -> dict[str, object]:
    """The call's own number, and the number that it asks about."""
    return {"req_seq_id": call.key(), "org_req_seq_id": order["req_seq_id"]}
