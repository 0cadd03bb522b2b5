"""Delivering notices: in order per order and endpoint, until they are taken or given up.

That an attempt is made is committed before the call, so a process that dies meanwhile leaves a
claim behind that runs out, and the notice is sent again under the same id. Endpoints wait for
nobody but themselves: each has a lane of its own, with a bounded number of calls under way.
"""

import asyncio
import json
import logging
import random
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Row

from shanmen.common.waiting import first_of
from shanmen.orders.domain import DeliveryStatus, retry_delay_s
from shanmen.orders.ports import OrdersContext
from shanmen.orders.ports.webhooks import Answer, Parcel
from shanmen.orders.queries import deliveries
from shanmen.orders.queries import webhooks as queries

log = logging.getLogger(__name__)

JITTER: Final = 0.2
"""A retry comes later by up to this share of its delay: receivers that recover are not stormed."""

GONE: Final = 410
SWEEP_LIMIT: Final = 1000

_CLAIM_GRACE_S: Final = 20
_TRANSACTIONS_AT_ONCE: Final = 4


class Dispatcher:
    """Delivers what is due, from one process of any number."""

    def __init__(self, ctx: OrdersContext) -> None:
        self._ctx = ctx
        self._lanes: dict[str, asyncio.Task[None]] = {}
        # However many endpoints there are, the pool is there for others as well.
        self._turns = asyncio.Semaphore(_TRANSACTIONS_AT_ONCE)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop`; then finish what is under way."""
        while not stop.is_set():
            try:
                await self._open_lanes(stop)
            except Exception:
                log.exception("due webhooks not read, tried again later")
            await first_of(stop, within_s=self._ctx.settings.webhook_poll_s)
        await asyncio.gather(*self._lanes.values())

    async def _open_lanes(self, stop: asyncio.Event) -> None:
        async with self._turns, self._ctx.db.transaction() as tx:
            endpoint_ids = await deliveries.endpoints_with_work(tx, self._ctx.clock.now())
        for endpoint_id in endpoint_ids:
            if endpoint_id not in self._lanes:
                lane = asyncio.create_task(self._work_off(endpoint_id, stop))
                self._lanes[endpoint_id] = lane
                lane.add_done_callback(partial(self._close_lane, endpoint_id))

    def _close_lane(self, endpoint_id: str, _: "asyncio.Task[None]") -> None:
        self._lanes.pop(endpoint_id, None)

    async def _work_off(self, endpoint_id: str, stop: asyncio.Event) -> None:
        """Deliver to one endpoint while anything is due; a free place is filled at once."""
        under_way: set[asyncio.Task[None]] = set()
        try:
            while not stop.is_set():
                places = self._ctx.settings.webhook_concurrency - len(under_way)
                for row in await self._claim(endpoint_id, places):
                    under_way.add(asyncio.create_task(self._deliver(row)))
                if not under_way:
                    return
                _, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        except Exception:
            log.exception("webhooks left for later", extra={"endpoint_id": endpoint_id})
        finally:
            await asyncio.gather(*under_way)

    async def _claim(self, endpoint_id: str, places: int) -> Sequence[Row[Any]]:
        settings, now = self._ctx.settings, self._ctx.clock.now()
        claimed_until = now + timedelta(seconds=settings.webhook_timeout_s + _CLAIM_GRACE_S)
        async with self._turns, self._ctx.db.transaction() as tx:
            return await deliveries.claim(tx, endpoint_id, now, claimed_until, places)

    async def _deliver(self, row: Row[Any]) -> None:
        """One attempt. If its outcome cannot be recorded, it is made again."""
        try:
            answer = await self._ctx.courier.deliver(parcel_of(self._ctx, row))
            async with self._turns:
                await record_answer(self._ctx, row, answer)
        except Exception:
            log.exception("outcome of a webhook lost", extra={"delivery_id": row.delivery_id})


def parcel_of(ctx: OrdersContext, row: Row[Any]) -> Parcel:
    """A claimed delivery as it is posted. Its body is the same at every attempt."""
    secrets = [row.secret]
    if row.former_secret is not None and row.former_secret_until > ctx.clock.now():
        secrets.append(row.former_secret)
    body = {
        "id": row.event_id,
        "type": row.type,
        "timestamp": row.occurred_at.isoformat(),
        "order_no": row.order_no,
        "sequence": row.sequence,
        "data": row.data,
    }
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Parcel(row.url, row.event_id, text.encode(), secrets)


async def record_answer(ctx: OrdersContext, row: Row[Any], answer: Answer) -> None:
    """Write what came of an attempt: taken, tried again later, or given up."""
    now = ctx.clock.now()
    outcome = {"attempt": row.attempts, "last_status": answer.status}
    async with ctx.db.transaction() as tx:
        if answer.is_success:
            await deliveries.finish_delivery(
                tx, row.delivery_id, DeliveryStatus.DELIVERED, now, last_error=None, **outcome
            )
        elif answer.status == GONE or now >= row.give_up_at:
            await deliveries.finish_delivery(
                *(tx, row.delivery_id, DeliveryStatus.GIVEN_UP, now),
                last_error=answer.reason,
                **outcome,
            )
            log.warning("webhook given up", extra={"delivery_id": row.delivery_id})
        else:
            delay_s = retry_delay_s(row.attempts) * (1 + random.uniform(0, JITTER))  # noqa: S311 - spreads load, decides nothing
            again = min(now + timedelta(seconds=delay_s), row.give_up_at)
            await deliveries.postpone_delivery(
                tx, row.delivery_id, again, last_error=answer.reason, **outcome
            )
        if answer.status == GONE:
            await queries.disable_endpoint(
                tx, row.endpoint_id, now, "the endpoint answered 410 Gone"
            )


async def tidy_webhooks(ctx: OrdersContext) -> None:
    """Give up what no endpoint waits for, and delete what is over, in bounded transactions."""
    now = ctx.clock.now()
    before = now - timedelta(days=ctx.settings.webhook_keep_days)
    for sweep, moment in (
        (deliveries.give_up_on_closed_endpoints, now),
        (deliveries.forget_deliveries, before),
        (queries.forget_events, before),
    ):
        is_done = False
        while not is_done:
            async with ctx.db.transaction() as tx:
                is_done = await sweep(tx, moment, SWEEP_LIMIT) < SWEEP_LIMIT
