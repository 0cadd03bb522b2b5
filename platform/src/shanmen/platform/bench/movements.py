"""A long day at a channel, for reconciling it: what moved there, and what the ledger says of it.

Pure. Of each of `BREAK_CLASSES` some movements are in the channel's books otherwise than in ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from shanmen.platform.sample import SHANGHAI

BREAK_CLASSES: Final = ("missing_here", "missing_there", "amount", "status")
"""A row was added to the bill, one was removed from it, one was altered, and one is of an
operation that the gateway knows and the ledger does not."""

PATTERNS: Final[Mapping[str, tuple[str, ...]]] = {
    "alipay": (*("debit",) * 7, "payout", "payout", "refund"),
    "huijinbao": (*("debit",) * 6, "payout", "payout", "subscribe", "refund"),
}
"""Kinds of operation in the order in which they come, again and again; a refund gives back the
first debit of its pattern."""
IN_ONE_BILL: Final = frozenset({("alipay", "payout")})
"""What only the bill of the account lists; all else is in another as well."""

_ODD_PLACES: Final = (1, 7)
"""Of a pattern: a debit that is not refunded, and a payout."""
_OPENS_AT: Final = time(7)
_OPEN_FOR: Final = timedelta(hours=14)
_MOST_BILLS: Final = 2
_LEAST_FEN: Final[Mapping[str, int]] = {
    "debit": 10_000,
    "refund": 10_000,
    "payout": 9_000,
    "subscribe": 9_000,
}
"""A debit and its refund have the same amount; more comes in than goes out."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Money of one operation: `there_fen` at the channel, `here_fen` in the ledger; None where it
    is not in those books. `root` is the number of the debit that a refund gives back."""

    number: str
    kind: str
    root: str
    at: datetime
    there_fen: int | None
    here_fen: int | None
    break_class: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether the gateway knows it."""
        return self.break_class != "missing_here"


def long_day(channel: str, day: date, *, rows: int, odd_each: int) -> list[Movement]:
    """At least so many rows of a channel's bills, with `odd_each` breaks of each class.

    The movements are in the order of their times, and away from midnight, where the bills of two
    days meet.
    """
    pattern = PATTERNS[channel]
    rows_each = sum(_in_bills(channel, kind) for kind in pattern)
    groups = -(-(rows + _MOST_BILLS * odd_each) // rows_each)  # some are in no bill
    odd = _odd_serials(groups, len(pattern), odd_each)
    opens_at = datetime.combine(day, _OPENS_AT, SHANGHAI)
    pause = _OPEN_FOR / (groups * len(pattern))
    movements = []
    for serial in range(groups * len(pattern)):
        first = serial - serial % len(pattern)
        kind = pattern[serial - first]
        root = first if kind == "refund" else serial
        there_fen, here_fen = _sides(_LEAST_FEN[kind] + root % 997, odd.get(serial))
        movements.append(
            Movement(
                number=_number(channel, day, serial),
                kind=kind,
                root=_number(channel, day, root),
                at=opens_at + serial * pause,
                there_fen=there_fen,
                here_fen=here_fen,
                break_class=odd.get(serial),
            )
        )
    return movements


def rows_of(channel: str, movements: Sequence[Movement]) -> int:
    """How many rows the channel's bills have."""
    return sum(_in_bills(channel, each.kind) for each in movements if each.there_fen is not None)


def rows_that_agree(channel: str, movements: Sequence[Movement]) -> int:
    """How many of them the ledger has just so."""
    return sum(_in_bills(channel, each.kind) for each in movements if each.break_class is None)


def breaks_of(movements: Sequence[Movement]) -> set[tuple[str, str]]:
    """What is to be found: the class and the number of each break."""
    return {(each.break_class, each.number) for each in movements if each.break_class is not None}


def _odd_serials(groups: int, length: int, odd_each: int) -> dict[int, str]:
    """Which movements break, spread over the day: by their place in it, the class."""
    count = odd_each * len(BREAK_CLASSES)
    if count > groups:
        raise ValueError(f"{groups * length} movements have no room for {count} breaks")
    return {
        nth * (groups // count) * length
        + _ODD_PLACES[nth // len(BREAK_CLASSES) % len(_ODD_PLACES)]: (
            BREAK_CLASSES[nth % len(BREAK_CLASSES)]
        )
        for nth in range(count)
    }


def _sides(fen: int, break_class: str | None) -> tuple[int | None, int | None]:
    """What the channel has, and what the ledger."""
    there_fen = None if break_class == "missing_there" else fen
    if break_class in {"missing_here", "status"}:
        return there_fen, None
    return there_fen, fen + 1 if break_class == "amount" else fen


def _number(channel: str, day: date, serial: int) -> str:
    return f"{channel}-{day:%Y%m%d}-{serial:06d}"


def _in_bills(channel: str, kind: str) -> int:
    return 1 if (channel, kind) in IN_ONE_BILL else _MOST_BILLS
