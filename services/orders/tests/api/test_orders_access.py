"""Who may call what: every route, every kind of caller; and no answer before its commit."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text

from shanmen.common.app import create_app
from shanmen.common.idempotency import IDEMPOTENCY_KEYS
from shanmen.common.outbox import OUTBOX
from shanmen.orders.api import orders
from shanmen.orders.domain import OrderStatus
from shanmen.orders.main import SERVICE
from shanmen.orders.tables import ORDERS, TIMELINE

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop

Bearer = Callable[..., dict[str, str]]

ROUTES = [
    # method, path, the scope it needs
    ("POST", "/v1/orders", "orders:write"),
    ("POST", "/v1/orders/{order_no}/pay", "orders:write"),
    ("POST", "/v1/orders/{order_no}/cancel", "orders:write"),
    ("POST", "/v1/orders/{order_no}/refund", "orders:write"),
    ("GET", "/v1/orders", "orders:read"),
    ("GET", "/v1/orders/{order_no}", "orders:read"),
    ("GET", "/v1/orders/{order_no}/timeline", "orders:read"),
    ("GET", "/v1/tickets/{ticket_no}", "tickets:read"),
]
EVERY_SCOPE = ("orders:read", "orders:write", "tickets:read", "scans:read", "catalog:write")


def test_the_table_names_every_route() -> None:
    routes = {
        (method, route.path)
        for route in orders.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert routes == {(method, path) for method, path, _ in ROUTES}
    assert all(path.startswith(SERVICE.prefixes) for _, path in routes)


def test_the_service_describes_itself() -> None:
    document = create_app(SERVICE).openapi()
    assert {path for _, path, _ in ROUTES} <= set(document["paths"])
    assert document["components"]["schemas"]["OrderStatus"]["enum"] == list(OrderStatus)
    placed = document["paths"]["/v1/orders"]["post"]["responses"]["201"]
    assert placed["content"]["application/json"]["schema"]["$ref"].endswith("/OrderView")


async def test_every_route_asks_for_a_token_and_its_scope(shop: "Shop", bearer: Bearer) -> None:
    for method, path, scope in ROUTES:
        for headers in ({}, {"Authorization": "Bearer shm_guess"}):
            answer = await shop.client.request(method, path, headers=headers)
            assert (path, answer.status_code, answer.json()["code"]) == (
                path,
                401,
                "unauthenticated",
            )
        others = bearer("distributor", "dst_1", scopes=set(EVERY_SCOPE) - {scope})
        answer = await shop.client.request(method, path, headers=others)
        assert (path, answer.status_code, answer.json()["scopes"]) == (path, 403, [scope])


STRANGERS: list[tuple[str, str | None, str | None]] = [
    # kind, party, reseller
    ("distributor", "dst_2", None),
    ("reseller", "dst_1", "代购乙"),
    ("reseller", "dst_2", "代购甲"),
    ("spot", "spt_1", None),
    ("device", "spt_1", None),
    ("service", None, None),
    ("distributor", None, None),
]


@pytest.fixture
async def order(shop: "Shop") -> dict[str, Any]:
    """An issued order of distributor `dst_1`, sold to its reseller 代购甲."""
    return await shop.issued(reseller="代购甲")


def calls(order_no: str, ticket_no: str) -> list[tuple[str, str]]:
    """Every call about one order or ticket."""
    return [
        (method, path.format(order_no=order_no, ticket_no=ticket_no))
        for method, path, _ in ROUTES
        if "{" in path
    ]


async def test_what_is_anothers_looks_like_what_is_not(
    shop: "Shop", order: dict[str, Any], bearer: Bearer
) -> None:
    own = order["order_no"], order["tickets"][0]["ticket_no"]
    unknown = "ord_none", "tkt_none"
    for kind, party_id, reseller in STRANGERS:
        # Its kind may not have such scopes; if it had, it would still see nothing.
        headers = bearer(kind, party_id, reseller=reseller, scopes=EVERY_SCOPE)
        for (method, path), (_, nothing) in zip(calls(*own), calls(*unknown), strict=True):
            hidden = await shop.client.request(method, path, headers=headers)
            missing = await shop.client.request(method, nothing, headers=headers)
            case = (kind, party_id, reseller, method, path)
            assert (case, hidden.status_code, missing.status_code) == (case, 404, 404)
            seen = hidden.text.replace(own[0], unknown[0]).replace(own[1], unknown[1])
            assert seen == missing.text
        for params in ({}, {"distributor_order_no": "A-1"}, {"reseller": "代购甲"}):
            listed = await shop.get("/v1/orders", by=headers, **params)
            assert (listed.status_code, listed.json()["items"]) == (200, [])
    assert await shop.view(order["order_no"]) == order


async def test_whose_it_is_may_see_it(shop: "Shop", order: dict[str, Any], bearer: Bearer) -> None:
    for kind, party_id, reseller in (
        ("distributor", "dst_1", None),
        ("reseller", "dst_1", "代购甲"),
        ("operator", None, None),
    ):
        headers = bearer(kind, party_id, reseller=reseller)
        for method, path in calls(order["order_no"], order["tickets"][0]["ticket_no"]):
            if method == "GET":
                answer = await shop.get(path, by=headers)
                assert (kind, path, answer.status_code) == (kind, path, 200)
        listed = await shop.get("/v1/orders", by=headers)
        assert [item["order_no"] for item in listed.json()["items"]] == [order["order_no"]]


async def test_only_sellers_place_orders(shop: "Shop", bearer: Bearer) -> None:
    for kind in ("operator", "spot", "device", "service"):
        answer = await shop.post("/v1/orders", shop.order_body(), by=bearer(kind, "spt_1"))
        assert (kind, answer.status_code, answer.json()["code"]) == (kind, 403, "forbidden")
    assert shop.stock.calls == 0


async def test_the_same_key_of_two_callers_is_two_keys(shop: "Shop", bearer: Bearer) -> None:
    callers = [
        shop.seller,
        bearer("distributor", "dst_2"),
        bearer("reseller", "dst_1", reseller="代购甲"),
    ]
    answers = [
        await shop.post("/v1/orders", shop.order_body(f"A-{n}"), by=who, Idempotency_Key="k")
        for n, who in enumerate(callers)
    ]
    assert [answer.status_code for answer in answers] == [201] * 3


async def test_an_impossible_number_is_a_bad_field(shop: "Shop") -> None:
    for number in ("%00", "x" * 65, "%E7%A5%A8", "a%20b"):
        for method, path in calls(number, number):
            answer = await shop.client.request(method, path, headers=shop.seller)
            assert (path, answer.status_code) == (path, 422)


REFUSE_TO_COMMIT = """
CREATE FUNCTION refuse_to_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the commit fails' USING ERRCODE = 'check_violation'; END $$
"""
AT_COMMIT = """
CREATE CONSTRAINT TRIGGER never AFTER INSERT OR UPDATE ON orders
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_to_commit()
"""


async def test_what_could_not_be_committed_is_never_told_as_done(shop: "Shop") -> None:
    """Every statement succeeds, and then COMMIT itself fails."""
    order_no = (await shop.place("A-1"))["order_no"]
    tables = (ORDERS, TIMELINE, OUTBOX, IDEMPOTENCY_KEYS)
    before = [await shop.rows(table) for table in tables]
    async with shop.ctx.db.transaction() as tx:
        await tx.execute(text(REFUSE_TO_COMMIT))
        await tx.execute(text(AT_COMMIT))

    answers: list[httpx.Response] = [
        await shop.post(path, body, Idempotency_Key=f"k{n}")
        for n, (path, body) in enumerate(
            [
                ("/v1/orders", shop.order_body("A-2")),
                ("/v1/orders", shop.order_body("A-3", pay=True)),
                (f"/v1/orders/{order_no}/pay", None),
                (f"/v1/orders/{order_no}/cancel", None),
            ]
        )
    ]

    assert [answer.status_code for answer in answers] == [500] * 4
    assert not any("commit fails" in answer.text for answer in answers)
    assert [await shop.rows(table) for table in tables] == before
