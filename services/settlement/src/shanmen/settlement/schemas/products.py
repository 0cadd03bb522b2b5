"""The financial report of a product (联票财务报告), and the postings behind its figures."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final
from urllib.parse import quote, urlencode

from pydantic import BaseModel, Field

from shanmen.settlement.domain.ledger import PostingKind
from shanmen.settlement.domain.reports import Days, Measure
from shanmen.settlement.queries.rows import Record
from shanmen.settlement.schemas.amounts import Fen
from shanmen.settlement.schemas.reports import Figure, balance_figure, figure

_EVERY_ACCOUNT: Final = frozenset({"custody", "payable"})
"""Families of which a product's figures take every account."""


class SoldProduct(BaseModel):
    """A product of which something was sold, since its first sale."""

    product_id: str
    product_name: str = Field(description="As it was last sold; empty if that was not kept.")
    sales_fen: Fen = Field(description="销售额")
    profit_fen: Fen = Field(description="利润")
    first_sold_at: datetime
    last_sold_at: datetime


class ProductFigure(Figure):
    """One amount, where it comes from, and where its postings are listed."""

    postings: str = Field(
        description="Path that lists the postings of this product which add up to the figure.",
        examples=["/v1/reports/products/prd_1/postings?figure=margin"],
    )


class ProductSpot(BaseModel):
    """What a spot has of a product."""

    spot_id: str
    visits: int
    settlements_fen: Fen = Field(description="景区结算价 of the visits.")
    settlement_fees_fen: Fen = Field(description="结算手续费, taken off the payout.")
    earned_by_spots_fen: Fen = Field(description="景区应付: the price less the fee.")
    paid_out_fen: Fen = Field(description="已打款")
    still_payable_fen: Fen = Field(description="未打款 at the end of the period.")
    margin_fen: Fen = Field(description="差价 of the visits.")


class ProductDay(BaseModel):
    """A day on which something was posted for a product."""

    day: date
    sales_fen: Fen
    refunds_fen: Fen
    settlements_fen: Fen
    fees_fen: Fen = Field(description="手续费净额")
    margin_fen: Fen
    forfeits_fen: Fen
    yield_fen: Fen
    profit_fen: Fen


class WealthTotal(BaseModel):
    """Moves of invested money of one kind."""

    kind: PostingKind = Field(description="subscription, redemption or liquidation")
    moves: int
    principal_fen: Fen
    yield_fen: Fen


class Liquidation(BaseModel):
    """What was left of a product came out, with its yield."""

    posting_key: str
    occurred_at: datetime
    principal_fen: Fen
    yield_fen: Fen


class ProductReport(BaseModel):
    """What a product brought in, and what became of it: the basis of the profit split.

    Over all of its time, sales = settlements + margin + refunds + forfeits + custody; invested -
    redeemed - liquidated = outstanding; in any period, profit = fees + margin + forfeits + yield.
    """

    product_id: str
    product_name: str
    kind: str = Field(description="single 单票, combined 联票")
    first: date = Field(serialization_alias="from", description="First day, Beijing time.")
    last: date = Field(serialization_alias="to", description="Last day, included.")
    first_sold_at: datetime
    last_sold_at: datetime
    figures: list[ProductFigure]
    spots: list[ProductSpot]
    days: list[ProductDay]
    wealth: list[WealthTotal]
    liquidations: list[Liquidation]


class FigurePosting(BaseModel):
    """A posting, and what it adds to a figure."""

    posting_key: str
    kind: PostingKind
    occurred_at: datetime
    order_no: str | None = Field(description="Null where it is not about one order.")
    amount_fen: Fen = Field(description="Of a payout, what it pays for this product.")


# ── from rows ───────────────────────────────────────────────────────────────────────────────────


def sold_product(row: Record, amounts_fen: Mapping[str, int]) -> SoldProduct:
    """A product with the figures of this name."""
    return SoldProduct(
        product_id=row.product_id,
        product_name=row.product_name,
        sales_fen=amounts_fen["sales"],
        profit_fen=amounts_fen["profit"],
        first_sold_at=row.first_sold_at,
        last_sold_at=row.last_sold_at,
    )


def product_figure(
    measure: Measure, amount_fen: int, product_id: str, days: Days
) -> ProductFigure:
    """A figure of a product for a period, or at its end."""
    accounts = [_account(group, product_id) for group in measure.groups]
    plain = figure(measure, amount_fen, accounts, days)
    if measure.is_balance:
        (account,) = accounts
        plain = balance_figure(
            *(measure.name, measure.title, amount_fen),
            account=account,
            side=measure.side,
            before=days.end,
        )
    period = {"figure": measure.name, "from": days.first, "to": days.last}
    path = f"/v1/reports/products/{quote(product_id, safe='')}/postings?{urlencode(period)}"
    return ProductFigure(**plain.model_dump(), postings=path)


def liquidation(row: Record) -> Liquidation:
    """A liquidation, with its posting."""
    return Liquidation(
        posting_key=row.key,
        occurred_at=row.occurred_at,
        principal_fen=row.principal_fen,
        yield_fen=row.yield_fen,
    )


def figure_posting(row: Record) -> FigurePosting:
    """A posting behind a figure."""
    return FigurePosting(
        posting_key=row.key,
        kind=row.kind,
        occurred_at=row.occurred_at,
        order_no=row.order_no,
        amount_fen=int(row.amount_fen),
    )


def _account(group: str, product_id: str) -> str:
    if group == "wealth":
        return f"{group}:{product_id}"
    return f"{group}:*" if group in _EVERY_ACCOUNT else group
