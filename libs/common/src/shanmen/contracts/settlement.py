"""What settlement tells: where the money of an entitlement went. Commands are in `gateway`."""

from datetime import datetime
from typing import ClassVar

from shanmen.common.events import Event


class SettlementEvent(Event):
    """An event about the money of one entitlement."""

    entitlement_id: str
    order_no: str
    spot_id: str

    def subject(self) -> str:
        """The entitlement."""
        return self.entitlement_id


class EntitlementSettled(SettlementEvent):
    """已结算: the spot has been paid for this visit."""

    TYPE: ClassVar[str] = "settlement.entitlement_settled.v1"

    payout_id: str | None
    """The payout that paid it; None where nothing was due, or it was settled outside."""
    paid_fen: int
    settled_at: datetime


class SettleFailed(SettlementEvent):
    """结算失败: the payout is parked until a person acts; may still become settled."""

    TYPE: ClassVar[str] = "settlement.settle_failed.v1"

    reason: str
    failed_at: datetime


class EntitlementRefunded(SettlementEvent):
    """已退款: this entitlement's part went back the way it came."""

    TYPE: ClassVar[str] = "settlement.entitlement_refunded.v1"

    refund_id: str
    refunded_fen: int
    refunded_at: datetime


class RefundFailed(SettlementEvent):
    """退款失败: the refund is parked until a person acts; may still become refunded."""

    TYPE: ClassVar[str] = "settlement.refund_failed.v1"

    reason: str
    failed_at: datetime


class EntitlementForfeited(SettlementEvent):
    """无须退款: expired, and the product refunds nothing."""

    TYPE: ClassVar[str] = "settlement.entitlement_forfeited.v1"

    forfeited_at: datetime
