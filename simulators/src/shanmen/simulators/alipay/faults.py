"""Faults on demand: which are ordered, and what each kind does. Handlers know nothing of them.

An order names a kind and, if wanted, the method, business number or account that it is for. A
call or notification meets at most one fault: the first ordered one that fits and whose
`probability` says yes. Orders live in the books, so a restart keeps them.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from shanmen.simulators.alipay.books import Books
from shanmen.simulators.alipay.methods.call import Parties
from shanmen.simulators.alipay.methods.table import Method
from shanmen.simulators.alipay.wire import Answer

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS faults (
    fault_id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    method TEXT,
    number TEXT,
    account_no TEXT,
    times_left INTEGER CHECK (times_left >= 0),
    probability REAL NOT NULL,
    seed INTEGER NOT NULL,
    options TEXT NOT NULL,
    trials INTEGER NOT NULL DEFAULT 0,
    hits INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL
);
"""

OPTIONS: Final[dict[str, type]] = {
    "delay_ms": int,
    "hold_ms": int,
    "queries": int,
    "copies": int,
    "sub_code": str,
}
"""What an order may add to its kind: how long, how often, and which sub-code."""

_HOLD_MS: Final = 30_000


@dataclass(frozen=True)
class Fault:
    """One order that has just struck."""

    fault_id: int
    kind: str
    options: dict[str, Any]

    @property
    def delay_ms(self) -> int | None:
        """How long to wait: before answering, finishing, or notifying."""
        return self.options.get("delay_ms")

    @property
    def hold_ms(self) -> int:
        """How long an unanswered connection stays open."""
        return int(self.options.get("hold_ms", _HOLD_MS))

    @property
    def sub_code(self) -> str | None:
        """The sub-code to answer instead of the usual one."""
        return self.options.get("sub_code")


class Execution(Enum):
    """Whether the handler runs."""

    NOW = "now"
    NEVER = "never"
    LATER = "later"
    """Not now, but after `delay_ms`, when nobody is waiting any more."""
    UNLESS_MONEY_MOVES = "unless_money_moves"
    """Denied where it would move money; a repeat of a finished number is answered as ever."""


class Delivery(Enum):
    """What reaches the client."""

    ANSWER = "answer"
    SILENCE = "silence"
    CUT = "cut"
    UNAVAILABLE = "unavailable"


class Signature(Enum):
    """How the answer is signed."""

    GOOD = "good"
    WRONG = "wrong"
    NONE = "none"


Saying = Callable[[Fault, Method, Answer], Answer]


@dataclass(frozen=True)
class Kind:
    """What one kind of fault does to a call.

    `says` replaces the answer; `succeeds_later` makes the channel accept now and finish later.
    """

    execution: Execution = Execution.NOW
    delivery: Delivery = Delivery.ANSWER
    signature: Signature = Signature.GOOD
    says: Saying | None = None
    succeeds_later: bool | None = None
    methods: frozenset[str] | None = None
    is_for_payer: bool = False


def _unavailable(fault: Fault, _method: Method, _answer: Answer) -> Answer:
    return Answer(
        "20000",
        "Service Currently Unavailable",
        fault.sub_code or "isp.unknow-error",
        "系统繁忙",
    )


def _system_error(fault: Fault, method: Method, _answer: Answer) -> Answer:
    return Answer("40004", "Business Failed", fault.sub_code or method.system_error, "系统错误")


def _short_balance(_fault: Fault, method: Method, _answer: Answer) -> Answer:
    return Answer("40004", "Business Failed", method.short_balance, "余额不足")


def _throttled(fault: Fault, _method: Method, _answer: Answer) -> Answer:
    return Answer(
        "40005", "Call Limited", fault.sub_code or "isv.app-call-limited", "调用频次超限"
    )


def _unlisted(fault: Fault, _method: Method, _answer: Answer) -> Answer:
    return Answer(
        "40004", "Business Failed", fault.sub_code or "NOBODY_KNOWS_THIS_CODE", "未知的错误"
    )


def _with_braces(_fault: Fault, _method: Method, answer: Answer) -> Answer:
    odd = answer.msg + ' } {"inner":"}"} \\'
    return Answer(answer.code, odd, answer.sub_code, answer.sub_msg, answer.fields)


