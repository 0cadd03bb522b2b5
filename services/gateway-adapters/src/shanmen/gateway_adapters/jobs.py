"""What the gateway does by itself: work on operations."""

import asyncio

from shanmen.common.housekeeping import housekeeping
from shanmen.common.service import Job
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.usecases.operating import Operator


async def _operate(context: GatewayContext, stop: asyncio.Event) -> None:
    await Operator(context).run(stop)


JOBS = (Job("operations", _operate), housekeeping())
