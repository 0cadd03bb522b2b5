"""What catalog tells: offers and reservations (HTTP), reservations nobody confirmed (events)."""

from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import StrictInt

from shanmen.common.events import Event
from shanmen.contracts.terms import AccountRef, RefundRule, Wire


class ProductKind(StrEnum):
    """One spot's ticket, or the platform's ticket for several."""

    SINGLE = "single"  # 单票
    COMBINED = "combined"  # 联票


class RealNameRule(StrEnum):
    """Whose identity a ticket needs before it can be used."""

    NONE = "none"
    EVERY_TICKET = "every_ticket"


class SpotTerms(Wire):
    """One spot's share of one ticket, as it was when the order was placed. Amounts per ticket."""

    spot_id: str
    spot_name: str
    time_zone: str
    settle_fen: int
    """Spot settlement price (景区结算价)."""
    settlement_fee_fen: int
    """Taken off the spot's payout."""
    part_fen: int
    """This spot's part of the distributor settlement price; what an unvisited part refunds."""
    offline_grace_s: int
    receive_account: AccountRef


class Offer(Wire):
    """A reservation's terms: the snapshot that an order keeps for life. Fees are per order."""

    product_id: str
    product_version: int
    product_name: str
    kind: ProductKind
    visit_date: date | None
    slot: str | None
    quantity: int
    unit_price_fen: int
    """Distributor settlement price (经销商结算价) of one ticket."""
    fee_fen: int
    """Transaction fee (手续费) of the whole order, on top."""
    valid_from: date
    """First day of validity, in each spot's own time zone; both ends included."""
    valid_until: date
    spots: tuple[SpotTerms, ...]
    pay_account: AccountRef
    refund_rule: RefundRule
    real_name: RealNameRule
    invests: bool
    payment_timeout_s: int


class ReserveStock(Wire):
    """Ask for stock; `order_no` makes it repeatable."""

    order_no: str
    distributor_id: str
    product_id: str
    visit_date: date | None
    slot: str | None
    quantity: StrictInt


class ReservationRefused(Wire):
    """Why there is no reservation: status, code and detail of a refusal."""

    status: int
    code: str
    detail: str
    field: str | None = None


class ReservationResult(Wire):
    """Exactly one of the two."""

    order_no: str
    offer: Offer | None = None
    refused: ReservationRefused | None = None


class ReserveStockBatch(Wire):
    """Several reservations at once; each stands for itself."""

    items: tuple[ReserveStock, ...]


class ReservationResults(Wire):
    """One result per reservation asked for, in order."""

    items: tuple[ReservationResult, ...]


class AccountDetails(Wire):
    """An account in full; for the gateway only, never in an event, a log or an error."""

    account_id: str
    channel: str
    account_no: str
    account_name: str
    agreement_no: str | None


class ContactDetails(Wire):
    """How a party is reached; for the gateway only, never in an event, a log or an error."""

    party_id: str
    phone: str | None


class ReceiverDetails(Wire):
    """Where a spot is paid now (收款账户); for a payout that its earlier account refused."""

    spot_id: str
    account: AccountRef


class ReservationUnconfirmed(Event):
    """Stock is held for an order that nobody has heard of; asks orders whether it exists."""

    TYPE: ClassVar[str] = "catalog.reservation_unconfirmed.v1"

    order_no: str
    reserved_at: datetime

    def subject(self) -> str:
        """The order number."""
        return self.order_no
