"""What operators are told about invested money (理财)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel, Field

from shanmen.settlement.domain.wealth import WealthMoveKind, WealthMoveStatus
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.schemas.amounts import Fen


class WealthPositionView(BaseModel):
    """What is invested for one combined product (理财持仓).

    `outstanding_fen` is the balance of the product's account in the ledger, `wealth:<product>`.
    """

    product_id: str
    product_name: str
    invested_fen: Fen = Field(description="申购: principal that went in.")
    redeemed_fen: Fen = Field(description="Principal that came out, redeemed or liquidated.")
    outstanding_fen: Fen = Field(description="Principal that is invested.")
    accrued_fen: Fen | None = Field(
        description="Earned and not paid out yet, as the channel said last; null before it did."
    )
    accrued_as_of: datetime | None
    realised_fen: Fen = Field(description="Yield that was paid out.")
    ends_at: datetime | None = Field(
        description="When the last of its sold entitlements expires, and it is liquidated."
    )
    liquidated_at: datetime | None = Field(description="When it was liquidated last.")
    moves: dict[WealthMoveKind, dict[WealthMoveStatus, int]] = Field(
        description="How many moves there are of each kind and status."
    )


class WealthMoveView(BaseModel):
    """Money on its way into a wealth product or out of it; its number is also the channel's."""

    move_id: str
    kind: WealthMoveKind = Field(description="subscribe 申购, redeem 赎回, liquidate 清算")
    product_id: str
    order_no: str | None = Field(description="Null for a liquidation.")
    entitlement_id: str | None = Field(description="Whose part is redeemed.")
    amount_fen: Fen = Field(description="What was asked for; 0 for all that is left.")
    principal_fen: Fen | None = Field(description="What moved, once it is done.")
    yield_fen: Fen | None = Field(description="What came on top.")
    status: WealthMoveStatus = Field(
        description="requested 处理中, done 已完成, parked 待人工处理, failed 已失败"
    )
    reason: str | None = Field(description="Why it is stuck, in the channel's own words.")
    requested_at: datetime
    finished_at: datetime | None
    liquidated_by: str | None = Field(
        description="Of a subscription: the liquidation that took out what was left of it."
    )
    replaced_by: str | None = Field(description="What took the place of a refused one.")


def position_views(rows: Records, counts: Records) -> Sequence[WealthPositionView]:
    """Positions with the counts of their moves."""
    by_product: Mapping[str, dict[WealthMoveKind, dict[WealthMoveStatus, int]]]
    by_product = defaultdict(dict)
    for row in counts:
        of_kind = by_product[row.product_id].setdefault(WealthMoveKind(row.kind), {})
        of_kind[WealthMoveStatus(row.status)] = row.moves
    return [
        WealthPositionView(
            **row._asdict(),
            outstanding_fen=row.invested_fen - row.redeemed_fen,
            moves=by_product[row.product_id],
        )
        for row in rows
    ]


def move_view(row: Record) -> WealthMoveView:
    """A move."""
    return WealthMoveView.model_validate(row, from_attributes=True)
