"""Stock that was set aside for an order that never came: given back, and the number given up."""

import asyncio
import functools
from datetime import timedelta
from typing import TYPE_CHECKING

from shanmen.common.clock import ManualClock
from shanmen.common.testing.events import eventually
from shanmen.contracts.catalog import ReservationUnconfirmed
from shanmen.contracts.orders import OrderClosed, OrderPlaced
from shanmen.orders.queries import orders as queries
from shanmen.orders.tables import NEVER_PLACED, ORDERS

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop

RACES = 30


def question(shop: "Shop", order_no: str) -> ReservationUnconfirmed:
    return ReservationUnconfirmed(order_no=order_no, reserved_at=shop.ctx.clock.now())


def has_taken(shop: "Shop", count: int) -> bool:
    return len(shop.stock.taken) == count


async def test_a_lost_answer_leaves_no_order_and_its_stock_comes_back(shop: "Shop") -> None:
    shop.stock.loses_answers = True
    answer = await shop.post("/v1/orders", shop.order_body())
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert await shop.rows(ORDERS) == []
    (lost,) = await shop.held()
    await shop.told(question(shop, lost))
    assert await shop.sent(OrderClosed) == [
        {"order_no": lost, "reason": "never_placed", "debit_operation_id": None}
    ]
    assert await shop.held() == []
    shop.stock.loses_answers = False
    placed = await shop.place()  # the distributor asks again, under the same number
    assert await shop.held() == [placed["order_no"]]


async def test_about_an_order_that_exists_nothing_is_done(
    shop: "Shop", clock: ManualClock
) -> None:
    order_no = (await shop.place())["order_no"]
    clock.advance(timedelta(minutes=10))
    await shop.told(question(shop, order_no), question(shop, order_no))
    assert await shop.sent(OrderClosed) == await shop.rows(NEVER_PLACED) == []
    assert (await shop.view(order_no))["status"] == "awaiting_payment"


async def test_a_number_that_was_given_up_is_never_written(shop: "Shop") -> None:
    """Catalog's answer came so late that its question was answered before."""
    shop.stock.held_up.clear()
    placing = asyncio.create_task(shop.post("/v1/orders", shop.order_body()))
    await eventually(lambda: shop.stock.taken)
    late = shop.stock.taken[0].order_no
    await shop.told(question(shop, late))
    shop.stock.held_up.set()
    answer = await placing
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert await shop.rows(ORDERS) == await shop.sent(OrderPlaced) == []
    assert await shop.sent(OrderClosed) == [
        {"order_no": late, "reason": "never_placed", "debit_operation_id": None}
    ]


async def test_asked_again_about_a_number_given_up_it_is_given_back_again(shop: "Shop") -> None:
    """Told twice is harmless: catalog gives back once."""
    await shop.told(question(shop, "ord_lost"), question(shop, "ord_lost"))
    closed = [event["order_no"] for event in await shop.sent(OrderClosed)]
    assert set(closed) == {"ord_lost"}
    assert len(await shop.rows(NEVER_PLACED)) == 1


async def test_writing_an_order_races_giving_up_its_number(
    shop: "Shop", second_shop: "Shop"
) -> None:
    """Again and again, on two processes: either it stands, or its stock goes back; never both."""
    stands = 0
    for number in range(RACES):
        shop.stock.held_up.clear()
        placing = asyncio.create_task(shop.post("/v1/orders", shop.order_body(f"A-{number}")))
        await eventually(functools.partial(has_taken, shop, number + 1))
        order_no = shop.stock.taken[-1].order_no
        giving_up = asyncio.create_task(second_shop.told(question(shop, order_no)))
        await asyncio.sleep(0.0005 * (number % 8))
        shop.stock.held_up.set()
        answer, _ = await asyncio.gather(placing, giving_up)
        assert answer.status_code in {201, 503}
        stands += answer.status_code == 201

    orders = {row["order_no"] for row in await shop.rows(ORDERS)}
    given_up = {row["order_no"] for row in await shop.rows(NEVER_PLACED)}
    closed = [event["order_no"] for event in await shop.sent(OrderClosed)]
    assert len(orders) == stands
    assert not orders & given_up
    assert orders | given_up == {command.order_no for command in shop.stock.taken}
    assert sorted(closed) == sorted(given_up)
    assert await shop.held() == sorted(orders)


async def test_giving_up_waits_for_the_order_that_is_being_written(
    shop: "Shop", second_shop: "Shop"
) -> None:
    """The order is written and not committed yet: the question is answered when it is."""
    async with shop.ctx.db.transaction() as tx:
        await queries.lock_numbers(tx, ["ord_1"])
        giving_up = asyncio.create_task(second_shop.told(question(shop, "ord_1")))
        await asyncio.sleep(0.1)
        assert not giving_up.done()
    await giving_up
