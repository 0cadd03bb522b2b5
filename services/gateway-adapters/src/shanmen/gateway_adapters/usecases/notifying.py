"""Channel notifications: verified, kept once, and only ever a hint to query."""

import logging
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Row

from shanmen.common.db import Tx, after_commit
from shanmen.common.errors import NotFound
from shanmen.gateway_adapters.domain.operations import Action, Channel, OperationStatus, Outcome
from shanmen.gateway_adapters.domain.policy import Next
from shanmen.gateway_adapters.errors import NotificationRejected
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.providers.base import Notification, NotificationRefused
from shanmen.gateway_adapters.queries import notifications as queries
from shanmen.gateway_adapters.queries import operations
from shanmen.gateway_adapters.usecases.requesting import reopen

log = logging.getLogger(__name__)

HINT: Final = "hint"


async def take_notification(ctx: GatewayContext, channel: Channel, body: bytes) -> bytes:
    """Take a notification; returns the acknowledgement that stops the channel from resending it.

    Raises NotificationRejected for one that is not believed, for its signature, its addressee, or
    because it does not fit what we asked for: it is kept, alerted, and changes nothing.
    """
    provider = ctx.providers.get(channel)
    if provider is None:
        raise NotFound("channel", channel)
    try:
        notification = provider.read_notification(body)
    except NotificationRefused as refused:
        await _keep(ctx, {"channel": channel, "believed": False, "verdict": refused.code})
        raise _rejection(channel, refused.code) from refused
    verdict = await _take_verified(ctx, channel, notification)
    if verdict != HINT:
        raise _rejection(channel, verdict)
    return provider.acknowledgement(notification)


async def forget_disbelieved(ctx: GatewayContext) -> None:
    """Forget what was not believed and is old, or too much to keep: anybody may post."""
    before = ctx.clock.now() - timedelta(days=ctx.settings.disbelieved_days)
    async with ctx.db.transaction() as tx:
        await queries.forget_disbelieved(tx, before=before, keep=ctx.settings.disbelieved_rows)


async def _take_verified(ctx: GatewayContext, channel: Channel, notification: Notification) -> str:
    async with ctx.db.transaction() as tx:
        operation = await operations.operation(tx, notification.number)
        verdict = _judge(operation, channel, notification)
        is_new = await queries.insert_notification(
            tx,
            {
                "channel": channel,
                "notification_id": notification.notification_id,
                "number": notification.number,
                "status": notification.status,
                "believed": verdict == HINT,
                "verdict": verdict,
            },
        )
        if is_new and verdict == HINT and operation is not None:
            await _look_soon(tx, ctx, operation)
    return verdict


def _judge(operation: Row[Any] | None, channel: Channel, notification: Notification) -> str:
    """Whether it is about an operation of ours, and about that operation's money."""
    if operation is None or operation.channel != channel:
        return "unknown_number"
    if notification.amount_fen not in {None, operation.amount_fen}:
        return "other_amount"
    return HINT


async def _look_soon(tx: Tx, ctx: GatewayContext, operation: Row[Any]) -> None:
    """Bring a planned query forward; look again at what waits for a person, too.

    One that waits for money goes on when a person asks: nothing has happened to it. One that has
    failed is asked about, too, and stays failed unless that says that the money has moved.
    """
    now = ctx.clock.now()
    if operation.status == OperationStatus.PARKED and operation.outcome != Outcome.FUNDS:
        await reopen(tx, operation.operation_id, Next(Action.QUERY, now))
    elif operation.status == OperationStatus.FAILED:
        await operations.hasten_recheck(tx, operation.operation_id, now)
    else:
        await operations.hasten_query(tx, operation.operation_id, now)
    after_commit(tx, "operations", ctx.work_arrived.set)


async def _keep(ctx: GatewayContext, values: dict[str, Any]) -> None:
    async with ctx.db.transaction() as tx:
        await queries.insert_notification(tx, values)


def _rejection(channel: Channel, verdict: str) -> NotificationRejected:
    log.error("notification not believed", extra={"channel": channel, "verdict": verdict})
    return NotificationRejected(f"Not believed: {verdict}.")
