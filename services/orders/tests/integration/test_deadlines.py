"""The payment deadline: closes exactly what is due, once."""

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from shanmen.common.clock import ManualClock
from shanmen.common.testing.events import eventually
from shanmen.contracts.gateway import CancelRequested
from shanmen.contracts.orders import OrderClosed
from shanmen.orders.jobs import JOBS, sweep_deadlines
from shanmen.orders.ports import OrdersContext
from shanmen.orders.tables import TIMELINE
from shanmen.orders.usecases import closing

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop


async def test_exactly_what_is_due_is_closed(shop: "Shop", clock: ManualClock) -> None:
    async def placed(number: str) -> str:
        return str((await shop.place(number))["order_no"])

    due, refused, requested, parked, stuck, cancelled, issued = [
        await placed(name)
        for name in ("due", "refused", "requested", "parked", "stuck", "cancelled", "issued")
    ]
    await shop.told(shop.failed(await shop.pay(refused)))
    await shop.pay(requested)
    await shop.told(shop.stuck(await shop.pay(parked)))
    await shop.told(shop.stuck(await shop.pay(stuck), "unknown"))
    await shop.post(f"/v1/orders/{cancelled}/cancel")
    await shop.told(shop.succeeded(await shop.pay(issued)))
    shop.stock.payment_timeout_s = 3600
    later = await placed("later")

    clock.advance(timedelta(minutes=29, seconds=50))
    await sweep_deadlines(shop.ctx)
    assert len(await shop.sent(OrderClosed)) == 1  # the cancelled one
    clock.advance(timedelta(seconds=20))
    for _ in range(2):
        await sweep_deadlines(shop.ctx)

    assert await shop.statuses() == {
        due: "closed_unpaid",
        refused: "closed_unpaid",
        requested: "awaiting_payment",
        parked: "awaiting_payment",
        stuck: "awaiting_payment",
        cancelled: "closed_unpaid",
        issued: "issued",
        later: "awaiting_payment",
    }
    closed = await shop.sent(OrderClosed)
    assert {(event["order_no"], event["reason"]) for event in closed} == {
        (cancelled, "cancelled"),
        (due, "deadline_passed"),
        (refused, "deadline_passed"),
    }
    assert len(closed) == 3
    asked = await shop.sent(CancelRequested)
    assert sorted(event["order_no"] for event in asked) == sorted([parked, stuck])
    wished = [row for row in await shop.rows(TIMELINE) if row["kind"] == "cancel"]
    assert {(row["order_no"], row["after"], row["cause"], row["actor"]) for row in wished} == {
        (order_no, "requested", "deadline_passed", "orders") for order_no in (parked, stuck)
    }
    rows = await shop.rows(TIMELINE)
    causes = [row for row in rows if (row["kind"], row["cause"]) == ("order", "deadline_passed")]
    assert {(row["before"], row["after"], row["actor"]) for row in causes} == {
        ("awaiting_payment", "closed_unpaid", "orders")
    }


async def test_a_parked_debit_past_the_deadline_is_cancelled_and_then_the_order_closed(
    shop: "Shop", clock: ManualClock
) -> None:
    """The operation says by itself when it is certain, and the reason is still the deadline."""
    order_no = (await shop.place())["order_no"]
    operation = await shop.pay(order_no)
    clock.advance(timedelta(hours=1))
    await sweep_deadlines(shop.ctx)
    assert await shop.sent(CancelRequested) == []  # it may be carried out at this moment
    await shop.told(shop.stuck(operation))
    assert [await closing.cancel_overdue(shop.ctx) for _ in range(2)] == [1, 0]
    assert await shop.sent(CancelRequested) == [{"operation_id": operation, "order_no": order_no}]
    assert (await shop.statuses())[order_no] == "awaiting_payment"
    assert await shop.held() == [order_no]
    await shop.told(shop.failed(operation))
    assert await shop.sent(OrderClosed) == [
        {"order_no": order_no, "reason": "deadline_passed", "debit_operation_id": operation}
    ]
    assert (await shop.view(order_no))["cancel_requested_at"] is not None


async def test_a_debit_refused_after_the_deadline_closes_the_order(
    shop: "Shop", clock: ManualClock
) -> None:
    order_no = (await shop.place())["order_no"]
    operation = await shop.pay(order_no)
    clock.advance(timedelta(hours=1))
    await sweep_deadlines(shop.ctx)
    assert (await shop.statuses())[order_no] == "awaiting_payment"
    await shop.told(shop.failed(operation))
    await sweep_deadlines(shop.ctx)
    assert (await shop.statuses())[order_no] == "closed_unpaid"


async def test_a_debit_that_succeeds_after_the_deadline_issues_the_order(
    shop: "Shop", clock: ManualClock
) -> None:
    order_no = (await shop.place())["order_no"]
    operation = await shop.pay(order_no)
    clock.advance(timedelta(hours=1))
    await shop.told(shop.succeeded(operation))
    assert (await shop.view(order_no))["status"] == "issued"


async def test_two_sweepers_close_each_order_once(
    shop: "Shop", second_ctx: OrdersContext, clock: ManualClock
) -> None:
    views = await asyncio.gather(*(shop.place(f"A-{n}") for n in range(60)))
    parked = [view["order_no"] for view in views[:20]]
    for order_no in parked:
        await shop.told(shop.stuck(await shop.pay(order_no)))
    clock.advance(timedelta(hours=1))
    counts = await asyncio.gather(
        *(
            sweep(ctx)
            for sweep in (closing.close_overdue, closing.cancel_overdue)
            for ctx in (shop.ctx, second_ctx)
            for _ in range(3)
        )
    )
    assert sum(counts) == 60
    assert len(await shop.sent(OrderClosed)) == 40
    assert len(await shop.sent(CancelRequested)) == 20
    assert await shop.held() == sorted(parked)


async def test_more_than_one_sweep_can_hold_are_all_closed(
    shop: "Shop", clock: ManualClock
) -> None:
    count = closing.SWEEP_LIMIT + 5
    await asyncio.gather(*(shop.place(f"A-{n}") for n in range(count)))
    clock.advance(timedelta(hours=1))
    await sweep_deadlines(shop.ctx)
    assert list((await shop.statuses()).values()) == ["closed_unpaid"] * count


async def test_the_job_outlives_a_database_that_is_away(
    shop: "Shop", clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One failed sweep must not end the worker."""
    (job,) = [job for job in JOBS if job.name == "payment deadlines"]
    order_no = (await shop.place())["order_no"]
    clock.advance(timedelta(hours=1))
    often = shop.ctx.settings.model_copy(update={"deadline_sweep_s": 0.01})
    ctx = replace(shop.ctx, settings=often)
    async with shop.ctx.db.transaction() as tx:
        await tx.exec_driver_sql("ALTER TABLE orders RENAME TO orders_away")
    stop = asyncio.Event()
    with caplog.at_level(logging.ERROR):
        sweeping = asyncio.create_task(job.run(ctx, stop))
        await eventually(lambda: "job failed" in caplog.text)
        async with shop.ctx.db.transaction() as tx:
            await tx.exec_driver_sql("ALTER TABLE orders_away RENAME TO orders")

        async def closed() -> bool:
            return (await shop.statuses())[order_no] == "closed_unpaid"

        await eventually(closed)
        stop.set()
        await sweeping
