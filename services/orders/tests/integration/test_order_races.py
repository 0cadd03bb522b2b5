"""Two things happen to one order at once: exactly one of them does, and both are told right."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text

from shanmen.common.testing.events import eventually, message_of
from shanmen.common.testing.principals import principal
from shanmen.contracts.gateway import CancelRequested, DebitRequested
from shanmen.contracts.orders import OrderClosed, OrderPaid, TicketsIssued
from shanmen.orders.commands import Placement, PlaceOrder
from shanmen.orders.ports import OrdersContext
from shanmen.orders.tables import ORDERS, TICKETS, TIMELINE
from shanmen.orders.usecases.closing import cancel_overdue, close_overdue
from shanmen.orders.usecases.debiting import take_payment
from shanmen.orders.usecases.placing import place_orders

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop

COUNT = 40
Ahead = Callable[[timedelta], OrdersContext]


async def placed(shop: "Shop", count: int = COUNT) -> list[str]:
    views = await asyncio.gather(*(shop.place(f"A-{n}") for n in range(count)))
    return [view["order_no"] for view in views]


async def check(shop: "Shop", closed: set[str], requested: set[str]) -> None:
    """Each order was either closed, with its stock given back once, or debited once."""
    told_closed = [event["order_no"] for event in await shop.sent(OrderClosed)]
    told_requested = [event["order_no"] for event in await shop.sent(DebitRequested)]
    assert sorted(told_closed) == sorted(closed)
    assert sorted(told_requested) == sorted(requested)
    statuses = await shop.statuses()
    assert not closed & requested
    assert closed | requested == set(statuses)
    assert {order_no for order_no, status in statuses.items() if status == "closed_unpaid"} == (
        closed
    )


async def test_cancel_races_pay(shop: "Shop", second_shop: "Shop") -> None:
    orders = await placed(shop)

    async def race(number: int, order_no: str) -> tuple[int, int]:
        first, second = (shop, second_shop) if number % 2 else (second_shop, shop)
        paying = first.post(f"/v1/orders/{order_no}/pay")
        cancelling = second.post(f"/v1/orders/{order_no}/cancel")
        pair = (cancelling, paying) if number % 3 == 0 else (paying, cancelling)
        answers = await asyncio.gather(*pair)
        paid, cancelled = reversed(answers) if number % 3 == 0 else answers
        codes = (paid.json().get("code"), cancelled.json().get("code"))
        assert codes in {(None, None), ("order_closed", None)}, codes
        return paid.status_code, cancelled.status_code

    outcomes: dict[str, tuple[int, int]] = {}
    for start in range(0, COUNT, 4):
        some = list(enumerate(orders))[start : start + 4]
        results = await asyncio.gather(*(race(number, order_no) for number, order_no in some))
        outcomes |= {order_no: result for (_, order_no), result in zip(some, results, strict=True)}

    assert set(outcomes.values()) <= {(202, 202), (409, 200)}
    closed = {order_no for order_no, outcome in outcomes.items() if outcome == (409, 200)}
    await check(shop, closed, set(orders) - closed)
    asked = [event["order_no"] for event in await shop.sent(CancelRequested)]
    assert sorted(asked) == sorted(set(orders) - closed)  # what was debited first, by the channel


async def test_the_deadline_races_pay(shop: "Shop", ahead: Ahead) -> None:
    """The sweeper's clock is ahead of the one that payments are judged by."""
    sweeper, outcomes = ahead(timedelta(hours=1)), Counter[tuple[int, int]]()
    closed, requested = set[str](), set[str]()
    for number in range(COUNT):
        order_no = (await shop.place(f"A-{number}"))["order_no"]

        async def sweep(late_s: float) -> int:
            await asyncio.sleep(late_s)
            return await close_overdue(sweeper)

        paying = shop.post(f"/v1/orders/{order_no}/pay")
        answer, count = await asyncio.gather(paying, sweep(0.0005 * (number % 8)))
        status = answer.status_code
        outcomes[status, count] += 1
        (closed if count else requested).add(order_no)

    assert set(outcomes) <= {(202, 0), (409, 1)}
    await check(shop, closed, requested)


async def test_the_debits_success_races_cancel_and_the_deadline(
    shop: "Shop", second_shop: "Shop", ahead: Ahead
) -> None:
    """An outstanding debit wins always: a cancel that came first was merely asked for."""
    orders = await placed(shop, 20)
    operations = [await shop.pay(order_no) for order_no in orders]
    sweeper = ahead(timedelta(hours=1))
    answers = await asyncio.gather(
        *(second_shop.post(f"/v1/orders/{order_no}/cancel") for order_no in orders),
        shop.told(*(shop.succeeded(operation) for operation in operations)),
        close_overdue(sweeper),
        cancel_overdue(sweeper),
    )
    counted = Counter(answer.json().get("code") for answer in answers[:20])  # type: ignore[union-attr]
    assert set(counted) <= {None, "order_already_paid"}
    assert len(await shop.sent(CancelRequested)) == counted[None]
    lost = [row for row in await shop.rows(TIMELINE) if row["after"] == "too_late"]
    assert len(lost) == counted[None]
    assert set((await shop.statuses()).values()) == {"issued"}
    assert await shop.sent(OrderClosed) == []
    assert len(await shop.sent(TicketsIssued)) == 20


