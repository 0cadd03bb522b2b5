"""What orders tells: the life of an order, and the tickets it became."""

from datetime import datetime
from typing import ClassVar

from shanmen.common.events import Event
from shanmen.contracts.catalog import ProductKind
from shanmen.contracts.terms import AccountRef, RefundRule, Wire


class OrderEvent(Event):
    """An event about one order."""

    order_no: str

    def subject(self) -> str:
        """The order number."""
        return self.order_no


class OrderPlaced(OrderEvent):
    """等待支付: an order exists; its reservation is confirmed."""

    TYPE: ClassVar[str] = "orders.order_placed.v1"

    distributor_id: str
    product_id: str


class OrderClosed(OrderEvent):
    """交易关闭1: the order ended unpaid, or never came to be; its stock goes back."""

    TYPE: ClassVar[str] = "orders.order_closed.v1"

    reason: str
    """`cancelled`, `deadline_passed` or `never_placed`."""
    debit_operation_id: str | None = None
    """The debit that was tried and certainly never happened, if one was."""


class DebitParked(OrderEvent):
    """An order's debit waits for what time alone does not bring: its distributor's top-up, or a
    person. Told once per episode; OrderPaid or OrderClosed end it."""

    TYPE: ClassVar[str] = "orders.debit_parked.v1"

    distributor_id: str
    operation_id: str
    channel: str
    amount_fen: int
    outcome: str
    """`funds` (余额不足), or what a person is needed for, as in OperationStuck."""
    reason: str
    since: datetime


class DebitOrphaned(OrderEvent):
    """A debit succeeded that no order can take: its order was closed, or paid by another. All of
    it, fee included, is to go back the way it came."""

    TYPE: ClassVar[str] = "orders.debit_orphaned.v1"

    distributor_id: str
    operation_id: str
    account: AccountRef
    amount_fen: int
    debited_at: datetime


class OrderPaid(OrderEvent):
    """支付成功: the distributor was debited for this order, once."""

    TYPE: ClassVar[str] = "orders.order_paid.v1"

    distributor_id: str
    product_id: str
    operation_id: str
    """The debit, and its number at the channel."""
    account: AccountRef
    """The account that was debited; refunds go back there."""
    price_fen: int
    fee_fen: int
    paid_at: datetime
    product_name: str = ""
    kind: ProductKind = ProductKind.SINGLE
    invests: bool = False
    """Whether the price is to be invested (理财) until the visits."""


class IssuedEntitlement(Wire):
    """One ticket's right to enter one spot. Amounts in fen; instants in UTC."""

    entitlement_id: str
    spot_id: str
    part_fen: int
    settle_fen: int
    settlement_fee_fen: int
    receive_account: AccountRef
    valid_from: datetime
    valid_until: datetime
    """Exclusive: gates refuse from this instant on."""
    expires_at: datetime
    """`valid_until` and the spot's offline grace: unused now means expired."""


class IssuedTicket(Wire):
    """A ticket: it exists because it has a number."""

    ticket_no: str
    activated: bool
    """Whether it may be used: a ticket that needs no visitor identity is activated when issued."""
    entitlements: tuple[IssuedEntitlement, ...]


class TicketsIssued(OrderEvent):
    """出票成功: every ticket of the order has a number."""

    TYPE: ClassVar[str] = "orders.tickets_issued.v1"

    distributor_id: str
    product_id: str
    issued_at: datetime
    refund_rule: RefundRule
    tickets: tuple[IssuedTicket, ...]
    invests: bool = False
    """Whether the price is invested (理财) until the visits, as OrderPaid told."""


class TicketActivated(OrderEvent):
    """A visitor's identity is bound to a ticket: it may be used now."""

    TYPE: ClassVar[str] = "orders.ticket_activated.v1"

    ticket_no: str
    activated_at: datetime
