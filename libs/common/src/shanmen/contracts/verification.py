"""What verification is asked to do, and tells: what became of the right to enter."""

from datetime import datetime
from typing import ClassVar

from shanmen.common.events import Event


class VoidRequested(Event):
    """Make entitlements unusable, so that they can be refunded; those used before stay used."""

    TYPE: ClassVar[str] = "verification.void_requested.v1"

    order_no: str
    entitlement_ids: tuple[str, ...]
    requested_at: datetime

    def subject(self) -> str:
        """The order number."""
        return self.order_no


class UsageEvent(Event):
    """An event about one entitlement."""

    entitlement_id: str
    ticket_no: str
    order_no: str
    spot_id: str

    def subject(self) -> str:
        """The entitlement."""
        return self.entitlement_id


class EntitlementUsed(UsageEvent):
    """已使用: the visitor was admitted."""

    TYPE: ClassVar[str] = "verification.entitlement_used.v1"

    used_at: datetime
    scan_id: str
    device: str


class EntitlementExpired(UsageEvent):
    """已过期: the end of validity and of the offline grace passed without a visit."""

    TYPE: ClassVar[str] = "verification.entitlement_expired.v1"

    expired_at: datetime


class EntitlementVoided(UsageEvent):
    """Made unusable before any visit, at orders' request."""

    TYPE: ClassVar[str] = "verification.entitlement_voided.v1"

    voided_at: datetime
