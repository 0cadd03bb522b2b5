"""Orders' requests and answers. Amounts are integer fen, times RFC 3339."""

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from shanmen.contracts.catalog import ProductKind
from shanmen.orders.domain import (
    DebitState,
    DeliveryStatus,
    Notice,
    OrderStatus,
    RefundStatus,
    Shown,
)

ID_SHAPE: Final = r"^[!-~]{1,64}$"
TEXT_SHAPE: Final = r"^[^\x00-\x1f\x7f]+$"

OrderNo = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{1,64}$")]


class NewOrder(BaseModel):
    """Place an order (下单); with `pay`, instruct payment in the same call (下单并支付)."""

    model_config = ConfigDict(extra="forbid")

    distributor_order_no: OrderNo = Field(
        description="your own number, unique for ever; the same order sent again is the same order"
    )
    product_id: str = Field(pattern=ID_SHAPE)
    visit_date: date | None = None
    slot: str | None = Field(default=None, max_length=32, pattern=TEXT_SHAPE)
    quantity: StrictInt = Field(description="tickets; the product's own limit applies")
    reseller: str | None = Field(
        default=None,
        max_length=100,
        pattern=TEXT_SHAPE,
        description="who buys through you (代购平台)",
    )
    reseller_order_no: OrderNo | None = None
    pay: StrictBool = Field(
        default=False, description="counts for a new order; pay one that stands with `/pay`"
    )


Ids = Annotated[
    list[Annotated[str, Field(pattern=ID_SHAPE)]], Field(min_length=1, max_length=1000)
]


class NewRefund(BaseModel):
    """Refund before the visit (游玩前退款): what is named, or everything unused if nothing is."""

    model_config = ConfigDict(extra="forbid")

    entitlement_ids: Ids | None = Field(default=None, description="of this order")
    ticket_nos: Ids | None = Field(
        default=None, description="of this order; every entitlement of each ticket"
    )
    reason: str | None = Field(
        default=None, max_length=200, pattern=TEXT_SHAPE, description="kept in the timeline"
    )


class EntitlementView(BaseModel):
    """One ticket's right to enter one spot; `shown` is the spot status (景区状态)."""

    entitlement_id: str
    spot_id: str
    spot_name: str
    shown: Shown
    reason: str | None = Field(description="why it waits: 待结算 or 待退款")
    part_fen: int
    refund_requested_at: datetime | None = Field(
        description="a visit may still have come first: then it is used, and not refunded"
    )
    refunded_fen: int | None = Field(description="its part, and its share of the fee if refunded")
    valid_from: datetime
    valid_until: datetime = Field(description="exclusive")
    used_at: datetime | None


class TicketView(BaseModel):
    """A ticket; `qr` is what its QR code says, shown to whoever sells it only."""

    ticket_no: str
    order_no: str
    activated: bool
    issued_at: datetime
    qr: str | None = None
    spots: list[EntitlementView]


class PaymentView(BaseModel):
    """How far the payment is."""

    state: DebitState
    reason: str | None
    operation_id: str | None
    short_since: datetime | None = Field(description="余额不足 since then; top up and pay again")
    deadline: datetime


class OrderView(BaseModel):
    """An order (订单)."""

    order_no: str
    distributor_id: str
    distributor_order_no: str
    reseller: str | None
    reseller_order_no: str | None
    kind: ProductKind
    product_id: str
    product_name: str
    visit_date: date | None
    slot: str | None
    quantity: int
    unit_price_fen: int
    price_fen: int
    fee_fen: int
    amount_fen: int = Field(description="what is debited: price and fee")
    debited_fen: int = Field(description="what was debited: all of it or nothing")
    refunded_fen: int = Field(description="what of it went back for its entitlements")
    currency: Literal["CNY"] = "CNY"
    status: OrderStatus
    refund_status: RefundStatus
    payment: PaymentView
    cancel_requested_at: datetime | None = Field(
        description="a debit was outstanding then; the order is closed once the channel says for "
        "certain that it never happened, and paid if it had"
    )
    tickets: list[TicketView]
    placed_at: datetime
    updated_at: datetime
    version: int


class TimelineEntry(BaseModel):
    """One change of an order: of its status or its debit, or a wish to cancel or refund it."""

    at: datetime
    kind: Literal["order", "debit", "cancel", "refund"]
    before: str | None
    after: str
    cause: str
    actor: str


class Timeline(BaseModel):
    """Everything that happened to an order, from its beginning."""

    order_no: str
    entries: list[TimelineEntry]


class NewWebhookEndpoint(BaseModel):
    """Ask to be told of your orders at a URL (Standard Webhooks)."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=2048, description="https, on the public internet")
    types: list[Notice] = Field(
        default=[], max_length=50, description="what to be told of; empty for everything"
    )
    description: str = Field(default="", max_length=200)


class WebhookEndpointChange(BaseModel):
    """Fields that are left out stay as they are."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(default="", min_length=1, max_length=2048)
    types: list[Notice] = Field(default=[], max_length=50)
    description: str = Field(default="", max_length=200)
    enabled: StrictBool = Field(
        default=True, description="false holds deliveries back; they are sent once it is true"
    )


class WebhookEndpointView(BaseModel):
    """A webhook endpoint, without its secret."""

    endpoint_id: str
    url: str
    types: list[str]
    description: str
    enabled: bool
    disabled_reason: str | None
    former_secret_until: datetime | None = Field(
        description="until then the secret before the present one signs as well"
    )
    version: int
    created_at: datetime
    updated_at: datetime


class WebhookEndpointWithSecret(WebhookEndpointView):
    """A webhook endpoint with its new secret, which is shown this once."""

    secret: str = Field(description="`whsec_…`: verify the `webhook-signature` header with it")


class WebhookEventView(BaseModel):
    """Something a distributor was to be told; endpoints are sent the same id, type and data."""

    event_id: str
    order_no: str
    sequence: int = Field(description="numbers the order's notices from 1")
    type: str
    data: dict[str, Any]
    occurred_at: datetime


class WebhookReplay(BaseModel):
    """Send a notice again."""

    model_config = ConfigDict(extra="forbid")

    endpoint_id: str | None = Field(
        default=None,
        pattern=ID_SHAPE,
        description="to this endpoint; without it, to all enabled ones that want its type",
    )


class WebhookDeliveryView(BaseModel):
    """One notice on its way to one endpoint (通知推送)."""

    delivery_id: str
    event_id: str
    endpoint_id: str
    order_no: str
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime
    give_up_at: datetime
    last_status: int | None = Field(description="HTTP status of the last answer, if there was one")
    last_error: str | None
    created_at: datetime
    finished_at: datetime | None


class WebhookDeliveries(BaseModel):
    """The deliveries that a replay led to."""

    items: list[WebhookDeliveryView]
