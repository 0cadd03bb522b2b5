"""What orders does by itself, now and again."""

import asyncio

from shanmen.common.housekeeping import housekeeping
from shanmen.common.service import Job, every
from shanmen.orders.ports import OrdersContext
from shanmen.orders.usecases.closing import SWEEP_LIMIT, close_overdue


async def sweep_deadlines(context: OrdersContext) -> None:
    """Close all unpaid orders past their deadline."""
    while await close_overdue(context) == SWEEP_LIMIT:
        pass


async def _sweep(context: OrdersContext, stop: asyncio.Event) -> None:
    interval_s = context.settings.deadline_sweep_s
    await every(interval_s, sweep_deadlines, name="payment deadlines").run(context, stop)


async def _listen(context: OrdersContext, stop: asyncio.Event) -> None:
    await context.doorbell.run(stop)


JOBS = (
    Job("doorbell", _listen, with_api=True),
    Job("payment deadlines", _sweep),
    housekeeping(),
)
