"""What reports tell: figures of the ledger, each by its accounts, kinds and period. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from shanmen.settlement.domain.ledger import PostingKind

BUSINESS_ZONE: Final = ZoneInfo("Asia/Shanghai")
"""Days of reports are days there."""


@dataclass(frozen=True)
class Days:
    """Whole days, both ends included."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        """The instant at which the first begins."""
        return _midnight(self.first)

    @property
    def end(self) -> datetime:
        """The instant at which the last has ended."""
        return _midnight(self.last + timedelta(days=1))

    @property
    def count(self) -> int:
        """How many days."""
        return (self.last - self.first).days + 1

    def each(self) -> Iterator["Days"]:
        """Every day by itself."""
        days = (self.first + timedelta(days=number) for number in range(self.count))
        return (Days(day, day) for day in days)


class Side(StrEnum):
    """On which side entries count as positive; those on the other side are taken off."""

    DEBIT = "debit"
    """借方"""
    CREDIT = "credit"
    """贷方"""


@dataclass(frozen=True)
class Measure:
    """A figure of a period: the entries on accounts of these groups, made by these kinds of
    postings, or by all where `kinds` is empty."""

    name: str
    title: str
    groups: tuple[str, ...]
    kinds: tuple[PostingKind, ...]
    side: Side


@dataclass(frozen=True)
class Movement:
    """What postings of one kind debited and credited to the accounts of one group."""

    group: str
    kind: str
    debit_fen: int
    credit_fen: int


_DEBITED: Final = (PostingKind.DEBIT,)
_REFUNDED: Final = (PostingKind.REFUND, PostingKind.REFUND_OUTSIDE)
PAID_OUT: Final = (PostingKind.PAYOUT, PostingKind.PAYOUT_OUTSIDE)

DAILY: Final = (
    Measure("debited", "扣款", ("custody", "fees"), _DEBITED, Side.CREDIT),
    Measure("refunded", "退款", ("custody", "fees"), _REFUNDED, Side.DEBIT),
    Measure("paid_out", "打款", ("payable",), PAID_OUT, Side.DEBIT),
    Measure("earned_by_spots", "景区应付", ("payable",), (PostingKind.ADMISSION,), Side.CREDIT),
    Measure("transaction_fees", "交易手续费", ("fees",), _DEBITED, Side.CREDIT),
    Measure("settlement_fees", "结算手续费", ("fees",), (PostingKind.ADMISSION,), Side.CREDIT),
    Measure("refunded_fees", "退还手续费", ("fees",), _REFUNDED, Side.DEBIT),
    Measure("fees", "手续费净额", ("fees",), (), Side.CREDIT),
    Measure("margin", "差价", ("margin",), (PostingKind.ADMISSION,), Side.CREDIT),
    Measure("forfeits", "无须退款", ("margin",), (PostingKind.FORFEIT,), Side.CREDIT),
    Measure("owner", "注资净额", ("owner",), (), Side.CREDIT),
)
"""The platform's day (日报)."""

EARNED: Final = Measure("earned", "应付", ("payable",), (PostingKind.ADMISSION,), Side.CREDIT)
PAID: Final = Measure("paid", "打款", ("payable",), PAID_OUT, Side.DEBIT)
OF_A_SPOT: Final = (EARNED, PAID)
"""A spot's period; opening + earned - paid = closing."""


def measure_fen(measure: Measure, movements: Iterable[Movement]) -> int:
    """A figure out of the movements of its period."""
    credit_fen = sum(
        movement.credit_fen - movement.debit_fen
        for movement in movements
        if movement.group in measure.groups
        and (not measure.kinds or movement.kind in measure.kinds)
    )
    return credit_fen if measure.side is Side.CREDIT else -credit_fen


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), BUSINESS_ZONE).astimezone(UTC)
