"""Combined products (联票) over HTTP: who makes them, who consents, and what is refused."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shanmen.catalog.tables import CONSENTS, PRODUCTS
from shanmen.contracts.catalog import ReserveStock

if TYPE_CHECKING:
    from services.catalog.tests.conftest import Market

Bearer = Callable[..., dict[str, str]]
Wanted = Callable[..., ReserveStock]

DAY = "2026-11-05"
COMBINED: dict[str, Any] = {
    "name": "黄山西递联票",
    "kind": "combined",
    "unit_price_fen": 10_000,
    "stock": [{"visit_date": DAY, "total": 50}],
}


def priced(**prices_fen: int) -> list[dict[str, Any]]:
    return [{"spot_id": spot, "settle_fen": fen} for spot, fen in prices_fen.items()]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_from_the_platforms_idea_to_the_first_sale(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer, wanted: Wanted
) -> None:
    operator = bearer("operator")
    huangshan, xidi = await market.spot(name="黄山"), await market.spot(name="西递")
    distributor = await market.distributor()
    at_huangshan, at_xidi = bearer("spot", huangshan), bearer("spot", xidi)
    seller = bearer("distributor", distributor)

    body = COMBINED | {"spots": priced(**{huangshan: 5_000, xidi: 3_000})}
    made = await client.post("/v1/products", json=body, headers=operator)
    assert made.status_code == 201, made.text
    view = made.json()
    product = f"/v1/products/{view['product_id']}"
    assert (view["kind"], view["status"], view["invests"]) == ("combined", "draft", True)
    assert (view["version"], view["terms_version"]) == (1, 1)
    assert view["allow_negative_margin"] is False
    not_answered = {"status": "asked", "answered_at": None, "answered_by": None}
    assert view["spots"] == [
        {"spot_id": huangshan, "name": "黄山", "settle_fen": 5_000, "consent": not_answered},
        {"spot_id": xidi, "name": "西递", "settle_fen": 3_000, "consent": not_answered},
    ]

    asked = {"kind": "combined", "consent": "asked"}
    (seen,) = (await client.get("/v1/products", params=asked, headers=at_xidi)).json()["items"]
    assert seen["allow_negative_margin"] is None
    assert seen["spots"] == [
        {"spot_id": huangshan, "name": "黄山", "settle_fen": None, "consent": None},
        {"spot_id": xidi, "name": "西递", "settle_fen": 3_000, "consent": not_answered},
    ]
    assert (await client.get("/v1/products", headers=seller)).json()["items"] == []

    early = await client.post(f"{product}/publish", headers=operator)
    assert refusal(early) == (409, "consent_missing")
    assert early.json()["spot_ids"] == [huangshan, xidi]
    yes = {"answer": "accept", "version": seen["version"]}
    accepted = await client.post(f"{product}/consents", json=yes, headers=at_xidi)
    assert accepted.status_code == 200
    mine = accepted.json()["spots"][1]["consent"]
    assert (mine["status"], mine["answered_at"][:16]) == ("accepted", "2026-11-01T04:00")
    assert mine["answered_by"]
    assert (await client.get("/v1/products", params=asked, headers=at_xidi)).json()["items"] == []
    still = await client.post(f"{product}/publish", headers=operator)
    assert (refusal(still), still.json()["spot_ids"]) == ((409, "consent_missing"), [huangshan])
    await client.post(f"{product}/consents", json=yes, headers=at_huangshan)
    published = await client.post(f"{product}/publish", headers=operator)
    assert (published.status_code, published.json()["status"]) == (200, "published")

    (sold,) = (await client.get("/v1/products", headers=seller)).json()["items"]
    assert sold["allow_negative_margin"] is None
    assert [(s["name"], s["settle_fen"], s["consent"]) for s in sold["spots"]] == [
        ("黄山", None, None),
        ("西递", None, None),
    ]
    offer = await market.offer(wanted("ord_1", distributor, view["product_id"], quantity=2))
    assert [(s.spot_id, s.settle_fen, s.part_fen) for s in offer.spots] == [
        (huangshan, 5_000, 6_250),
        (xidi, 3_000, 3_750),
    ]


async def test_investing_can_be_left(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer, wanted: Wanted
) -> None:
    prices = {await market.spot(): 5_000, await market.spot(): 3_000}
    distributor = await market.distributor()
    offers = [
        await market.offer(
            wanted(f"ord_{wish}", distributor, await market.combined(prices, **wish_given))
        )
        for wish, wish_given in (
            ("usual", dict[str, Any]()),
            ("yes", {"invests": True}),
            ("no", {"invests": False}),
        )
    ]
    assert [offer.invests for offer in offers] == [True, True, False]


async def test_each_spot_must_be_payable_before_anything_is_sold(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    ready, unpaid = await market.spot(), await market.spot(with_account=False)
    product = await market.combined({ready: 1, unpaid: 1}, sold=False)
    for spot in (ready, unpaid):
        await market.answer(product, spot, "accept", version=1)
    answer = await client.post(f"/v1/products/{product}/publish", headers=bearer("operator"))
    assert refusal(answer) == (409, "settlement_account_missing")
    assert answer.json()["spot_ids"] == [unpaid]
    (row,) = await market.rows(PRODUCTS)
    assert (row["status"], row["version"]) == ("draft", 1)


async def test_a_withdrawn_consent_ends_future_sales_and_an_answer_anew_begins_them(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer, wanted: Wanted
) -> None:
    stays, leaves = await market.spot(), await market.spot(name="西递")
    product, distributor = await market.combined({stays: 1, leaves: 1}), await market.distributor()
    placed = await market.offer(wanted("ord_1", distributor, product))
    seller, operator = bearer("distributor", distributor), bearer("operator")

    async def on_sale() -> bool:
        params = {"product_id": product}
        answer = await client.get("/v1/availability", params=params, headers=seller)
        return bool(answer.json()["on_sale"])

    assert await on_sale()
    no = await client.post(
        f"/v1/products/{product}/consents",
        json={"answer": "withdraw"},
        headers=bearer("spot", leaves),
    )
    assert (no.status_code, no.json()["status"]) == (200, "published")
    assert no.json()["spots"][1]["consent"]["status"] == "withdrawn"
    assert not await on_sale()
    refused = await market.refusal(wanted("ord_2", distributor, product))
    assert refused == (409, "consent_withdrawn", None)
    assert await market.offer(wanted("ord_1", distributor, product)) == placed
    await market.check_books()
    lacking = {"consent": "withdrawn"}
    for headers, seen in ((operator, 1), (bearer("spot", leaves), 1), (bearer("spot", stays), 0)):
        found = await client.get("/v1/products", params=lacking, headers=headers)
        assert len(found.json()["items"]) == seen
    hidden = await client.get("/v1/products", params=lacking, headers=seller)
    assert len(hidden.json()["items"]) == 1, "sellers are not told of consents"

    await market.answer(product, leaves, "accept", version=2)
    assert await on_sale()
    await market.offer(wanted("ord_3", distributor, product))


async def test_published_anew_without_the_spot_that_left(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer, wanted: Wanted
) -> None:
    first, second, leaver = [await market.spot() for _ in range(3)]
    product = await market.combined({first: 4_000, second: 3_000, leaver: 2_000})
    distributor, operator = await market.distributor(), bearer("operator")
    old = await market.offer(wanted("ord_1", distributor, product))
    await market.answer(product, leaver, "withdraw")
    terms = {"unit_price_fen": 8_000, "spots": priced(**{first: 4_000, second: 3_000})}
    path = f"/v1/products/{product}"

    on_sale = await client.put(f"{path}/terms", json=terms, headers=operator)
    assert refusal(on_sale) == (409, "status_forbids")
    await client.post(f"{path}/withdraw", headers=operator)
    changed = (await client.put(f"{path}/terms", json=terms, headers=operator)).json()
    assert (changed["version"], changed["terms_version"]) == (4, 4)
    assert [s["consent"]["status"] for s in changed["spots"]] == ["asked", "asked"]
    again = (await client.put(f"{path}/terms", json=terms, headers=operator)).json()
    assert again == changed, "the same terms ask nobody again"
    assert (await client.get(path, headers=bearer("spot", leaver))).status_code == 404
    early = await client.post(f"{path}/publish", headers=operator)
    assert refusal(early) == (409, "consent_missing")

    for spot in (first, second):
        unread = {"answer": "accept", "version": 3}
        late = await client.post(f"{path}/consents", json=unread, headers=bearer("spot", spot))
        assert (*refusal(late), late.json()["version"]) == (409, "terms_changed", 4)
        await market.answer(product, spot, "accept", version=4)
    assert (await client.post(f"{path}/publish", headers=operator)).status_code == 200
    new = await market.offer(wanted("ord_2", distributor, product))
    assert (new.unit_price_fen, len(new.spots), new.product_version) == (8_000, 2, 5)
    assert await market.offer(wanted("ord_1", distributor, product)) == old
    asked = {(row["spot_id"], row["version"]): row for row in await market.rows(CONSENTS)}
    assert {key: row["status"] for key, row in asked.items()} == {
        (first, 1): "accepted",
        (second, 1): "accepted",
        (leaver, 1): "withdrawn",
        (first, 4): "accepted",
        (second, 4): "accepted",
    }
    assert asked[leaver, 1]["settle_fen"] == 2_000


BAD_ANSWERS: list[dict[str, Any]] = [
    {},
    {"answer": "perhaps"},
    {"answer": "accept"},
    {"answer": "accept", "version": 0},
    {"answer": "accept", "version": 10**30},
    {"answer": "accept", "version": True},
    {"answer": "accept", "version": "1"},
    {"answer": "withdraw", "spot_id": "spt_1"},
]


async def test_an_answer_is_the_spots_own_and_to_what_it_has_read(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    spot, other, stranger = [await market.spot() for _ in range(3)]
    product = await market.combined({spot: 1, other: 1}, sold=False)
    single = await market.product(spot)
    path = f"/v1/products/{product}/consents"
    yes = {"answer": "accept", "version": 1}
    write = ["catalog:write"]
    cases = [
        (path, bearer("operator"), (403, "not_yours")),
        (path, bearer("distributor", "dst_1", scopes=write), (403, "not_yours")),
        (path, bearer("device", spot, scopes=write), (403, "not_yours")),
        (path, bearer("spot", stranger), (404, "not_found")),
        (path.replace(product, "prd_none"), bearer("spot", spot), (404, "not_found")),
        (path.replace(product, single), bearer("spot", spot), (409, "status_forbids")),
    ]
    for where, headers, expected in cases:
        assert refusal(await client.post(where, json=yes, headers=headers)) == expected
    for body in BAD_ANSWERS:
        answer = await client.post(path, json=body, headers=bearer("spot", spot))
        assert (body, answer.status_code) == (body, 422)
    unread = await client.post(path, json=yes | {"version": 2}, headers=bearer("spot", spot))
    assert refusal(unread) == (409, "terms_changed")
    assert {row["status"] for row in await market.rows(CONSENTS)} == {"asked"}


async def test_an_answer_given_twice_is_the_first_one(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    spot, other = await market.spot(), await market.spot()
    product = await market.combined({spot: 1, other: 1}, sold=False)
    path, yes = f"/v1/products/{product}/consents", {"answer": "accept", "version": 1}
    own = bearer("spot", spot) | {"Idempotency-Key": "k"}
    first = await client.post(path, json=yes, headers=own)
    before = await market.rows(CONSENTS)
    market.clock.advance(timedelta(hours=1))
    again = await client.post(path, json=yes, headers=own)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert (await client.post(path, json=yes, headers=bearer("spot", spot))).json() == first.json()
    assert await market.rows(CONSENTS) == before


@pytest.mark.parametrize("change", ["publish", "withdraw", "stock", "terms"])
async def test_a_combined_product_is_the_platforms(
    change: str, client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    spot, other = await market.spot(), await market.spot()
    product = await market.combined({spot: 1, other: 1})
    bodies: dict[str, tuple[str, Any]] = {
        "publish": ("POST", None),
        "withdraw": ("POST", None),
        "stock": ("PUT", {"entries": [{"visit_date": DAY, "total": 1}]}),
        "terms": ("PUT", {"unit_price_fen": 9, "spots": priced(**{spot: 1, other: 1})}),
    }
    method, body = bodies[change]
    before = (await market.rows(PRODUCTS), await market.counters(product))
    callers = [
        (bearer("spot", spot), (403, "not_yours")),
        (bearer("spot", await market.spot()), (404, "not_found")),
        (bearer("distributor", "dst_1", scopes=["catalog:write"]), (404, "not_found")),
    ]
    for headers, expected in callers:
        path = f"/v1/products/{product}/{change}"
        answer = await client.request(method, path, json=body, headers=headers)
        assert refusal(answer) == expected
    assert (await market.rows(PRODUCTS), await market.counters(product)) == before


async def test_a_single_ticket_has_no_terms_to_change(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    spot, other = await market.spot(), await market.spot()
    product = await market.product(spot, publish=False)
    body = {"unit_price_fen": 9, "spots": priced(**{spot: 1, other: 1})}
    path = f"/v1/products/{product}/terms"
    answer = await client.put(path, json=body, headers=bearer("operator"))
    assert refusal(answer) == (409, "status_forbids")