async def test_success_told_to_two_consumers_issues_once(
    shop: "Shop", second_shop: "Shop"
) -> None:
    """The same fact in two events, at two workers at once."""
    orders = await placed(shop, 20)
    for order_no in orders:
        success = shop.succeeded(await shop.pay(order_no))
        await asyncio.gather(shop.told(message_of(success)), second_shop.told(message_of(success)))
    assert len(await shop.rows(TICKETS)) == 2 * 20
    assert len(await shop.sent(OrderPaid)) == len(await shop.sent(TicketsIssued)) == 20


async def test_a_success_that_meets_itself_uncommitted_waits_and_changes_nothing(
    shop: "Shop", second_shop: "Shop"
) -> None:
    (order_no,) = await placed(shop, 1)
    success = shop.succeeded(await shop.pay(order_no))

    async def take_again() -> None:
        async with second_shop.ctx.db.transaction() as tx:
            await take_payment(tx, second_shop.ctx, success)

    async with shop.ctx.db.transaction() as tx:
        await take_payment(tx, shop.ctx, success)
        again = asyncio.create_task(take_again())
        await eventually(lambda: _somebody_waits_for_a_lock(second_shop))
        assert not again.done()
    await again
    assert len(await shop.sent(TicketsIssued)) == 1


async def test_orders_are_written_in_the_order_of_their_numbers(
    shop: "Shop", second_ctx: OrdersContext
) -> None:
    """A list that waits for the first of its numbers holds none of the others."""
    await shop.place("A-0")
    (row,) = await shop.rows(ORDERS)
    rival = {**row, "order_no": "ord_rival", "distributor_order_no": "A-1"}

    def command(number: str) -> PlaceOrder:
        return PlaceOrder(
            principal=principal("distributor", "dst_1"),
            claim=None,
            distributor_order_no=number,
            product_id="prd_1",
            visit_date=row["visit_date"],
            slot=None,
            quantity=2,
            reseller=None,
            reseller_order_no=None,
            pay=False,
            will_wait=False,
        )

    async with shop.ctx.db.transaction() as tx:
        await tx.execute(ORDERS.insert().values(rival))
        listed = asyncio.create_task(place_orders(shop.ctx, [command("A-2"), command("A-1")]))
        await eventually(lambda: _somebody_waits_for_a_lock(shop))
        (other,) = await asyncio.wait_for(place_orders(second_ctx, [command("A-2")]), timeout=3)
    standing = await listed
    assert isinstance(other, Placement)
    assert other.is_new
    assert [one.is_new for one in standing if isinstance(one, Placement)] == [False, False]
    assert len(await shop.rows(ORDERS)) == 3


async def test_paying_anew_races_cancel_after_a_refusal(shop: "Shop", second_shop: "Shop") -> None:
    orders = await placed(shop, 20)
    for order_no in orders:
        await shop.told(shop.failed(await shop.pay(order_no)))
    outcomes: Counter[tuple[int, int]] = Counter()
    for order_no in orders:
        paid, cancelled = await asyncio.gather(
            shop.post(f"/v1/orders/{order_no}/pay"),
            second_shop.post(f"/v1/orders/{order_no}/cancel"),
        )
        outcomes[paid.status_code, cancelled.status_code] += 1
    assert set(outcomes) <= {(202, 202), (409, 200)}
    requested = [event["order_no"] for event in await shop.sent(DebitRequested)]
    closed = [event["order_no"] for event in await shop.sent(OrderClosed)]
    assert len(requested) == 20 + outcomes[202, 202]
    assert len(closed) == len(set(closed)) == outcomes[409, 200]
    assert await shop.held() == sorted(set(orders) - set(closed))


async def test_the_last_two_visits_at_once_complete_the_order(
    shop: "Shop", second_shop: "Shop"
) -> None:
    """Neither may take the other's ticket for unused."""
    for number in range(12):
        order_no = (await shop.issued(f"A-{number}"))["order_no"]
        first, second = await shop.entitlements(order_no)
        await asyncio.gather(
            shop.told(shop.used(order_no, first)), second_shop.told(shop.used(order_no, second))
        )
    assert set((await shop.statuses()).values()) == {"completed"}


async def _somebody_waits_for_a_lock(shop: "Shop") -> bool:
    async with shop.ctx.db.transaction() as tx:
        waiting = await tx.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )
    return bool(waiting)
