"""Carrying a call out, with whatever fault has been ordered for it. The one place for both."""

import json
import sqlite3
from dataclasses import dataclass, replace
from typing import Final

from shanmen.simulators.alipay import trades, transfers
from shanmen.simulators.alipay.bills.spoilers import SPOILERS
from shanmen.simulators.alipay.faults import CALL_KINDS, CallKind
from shanmen.simulators.alipay.methods.call import Call
from shanmen.simulators.alipay.methods.table import METHODS, Method, numbers_of
from shanmen.simulators.alipay.wire import Answer, Refusal, read_content, success
from shanmen.simulators.books import Books
from shanmen.simulators.clearing import Later
from shanmen.simulators.faults import Execution, Fault, Subject, take, unless_money_moves

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS deferred_calls (
    deferred_id INTEGER PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps,
    method TEXT NOT NULL,
    content TEXT NOT NULL,
    notify_url TEXT,
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


def find_app(books: Books, app_id: str) -> sqlite3.Row | None:
    """An app by its id."""
    return books.row("SELECT * FROM apps WHERE app_id = ?", app_id)


def run_overdue(books: Books) -> None:
    """Carry out what was deferred and finish what was left waiting, where its time has come."""
    for row in books.rows("SELECT * FROM deferred_calls WHERE due_ms <= ?", books.now_ms):
        books.write("DELETE FROM deferred_calls WHERE deferred_id = ?", row["deferred_id"])
        app = find_app(books, row["app_id"])
        if app is not None:
            method = METHODS[row["method"]]
            content = read_content(row["content"]) or {}
            call = Call(row["method"], app, content, row["notify_url"], method.invalid_parameter)
            _handle(books, method, call)
    for trade in books.rows("SELECT * FROM trades WHERE due_ms <= ?", books.now_ms):
        trades.finish_waiting(books, trade)
    for transfer in books.rows("SELECT * FROM transfers WHERE due_ms <= ?", books.now_ms):
        transfers.finish_waiting(books, transfer)


def next_overdue_ms(books: Books) -> int | None:
    """When `run_overdue` has something to do next, if ever."""
    row = books.row(
        "SELECT min(due_ms) AS at_ms FROM (SELECT due_ms FROM deferred_calls UNION ALL"
        " SELECT due_ms FROM trades WHERE due_ms IS NOT NULL UNION ALL"
        " SELECT due_ms FROM transfers WHERE due_ms IS NOT NULL)"
    )
    return None if row is None else row["at_ms"]


def _handle(books: Books, method: Method, call: Call) -> Answer:
    books.connection.execute("SAVEPOINT handler")
    try:
        return method.handler(books, call)
    except Refusal as refusal:
        books.connection.execute("ROLLBACK TO handler")
        return refusal.answer
    finally:
        books.connection.execute("RELEASE handler")


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
        app_id=call.app["app_id"],
        method=call.method,
        content=json.dumps(dict(call.content)),
        notify_url=call.notify_url,
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
