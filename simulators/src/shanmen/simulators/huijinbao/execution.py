"""Carrying a call out: once per number, and with whatever fault has been ordered for it."""

import json
import sqlite3
from dataclasses import dataclass, replace
from typing import Final

from shanmen.simulators.books import BalanceTooLow, Books
from shanmen.simulators.clearing import Later
from shanmen.simulators.faults import Execution, Fault, Subject, take, unless_money_moves
from shanmen.simulators.huijinbao import orders, wealth
from shanmen.simulators.huijinbao.bills import SPOILERS
from shanmen.simulators.huijinbao.faults import CALL_KINDS, CallKind
from shanmen.simulators.huijinbao.methods.call import Call
from shanmen.simulators.huijinbao.methods.table import METHODS, Method, numbers_of
from shanmen.simulators.huijinbao.wire import Answer, Refusal, success

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS deferred_calls (
    deferred_id INTEGER PRIMARY KEY,
    merchant_id TEXT NOT NULL REFERENCES merchants,
    method TEXT NOT NULL,
    data TEXT NOT NULL,
    due_ms INTEGER NOT NULL
);
"""

_HONEST: Final = CallKind()
_DEFERRED_MS: Final = 1_000


@dataclass(frozen=True)
class Performance:
    """What a call came to, and how the answer is to be delivered."""

    answer: Answer
    kind: CallKind
    fault: Fault | None


def perform(books: Books, call: Call) -> Performance:
    """Carry a verified call out. Its effects and the fault's count are one transaction."""
    wealth.accrue(books)
    method = METHODS[call.method]
    subject = Subject(call.method, numbers_of(method, call), lambda: method.parties(books, call))
    fault = take(books, subject, CALL_KINDS)
    if fault is None:
        return Performance(_handle(books, method, call), _HONEST, None)
    kind = CALL_KINDS[fault.kind]
    answer, is_spared = _execute(books, method, _troubled(books, call, kind, fault), fault)
    if kind.says is not None and not is_spared:
        answer = kind.says(fault, method, answer)
    return Performance(answer, kind, fault)


def find_merchant(books: Books, merchant_id: str) -> sqlite3.Row | None:
    """A merchant by its id."""
    return books.row("SELECT * FROM merchants WHERE merchant_id = ?", merchant_id)


def run_overdue(books: Books) -> None:
    """Carry out what was deferred and finish what was left waiting, where its time has come."""
    wealth.accrue(books)
    for row in books.rows("SELECT * FROM deferred_calls WHERE due_ms <= ?", books.now_ms):
        books.write("DELETE FROM deferred_calls WHERE deferred_id = ?", row["deferred_id"])
        merchant = find_merchant(books, row["merchant_id"])
        if merchant is not None:
            call = Call(row["method"], merchant, json.loads(row["data"]))
            _handle(books, METHODS[row["method"]], call)
    for order in books.rows("SELECT * FROM orders WHERE due_ms <= ?", books.now_ms):
        orders.finish_waiting(books, order)


def next_overdue_ms(books: Books) -> int | None:
    """When `run_overdue` has something to do next, if ever."""
    row = books.row(
        "SELECT min(due_ms) AS at_ms FROM (SELECT due_ms FROM deferred_calls UNION ALL"
        " SELECT due_ms FROM orders WHERE due_ms IS NOT NULL)"
    )
    return None if row is None else row["at_ms"]


def _handle(books: Books, method: Method, call: Call) -> Answer:
    """The method's answer; a refusal leaves nothing behind, so its number may be used again."""
    books.connection.execute("SAVEPOINT handler")
    try:
        number = {"req_seq_id": call.key()}
        answer = _once(books, method, call) if method.is_kept else method.handler(books, call)
        return answer.with_fields(**number)
    except BalanceTooLow:
        books.connection.execute("ROLLBACK TO handler")
        return Refusal("HJB_0005").answer.with_fields(req_seq_id=call.data.get("req_seq_id"))
    except Refusal as refusal:
        books.connection.execute("ROLLBACK TO handler")
        return refusal.answer.with_fields(req_seq_id=call.data.get("req_seq_id"))
    finally:
        books.connection.execute("RELEASE handler")


def _once(books: Books, method: Method, call: Call) -> Answer:
    """The effect of a number happens once; every later call with it is told how it stands."""
    known = books.row(
        "SELECT * FROM requests WHERE merchant_id = ? AND req_seq_id = ?",
        call.merchant_id,
        call.key(),
    )
    order = orders.find(books, call.merchant_id, req_seq_id=call.key())
    if known is not None and known["fingerprint"] != call.fingerprint():
        raise Refusal("HJB_0023", call.key())
    if order is not None:
        return orders.answer_of(books, order).with_fields(replayed=True)
    if known is not None:
        stored = json.loads(known["answer"])
        return success(**stored, replayed=True)
    answer = method.handler(books, call)
    books.insert(
        "requests",
        merchant_id=call.merchant_id,
        req_seq_id=call.key(),
        fingerprint=call.fingerprint(),
        answer=None if method.moves_money else json.dumps(dict(answer.fields)),
    )
    return answer


def _execute(books: Books, method: Method, call: Call, fault: Fault) -> tuple[Answer, bool]:
    """The handler's answer, and whether this fault spares the call."""
    execution = CALL_KINDS[fault.kind].execution
    if execution is Execution.NEVER:
        return success(), False
    if execution is Execution.LATER:
        _defer(books, call, fault)
        return success(), False
    if execution is Execution.NOW:
        return _handle(books, method, call), False
    return unless_money_moves(books, lambda: _handle(books, method, call))


def _defer(books: Books, call: Call, fault: Fault) -> None:
    delay_ms = _DEFERRED_MS if fault.delay_ms is None else fault.delay_ms
    books.insert(
        "deferred_calls",
        merchant_id=call.merchant_id,
        method=call.method,
        data=json.dumps(dict(call.data)),
        due_ms=books.now_ms + delay_ms,
    )
    books.leaves_work = True


def _troubled(books: Books, call: Call, kind: CallKind, fault: Fault) -> Call:
    """The call as a fault changes it: finished later, or answered with a spoilt bill."""
    if fault.kind in SPOILERS:
        return replace(call, spoilt_by=fault.kind)
    if kind.succeeds_later is None:
        return call
    due_ms = None if fault.delay_ms is None else books.now_ms + fault.delay_ms
    queries = fault.options.get("queries", 1 if due_ms is None else None)
    return replace(call, later=Later(kind.succeeds_later, queries, due_ms))
