"""The money of entitlements, and payouts to spots."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from pydantic import BaseModel, Field

from shanmen.common.auth import Principal, PrincipalKind
from shanmen.settlement.domain.statuses import PayoutStatus, RefundPaymentStatus, Settlement
from shanmen.settlement.domain.wealth import HeldFor
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.schemas.amounts import Fen


class SettlementView(BaseModel):
    """The money of one entitlement: one ticket's right to enter one spot.

    A distributor sees what it paid (`part_fen`), a spot what it earns; the rest is null for them.
    """

    entitlement_id: str
    ticket_no: str = Field(description="票务编号")
    order_no: str
    product_id: str
    spot_id: str
    distributor_id: str | None
    status: Settlement = Field(
        description="结算状态: pending 待处理, settled 已结算, settle_failed 结算失败, "
        "refunded 已退款, refund_failed 退款失败, forfeited 无须退款"
    )
    reason: str | None = Field(description="Why it failed, in the channel's own words.")
    held_for: HeldFor | None = Field(
        description="What its payout or refund waits for, of its invested money: subscription "
        "申购, redemption 赎回, liquidation 清算."
    )
    part_fen: Fen | None = Field(description="Its part of the distributor settlement price.")
    settle_fen: Fen | None = Field(description="景区结算价")
    settlement_fee_fen: Fen | None = Field(description="Taken off the payout.")
    payable_fen: Fen | None = Field(description="What the spot is paid after a visit.")
    account_id: str | None = Field(description="收款账户: the account that is paid.")
    channel: str | None
    payout_id: str | None
    refund_id: str | None = Field(description="What gives, or gave, its part back.")
    refunded_fen: Fen | None = Field(description="What went back, with its share of the fee.")
    issued_at: datetime
    used_at: datetime | None
    lapsed_at: datetime | None = Field(description="When it was voided or expired, unvisited.")
    settled_at: datetime | None


class PayoutView(BaseModel):
    """One payment to a spot (打款); its number is also the number at the channel."""

    payout_id: str
    spot_id: str
    account_id: str
    channel: str
    amount_fen: Fen
    status: PayoutStatus = Field(
        description="requested 打款中, paid 已打款, parked 待人工处理, failed 打款失败"
    )
    reason: str | None
    requested_at: datetime
    finished_at: datetime | None


class PayoutLineView(BaseModel):
    """One visit that a payout pays."""

    entitlement_id: str
    ticket_no: str
    order_no: str
    amount_fen: Fen


class PayoutDetail(PayoutView):
    """A payout with all that it pays; the lines add up to its amount."""

    lines: list[PayoutLineView]


class RefundView(BaseModel):
    """Money on its way back to a distributor (退款); its number is also the number at the channel.

    What a refused refund was to give back may be given back by another.
    """

    refund_id: str
    entitlement_id: str | None = Field(
        description="Null where all of a debit goes back that no order could take."
    )
    order_no: str
    distributor_id: str
    account_id: str = Field(description="The account that was debited, and gets it back.")
    channel: str
    part_fen: Fen = Field(description="Of the price.")
    fee_fen: Fen = Field(description="Of the transaction fee, where that is refundable.")
    amount_fen: Fen
    status: RefundPaymentStatus = Field(
        description="requested 退款中, refunded 已退款, parked 待人工处理, failed 退款失败"
    )
    reason: str | None = Field(description="Why it failed, in the channel's own words.")
    requested_at: datetime
    finished_at: datetime | None


# ── from rows ───────────────────────────────────────────────────────────────────────────────────

_HIDDEN: Final[Mapping[PrincipalKind, frozenset[str]]] = {
    PrincipalKind.OPERATOR: frozenset(),
    # What the other side pays or earns is between it and the platform.
    PrincipalKind.SPOT: frozenset(
        {"distributor_id", "part_fen", "refund_id", "refunded_fen", "held_for"}
    ),
    PrincipalKind.DISTRIBUTOR: frozenset(
        {
            *("settle_fen", "settlement_fee_fen", "payable_fen", "account_id", "channel"),
            *("payout_id", "held_for"),
        }
    ),
}


def settlement_view(row: Record, principal: Principal) -> SettlementView:
    """An entitlement's money, as far as it concerns the caller."""
    hidden = dict.fromkeys(_HIDDEN[principal.kind])
    return SettlementView.model_validate({**row._asdict(), **hidden})


def payout_view(row: Record) -> PayoutView:
    """A payout in a list."""
    return PayoutView.model_validate(row, from_attributes=True)


def payout_detail(row: Record, lines: Records) -> PayoutDetail:
    """A payout with its lines."""
    return PayoutDetail(
        **payout_view(row).model_dump(),
        lines=[PayoutLineView.model_validate(line, from_attributes=True) for line in lines],
    )


def refund_view(row: Record) -> RefundView:
    """A refund."""
    return RefundView.model_validate(row, from_attributes=True)
