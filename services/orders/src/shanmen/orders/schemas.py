"""Orders' requests and answers. Amounts are integer fen, times RFC 3339."""

from datetime import date, datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from shanmen.contracts.catalog import ProductKind
from shanmen.orders.domain import DebitState, OrderStatus, RefundStatus, Shown

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
    quantity: int = Field(description="tickets; the product's own limit applies")
    reseller: str | None = Field(
        default=None,
        max_length=100,
        pattern=TEXT_SHAPE,
        description="who buys through you (代购平台)",
    )
    reseller_order_no: OrderNo | None = None
    pay: bool = Field(
        default=False, description="counts for a new order; pay one that stands with `/pay`"
    )


class EntitlementView(BaseModel):
    """One ticket's right to enter one spot; `shown` is the spot status (景区状态)."""

    entitlement_id: str
    spot_id: str
    spot_name: str
    shown: Shown
    reason: str | None
    part_fen: int
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
    currency: Literal["CNY"] = "CNY"
    status: OrderStatus
    refund_status: RefundStatus
    payment: PaymentView
    tickets: list[TicketView]
    placed_at: datetime
    updated_at: datetime
    version: int


class TimelineEntry(BaseModel):
    """One change of an order: of its status, or of its debit."""

    at: datetime
    kind: Literal["order", "debit"]
    before: str | None
    after: str
    cause: str
    actor: str


class Timeline(BaseModel):
    """Everything that happened to an order, from its beginning."""

    order_no: str
    entries: list[TimelineEntry]