_TRANSFER: Final = frozenset({"alipay.fund.trans.uni.transfer"})
_PAY: Final = frozenset({"alipay.trade.pay"})
_SPENDING: Final = _TRANSFER | _PAY | {"alipay.trade.refund", "alipay.trade.cancel"}

CALL_KINDS: Final[dict[str, Kind]] = {
    "timeout_before": Kind(Execution.NEVER, Delivery.SILENCE),
    "timeout_after": Kind(delivery=Delivery.SILENCE),
    "timeout_then_applied": Kind(Execution.LATER, Delivery.SILENCE),
    "error_20000_before": Kind(Execution.NEVER, says=_unavailable),
    "error_20000_after": Kind(says=_unavailable),
    "system_error_before": Kind(Execution.NEVER, says=_system_error),
    "system_error_after": Kind(says=_system_error),
    "bad_signature": Kind(signature=Signature.WRONG),
    "unsigned": Kind(signature=Signature.NONE),
    "braces": Kind(says=_with_braces),
    "insufficient_funds": Kind(
        Execution.UNLESS_MONEY_MOVES, says=_short_balance, methods=_SPENDING, is_for_payer=True
    ),
    "dealing_then_success": Kind(succeeds_later=True, methods=_TRANSFER),
    "dealing_then_fail": Kind(succeeds_later=False, methods=_TRANSFER),
    "pay_in_process": Kind(succeeds_later=True, methods=_PAY),
    "throttled": Kind(Execution.NEVER, says=_throttled),
    "slow": Kind(),
    "down": Kind(Execution.NEVER, Delivery.UNAVAILABLE),
    "down_cut": Kind(Execution.NEVER, Delivery.CUT),
    "unlisted_code": Kind(Execution.NEVER, says=_unlisted),
    "unlisted_code_after": Kind(says=_unlisted),
}
"""Faults around a call. `…_before`: no money moved; `…_after`: it did, and nobody is told."""

NOTIFICATION_KINDS: Final = frozenset(
    {"notify_duplicate", "notify_late", "notify_missing", "notify_reordered", "notify_forged"}
)
"""Faults of a notification; what each does is a table in `notifications`."""


@dataclass(frozen=True)
class Subject:
    """What a fault may be ordered for: one call or one notification."""

    method: str
    numbers: Collection[str]
    parties: Callable[[], Parties]


def take_for_call(books: Books, subject: Subject) -> Fault | None:
    """The fault that this call meets, if any; counted against its order."""
    return _take(books, subject, CALL_KINDS)


def take_for_notification(books: Books, subject: Subject) -> Fault | None:
    """The fault that this notification meets, if any; counted against its order."""
    return _take(books, subject, dict.fromkeys(NOTIFICATION_KINDS, Kind()))


def _take(books: Books, subject: Subject, kinds: dict[str, Kind]) -> Fault | None:
    for row in books.rows(
        "SELECT * FROM faults WHERE (times_left IS NULL OR times_left > 0)"
        " AND (method IS NULL OR method = ?) ORDER BY fault_id",
        subject.method,
    ):
        kind = kinds.get(row["kind"])
        if kind is not None and _fits(row, kind, subject) and _strikes(books, row):
            return Fault(row["fault_id"], row["kind"], json.loads(row["options"]))
    return None


def _fits(row: sqlite3.Row, kind: Kind, subject: Subject) -> bool:
    if kind.methods is not None and subject.method not in kind.methods:
        return False
    if row["number"] is not None and row["number"] not in subject.numbers:
        return False
    if row["account_no"] is None:
        return True
    parties = subject.parties()
    if row["account_no"] == parties.payer_no:
        return True
    return not kind.is_for_payer and bool(row["account_no"] == parties.payee_no)


def _strikes(books: Books, row: sqlite3.Row) -> bool:
    """Throw the order's own dice: the same seed gives the same sequence, over restarts too."""
    digest = hashlib.sha256(f"{row['seed']}:{row['trials']}".encode()).digest()
    is_hit: bool = int.from_bytes(digest[:8], "big") < row["probability"] * 2**64
    books.write(
        "UPDATE faults SET trials = trials + 1, hits = hits + ?1,"
        " times_left = CASE WHEN ?1 THEN times_left - 1 ELSE times_left END WHERE fault_id = ?2",
        int(is_hit),
        row["fault_id"],
    )
    return is_hit
