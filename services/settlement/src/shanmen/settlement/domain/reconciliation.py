"""Reconciliation (对账): what the ledger and a channel's bill say has moved. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from shanmen.common.money import to_yuan
from shanmen.settlement.domain.ledger import SUSPENSE, Posting, PostingKind, cash, entries
from shanmen.settlement.domain.reports import BUSINESS_ZONE
from shanmen.settlement.domain.work import Direction, WorkKind

DAY: Final = timedelta(days=1)


class BreakClass(StrEnum):
    """How the ledger and a bill differ."""

    MISSING_HERE = "missing_here"
    """我方缺失: the bill has a movement that the ledger has not."""
    MISSING_THERE = "missing_there"
    """渠道缺失: the ledger has a movement that the bill has not."""
    AMOUNT = "amount"
    """金额不符: both have it, by different amounts."""
    STATUS = "status"
    """状态不符: one of them, or the gateway, says that it has not moved."""

    @property
    def work_kind(self) -> WorkKind:
        """The kind of its work item."""
        return WorkKind(f"break_{self.value}")


class BreakStatus(StrEnum):
    """Whether a break is still there."""

    OPEN = "open"
    """未处理: nothing explains it."""
    RESOLVED = "resolved"
    """已处理: a later run did not find it, it was adjusted, or a person closed it."""


# ── what is compared ────────────────────────────────────────────────────────────────────────────


class Fact(NamedTuple):
    """Money that moved at a channel, as the ledger has it; `day` is its day in China."""

    key: str
    """Its posting's."""
    kind: str
    number: str
    """The number that it has at the channel."""
    root: str
    """The number of the debit that a refund gives back; of all others their own."""
    direction: str
    amount_fen: int
    at: datetime
    day: date
    order_no: str | None = None


class Line(NamedTuple):
    """A row of a bill; `day` is the day that the bill is of."""

    bill_type: str
    line: int
    number: str
    root: str
    direction: str
    amount_fen: int
    succeeded: bool
    business_type: str
    channel_ref: str
    at: datetime
    day: date
    known: tuple[str, str] | None = None
    """The kind and status of the operation that the gateway knows by this number."""


class Explained(NamedTuple):
    """A break that a person dealt with: in this bill, what the ledger has as `ours_fen` counts as
    `theirs_fen` from now on."""

    bill_type: str
    number: str
    direction: str
    ours_fen: int
    theirs_fen: int
    at: datetime
    day: date


class Place(NamedTuple):
    """Where a break is: the bill, the number there, and the row, if it has one."""

    bill_type: str
    number: str
    line: int | None


@dataclass(frozen=True)
class Window:
    """The day that is judged, and which bills of the days around it there are.

    What is within `edge` of a midnight may be in the bill of the other day: without that bill it
    waits, and is judged by the run of the other day.
    """

    day: date
    edge: timedelta
    has_previous: bool
    has_next: bool

    @property
    def start(self) -> datetime:
        """When the day begins."""
        return midnight(self.day)

    @property
    def end(self) -> datetime:
        """When it has ended."""
        return midnight(self.day + DAY)

    def judges(self, fact: Fact) -> bool:
        """Whether a fact that no bill has is a break for this run to find."""
        if fact.day == self.day - DAY:
            return self.has_previous and fact.at >= self.start - self.edge
        return fact.day == self.day and not self.waits(fact)

    def waits(self, fact: Fact) -> bool:
        """Whether a fact of the day may still turn up in a bill that is not there."""
        if fact.day != self.day:
            return False
        late = fact.at >= self.end - self.edge and not self.has_next
        return late or (fact.at < self.start + self.edge and not self.has_previous)


class File(NamedTuple):
    """A file of a bill, as the channel made it: its rows, and what they add up to."""

    bill_type: str
    sha256: str
    rows: int
    sum_in_fen: int
    sum_out_fen: int


@dataclass(frozen=True)
class Bill:
    """A channel's bill of a day: its files, and the wanted ones of their rows."""

    files: tuple[File, ...]
    lines: list[Line]


# ── what is found ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Difference:
    """A break: the same money may be missing in several bills, and is one of them.

    `ordinal` tells apart those that are alike in all that identifies them. `fact` is the key of
    the posting, where the ledger has one.
    """

    bill_date: date
    break_class: BreakClass
    number: str
    direction: str
    ours_fen: int
    theirs_fen: int
    places: tuple[Place, ...]
    channel_ref: str
    business_type: str
    fact: str | None
    order_no: str | None
    ours_at: datetime | None
    theirs_at: datetime | None
    ordinal: int = 0

    @property
    def identity(self) -> tuple[date, str, str, str, str, int]:
        """By what a later run knows it again."""
        return (
            *(self.bill_date, self.number, self.channel_ref, self.direction),
            *(self.break_class.value, self.ordinal),
        )

    @property
    def amount_fen(self) -> int:
        """How much it is about."""
        return stake_fen(self.ours_fen, self.theirs_fen)


@dataclass(frozen=True)
class Findings:
    """What comparing a day found.

    `matched` counts rows of the day's bill; `waiting` facts that a bill to come may have. Facts
    and rows of the days around it that found each other are `settled`: breaks about them end.
    """

    matched: int
    waiting: tuple[Fact, ...]
    differences: tuple[Difference, ...]
    settled_facts: frozenset[str]
    settled_rows: frozenset[tuple[date, str, int]]


