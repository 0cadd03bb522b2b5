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


class WealthSubscribeRequested(OperationEvent):
    """Put money of the platform's own Huijinbao account into its wealth product (理财申购).

    `product_id` is the combined product whose money it is. Sent again, it resumes a parked one.
    """

    TYPE: ClassVar[str] = "gateway.wealth_subscribe_requested.v1"

    product_id: str
    order_no: str | None = None
    amount_fen: int
    description: str


class WealthRedeemRequested(OperationEvent):
    """Take part of a product's invested money out again (理财赎回). Sent again, it resumes."""

    TYPE: ClassVar[str] = "gateway.wealth_redeem_requested.v1"

    product_id: str
    order_no: str | None = None
    amount_fen: int
    description: str


class WealthLiquidateRequested(OperationEvent):
    """Take out all that is still invested for a product, with its yield (理财清算), at its end.

    Sent again, it resumes. How much it was, OperationSucceeded tells.
    """

    TYPE: ClassVar[str] = "gateway.wealth_liquidate_requested.v1"

    product_id: str
    order_no: str | None = None
    description: str


class CancelRequested(OperationEvent):
    """Make a debit never happen, or undo it. Nothing is sent under this number from here on.

    Answered with OperationFailed and the code `cancelled` once that is certain, or with
    OperationSucceeded when the money had moved before; it may also stay stuck, for a person.
    """

    TYPE: ClassVar[str] = "gateway.cancel_requested.v1"

    order_no: str


class ResumeRequested(OperationEvent):
    """A person wants a parked operation to go on, under its own number; nothing else about it
    changes. One that is not parked is told again as it is."""

    TYPE: ClassVar[str] = "gateway.resume_requested.v1"


class SmsRequested(Event):
    """Send a text message (短信), once per `sms_id`, however often it is asked for.

    `recipient` is the id of a party, whose phone number only the gateway looks up, or
    `OPERATIONS`: no event carries a phone number.
    """

    TYPE: ClassVar[str] = "gateway.sms_requested.v1"

    OPERATIONS: ClassVar[str] = "operations"

    sms_id: str
    recipient: str
    template: str
    """Which text: one of the gateway's templates, such as `payout_short`."""
    params: dict[str, str]

    def subject(self) -> str:
        """The message."""
        return self.sms_id


class OperationSucceeded(OperationEvent):
    """The money has moved, for certain."""

    TYPE: ClassVar[str] = "gateway.operation_succeeded.v1"

    kind: str
    """`debit`, `payout`, `refund`, `subscribe`, `redeem` or `liquidate`."""
    channel: str
    amount_fen: int
    """What was asked for; 0 for a `liquidate`, which takes out whatever there is."""
    channel_ref: str | None
    finished_at: datetime
    """When the money moved, as the channel says: not before we asked for it, nor after we knew."""
    principal_fen: int | None = None
    """Of a `redeem` and a `liquidate`: what came back of what was invested."""
    yield_fen: int | None = None
    """Of a `redeem` and a `liquidate`: what came on top of it."""


class OperationFailed(OperationEvent):
    """The money has not moved and under this number never will, for certain.

    `code` is the channel's own, or `cancelled`.
    """

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
