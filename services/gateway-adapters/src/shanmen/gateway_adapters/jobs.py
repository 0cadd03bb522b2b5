"""What the gateway does by itself: work on operations, send text messages."""

import asyncio

from shanmen.common.housekeeping import housekeeping
from shanmen.common.service import Job, every
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.usecases.messaging import send_due_messages
from shanmen.gateway_adapters.usecases.notifying import forget_disbelieved
from shanmen.gateway_adapters.usecases.operating import Operator


async def _operate(context: GatewayContext, stop: asyncio.Event) -> None:
    await Operator(context).run(stop)


JOBS = (
    Job("operations", _operate),
    every(1.0, send_due_messages, name="messages"),
    every(60.0, forget_disbelieved, name="disbelieved notifications"),
    housekeeping(),
)
