"""Statements of spots and distributors (对账单), and the platform's days (日报)."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field

from shanmen.settlement.domain.ledger import PostingKind
from shanmen.settlement.domain.reports import Days, Measure, Side
from shanmen.settlement.domain.statuses import Settlement
from shanmen.settlement.queries.rows import Record
from shanmen.settlement.schemas.amounts import Fen


class Source(BaseModel):
    """The entries of the ledger that add up to a figure: those on `side` less the others."""

    accounts: list[str] = Field(
        description="Codes of accounts; `custody:*` is every account of a family."
    )
    kinds: list[PostingKind] = Field(description="Kinds of postings; all if empty.")
    start: datetime | None = Field(
        serialization_alias="from", description="At this instant or later; null from the first on."
    )
    end: datetime = Field(serialization_alias="to", description="Before this instant.")
    side: Side


class Figure(BaseModel):
    """One amount, and where it comes from."""

    name: str = Field(examples=["debited"])
    title: str = Field(description="In Chinese.", examples=["扣款"])
    amount_fen: Fen
    source: Source


class _Report(BaseModel):
    first: date = Field(serialization_alias="from", description="First day, Beijing time.")
    last: date = Field(serialization_alias="to", description="Last day, included.")


class Visit(BaseModel):
    """One visit that a spot earned by."""

    entitlement_id: str
    ticket_no: str = Field(description="票务编号")
    order_no: str
    product_id: str
    used_at: datetime = Field(description="游玩时间")
    settle_fen: Fen = Field(description="景区结算价")
    settlement_fee_fen: Fen = Field(description="手续费, taken off the payout.")
    payable_fen: Fen = Field(description="应付")
    status: Settlement = Field(description="结算状态, as it is now.")
    payout_id: str | None = Field(description="打款单号")
    settled_at: datetime | None = Field(description="打款时间")
    posting_key: str = Field(description="The posting that books it.")


class SpotPayout(BaseModel):
    """One payment to a spot."""

    payout_id: str = Field(description="打款单号")
    kind: PostingKind = Field(description="payout 打款, payout_outside 线下打款")
    paid_at: datetime
    amount_fen: Fen
    posting_key: str


class SpotStatement(_Report):
    """What a spot earned and was paid; opening + earned - paid = closing."""

    spot_id: str
    figures: list[Figure]
    visits: list[Visit]
    payouts: list[SpotPayout]


class Debit(BaseModel):
    """What a distributor was debited for one order."""

    order_no: str
    operation_id: str = Field(description="The number at the channel.")
    channel: str
    paid_at: datetime
    price_fen: Fen
    fee_fen: Fen = Field(description="交易手续费")
    is_orphan: bool = Field(description="No order could take it: all of it goes back.")
    posting_key: str


class DistributorRefund(BaseModel):
    """What went back to a distributor."""

    refund_id: str
    order_no: str
    entitlement_id: str | None
    channel: str
    kind: PostingKind = Field(description="refund 退款, refund_outside 线下退款")
    refunded_at: datetime
    part_fen: Fen
    fee_fen: Fen = Field(description="退还手续费")
    amount_fen: Fen
    posting_key: str


class OrderTotal(BaseModel):
    """What an order cost a distributor in the period."""

    order_no: str
    price_fen: Fen
    fee_fen: Fen
    refunded_fen: Fen
    refunded_fee_fen: Fen
    net_fen: Fen = Field(description="Debited, less what went back.")


class DistributorStatement(_Report):
    """What a distributor was debited and got back."""

    distributor_id: str
    totals: OrderTotal = Field(description="Of all orders; `order_no` is empty.")
    debits: list[Debit]
    refunds: list[DistributorRefund]
    orders: list[OrderTotal]


class Day(BaseModel):
    """The platform's day: what moved, and the balances at its end."""

    day: date
    figures: list[Figure]
    balances: list[Figure]


class DailySummary(_Report):
    """The platform's days (日报)."""

    days: list[Day]


# ── from rows ───────────────────────────────────────────────────────────────────────────────────


def figure(measure: Measure, amount_fen: int, accounts: Iterable[str], days: Days) -> Figure:
    """A figure of a period."""
    source = Source(
        accounts=list(accounts),
        kinds=list(measure.kinds),
        start=days.start,
        end=days.end,
        side=measure.side,
    )
    return Figure(name=measure.name, title=measure.title, amount_fen=amount_fen, source=source)


def balance_figure(
    name: str, title: str, amount_fen: int, *, account: str, side: Side, before: datetime
) -> Figure:
    """A balance at an instant."""
    source = Source(accounts=[account], kinds=[], start=None, end=before, side=side)
    return Figure(name=name, title=title, amount_fen=amount_fen, source=source)


def visit(row: Record) -> Visit:
    """A visit."""
    return Visit(**_known(row, Visit), posting_key=f"admission:{row.entitlement_id}")


def spot_payout(row: Record) -> SpotPayout:
    """A payment, by its posting."""
    return SpotPayout(
        payout_id=row.key.partition(":")[2],
        kind=row.kind,
        paid_at=row.occurred_at,
        amount_fen=row.amount_fen,
        posting_key=row.key,
    )


def debit(row: Record) -> Debit:
    """A debit."""
    return Debit(**_known(row, Debit), posting_key=f"debit:{row.operation_id}")


def distributor_refund(row: Record) -> DistributorRefund:
    """A refund, with its posting."""
    return DistributorRefund(
        **_known(row, DistributorRefund), refunded_at=row.occurred_at, posting_key=row.key
    )


def order_totals(
    debits: Iterable[Debit], refunds: Iterable[DistributorRefund]
) -> list[OrderTotal]:
    """By order, those that were debited in the period first."""
    sums: dict[str, dict[str, int]] = {}

    def add(order_no: str, **amounts: int) -> None:
        of_order = sums.setdefault(order_no, dict.fromkeys(_AMOUNTS, 0))
        for name, fen in amounts.items():
            of_order[name] += fen

    for debited in debits:
        add(debited.order_no, price_fen=debited.price_fen, fee_fen=debited.fee_fen)
    for refunded in refunds:
        add(
            refunded.order_no,
            refunded_fen=refunded.part_fen,
            refunded_fee_fen=refunded.fee_fen,
        )
    return [_total(order_no, amounts) for order_no, amounts in sums.items()]


def total_of(orders: Iterable[OrderTotal]) -> OrderTotal:
    """The totals of all orders."""
    every = list(orders)
    return _total("", {name: sum(getattr(one, name) for one in every) for name in _AMOUNTS})


_AMOUNTS = ("price_fen", "fee_fen", "refunded_fen", "refunded_fee_fen")


def _total(order_no: str, amounts: Mapping[str, int]) -> OrderTotal:
    debited_fen = amounts["price_fen"] + amounts["fee_fen"]
    net_fen = debited_fen - amounts["refunded_fen"] - amounts["refunded_fee_fen"]
    return OrderTotal(order_no=order_no, **amounts, net_fen=net_fen)


def _known(row: Record, model: type[BaseModel]) -> dict[str, Any]:
    return {name: value for name, value in row._asdict().items() if name in model.model_fields}
