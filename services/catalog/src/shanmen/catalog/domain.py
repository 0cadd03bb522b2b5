"""Parties, products and the pool, as pure rules."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from shanmen.common.money import Fen, allocate, share_bps
from shanmen.common.statemachine import Machine, table


class PartyKind(StrEnum):
    """Who takes part."""

    SPOT = "spot"
    """景区: publishes tickets, admits visitors, is paid after each visit."""
    DISTRIBUTOR = "distributor"
    """经销商: sells tickets, is debited settlement price and fee."""


class AccountRole(StrEnum):
    """What a settlement account (结算账户) is for."""

    PAY = "pay"
    """付款账号: debited when tickets are issued."""
    RECEIVE = "receive"
    """收款账户: paid after a visit."""


class VisitRule(StrEnum):
    """When a ticket of a product may be used."""

    DATED = "dated"
    """From the visit date on, for the product's `valid_days`."""
    OPEN = "open"
    """Any day of the product's own validity."""


class ProductStatus(StrEnum):
    """Whether a product is on sale."""

    DRAFT = "draft"
    """编辑中: not visible to distributors."""
    PUBLISHED = "published"
    """已发布: in the pool (票池)."""
    WITHDRAWN = "withdrawn"
    """已下架: sold tickets stay valid, no new ones are sold."""


PRODUCT: Final = Machine(
    "product",
    ProductStatus.DRAFT,
    table(
        [
            (ProductStatus.DRAFT, [ProductStatus.PUBLISHED, ProductStatus.WITHDRAWN]),
            (ProductStatus.PUBLISHED, [ProductStatus.WITHDRAWN]),
            (ProductStatus.WITHDRAWN, [ProductStatus.PUBLISHED]),
        ]
    ),
)


TERMS_MAY_CHANGE: Final = frozenset({ProductStatus.DRAFT, ProductStatus.WITHDRAWN})
"""While a product is not on sale, a combined one can get other prices and spots."""


class ConsentStatus(StrEnum):
    """Whether a spot lets a combined product (联票) be sold with it, at the present terms."""

    ASKED = "asked"
    """待确认: the spot has not answered."""
    ACCEPTED = "accepted"
    """已同意: sold with it."""
    WITHDRAWN = "withdrawn"
    """已撤回: refused or taken back; what is sold already stays sold."""


CONSENT: Final = Machine(
    "consent",
    ConsentStatus.ASKED,
    table(
        [
            (ConsentStatus.ASKED, [ConsentStatus.ACCEPTED, ConsentStatus.WITHDRAWN]),
            (ConsentStatus.ACCEPTED, [ConsentStatus.WITHDRAWN]),
            (ConsentStatus.WITHDRAWN, [ConsentStatus.ACCEPTED]),
        ]
    ),
)


class ReservationStatus(StrEnum):
    """What became of stock that was set aside for an order."""

    HELD = "held"
    """占用: set aside; nobody has heard of the order yet."""
    CONFIRMED = "confirmed"
    """已确认: the order exists and awaits payment."""
    SOLD = "sold"
    """已售: the order's tickets were issued."""
    RELEASED = "released"
    """已释放: back in the pool."""


RESERVATION: Final = Machine(
    "reservation",
    ReservationStatus.HELD,
    table(
        [
            (
                ReservationStatus.HELD,
                [ReservationStatus.CONFIRMED, ReservationStatus.SOLD, ReservationStatus.RELEASED],
            ),
            (ReservationStatus.CONFIRMED, [ReservationStatus.SOLD, ReservationStatus.RELEASED]),
            (ReservationStatus.SOLD, []),
            (ReservationStatus.RELEASED, []),
        ]
    ),
)

SCOPES: Final[Mapping[str, frozenset[str]]] = {
    "operator": frozenset(
        {
            *("parties:read", "parties:write", "credentials:write"),
            *("catalog:read", "catalog:write", "orders:read", "tickets:read"),
            *("scans:read", "settlement:read", "ledger:read", "reports:read"),
            *("operations:read", "money:write", "money:approve", "approvers:write", "audit:read"),
        }
    ),
    "spot": frozenset(
        {
            *("parties:read", "credentials:write", "catalog:read", "catalog:write"),
            *("scans:read", "scans:write", "settlement:read"),
        }
    ),
    "distributor": frozenset(
        {
            *("parties:read", "credentials:write", "catalog:read"),
            *("orders:read", "orders:write", "tickets:read", "settlement:read"),
            *("webhooks:read", "webhooks:write"),
        }
    ),
    "reseller": frozenset({"catalog:read", "orders:read", "orders:write", "tickets:read"}),
    "device": frozenset({"scans:read", "scans:write"}),
}
"""Every scope that a kind of principal can have; a credential may be given fewer."""

SERVICE_SCOPES: Final[Mapping[str, frozenset[str]]] = {
    "orders": frozenset({"tokens:introspect", "stock:reserve"}),
    "settlement": frozenset({"tokens:introspect", "receivers:read", "bills:read"}),
    "verification": frozenset({"tokens:introspect"}),
    "gateway-adapters": frozenset({"tokens:introspect", "accounts:read", "contacts:read"}),
}
"""What each of our own services may ask of the others."""

MINTABLE: Final[Mapping[str, frozenset[str]]] = {
    "operator": frozenset({"operator", "spot", "distributor"}),
    "spot": frozenset({"device"}),
    "distributor": frozenset({"reseller"}),
}
"""Which kinds of credential a principal can mint; below an operator, for its own party only."""


def validity(
    rule: VisitRule,
    *,
    visit_date: date | None,
    valid_days: int,
    valid_from: date | None,
    valid_until: date | None,
) -> tuple[date, date]:
    """First and last day of validity of a ticket, both included."""
    if rule is VisitRule.DATED and visit_date is not None:
        return visit_date, visit_date + timedelta(days=valid_days - 1)
    if rule is VisitRule.OPEN and valid_from is not None and valid_until is not None:
        return valid_from, valid_until
    raise ValueError("a dated product needs a visit date, an open one its validity")


def local_date(moment: datetime, time_zone: str) -> date:
    """The day that a moment falls on in a spot's own time zone."""
    return moment.astimezone(ZoneInfo(time_zone)).date()


def split_price(unit_price_fen: int, settle_fen: list[int]) -> list[Fen]:
    """Each spot's part of the distributor price, in proportion to the spot settlement prices."""
    return allocate(unit_price_fen, settle_fen)


def transaction_fee(price_fen: int, fee_bps: int) -> Fen:
    """手续费 on a distributor's debit, of the whole order's price."""
    return share_bps(price_fen, fee_bps)


def settlement_fee(settle_fen: int, fee_bps: int) -> Fen:
    """手续费 taken off a spot's payout, per admission."""
    return share_bps(settle_fen, fee_bps)
