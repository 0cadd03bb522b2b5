"""What orders does by itself, now and again."""

import asyncio

from shanmen.common.housekeeping import HOUR_S, housekeeping
from shanmen.common.service import Job, every
from shanmen.orders.ports import OrdersContext
from shanmen.orders.usecases.closing import SWEEP_LIMIT, cancel_overdue, close_overdue
from shanmen.orders.usecases.delivering import Dispatcher, tidy_webhooks


async def sweep_deadlines(context: OrdersContext) -> None:
    """Close all unpaid orders past their deadline; a parked debit is cancelled first."""
    for sweep in (close_overdue, cancel_overdue):
        while await sweep(context) == SWEEP_LIMIT:
            pass


async def _sweep(context: OrdersContext, stop: asyncio.Event) -> None:
    interval_s = context.settings.deadline_sweep_s
    await every(interval_s, sweep_deadlines, name="payment deadlines").run(context, stop)


async def _listen(context: OrdersContext, stop: asyncio.Event) -> None:
    await context.doorbell.run(stop)


async def _dispatch(context: OrdersContext, stop: asyncio.Event) -> None:
    await Dispatcher(context).run(stop)


JOBS = (
    Job("doorbell", _listen, with_api=True),
    Job("payment deadlines", _sweep),
    Job("webhooks", _dispatch),
    every(HOUR_S, tidy_webhooks, name="webhook housekeeping"),
    housekeeping(),
)
