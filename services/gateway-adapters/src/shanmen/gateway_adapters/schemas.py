"""The gateway's answers. Amounts are integer fen, times RFC 3339."""

from datetime import datetime

from pydantic import BaseModel, Field

from shanmen.gateway_adapters.domain import Action, Channel, OperationKind, OperationStatus


class AttemptView(BaseModel):
    """One call to a channel; without `outcome` its answer is not known (yet)."""

    action: Action
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    code: str | None
    sub_code: str | None
    reason: str | None
    listed: bool = Field(description="false: the channel's code is in none of our tables")


class OperationView(BaseModel):
    """One operation with a channel; its id is its number there."""

    operation_id: str
    kind: OperationKind
    channel: Channel
    account_id: str
    amount_fen: int
    business_ref: str = Field(description="the order number, or the spot that is paid")
    original_operation_id: str | None
    status: OperationStatus
    next_action: Action
    next_at: datetime
    outcome: str | None
    code: str | None
    reason: str | None
    channel_ref: str | None
    requested_at: datetime
    finished_at: datetime | None


class OperationDetail(OperationView):
    """An operation with every attempt."""

    attempts: list[AttemptView]


class BalanceView(BaseModel):
    """The platform's balance as the channel reports it now."""

    channel: Channel
    available_fen: int
    as_of: datetime


class Balances(BaseModel):
    """One balance per channel that is switched on."""

    items: list[BalanceView]


class NotificationView(BaseModel):
    """A notification as it was judged."""

    channel: Channel
    notification_id: str | None
    number: str | None
    status: str | None
    believed: bool
    verdict: str
    received_at: datetime
