"""Channel notifications: verified, kept once, and only ever a hint to query."""

import logging

from shanmen.common.db import after_commit
from shanmen.common.errors import NotFound
from shanmen.gateway_adapters import queries
from shanmen.gateway_adapters.domain import Channel
from shanmen.gateway_adapters.errors import NotificationRejected
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.providers.base import Notification, NotificationRefused

log = logging.getLogger(__name__)


async def take_notification(ctx: GatewayContext, channel: Channel, body: bytes) -> bytes:
    """Take a notification; returns the acknowledgement that stops the channel from resending.

    Raises NotificationRejected for one that is not believed: it is kept, alerted, and changes
    nothing.
    """
    provider = ctx.providers.get(channel)
    if provider is None:
        raise NotFound("channel", channel)
    try:
        notification = provider.read_notification(body)
    except NotificationRefused as refused:
        await _disbelieve(ctx, channel, refused.code)
        raise NotificationRejected(f"Not believed: {refused.code}.") from refused
    await _believe(ctx, channel, notification)
    return provider.acknowledgement(notification)


async def _believe(ctx: GatewayContext, channel: Channel, notification: Notification) -> None:
    async with ctx.db.transaction() as tx:
        operation = await queries.operation(tx, notification.number)
        known = operation is not None and operation.channel == channel
        is_new = await queries.insert_notification(
            tx,
            {
                "channel": channel,
                "notification_id": notification.notification_id,
                "number": notification.number,
                "status": notification.status,
                "believed": True,
                "verdict": "hint" if known else "unknown_number",
            },
        )
        if is_new and known:
            await queries.hasten_query(tx, notification.number, ctx.clock.now())
            after_commit(tx, "operations", ctx.work_arrived.set)
    if not known:
        log.error("notification about a number that is not ours", extra={"channel": channel})


async def _disbelieve(ctx: GatewayContext, channel: Channel, code: str) -> None:
    log.error("notification not believed", extra={"channel": channel, "code": code})
    async with ctx.db.transaction() as tx:
        await queries.insert_notification(
            tx, {"channel": channel, "believed": False, "verdict": code}
        )
