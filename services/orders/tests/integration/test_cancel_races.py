"""A cancel that the channel carries out races everything else that may become of its order."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from shanmen.contracts.gateway import CancelRequested, DebitRequested
from shanmen.contracts.orders import DebitOrphaned, OrderClosed, OrderPaid, TicketsIssued
from shanmen.orders.ports import OrdersContext
from shanmen.orders.tables import TIMELINE
from shanmen.orders.usecases.closing import cancel_overdue

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop

COUNT = 24
Ahead = Callable[[timedelta], OrdersContext]


async def being_debited(shop: "Shop", number: int) -> tuple[str, str]:
    order_no = (await shop.place(f"A-{number}"))["order_no"]
    return order_no, await shop.pay(order_no)


async def test_cancel_races_the_debits_success(shop: "Shop", second_shop: "Shop") -> None:
    counted: Counter[int] = Counter()
    for number in range(COUNT):
        order_no, operation = await being_debited(shop, number)
        cancelling = second_shop.post(f"/v1/orders/{order_no}/cancel")
        answer, _ = await asyncio.gather(cancelling, shop.told(shop.succeeded(operation)))
        counted[answer.status_code] += 1
    assert set(counted) <= {202, 409}
    assert set((await shop.statuses()).values()) == {"issued"}
    assert len(await shop.sent(CancelRequested)) == counted[202]
    assert len(await shop.sent(OrderPaid)) == len(await shop.sent(TicketsIssued)) == COUNT
    assert await shop.sent(OrderClosed) == await shop.sent(DebitOrphaned) == []


async def test_cancel_races_the_debits_refusal(shop: "Shop", second_shop: "Shop") -> None:
    """First the refusal: nothing to cancel, closed at once. First the cancel: closed by it."""
    counted: Counter[int] = Counter()
    for number in range(COUNT):
        order_no, operation = await being_debited(shop, number)
        cancelling = second_shop.post(f"/v1/orders/{order_no}/cancel")
        answer, _ = await asyncio.gather(cancelling, shop.told(shop.failed(operation)))
        counted[answer.status_code] += 1
    assert set(counted) <= {200, 202}
    assert set((await shop.statuses()).values()) == {"closed_unpaid"}
    assert len(await shop.sent(CancelRequested)) == counted[202]
    assert len(await shop.sent(OrderClosed)) == COUNT
    assert await shop.held() == []


async def test_two_cancels_of_a_debited_order_ask_once(shop: "Shop", second_shop: "Shop") -> None:
    for number in range(COUNT):
        order_no, _ = await being_debited(shop, number)
        path = f"/v1/orders/{order_no}/cancel"
        answers = await asyncio.gather(shop.post(path), second_shop.post(path))
        assert [answer.status_code for answer in answers] == [202, 202]
        assert len({answer.json()["cancel_requested_at"] for answer in answers}) == 1
    assert len(await shop.sent(CancelRequested)) == COUNT


async def test_the_deadline_races_paying_again_and_the_success(
    shop: "Shop", second_shop: "Shop", ahead: Ahead
) -> None:
    """A parked debit is resumed, or cancelled, or has succeeded: never both of the first two."""
    sweeper, counted = ahead(timedelta(hours=1)), Counter[str]()
    for number in range(COUNT):
        order_no, operation = await being_debited(shop, number)
        await shop.told(shop.stuck(operation))

        async def sweep(late_s: float) -> int:
            await asyncio.sleep(late_s)
            return await cancel_overdue(sweeper)

        async def succeed(late_s: float, operation: str) -> None:
            await asyncio.sleep(late_s)
            await second_shop.told(second_shop.succeeded(operation))

        answer, swept, _ = await asyncio.gather(
            shop.post(f"/v1/orders/{order_no}/pay"),
            sweep(0.002 * (number % 4)),
            succeed(0.002 * (number // 4 % 3), operation),
        )
        paying = {202: "resumed", 200: "issued"}.get(answer.status_code)
        counted[paying or answer.json()["code"]] += 1
        counted["swept"] += swept
        assert not (paying == "resumed" and swept)
    assert set(counted) <= {"resumed", "issued", "cancel_in_progress", "swept"}
    assert set((await shop.statuses()).values()) == {"issued"}
    assert len(await shop.sent(DebitRequested)) == COUNT + counted["resumed"]
    assert len(await shop.sent(CancelRequested)) == counted["swept"]
    lost = [row for row in await shop.rows(TIMELINE) if row["after"] == "too_late"]
    assert len(lost) == counted["swept"] >= counted["cancel_in_progress"]
    assert len(await shop.sent(OrderPaid)) == COUNT
    assert await shop.sent(OrderClosed) == []
