"""Products over HTTP: who publishes what, who sees what, and the calendar."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx

from shanmen.catalog.tables import PRODUCTS, STOCK
from shanmen.contracts.catalog import ReserveStock

if TYPE_CHECKING:
    from services.catalog.tests.conftest import Market

Bearer = Callable[..., dict[str, str]]
Wanted = Callable[..., ReserveStock]

DAY = "2026-11-06"
PRODUCT: dict[str, Any] = {"name": "黄山一日票", "unit_price_fen": 10_000}


async def test_a_spot_publishes_its_own_ticket(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    """Without terms it is owed the whole price."""
    spot = await market.spot(name="黄山")
    own = bearer("spot", spot)
    body = PRODUCT | {
        "sale_until": "2026-12-01T08:00:00+08:00",
        "stock": [{"visit_date": "2026-11-06", "total": 20}],
        "publish": True,
    }
    made = await client.post("/v1/products", json=body, headers=own)
    assert made.status_code == 201, made.text
    view = made.json()
    assert view == {
        "product_id": view["product_id"],
        "name": "黄山一日票",
        "kind": "single",
        "status": "published",
        "unit_price_fen": 10_000,
        "currency": "CNY",
        "spots": [{"spot_id": spot, "name": "黄山", "settle_fen": 10_000, "consent": None}],
        "visit_rule": "dated",
        "valid_days": 1,
        "valid_from": None,
        "valid_until": None,
        "sale_from": None,
        "sale_until": "2026-12-01T00:00:00Z",
        "max_quantity": 50,
        "real_name": "none",
        "refund_rule": {"on_expiry": True, "before_visit": False, "refunds_fee": False},
        "payment_timeout_s": 1800,
        "invests": False,
        "allow_negative_margin": None,
        "version": 1,
        "terms_version": 1,
    }
    assert (await client.get(f"/v1/products/{view['product_id']}", headers=own)).json() == view


async def test_the_platform_publishes_for_a_spot(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    spot = await market.spot()
    body = PRODUCT | {"spots": [{"spot_id": spot, "settle_fen": 8_000}]}
    made = await client.post("/v1/products", json=body, headers=bearer("operator"))
    assert (made.status_code, made.json()["status"]) == (201, "draft")


BAD: list[tuple[str, dict[str, Any], int, str, str | None]] = [
    # who, what is different, status, code, field
    ("operator", {}, 422, "invalid", "body.spots"),
    ("operator", {"spots": [("NONE", 1)]}, 422, "unknown_reference", "body.spots"),
    ("operator", {"spots": [("OWN", 10_001)]}, 422, "negative_margin", "body.spots"),
    ("operator", {"spots": [("OWN", -1)]}, 422, "invalid", "body.spots.0.settle_fen"),
    ("operator", {"spots": [("OWN", 1), ("OTHER", 1)]}, 422, "invalid", "body.spots"),
    ("spot", {"invests": True}, 422, "invalid", "body.invests"),
    ("spot", {"allow_negative_margin": True}, 422, "invalid", "body.allow_negative_margin"),
    ("spot", {"spots": [("OTHER", 1)]}, 422, "unknown_reference", "body.spots"),
    ("spot", {"spots": [("OWN", 10_001)]}, 422, "negative_margin", "body.spots"),
    ("spot", {"kind": "combined"}, 403, "not_yours", None),
    ("distributor", {"spots": [("OWN", 1)]}, 403, "not_yours", None),
    ("spot", {"unit_price_fen": 0}, 422, "invalid", "body.unit_price_fen"),
    ("spot", {"unit_price_fen": 99.5}, 422, "invalid", "body.unit_price_fen"),
    ("spot", {"max_quantity": 0}, 422, "invalid", "body.max_quantity"),
    ("spot", {"valid_days": 0}, 422, "invalid", "body.valid_days"),
    ("spot", {"payment_timeout_s": 0}, 422, "invalid", "body.payment_timeout_s"),
    ("spot", {"sale_from": "2026-11-01T00:00:00"}, 422, "invalid", "body.sale_from"),
    (
        "spot",
        {"sale_from": "2026-11-01T00:00:00Z", "sale_until": "2026-11-01T08:00:00+08:00"},
        422,
        "invalid",
        "body.sale_until",
    ),
    ("spot", {"visit_rule": "open", "valid_until": DAY}, 422, "invalid", "body.valid_from"),
    ("spot", {"visit_rule": "open", "valid_from": DAY}, 422, "invalid", "body.valid_until"),
    (
        "spot",
        {"visit_rule": "open", "valid_from": "2026-12-02", "valid_until": "2026-12-01"},
        422,
        "invalid",
        "body.valid_until",
    ),
    ("spot", {"stock": [{"total": 1}]}, 422, "visit_date_unfit", "body.stock"),
    (
        "spot",
        {"stock": [{"visit_date": "9999-12-31", "total": 1}]},
        422,
        "invalid",
        "body.stock.0.visit_date",
    ),
    ("spot", {"stock": [{"visit_date": DAY, "total": 1}] * 2}, 422, "invalid", "body.stock"),
    ("spot", {"status": "published"}, 422, "invalid", "body.status"),
]


async def test_what_is_not_published_and_why(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    spots = {"OWN": await market.spot(), "OTHER": await market.spot(), "NONE": "spt_none"}
    callers = {
        "operator": bearer("operator"),
        "spot": bearer("spot", spots["OWN"]),
        "distributor": bearer("distributor", "dst_1", scopes=["catalog:write"]),
    }
    for who, change, status, code, field in BAD:
        body = PRODUCT | change
        if "spots" in change:
            body["spots"] = [
                {"spot_id": spots[name], "settle_fen": fen} for name, fen in change["spots"]
            ]
        answer = await client.post("/v1/products", json=body, headers=callers[who])
        told = answer.json()
        named = told["errors"][0]["field"] if told.get("errors") else None
        assert (who, change, answer.status_code, told["code"], named) == (
            who,
            change,
            status,
            code,
            field,
        )
    assert await market.rows(PRODUCTS) == await market.rows(STOCK) == []


TRANSITIONS = [
    # from, by, becomes (None: refused)
    ("draft", "publish", "published"),
    ("draft", "withdraw", "withdrawn"),
    ("published", "publish", None),
    ("published", "withdraw", "withdrawn"),
    ("withdrawn", "publish", "published"),
    ("withdrawn", "withdraw", None),
]


async def test_publishing_and_withdrawing(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    spot = await market.spot()
    own = bearer("spot", spot)
    for before, by, after in TRANSITIONS:
        product = await market.product(spot, publish=before == "published")
        if before == "withdrawn":
            await client.post(f"/v1/products/{product}/withdraw", headers=own)
        was = (await client.get(f"/v1/products/{product}", headers=own)).json()
        answer = await client.post(f"/v1/products/{product}/{by}", headers=own)
        now = (await client.get(f"/v1/products/{product}", headers=own)).json()
        case = (before, by)
        if after is None:
            refused = (answer.status_code, answer.json()["code"])
            assert (case, *refused) == (case, 409, "status_forbids")
            assert (case, now) == (case, was)
        else:
            assert (case, answer.status_code, answer.json()) == (case, 200, now)
            assert (now["status"], now["version"]) == (after, was["version"] + 1)


async def test_what_each_sees_of_the_pool(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    """Sellers see what is on sale and no settlement price; a spot sees its own, in any status."""
    mine, theirs = await market.spot(), await market.spot()
    draft = await market.product(mine, publish=False)
    public, foreign = await market.product(mine), await market.product(theirs)
    withdrawn = await market.product(theirs)
    operator = bearer("operator")
    await client.post(f"/v1/products/{withdrawn}/withdraw", headers=operator)
    every = {draft, public, foreign, withdrawn}
    sees = [
        # who, what, whether with settlement prices
        (operator, every, True),
        (bearer("spot", mine), {draft, public}, True),
        (bearer("distributor", "dst_1"), {public, foreign}, False),
        (bearer("reseller", "dst_1", reseller="甲"), {public, foreign}, False),
        (bearer("device", mine, scopes=["catalog:read"]), {draft, public}, True),
        (bearer("service", scopes=["catalog:read"]), set[str](), False),
    ]
    for headers, visible, priced in sees:
        listed = (await client.get("/v1/products", headers=headers)).json()["items"]
        assert {item["product_id"] for item in listed} == visible
        for item in listed:
            assert item["spots"][0]["settle_fen"] == (8_000 if priced else None)
        for product in every:
            one = await client.get(f"/v1/products/{product}", headers=headers)
            dates = {"product_id": product}
            calendar = await client.get("/v1/availability", params=dates, headers=headers)
            expected = 200 if product in visible else 404
            assert one.status_code == calendar.status_code == expected
    found = await client.get("/v1/products", params={"status": "draft"}, headers=operator)
    assert [item["product_id"] for item in found.json()["items"]] == [draft]


async def test_stock_is_set_and_raised_and_lowered(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer, wanted: Wanted
) -> None:
    product, distributor = await market.product(total=50), await market.distributor()
    await market.reserve(*(wanted(f"ord_{n}", distributor, product, quantity=5) for n in "ab"))
    await market.tell(market.issued("ord_a"))
    operator = bearer("operator")

    async def put(*entries: tuple[str, int]) -> tuple[int, str | None]:
        body = {"entries": [{"visit_date": day, "total": total} for day, total in entries]}
        path = f"/v1/products/{product}/stock"
        answer = await client.put(path, json=body, headers=operator)
        return answer.status_code, answer.json().get("code")

    assert await put(("2026-11-05", 60), ("2026-11-06", 7)) == (200, None)
    assert await market.counters(product) == [(60, 5, 5), (7, 0, 0)]
    assert await put(("2026-11-05", 10)) == (200, None)
    assert await put(("2026-11-05", 9)) == (409, "stock_below_sold")
    # all or nothing: the good ones of a list are not done either
    assert await put(("2026-11-06", 8), ("2026-11-05", 9), ("2026-11-07", 1)) == (
        409,
        "stock_below_sold",
    )
    assert await put(("2026-11-06", 8), ("2026-11-06", 9)) == (422, "invalid")
    assert await put(("2026-11-06", -1)) == (422, "invalid")
    assert await market.counters(product) == [(10, 5, 5), (7, 0, 0)]


async def test_only_the_products_own_spot_sets_its_stock(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    product = await market.product(total=5)
    body = {"entries": [{"visit_date": "2026-11-05", "total": 6}]}
    for headers in (
        bearer("spot", await market.spot()),
        bearer("distributor", "dst_1", scopes=["catalog:write"]),
    ):
        changes = [
            await client.put(f"/v1/products/{product}/stock", json=body, headers=headers),
            await client.post(f"/v1/products/{product}/withdraw", headers=headers),
        ]
        assert [answer.status_code for answer in changes] == [404, 404]
    assert await market.counters(product) == [(5, 0, 0)]


async def test_the_calendar_shows_what_can_be_sold(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer, wanted: Wanted
) -> None:
    stock = [
        {"visit_date": f"2026-11-0{day}", "slot": slot, "total": 10}
        for day in (6, 5, 7)
        for slot in ("下午", "上午")
    ]
    product, distributor = await market.product(stock=stock), await market.distributor()
    await market.offer(wanted("ord_1", distributor, product, slot="上午", quantity=3))
    seller = bearer("distributor", distributor)
    params = {"product_id": product, "from": "2026-11-05", "to": "2026-11-06"}
    answer = await client.get("/v1/availability", params=params, headers=seller)
    shown = answer.json()
    assert shown["on_sale"] is True
    entries = [(e["visit_date"], e["slot"], e["available"]) for e in shown["entries"]]
    assert sorted(entries) == [
        ("2026-11-05", "上午", 7),
        ("2026-11-05", "下午", 10),
        ("2026-11-06", "上午", 10),
        ("2026-11-06", "下午", 10),
    ]
    assert [entry[0] for entry in entries] == sorted(entry[0] for entry in entries)
    assert {entry["unit_price_fen"] for entry in shown["entries"]} == {10_000}


async def test_a_closed_sale_is_shown_as_closed(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    product = await market.product(sale_from="2026-11-02T00:00:00Z")
    params = {"product_id": product}
    seller = bearer("distributor", "dst_1")
    answer = await client.get("/v1/availability", params=params, headers=seller)
    assert answer.json()["on_sale"] is False