@dataclass(frozen=True)
class Comparison:
    """What a run found, as its row tells it, and the breaks; `run` has no id in a dry run."""

    run: Mapping[str, Any]
    findings: Findings


def stake_fen(ours_fen: int, theirs_fen: int) -> int:
    """How much a break is about: the difference, or where only statuses differ all of it."""
    return abs(theirs_fen - ours_fen) or max(ours_fen, theirs_fen)


# ── which bill has what ─────────────────────────────────────────────────────────────────────────

ACCOUNT_BILL: Final[Mapping[str, str]] = {"alipay": "signcustomer", "huijinbao": "ACCOUNT"}
"""The bill of each channel that has every movement of our account there, as the ledger's cash."""

BILL_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "alipay": ("trade", "signcustomer"),
    "huijinbao": ("TRADE", "WEALTH", "ACCOUNT"),
}
"""The bills of each channel."""

PAYOUT, REFUND = PostingKind.PAYOUT.value, PostingKind.REFUND.value
_WEALTH: Final = ("subscription", "redemption", "liquidation")

_BY_NUMBER, _BY_ROOT = "number", "root"
_ELSEWHERE: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("alipay", "debit"): ("trade", _BY_NUMBER),
    ("alipay", REFUND): ("trade", _BY_NUMBER),
    ("huijinbao", "debit"): ("TRADE", _BY_NUMBER),
    ("huijinbao", PAYOUT): ("TRADE", _BY_NUMBER),
    ("huijinbao", REFUND): ("TRADE", _BY_NUMBER),
    **{("huijinbao", kind): ("WEALTH", _BY_NUMBER) for kind in _WEALTH},
}
"""Where a fact is besides the bill of our account, by channel and kind."""

_IN_ACCOUNT_BY: Final[Mapping[tuple[str, str], str]] = {("alipay", REFUND): _BY_ROOT}
"""Under which number a fact is in the bill of our account, if not its own: there Alipay's refunds
have the number of the debit."""

MAY_BE_SPLIT: Final = frozenset({"redemption", "liquidation"})
"""What may be several rows of a bill: principal, and yield."""

OF_THE_OWNER: Final = frozenset({PostingKind.OWNER_IN.value, PostingKind.OWNER_OUT.value})
"""What a person recorded by the number of its row: the channel's own, where it has no other."""

DIRECTION_OF: Final[Mapping[str, str]] = {
    "debit": Direction.IN.value,
    "payout": Direction.OUT.value,
    "refund": Direction.OUT.value,
    "subscribe": Direction.OUT.value,
    "redeem": Direction.IN.value,
    "liquidate": Direction.IN.value,
}
"""Which way the money of the gateway's operations goes, by kind."""


def places_of(channel: str, fact: Fact) -> list[tuple[str, str]]:
    """In which bills a fact must be, and under which number there."""
    by = _IN_ACCOUNT_BY.get((channel, fact.kind), _BY_NUMBER)
    found = [(ACCOUNT_BILL[channel], fact.root if by == _BY_ROOT else fact.number)]
    elsewhere = _ELSEWHERE.get((channel, fact.kind))
    if elsewhere is not None:
        found.append((elsewhere[0], fact.number))
    return found


def cash_effect_fen(
    channel: str, direction: str, ours_fen: int, theirs_fen: int, places: tuple[Place, ...]
) -> int:
    """What a break lacks in the ledger's cash, negative where there is too much of it.

    Zero where the bill of our account agrees with the ledger, and only another bill does not.
    """
    if ACCOUNT_BILL[channel] not in {place.bill_type for place in places}:
        return 0
    lacking_fen = theirs_fen - ours_fen
    return lacking_fen if direction == Direction.IN.value else -lacking_fen


def posting_for_adjustment(
    *, break_id: str, channel: str, cash_effect_fen: int, occurred_at: datetime
) -> Posting:
    """The ledger's cash becomes what the bill says; what is behind it is for a person to find."""
    amount_fen = abs(cash_effect_fen)
    sides = [(cash(channel), amount_fen)], [(SUSPENSE, amount_fen)]
    debited, credited = sides if cash_effect_fen > 0 else sides[::-1]
    return Posting(
        f"adjustment:{break_id}",
        PostingKind.ADJUSTMENT,
        None,
        occurred_at,
        entries(debited=debited, credited=credited),
    )


def china_day(at: datetime) -> date:
    """The day in China."""
    return at.astimezone(BUSINESS_ZONE).date()


def midnight(day: date) -> datetime:
    """When a day begins in China."""
    return datetime.combine(day, time(), BUSINESS_ZONE).astimezone(UTC)


def reason_of(each: Difference) -> str:
    """What differs where, in words."""
    places = ", ".join(
        place.bill_type if place.line is None else f"{place.bill_type} line {place.line}"
        for place in each.places
    )
    way = "in" if each.direction == Direction.IN else "out"
    ours, theirs = (to_yuan(fen) for fen in (each.ours_fen, each.theirs_fen))
    return (
        f"{each.number} {way}: the ledger has {ours} yuan, the bill of {each.bill_date} has "
        f"{theirs} yuan ({places})."
    )
