"""What reports tell: figures of the ledger, each by its accounts, kinds and period. Pure."""

from collections.abc import Iterable, Iterator, Mapping
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
    postings, or by all where `kinds` is empty. A balance is of all entries before its end."""

    name: str
    title: str
    groups: tuple[str, ...]
    kinds: tuple[PostingKind, ...]
    side: Side
    is_balance: bool = False


@dataclass(frozen=True)
class Movement:
    """What postings of one kind debited and credited to the accounts of one group."""

    group: str
    kind: str
    debit_fen: int
    credit_fen: int


_DEBITED: Final = (PostingKind.DEBIT,)
_ADMITTED: Final = (PostingKind.ADMISSION,)
_SUBSCRIBED: Final = (PostingKind.SUBSCRIPTION,)
_REDEEMED: Final = (PostingKind.REDEMPTION,)
_LIQUIDATED: Final = (PostingKind.LIQUIDATION,)
_REFUNDED: Final = (PostingKind.REFUND, PostingKind.REFUND_OUTSIDE)
PAID_OUT: Final = (PostingKind.PAYOUT, PostingKind.PAYOUT_OUTSIDE)

DAILY: Final = (
    Measure("debited", "扣款", ("custody", "fees"), _DEBITED, Side.CREDIT),
    Measure("refunded", "退款", ("custody", "fees"), _REFUNDED, Side.DEBIT),
    Measure("paid_out", "打款", ("payable",), PAID_OUT, Side.DEBIT),
    Measure("earned_by_spots", "景区应付", ("payable",), _ADMITTED, Side.CREDIT),
    Measure("transaction_fees", "交易手续费", ("fees",), _DEBITED, Side.CREDIT),
    Measure("settlement_fees", "结算手续费", ("fees",), _ADMITTED, Side.CREDIT),
    Measure("refunded_fees", "退还手续费", ("fees",), _REFUNDED, Side.DEBIT),
    Measure("fees", "手续费净额", ("fees",), (), Side.CREDIT),
    Measure("margin", "差价", ("margin",), _ADMITTED, Side.CREDIT),
    Measure("forfeits", "无须退款", ("margin",), (PostingKind.FORFEIT,), Side.CREDIT),
    Measure("subscribed", "理财申购", ("wealth",), _SUBSCRIBED, Side.DEBIT),
    Measure("redeemed", "理财赎回本金", ("wealth",), _REDEEMED, Side.CREDIT),
    Measure("liquidated", "理财清算本金", ("wealth",), _LIQUIDATED, Side.CREDIT),
    Measure("yield", "理财收益", ("yield",), (), Side.CREDIT),
    Measure("adjustments", "调账净额", ("suspense",), (PostingKind.ADJUSTMENT,), Side.CREDIT),
    Measure("clearings", "销账净额", ("suspense",), (PostingKind.CLEARING,), Side.DEBIT),
    Measure("owner", "注资净额", ("owner",), (), Side.CREDIT),
)
"""The platform's day (日报)."""

EARNED: Final = Measure("earned", "应付", ("payable",), _ADMITTED, Side.CREDIT)
PAID: Final = Measure("paid", "打款", ("payable",), PAID_OUT, Side.DEBIT)
OF_A_SPOT: Final = (EARNED, PAID)
"""A spot's period; opening + earned - paid = closing."""

_INCOME: Final = ("fees", "margin", "yield")

PRODUCT: Final = (
    Measure("sales", "销售额", ("custody",), _DEBITED, Side.CREDIT),
    Measure("transaction_fees", "交易手续费", ("fees",), _DEBITED, Side.CREDIT),
    Measure("refunds", "退款", ("custody",), _REFUNDED, Side.DEBIT),
    Measure("refunded_fees", "退还手续费", ("fees",), _REFUNDED, Side.DEBIT),
    Measure("settlements", "景区结算价", ("payable", "fees"), _ADMITTED, Side.CREDIT),
    Measure("settlement_fees", "结算手续费", ("fees",), _ADMITTED, Side.CREDIT),
    Measure("earned_by_spots", "景区应付", ("payable",), _ADMITTED, Side.CREDIT),
    Measure("paid_out", "已打款", ("payable",), PAID_OUT, Side.DEBIT),
    Measure("still_payable", "未打款", ("payable",), (), Side.CREDIT, is_balance=True),
    Measure("custody", "在途票款", ("custody",), (), Side.CREDIT, is_balance=True),
    Measure("invested", "理财申购", ("wealth",), _SUBSCRIBED, Side.DEBIT),
    Measure("redeemed", "理财赎回本金", ("wealth",), _REDEEMED, Side.CREDIT),
    Measure("liquidated", "理财清算本金", ("wealth",), _LIQUIDATED, Side.CREDIT),
    Measure("outstanding", "理财余额", ("wealth",), (), Side.DEBIT, is_balance=True),
    Measure("fees", "手续费净额", ("fees",), (), Side.CREDIT),
    Measure("margin", "差价", ("margin",), _ADMITTED, Side.CREDIT),
    Measure("forfeits", "无须退款", ("margin",), (PostingKind.FORFEIT,), Side.CREDIT),
    Measure("yield", "理财收益", ("yield",), (), Side.CREDIT),
    Measure("profit", "利润", _INCOME, (), Side.CREDIT),
)
"""A product's report (联票财务报告). Sales = settlements + margin + refunds + forfeits + custody;
invested - redeemed - liquidated = outstanding; profit = fees + margin + forfeits + yield."""

PRODUCT_MEASURES: Final[Mapping[str, Measure]] = {measure.name: measure for measure in PRODUCT}

PRODUCT_OF_SPOT: Final = (
    *("settlements", "settlement_fees", "earned_by_spots", "paid_out", "still_payable", "margin"),
)
PRODUCT_OF_DAY: Final = (
    *("sales", "refunds", "settlements", "fees", "margin", "forfeits", "yield", "profit"),
)
"""Figures that the report breaks down, in the order of its columns."""


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
