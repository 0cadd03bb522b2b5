"""Faults on demand: which are ordered, and whom each strikes. Handlers know nothing of them.

An order names a kind and, if wanted, the method, business number or account that it is for. A
call or notification meets at most one fault: the first ordered one that fits and whose
`probability` says yes. Orders live in the books, so a restart keeps them. What a kind does to a
call is a table in each channel's own `faults`.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from shanmen.simulators.books import Books

MethodT = TypeVar("MethodT")
AnswerT = TypeVar("AnswerT")

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
"""What an order may add to its kind: how long, how often, and which code to answer."""

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
        """The code to answer instead of the usual one."""
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


@dataclass(frozen=True)
class Kind(Generic[MethodT, AnswerT]):
    """What one kind of fault does to a call.

    `says` replaces the answer; `succeeds_later` makes the channel accept now and finish later.
    """

    execution: Execution = Execution.NOW
    delivery: Delivery = Delivery.ANSWER
    signature: Signature = Signature.GOOD
    says: Callable[[Fault, MethodT, AnswerT], AnswerT] | None = None
    succeeds_later: bool | None = None
    methods: frozenset[str] | None = None
    is_for_payer: bool = False

    @property
    def delays_answer(self) -> bool:
        """Whether `delay_ms` is about the answer; for some kinds it is about the money."""
        return self.delivery is Delivery.ANSWER and self.succeeds_later is None


@dataclass(frozen=True)
class Parties:
    """Whose money a call is about; None where it names nobody that exists."""

    payer_no: str | None
    payee_no: str | None


@dataclass(frozen=True)
class Subject:
    """What a fault may be ordered for: one call or one notification."""

    method: str
    numbers: Collection[str]
    parties: Callable[[], Parties]


def take(books: Books, subject: Subject, kinds: Mapping[str, Kind[Any, Any]]) -> Fault | None:
    """The first fault of these kinds that the subject meets, if any; counted against its order."""
    for row in books.rows(
        "SELECT * FROM faults WHERE (times_left IS NULL OR times_left > 0)"
        " AND (method IS NULL OR method = ?) ORDER BY fault_id",
        subject.method,
    ):
        kind = kinds.get(row["kind"])
        if kind is not None and _fits(row, kind, subject) and _strikes(books, row):
            return Fault(row["fault_id"], row["kind"], json.loads(row["options"]))
    return None


def unless_money_moves(books: Books, handle: Callable[[], AnswerT]) -> tuple[AnswerT, bool]:
    """Undo what `handle` did if it moved money; its answer, and whether the call was spared."""
    before = books.movements
    books.connection.execute("SAVEPOINT denial")
    answer = handle()
    is_spared = books.movements == before
    if not is_spared:
        books.connection.execute("ROLLBACK TO denial")
        books.movements = before
    books.connection.execute("RELEASE denial")
    return answer, is_spared


def _fits(row: sqlite3.Row, kind: Kind[Any, Any], subject: Subject) -> bool:
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
