"""Telling distributors: one notice, and a delivery of it to each endpoint that wants it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row

from shanmen.common.db import Tx
from shanmen.common.ids import new_id
from shanmen.orders.ports import OrdersContext
from shanmen.orders.queries import deliveries
from shanmen.orders.queries import webhooks as queries


async def notify_distributor(
    tx: Tx,
    ctx: OrdersContext,
    *,
    distributor_id: str,
    order_no: str,
    event_type: str,
    data: Mapping[str, Any],
) -> None:
    """Record what a distributor is to be told, in the transaction that makes it true.

    `data` is what the receiver reads, in JSON types; the order's notices are numbered in the order
    in which they come true. Without an endpoint the notice is kept, and can be replayed to one
    that is made later. The order must exist; it is locked until the transaction ends.
    """
    event_id = new_id("whe")
    await queries.insert_event(
        tx,
        {
            "event_id": event_id,
            "distributor_id": distributor_id,
            "order_no": order_no,
            "sequence": await queries.next_sequence(tx, order_no),
            "type": event_type,
            "data": dict(data),
            "occurred_at": ctx.clock.now(),
        },
    )
    wanting = await endpoints_wanting(tx, distributor_id, event_type)
    notice = {"event_id": event_id, "distributor_id": distributor_id, "order_no": order_no}
    await send(tx, ctx, notice, wanting)


async def endpoints_wanting(tx: Tx, distributor_id: str, event_type: str) -> list[str]:
    """The enabled endpoints of a distributor that want to be told of a type."""
    return [
        endpoint.endpoint_id
        for endpoint in await queries.open_endpoints(tx, distributor_id)
        if not endpoint.types or event_type in endpoint.types
    ]


async def send(
    tx: Tx, ctx: OrdersContext, notice: Mapping[str, str], endpoint_ids: Iterable[str]
) -> Sequence[Row[Any]]:
    """Put a notice (`event_id`, `distributor_id`, `order_no`) on its way; returns deliveries."""
    now = ctx.clock.now()
    rows = [
        {
            **notice,
            "delivery_id": new_id("whd"),
            "endpoint_id": endpoint_id,
            "next_attempt_at": now,
            "give_up_at": now + timedelta(seconds=ctx.settings.webhook_give_up_after_s),
            "created_at": now,
        }
        for endpoint_id in sorted(endpoint_ids)
    ]
    return await deliveries.enqueue(tx, rows)
