"""The gateway's answers. Amounts are integer fen, times RFC 3339."""

from datetime import date, datetime

from pydantic import BaseModel, Field

from shanmen.gateway_adapters.domain.messages import MessageStatus
from shanmen.gateway_adapters.domain.operations import (
    Action,
    Channel,
    OperationKind,
    OperationStatus,
)


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
    account_id: str | None = Field(description="null: the platform's own (wealth, 理财)")
    amount_fen: int = Field(description="0 for a `liquidate`, which takes out what there is")
    business_ref: str = Field(
        description="the order number, the spot that is paid, or the product of a wealth operation"
    )
    original_operation_id: str | None
    status: OperationStatus
    next_action: Action
    next_at: datetime
    outcome: str | None
    code: str | None
    reason: str | None
    channel_ref: str | None
    principal_fen: int | None = Field(
        description="of a `redeem` or `liquidate`: what came back of what was invested"
    )
    yield_fen: int | None = Field(description="and what came on top of it")
    requested_at: datetime
    finished_at: datetime | None = Field(
        description="of a success: when the money moved, as the channel says, never before "
        "`requested_at`; of a failed or parked one: when that became known"
    )
    abandoned_at: datetime | None = Field(
        description="since when it is to be cancelled; nothing is sent under its number any more"
    )


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


class CircuitView(BaseModel):
    """Whether a channel answers. While its circuit is open, its operations wait as they are."""

    channel: Channel
    open: bool
    opened_at: datetime | None
    next_probe_at: datetime | None = Field(description="it is not called before this moment")
    failures: int = Field(description="calls in a row without a verified answer, once it is open")


class NotificationView(BaseModel):
    """A notification as it was judged."""

    channel: Channel
    notification_id: str | None
    number: str | None
    status: str | None
    believed: bool
    verdict: str
    received_at: datetime


class MessageView(BaseModel):
    """A text message (短信). Phone numbers are looked up when it is sent, and kept nowhere."""

    sms_id: str
    recipient: str = Field(description="a party's id, or `operations`")
    template: str
    params: dict[str, str]
    status: MessageStatus
    attempts: int
    next_at: datetime = Field(description="of an open message: when it is tried (again)")
    error: str | None = Field(
        description="why it failed, or what the latest attempt met with: `no_phone`, "
        "`unknown_recipient`, `catalog_unavailable`, `too_late`, `timeout`, `connection_lost`, "
        "`file_unwritable`, or the SMS gateway's own code"
    )
    provider_ref: str | None
    requested_at: datetime
    sent_at: datetime | None


class BillView(BaseModel):
    """A file of a channel's bill (账单) of a day, as it was fetched and read."""

    channel: Channel
    bill_date: date
    bill_type: str = Field(description="the channel's own name of it, such as `trade` or `WEALTH`")
    sha256: str = Field(description="of the file as it came; it names the version")
    size_bytes: int
    rows: int
    sum_in_fen: int
    sum_out_fen: int
    fetched_at: datetime = Field(description="when it came (again); the latest is the newest")
