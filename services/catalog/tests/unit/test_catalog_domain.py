"""Catalog's rules: status machines cell by cell, validity, fees, who may mint and do what."""

import itertools
from datetime import UTC, date, datetime

import pytest

from shanmen.catalog.domain import (
    CONSENT,
    MINTABLE,
    PRODUCT,
    RESERVATION,
    SCOPES,
    SERVICE_SCOPES,
    TERMS_MAY_CHANGE,
    ConsentStatus,
    ProductStatus,
    ReservationStatus,
    VisitRule,
    local_date,
    settlement_fee,
    split_price,
    transaction_fee,
    validity,
)
from shanmen.catalog.usecases.products import is_on_sale
from shanmen.common.auth import PrincipalKind

# Rows become columns; "x" is a transition that exists.
PRODUCT_TABLE = """
              draft  published  withdrawn
    draft       -        x          x
    published   -        -          x
    withdrawn   -        x          -
"""
CONSENT_TABLE = """
              asked  accepted  withdrawn
    asked       -       x          x
    accepted    -       -          x
    withdrawn   -       x          -
"""
RESERVATION_TABLE = """
                held  confirmed  sold  released
    held          -       x       x       x
    confirmed     -       -       x       x
    sold          -       -       -       -
    released      -       -       -       -
"""


def cells(drawn: str) -> dict[tuple[str, str], bool]:
    header, *rows = [line.split() for line in drawn.strip().splitlines()]
    return {
        (source, target): mark == "x"
        for source, *marks in rows
        for target, mark in zip(header, marks, strict=True)
    }


@pytest.mark.parametrize(("source", "target"), [*itertools.product(ProductStatus, ProductStatus)])
def test_product_machine(source: ProductStatus, target: ProductStatus) -> None:
    assert PRODUCT.allows(source, target) is cells(PRODUCT_TABLE)[source, target]


@pytest.mark.parametrize(("source", "target"), [*itertools.product(ConsentStatus, ConsentStatus)])
def test_consent_machine(source: ConsentStatus, target: ConsentStatus) -> None:
    assert CONSENT.allows(source, target) is cells(CONSENT_TABLE)[source, target]


@pytest.mark.parametrize(
    ("source", "target"), [*itertools.product(ReservationStatus, ReservationStatus)]
)
def test_reservation_machine(source: ReservationStatus, target: ReservationStatus) -> None:
    assert RESERVATION.allows(source, target) is cells(RESERVATION_TABLE)[source, target]


def test_products_begin_as_drafts_consents_as_asked_and_reservations_as_held() -> None:
    assert (PRODUCT.initial, CONSENT.initial) == ("draft", "asked")
    assert RESERVATION.initial == "held"


def test_terms_change_only_while_a_product_is_not_on_sale() -> None:
    assert {*ProductStatus} - TERMS_MAY_CHANGE == {ProductStatus.PUBLISHED}


DATED = [
    # visit date, days, last day (the first is the visit date)
    (date(2026, 11, 5), 1, date(2026, 11, 5)),
    (date(2026, 11, 5), 3, date(2026, 11, 7)),
    (date(2026, 12, 31), 2, date(2027, 1, 1)),
    (date(2028, 2, 28), 2, date(2028, 2, 29)),
]


@pytest.mark.parametrize(("visit_date", "days", "last"), DATED)
def test_a_dated_ticket_is_valid_from_its_visit_date_on(
    visit_date: date, days: int, last: date
) -> None:
    assert validity(
        VisitRule.DATED,
        visit_date=visit_date,
        valid_days=days,
        valid_from=date(2020, 1, 1),
        valid_until=date(2020, 1, 1),
    ) == (visit_date, last)


def test_an_open_ticket_is_valid_as_long_as_its_product() -> None:
    first, last = date(2026, 11, 1), date(2027, 3, 31)
    assert validity(
        VisitRule.OPEN, visit_date=None, valid_days=1, valid_from=first, valid_until=last
    ) == (first, last)


@pytest.mark.parametrize("rule", list(VisitRule))
def test_no_validity_out_of_nothing(rule: VisitRule) -> None:
    with pytest.raises(ValueError, match="needs a visit date"):
        validity(rule, visit_date=None, valid_days=1, valid_from=None, valid_until=None)


