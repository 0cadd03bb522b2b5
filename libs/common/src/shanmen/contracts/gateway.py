"""What the gateway is asked to do with a channel, and what it tells of it.

An `operation_id` is chosen by whoever asks, once, and is the number at the channel for life;
asking again with the same id never does a thing twice.
"""

from datetime import datetime
from typing import ClassVar

from shanmen.common.events import Event
from shanmen.contracts.terms import AccountRef


class OperationEvent(Event):
    """An event about one operation with a channel."""

    operation_id: str

    def subject(self) -> str:
        """The operation."""
        return self.operation_id


class DebitRequested(OperationEvent):
    """Take money from a distributor for an order. Sent again, it resumes a parked debit."""

    TYPE: ClassVar[str] = "gateway.debit_requested.v1"

    order_no: str
    account: AccountRef
    amount_fen: int
    description: str


class PayoutRequested(OperationEvent):
    """Pay a spot. Sent again, it resumes a parked payout."""

    TYPE: ClassVar[str] = "gateway.payout_requested.v1"

    spot_id: str
    account: AccountRef
    amount_fen: int
    description: str


class RefundRequested(OperationEvent):
    """Give part of a debit back the way it came. Sent again, it resumes a parked refund."""

    TYPE: ClassVar[str] = "gateway.refund_requested.v1"

    order_no: str
    original_operation_id: str
    account: AccountRef
    amount_fen: int
    description: str


class OperationSucceeded(OperationEvent):
    """The money has moved, for certain."""

    TYPE: ClassVar[str] = "gateway.operation_succeeded.v1"

    kind: str
    """`debit`, `payout` or `refund`."""
    channel: str
    amount_fen: int
    channel_ref: str | None
    finished_at: datetime


class OperationFailed(OperationEvent):
    """The money has not moved and under this number never will, for certain."""

    TYPE: ClassVar[str] = "gateway.operation_failed.v1"

    kind: str
    channel: str
    code: str
    reason: str
    finished_at: datetime


class OperationStuck(OperationEvent):
    """The operation waits for something that time alone does not bring."""

    TYPE: ClassVar[str] = "gateway.operation_stuck.v1"

    kind: str
    channel: str
    outcome: str
    """`funds`, `conflict`, `config` or `unknown` (an answer that we do not understand)."""
    code: str
    reason: str
    since: datetime
