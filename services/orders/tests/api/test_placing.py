"""Placing orders over HTTP: the snapshot, repeats of every kind, refusals with nothing left."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shanmen.common.idempotency import IDEMPOTENCY_KEYS
from shanmen.contracts.catalog import ReservationRefused
from shanmen.contracts.gateway import DebitRequested
from shanmen.contracts.orders import OrderClosed, OrderPlaced
from shanmen.orders.tables import ORDERS, TIMELINE

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop

Bearer = Callable[..., dict[str, str]]


async def test_an_order_is_placed(shop: "Shop") -> None:
    body = shop.order_body(
        "A/2026-1", slot="上午", reseller="代购甲", reseller_order_no="R.7", quantity=3
    )
    answer = await shop.post("/v1/orders", body)
    assert answer.status_code == 201, answer.text
    view = answer.json()
    order_no = view["order_no"]
    assert view == {
        "order_no": order_no,
        "distributor_id": "dst_1",
        "distributor_order_no": "A/2026-1",
        "reseller": "代购甲",
        "reseller_order_no": "R.7",
        "kind": "single",
        "product_id": "prd_1",
        "product_name": "黄山一日票",
        "visit_date": "2026-11-05",
        "slot": "上午",
        "quantity": 3,
        "unit_price_fen": 10_000,
        "price_fen": 30_000,
        "fee_fen": 60,
        "amount_fen": 30_060,
        "debited_fen": 0,
        "refunded_fen": 0,
        "currency": "CNY",
        "status": "awaiting_payment",
        "refund_status": "none",
        "payment": {
            "state": "none",
            "reason": None,
            "operation_id": None,
            "short_since": None,
            "deadline": view["payment"]["deadline"],
        },
        "cancel_requested_at": None,
        "tickets": [],
        "placed_at": view["placed_at"],
        "updated_at": view["placed_at"],
        "version": 1,
    }
    assert view["placed_at"].startswith("2026-11-01T04:00:0")
    assert view["payment"]["deadline"].startswith("2026-11-01T04:30:0")  # half an hour
    assert await shop.view(order_no) == view
    (command,) = shop.stock.taken
    assert (command.order_no, command.distributor_id, command.quantity) == (order_no, "dst_1", 3)


async def test_what_is_told_and_kept_of_placing(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    assert await shop.sent(OrderPlaced) == [
        {"order_no": order_no, "distributor_id": "dst_1", "product_id": "prd_1"}
    ]
    (entry,) = (await shop.get(f"/v1/orders/{order_no}/timeline")).json()["entries"]
    assert (
        entry.items()
        >= {
            "kind": "order",
            "before": None,
            "after": "awaiting_payment",
            "cause": "placed",
        }.items()
    )
    assert await shop.sent(DebitRequested) == []


async def test_an_order_is_placed_and_paid_in_one_call(shop: "Shop") -> None:
    answer = await shop.post("/v1/orders", shop.order_body(pay=True))
    view = answer.json()
    assert (answer.status_code, view["payment"]["state"]) == (202, "requested")
    assert answer.headers["location"] == f"/v1/orders/{view['order_no']}"
    assert await shop.sent(DebitRequested) == [
        {
            "operation_id": view["payment"]["operation_id"],
            "order_no": view["order_no"],
            "account": {"account_id": "acc_payer", "channel": "alipay"},
            "amount_fen": 20_060,
            "description": "黄山一日票 x2",
        }
    ]
    rows = await shop.rows(TIMELINE)
    assert [(row["kind"], row["before"], row["after"]) for row in rows] == [
        ("order", None, "awaiting_payment"),
        ("debit", "none", "requested"),
    ]


async def test_an_order_keeps_its_price_when_the_price_changes(shop: "Shop") -> None:
    before = await shop.place("A-1")
    shop.stock.price_fen, shop.stock.fee_fen = 99_999, 600
    after = await shop.place("A-2")
    assert (before["amount_fen"], after["amount_fen"]) == (20_060, 200_598)
    await shop.pay(before["order_no"])
    assert [event["amount_fen"] for event in await shop.sent(DebitRequested)] == [20_060]
    assert (await shop.view(before["order_no"]))["unit_price_fen"] == 10_000


async def test_the_same_order_again_is_the_same_order(shop: "Shop") -> None:
    first = await shop.place()
    again = await shop.post("/v1/orders", shop.order_body())
    assert (again.status_code, again.json()) == (200, first)
    await shop.told(shop.succeeded(await shop.pay(first["order_no"])))
    later = await shop.post("/v1/orders", shop.order_body(pay=True))
    assert (later.status_code, later.json()) == (200, await shop.view(first["order_no"]))
    assert len(shop.stock.taken) == 1
    assert len(await shop.sent(DebitRequested)) == 1


OTHER_CONTENT: list[dict[str, Any]] = [
    {"quantity": 1},
    {"product_id": "prd_2"},
    {"visit_date": "2026-11-06"},
    {"visit_date": None},
    {"slot": "上午"},
    {"reseller": "代购乙"},
    {"reseller_order_no": "R-2"},
]


async def test_another_order_under_the_same_number_is_refused(shop: "Shop") -> None:
    first = await shop.place()
    for change in OTHER_CONTENT:
        answer = await shop.post("/v1/orders", shop.order_body() | change)
        refused = (answer.status_code, answer.json()["code"])
        assert (change, *refused) == (change, 409, "duplicate_distributor_order_no")
    assert await shop.held() == [first["order_no"]]


async def test_two_distributors_may_use_the_same_number(shop: "Shop", bearer: Bearer) -> None:
    first = await shop.place()
    other = bearer("distributor", "dst_2")
    answer = await shop.post("/v1/orders", shop.order_body(), by=other)
    assert answer.status_code == 201
    assert answer.json()["order_no"] != first["order_no"]


async def test_a_key_gives_the_first_answer_again_to_the_byte(shop: "Shop") -> None:
    body = shop.order_body(pay=True)
    first = await shop.post("/v1/orders", body, Idempotency_Key="k1")
    await shop.told(shop.succeeded(first.json()["payment"]["operation_id"]))
    again = await shop.post("/v1/orders", body, Idempotency_Key="k1")
    assert "idempotency-replayed" not in first.headers
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    other = await shop.post("/v1/orders", body | {"quantity": 1}, Idempotency_Key="k1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(shop.stock.taken) == 1


async def test_giving_a_standing_order_again_is_an_answer_that_its_key_keeps(
    shop: "Shop",
) -> None:
    order = await shop.place()
    second = await shop.post("/v1/orders", shop.order_body(), Idempotency_Key="k2")
    await shop.pay(order["order_no"])  # now it looks different
    again = await shop.post("/v1/orders", shop.order_body(), Idempotency_Key="k2")
    assert (again.status_code, again.content) == (200, second.content)
    assert again.headers["idempotency-replayed"] == "true"
    other = await shop.post("/v1/orders", shop.order_body("A-2"), Idempotency_Key="k2")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_refusal_is_not_kept_under_its_key(shop: "Shop") -> None:
    shop.stock.left = 0
    refused = await shop.post("/v1/orders", shop.order_body(), Idempotency_Key="k1")
    shop.stock.left = 2
    placed = await shop.post("/v1/orders", shop.order_body(), Idempotency_Key="k1")
    assert (refused.status_code, placed.status_code) == (409, 201)


def tally(answers: list[httpx.Response]) -> Counter[tuple[int, str | None]]:
    return Counter((answer.status_code, answer.json().get("code")) for answer in answers)


@pytest.mark.parametrize("keyed", [True, False], ids=["same key", "different keys"])
async def test_two_hundred_identical_placements_are_one_order(
    keyed: bool, shop: "Shop", second_shop: "Shop"
) -> None:
    """On two processes at once."""
    shops = [shop, second_shop]
    answers = await asyncio.gather(
        *(
            shops[n % 2].post(
                "/v1/orders", shop.order_body(), Idempotency_Key="k" if keyed else f"k{n}"
            )
            for n in range(200)
        )
    )
    counted = tally(list(answers))
    replayed = sum("idempotency-replayed" in answer.headers for answer in answers)
    assert counted[201, None] - (replayed if keyed else 0) == 1
    assert set(counted) <= {
        (201, None),
        (200, None),
        (409, "idempotency_key_in_use"),
        (503, "unavailable"),
    }
    numbers = {a.json()["order_no"] for a in answers if a.status_code in {200, 201}}
    orders = await shop.rows(ORDERS)
    assert numbers == {row["order_no"] for row in orders}
    assert len(orders) == 1
    assert await shop.held() == [orders[0]["order_no"]]
    assert len(await shop.sent(OrderPlaced)) == 1
    again = await shop.post("/v1/orders", shop.order_body())
    assert again.status_code == 200


async def test_many_orders_at_once_are_each_one_order(shop: "Shop", second_shop: "Shop") -> None:
    """The same fifty numbers from two processes, in opposite order: nobody waits in a circle."""
    numbers = [f"A-{n}" for n in range(50)]
    answers = await asyncio.gather(
        *(shop.post("/v1/orders", shop.order_body(number)) for number in numbers),
        *(second_shop.post("/v1/orders", shop.order_body(number)) for number in reversed(numbers)),
    )
    assert tally(list(answers)) == {(201, None): 50, (200, None): 50}
    assert len(await shop.rows(ORDERS)) == len(await shop.held()) == 50


CATALOG_REFUSALS = [
    (404, "not_found", None),
    (409, "sold_out", None),
    (409, "sale_closed", None),
    (409, "settlement_account_missing", None),
    (422, "past_date", "body.visit_date"),
    (422, "quantity_out_of_range", "body.quantity"),
    (422, "no_stock_entry", "body.visit_date"),
    (422, "visit_date_unfit", "body.visit_date"),
]


async def test_what_catalog_refuses_is_passed_on_and_nothing_is_left(shop: "Shop") -> None:
    for status, code, field in CATALOG_REFUSALS:
        shop.stock.refusal = ReservationRefused(
            status=status, code=code, detail="Because.", field=field
        )
        answer = await shop.post("/v1/orders", shop.order_body(pay=True), Idempotency_Key="k")
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["detail"]) == (
            status,
            code,
            "Because.",
        )
        named = [error["field"] for error in problem.get("errors", [])]
        assert (code, named) == (code, [field] if field else [])
    for table in (ORDERS, TIMELINE, IDEMPOTENCY_KEYS):
        assert await shop.rows(table) == []
    assert await shop.sent(OrderPlaced) == await shop.sent(OrderClosed) == []


async def test_while_catalog_is_down_orders_are_refused_and_catalog_is_not_stormed(
    shop: "Shop",
) -> None:
    shop.stock.down = True
    answers = await asyncio.gather(
        *(shop.post("/v1/orders", shop.order_body(f"A-{n}")) for n in range(40))
    )
    assert tally(list(answers)) == {(503, "unavailable"): 40}
    assert all(answer.headers["retry-after"] == "1" for answer in answers)
    assert shop.stock.calls < 10
    assert await shop.rows(ORDERS) == []


async def test_good_and_bad_orders_that_come_together_do_not_touch_each_other(
    shop: "Shop",
) -> None:
    shop.stock.left = 6
    quantities = [1, 7, 2, 8, 3]  # the second and the fourth ask for more than there is
    answers = await asyncio.gather(
        *(
            shop.post("/v1/orders", shop.order_body(f"A-{n}", quantity=quantity))
            for n, quantity in enumerate(quantities)
        )
    )
    assert [answer.status_code for answer in answers] == [201, 409, 201, 409, 201]
    assert sorted(row["quantity"] for row in await shop.rows(ORDERS)) == [1, 2, 3]


BAD_BODIES: list[tuple[dict[str, Any], str]] = [
    ({"distributor_order_no": ""}, "body.distributor_order_no"),
    ({"distributor_order_no": "x" * 65}, "body.distributor_order_no"),
    ({"distributor_order_no": "号"}, "body.distributor_order_no"),
    ({"distributor_order_no": "a\n"}, "body.distributor_order_no"),
    ({"product_id": ""}, "body.product_id"),
    ({"product_id": "a\x00"}, "body.product_id"),
    ({"visit_date": "tomorrow"}, "body.visit_date"),
    ({"quantity": None}, "body.quantity"),
    ({"quantity": 1.5}, "body.quantity"),
    ({"quantity": 2.0}, "body.quantity"),
    ({"quantity": "2"}, "body.quantity"),
    ({"quantity": True}, "body.quantity"),
    ({"pay": "yes"}, "body.pay"),
    ({"pay": 1}, "body.pay"),
    ({"slot": ""}, "body.slot"),
    ({"slot": "a\x00b"}, "body.slot"),
    ({"reseller": "a\x00b"}, "body.reseller"),
    ({"reseller": "x" * 101}, "body.reseller"),
    ({"price_fen": 1}, "body.price_fen"),
    ({"distributor_id": "dst_2"}, "body.distributor_id"),
]


async def test_bad_fields_are_named(shop: "Shop") -> None:
    for change, field in BAD_BODIES:
        answer = await shop.post("/v1/orders", shop.order_body() | change)
        assert (change, answer.status_code) == (change, 422), answer.text
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert shop.stock.calls == 0


async def test_a_reseller_orders_in_its_own_name(shop: "Shop", bearer: Bearer) -> None:
    reseller = bearer("reseller", "dst_1", reseller="代购甲")
    body = shop.order_body(reseller_order_no="R-1")
    placed = await shop.post("/v1/orders", body, by=reseller)
    assert placed.status_code == 201
    view = placed.json()
    assert (view["distributor_id"], view["reseller"]) == ("dst_1", "代购甲")
    own_name = await shop.post("/v1/orders", body | {"reseller": "代购甲"}, by=reseller)
    assert (own_name.status_code, own_name.json()) == (200, view)
    other_name = await shop.post(
        "/v1/orders", shop.order_body("A-2", reseller="代购乙"), by=reseller
    )
    assert other_name.json()["errors"][0]["field"] == "body.reseller"
    assert (await shop.view(view["order_no"])) == view  # its distributor sees it
