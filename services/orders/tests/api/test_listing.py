"""Lists of orders, their timeline and their tickets."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shanmen.common.clock import ManualClock

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop

Bearer = Callable[..., dict[str, str]]


def numbers(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["distributor_order_no"] for item in answer.json()["items"]]


@pytest.fixture
async def history(shop: "Shop", clock: ManualClock) -> "Shop":
    """A-1 is issued, A-2 closed, A-3 of another product and a reseller's, A-4 a day later."""
    await shop.issued("A-1")
    order_no = (await shop.place("A-2"))["order_no"]
    await shop.post(f"/v1/orders/{order_no}/cancel")
    await shop.place("A-3", product_id="prd_2", reseller="代购甲")
    clock.advance(timedelta(days=1))
    await shop.place("A-4")
    return shop


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["A-4", "A-3", "A-2", "A-1"]),
    ({"status": "issued"}, ["A-1"]),
    ({"status": "closed_unpaid"}, ["A-2"]),
    ({"status": "awaiting_payment"}, ["A-4", "A-3"]),
    ({"status": "completed"}, []),
    ({"debit_state": "succeeded"}, ["A-1"]),
    ({"debit_state": "none", "status": "awaiting_payment"}, ["A-4", "A-3"]),
    ({"debit_state": "short_of_funds"}, []),
    ({"distributor_order_no": "A-3"}, ["A-3"]),
    ({"distributor_order_no": "A"}, []),
    ({"reseller": "代购甲"}, ["A-3"]),
    ({"product_id": "prd_1"}, ["A-4", "A-2", "A-1"]),
    ({"product_id": "prd_1", "status": "awaiting_payment"}, ["A-4"]),
    ({"placed_from": "2026-11-02T04:00:00Z"}, ["A-4"]),
    ({"placed_until": "2026-11-02T12:00:00+08:00"}, ["A-3", "A-2", "A-1"]),
    ({"placed_from": "2026-11-01T04:00:00Z", "placed_until": "2026-11-01T04:00:00Z"}, []),
]


async def test_filters(history: "Shop") -> None:
    for params, expected in FILTERS:
        assert (params, numbers(await history.get("/v1/orders", **params))) == (params, expected)


async def test_a_list_shows_what_each_order_shows(history: "Shop") -> None:
    listed = (await history.get("/v1/orders")).json()["items"]
    for item in listed:
        assert item == await history.view(item["order_no"])


async def test_pages_join_up_while_orders_come_in(history: "Shop") -> None:
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    for _ in range(2):
        page = await history.get("/v1/orders", limit=2, **cursor)
        seen += numbers(page)
        cursor = {"cursor": page.json()["next_cursor"]}
        await history.place(f"B-{len(seen)}")
    assert (seen, cursor) == (["A-4", "A-3", "A-2", "A-1"], {"cursor": None})


BAD_QUERIES: list[tuple[dict[str, Any], str]] = [
    ({"status": "lost"}, "query.status"),
    ({"debit_state": "lost"}, "query.debit_state"),
    ({"placed_from": "2026-11-01T04:00:00"}, "query.placed_from"),
    ({"placed_until": "yesterday"}, "query.placed_until"),
    ({"limit": "0"}, "query.limit"),
    ({"limit": "201"}, "query.limit"),
    ({"cursor": "§"}, "cursor"),
    ({"product_id": "a\x00"}, "query.product_id"),
    ({"reseller": "a\x00"}, "query.reseller"),
    ({"distributor_order_no": "\x00"}, "query.distributor_order_no"),
]


async def test_bad_queries_are_named(shop: "Shop") -> None:
    for params, field in BAD_QUERIES:
        answer = await shop.get("/v1/orders", **params)
        assert (params, answer.status_code) == (params, 422)
        assert (params, answer.json()["errors"][0]["field"]) == (params, field)


async def test_the_timeline_tells_everything_in_order(shop: "Shop") -> None:
    order = await shop.issued(quantity=1)
    order_no = order["order_no"]
    (entitlement,) = await shop.entitlements(order_no)
    await shop.told(shop.used(order_no, entitlement))
    timeline = (await shop.get(f"/v1/orders/{order_no}/timeline")).json()
    entries = timeline["entries"]
    assert timeline["order_no"] == order_no
    assert [(e["kind"], e["before"], e["after"], e["actor"]) for e in entries] == [
        ("order", None, "awaiting_payment", "distributor:dst_1"),
        ("debit", "none", "requested", "distributor:dst_1"),
        ("debit", "requested", "succeeded", "gateway"),
        ("order", "awaiting_payment", "paid", "gateway"),
        ("order", "paid", "issued", "orders"),
        ("order", "issued", "completed", "orders"),
    ]
    times = [entry["at"] for entry in entries]
    assert times == sorted(times)


async def test_a_ticket_is_found_by_its_number(shop: "Shop") -> None:
    order = await shop.issued()
    for ticket in order["tickets"]:
        answer = await shop.get(f"/v1/tickets/{ticket['ticket_no']}")
        assert (answer.status_code, answer.json()) == (200, ticket)
    assert {ticket["order_no"] for ticket in order["tickets"]} == {order["order_no"]}


async def test_codes_are_shown_to_sellers_only(shop: "Shop", bearer: Bearer) -> None:
    order = await shop.issued(reseller="代购甲")
    order_no, ticket_no = order["order_no"], order["tickets"][0]["ticket_no"]
    paths = [f"/v1/orders/{order_no}", f"/v1/tickets/{ticket_no}", "/v1/orders"]
    for who, shown in (
        (bearer("distributor", "dst_1"), True),
        (bearer("reseller", "dst_1", reseller="代购甲"), True),
        (bearer("operator"), False),
    ):
        for path in paths:
            answer = await shop.get(path, by=who)
            assert (path, answer.status_code, "SM1." in answer.text) == (path, 200, shown)
    paid = await shop.post(f"/v1/orders/{order_no}/pay", by=bearer("operator"))
    assert (paid.status_code, "SM1." in paid.text) == (200, False)
