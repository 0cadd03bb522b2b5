"""Combined products (联票) that are refused: which field, what to do, and nothing half applied."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import Table

from shanmen.catalog.tables import CONSENTS, PRODUCT_SPOTS, PRODUCTS, STOCK

if TYPE_CHECKING:
    from services.catalog.tests.conftest import Market

Bearer = Callable[..., dict[str, str]]

DAY = "2026-11-05"
PRICES_FEN = [("A", 5_000), ("B", 3_000)]
COMBINED: dict[str, Any] = {
    "name": "黄山西递联票",
    "kind": "combined",
    "unit_price_fen": 10_000,
    "stock": [{"visit_date": DAY, "total": 50}],
}
OPEN: dict[str, Any] = {"visit_rule": "open", "stock": [{"total": 50}]}
WRITTEN: tuple[Table, ...] = (PRODUCTS, PRODUCT_SPOTS, CONSENTS, STOCK)

BAD_TERMS: list[tuple[dict[str, Any], str, str, str]] = [
    # what is different, code, field, what is said about it
    ({"spots": []}, "invalid", "body.spots", "two spots or more; name another one"),
    ({"spots": [("A", 1)]}, "invalid", "body.spots", "two spots or more; name another one"),
    (
        {"spots": [("A", 1), ("B", 1), ("A", 2)]},
        *("invalid", "body.spots.2.spot_id", "is named twice; name it once"),
    ),
    (
        {"spots": [("A", 1), ("NONE", 1)]},
        *("unknown_reference", "body.spots.1.spot_id", "no spot 'spt_none'; GET /v1/spots lists"),
    ),
    (
        {"spots": [("SELLER", 1), ("A", 1)]},
        *("unknown_reference", "body.spots.0.spot_id", "GET /v1/spots lists"),
    ),
    (
        {"spots": [("A", 5_001), ("B", 5_000)]},
        *("negative_margin", "body.spots", "lower what they are owed, or set allow_negative_"),
    ),
    (
        {"unit_price_fen": 7_999},
        *("negative_margin", "body.spots", "owed 8000 fen of a ticket sold for 7999 fen"),
    ),
    (
        {"unit_price_fen": 7_999, "allow_negative_margin": False},
        *("negative_margin", "body.spots", "set allow_negative_margin if that is meant"),
    ),
    ({"unit_price_fen": 0}, "invalid", "body.unit_price_fen", "greater than 0"),
    ({"unit_price_fen": -10_000}, "invalid", "body.unit_price_fen", "greater than 0"),
    (
        {"unit_price_fen": 0, "allow_negative_margin": True},
        *("invalid", "body.unit_price_fen", "greater than 0"),
    ),
    (
        {"spots": [("A", 1), ("B", -1)]},
        *("invalid", "body.spots.1.settle_fen", "greater than or equal to 0"),
    ),
    ({"spots": [("A", 1), ("B", 0.5)]}, "invalid", "body.spots.1.settle_fen", "integer"),
    ({"spots": [("A", 1), ("B", True)]}, "invalid", "body.spots.1.settle_fen", "integer"),
    ({"spots": [("A", 1), ("B", "1")]}, "invalid", "body.spots.1.settle_fen", "integer"),
    ({"unit_price_fen": True}, "invalid", "body.unit_price_fen", "integer"),
    ({"unit_price_fen": "10000"}, "invalid", "body.unit_price_fen", "integer"),
    ({"unit_price_fen": 10_000.0}, "invalid", "body.unit_price_fen", "integer"),
    (
        {"unit_price_fen": 7_999, "allow_negative_margin": 1},
        *("invalid", "body.allow_negative_margin", "boolean"),
    ),
    ({"spots": [("A", 1), ("B", 10**10)]}, "invalid", "body.spots.1.settle_fen", "less than"),
]
BAD_PRODUCTS: list[tuple[dict[str, Any], str, str, str]] = [
    *BAD_TERMS,
    (
        OPEN | {"valid_from": "2026-12-02", "valid_until": "2026-12-01"},
        *("invalid", "body.valid_until", "before valid_from; give that day or a later one"),
    ),
    (
        {"valid_from": "2026-12-02", "valid_until": "2026-12-01"},
        *("invalid", "body.valid_until", "before valid_from; give that day or a later one"),
    ),
    (OPEN | {"valid_until": DAY}, "invalid", "body.valid_from", "an open-dated product needs it"),
    ({"valid_days": 0}, "invalid", "body.valid_days", "greater than or equal to 1"),
    (
        {"sale_from": "2026-11-02T00:00:00Z", "sale_until": "2026-11-01T00:00:00Z"},
        *("invalid", "body.sale_until", "after sale_from; give a later moment"),
    ),
    (
        {"sale_from": "2026-11-02T00:00:00Z", "sale_until": "2026-11-02T08:00:00+08:00"},
        *("invalid", "body.sale_until", "after sale_from; give a later moment"),
    ),
    ({"sale_until": "2026-11-02T00:00:00"}, "invalid", "body.sale_until", "timezone"),
    ({"max_quantity": 0}, "invalid", "body.max_quantity", "greater than or equal to 1"),
    (
        {"max_quantity": 1000, "spots": [(f"S{n}", 1) for n in range(6)]},
        *("invalid", "body.spots", "name fewer spots or a smaller max_quantity"),
    ),
    (
        {"stock": [{"visit_date": DAY, "total": 9}, {"visit_date": "2026-11-06", "total": -1}]},
        *("invalid", "body.stock.1.total", "greater than or equal to 0"),
    ),
    ({"stock": [{"visit_date": DAY, "total": 1}] * 2}, "invalid", "body.stock", "named twice"),
    ({"stock": [{"total": 1}]}, "visit_date_unfit", "body.stock", "need a visit_date"),
    ({"invests": "perhaps"}, "invalid", "body.invests", "boolean"),
    ({"invests": "no"}, "invalid", "body.invests", "boolean"),
    ({"publish": "true"}, "invalid", "body.publish", "boolean"),
    ({"refund_rule": {"on_expiry": 0}}, "invalid", "body.refund_rule.on_expiry", "boolean"),
    ({"refund_rule": {"never": True}}, "invalid", "body.refund_rule.never", "not permitted"),
    ({"publish": True}, "consent_missing", "body.publish", "once each of its spots has accepted"),
]


@pytest.fixture
async def names(market: "Market") -> dict[str, str]:
    """Spots `A`, `B` and `S0` to `S5`, a distributor, and somebody who does not exist."""
    spots = {name: await market.spot() for name in ("A", "B", *(f"S{n}" for n in range(6)))}
    return {**spots, "SELLER": await market.distributor(), "NONE": "spt_none"}


def with_ids(body: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The body with spots by id."""
    spots = [{"spot_id": names[name], "settle_fen": fen} for name, fen in body["spots"]]
    return body | {"spots": spots}


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, code, and the only field that is named."""
    (error,) = answer.json()["errors"]
    return answer.status_code, answer.json()["code"], error["field"]


async def all_rows(market: "Market") -> list[list[dict[str, Any]]]:
    """Whatever a product is written to."""
    return [await market.rows(table) for table in WRITTEN]


async def test_what_is_not_combined_and_why(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer, names: dict[str, str]
) -> None:
    headers = bearer("operator")
    for change, code, field, said in BAD_PRODUCTS:
        body = with_ids(COMBINED | {"spots": PRICES_FEN} | change, names)
        answer = await client.post("/v1/products", json=body, headers=headers)
        assert (change, *refusal(answer)) == (change, 422, code, field)
        assert said in answer.json()["errors"][0]["detail"], change
    assert await all_rows(market) == [[], [], [], []]


async def test_new_terms_are_checked_like_the_first(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer, names: dict[str, str]
) -> None:
    product = await market.combined({names["A"]: 5_000, names["B"]: 3_000}, sold=False)
    before = await all_rows(market)
    usual = {"unit_price_fen": 9_000, "spots": PRICES_FEN}
    for change, code, field, said in (
        *BAD_TERMS,
        ({"name": "another"}, "invalid", "body.name", "not permitted"),
    ):
        body = with_ids(usual | change, names)
        path = f"/v1/products/{product}/terms"
        answer = await client.put(path, json=body, headers=bearer("operator"))
        assert (change, *refusal(answer)) == (change, 422, code, field)
        assert said in answer.json()["errors"][0]["detail"], change
    assert await all_rows(market) == before


async def test_a_calendar_with_one_bad_entry_stays_as_it_was(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer, names: dict[str, str]
) -> None:
    product = await market.combined({names["A"]: 5_000, names["B"]: 3_000})
    before = await all_rows(market)
    good = {"visit_date": DAY, "total": 60}
    for bad, code, field in (
        ({"visit_date": "2026-11-06", "total": -1}, "invalid", "body.entries.1.total"),
        ({"visit_date": "2026-11-06", "total": True}, "invalid", "body.entries.1.total"),
        ({"visit_date": "2026-11-06", "total": "70"}, "invalid", "body.entries.1.total"),
        ({"visit_date": DAY, "total": 70}, "invalid", "body.entries"),
        ({"total": 1}, "visit_date_unfit", "body.entries"),
    ):
        path = f"/v1/products/{product}/stock"
        body = {"entries": [good, bad]}
        answer = await client.put(path, json=body, headers=bearer("operator"))
        assert refusal(answer) == (422, code, field)
    assert await all_rows(market) == before


async def test_every_bad_field_is_named_at_once(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer, names: dict[str, str]
) -> None:
    bad = {
        "unit_price_fen": 0,
        "valid_from": "2026-12-02",
        "valid_until": "2026-12-01",
        "sale_from": "2026-11-02T00:00:00Z",
        "sale_until": "2026-11-01T00:00:00Z",
        "stock": [{"visit_date": DAY, "total": -1}],
    }
    body = with_ids(COMBINED | {"spots": [("A", -1), ("B", 1)]} | bad, names)
    answer = await client.post("/v1/products", json=body, headers=bearer("operator"))
    assert {error["field"] for error in answer.json()["errors"]} == {
        "body.unit_price_fen",
        "body.spots.0.settle_fen",
        "body.valid_until",
        "body.sale_until",
        "body.stock.0.total",
    }
    assert await all_rows(market) == [[], [], [], []]


async def test_selling_below_the_spots_prices_is_done_on_purpose_only(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer, names: dict[str, str]
) -> None:
    body = with_ids(COMBINED | {"spots": [("A", 9_000), ("B", 3_000)]}, names)
    refused = await client.post("/v1/products", json=body, headers=bearer("operator"))
    assert refusal(refused) == (422, "negative_margin", "body.spots")
    meant = body | {"allow_negative_margin": True}
    made = await client.post("/v1/products", json=meant, headers=bearer("operator"))
    assert (made.status_code, made.json()["allow_negative_margin"]) == (201, True)
    exact = body | {"unit_price_fen": 12_000}
    made = await client.post("/v1/products", json=exact, headers=bearer("operator"))
    assert made.status_code == 201, "no margin is not a negative one"