FEES = [
    # amount, basis points, fee: half a fen goes up
    (10_000, 60, 60),
    (12_345, 60, 74),  # 74.07
    (1_250, 60, 8),  # 7.5
    (1_249, 60, 7),  # 7.494
    (1, 5_000, 1),  # 0.5
    (1, 4_999, 0),
    (9_999, 0, 0),
    (9_999, 10_000, 9_999),
]


@pytest.mark.parametrize(("amount_fen", "rate_bps", "fee_fen"), FEES)
def test_fees_are_rounded_half_up(amount_fen: int, rate_bps: int, fee_fen: int) -> None:
    assert transaction_fee(amount_fen, rate_bps) == fee_fen
    assert settlement_fee(amount_fen, rate_bps) == fee_fen


SPLITS = [
    # price, spot settlement prices, parts
    (10_000, [8_000], [10_000]),
    (100, [1, 1, 1], [34, 33, 33]),
    (9_999, [6_000, 3_000], [6_666, 3_333]),
    (10_001, [6_000, 3_000, 1_000], [6_001, 3_000, 1_000]),
    (7, [0, 0], [4, 3]),
]


@pytest.mark.parametrize(("price_fen", "settle_fen", "parts"), SPLITS)
def test_a_price_is_split_to_the_fen(
    price_fen: int, settle_fen: list[int], parts: list[int]
) -> None:
    assert split_price(price_fen, settle_fen) == parts


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        (datetime(2026, 11, 1, 15, 59, 59, tzinfo=UTC), "Asia/Shanghai", date(2026, 11, 1)),
        (datetime(2026, 11, 1, 16, 0, tzinfo=UTC), "Asia/Shanghai", date(2026, 11, 2)),
        (datetime(2026, 11, 1, 4, 59, tzinfo=UTC), "America/New_York", date(2026, 11, 1)),
        (datetime(2026, 11, 1, 3, 59, tzinfo=UTC), "America/New_York", date(2026, 10, 31)),
    ],
)
def test_a_day_is_the_spots_own(moment: datetime, zone: str, day: date) -> None:
    assert local_date(moment, zone) == day


BEGIN, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
ON_SALE = [
    # status, from, until, now, on sale
    ("published", None, None, BEGIN, True),
    ("draft", None, None, BEGIN, False),
    ("withdrawn", None, None, BEGIN, False),
    ("published", BEGIN, None, BEGIN, True),
    ("published", END, None, BEGIN, False),
    ("published", None, END, BEGIN, True),
    ("published", None, END, END, False),
    ("published", BEGIN, END, BEGIN, True),
]


@pytest.mark.parametrize(("status", "begin", "end", "now", "expected"), ON_SALE)
def test_the_sale_window(
    status: str, begin: datetime | None, end: datetime | None, now: datetime, expected: bool
) -> None:
    assert is_on_sale(status, begin, end, now) is expected


MINTING = {
    ("operator", "operator"),
    ("operator", "spot"),
    ("operator", "distributor"),
    ("spot", "device"),
    ("distributor", "reseller"),
}


@pytest.mark.parametrize(("who", "what"), [*itertools.product(PrincipalKind, PrincipalKind)])
def test_who_mints_what(who: PrincipalKind, what: PrincipalKind) -> None:
    assert (what in MINTABLE.get(who, frozenset())) is ((who, what) in MINTING)


def test_only_sellers_write_orders_and_only_gates_scan() -> None:
    def having(scope: str) -> set[str]:
        return {kind for kind, scopes in SCOPES.items() if scope in scopes}

    assert having("orders:write") == {"distributor", "reseller"}
    assert having("scans:write") == {"spot", "device"}
    assert having("catalog:write") == {"operator", "spot"}
    assert having("parties:write") == having("ledger:read") == {"operator"}
    assert having("credentials:write") == {"operator", "spot", "distributor"}
    manual = {"money:write", "money:approve", "approvers:write", "audit:read"}
    assert [having(scope) for scope in sorted(manual)] == [{"operator"}] * len(manual)
    assert having("webhooks:write") == having("webhooks:read") == {"distributor"}
    internal = frozenset[str]().union(*SERVICE_SCOPES.values())
    assert not internal & frozenset[str]().union(*SCOPES.values())
