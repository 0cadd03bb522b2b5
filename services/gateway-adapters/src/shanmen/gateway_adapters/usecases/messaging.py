"""Text messages (短信): asked for once, sent at least once, and kept once by the SMS gateway.

    request (commit) ──▶ claim (commit) ──▶ call the SMS gateway ──▶ sent, failed or again (commit)

A process may die at any arrow: when its claim runs out the message is due again, under the same
request id, by which the SMS gateway tells that it has it already. Phone numbers are looked up for
each attempt and pass through: no row, log or error has one.
"""

import asyncio
import logging
import random
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Row

from shanmen.common.db import Tx
from shanmen.common.errors import Malformed, NotFound, Unavailable
from shanmen.contracts.gateway import SmsRequested
from shanmen.gateway_adapters.domain.messages import MessageStatus, is_too_late, next_try
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.providers.sms.base import SmsAnswer, SmsOutcome, TextMessage
from shanmen.gateway_adapters.providers.sms.templates import NotSendable, prepare_params
from shanmen.gateway_adapters.queries import messages as queries

log = logging.getLogger(__name__)

AT_ONCE: Final = 8
"""Messages that one round sends beside each other."""


async def request_message(tx: Tx, ctx: GatewayContext, request: SmsRequested) -> None:
    """Record a message, to be sent soon; asked for again, it stays what it was at first.

    Raises Malformed when there is no such text, or it cannot be filled in.
    """
    if not request.sms_id or not request.recipient:
        raise Malformed("a text message needs an id and a recipient")
    try:
        params = prepare_params(request.template, request.params)
    except NotSendable as error:
        raise Malformed(f"message {request.sms_id}: {error}") from error
    now = ctx.clock.now()
    await queries.insert_message(
        tx,
        {
            "sms_id": request.sms_id,
            "recipient": request.recipient,
            "template": request.template,
            "params": params,
            "status": MessageStatus.OPEN,
            "next_at": now,
            "requested_at": now,
        },
    )


async def send_due_messages(ctx: GatewayContext) -> None:
    """One round: claim a few due messages, and try to send each."""
    now = ctx.clock.now()
    until = now + timedelta(seconds=ctx.settings.attempt_lease_s)
    async with ctx.db.transaction() as tx:
        claimed = await queries.claim_messages(tx, now=now, until=until, limit=AT_ONCE)
    async with asyncio.TaskGroup() as sending:
        for message in claimed:
            sending.create_task(_send(ctx, message))


async def _send(ctx: GatewayContext, message: Row[Any]) -> None:
    try:
        answer = await _attempt(ctx, message)
        async with ctx.db.transaction() as tx:
            await _record(tx, ctx, message, answer)
    except Exception:
        # The claim runs out, and the same message is due again.
        log.exception("attempt ended without a result", extra={"sms_id": message.sms_id})


async def _attempt(ctx: GatewayContext, message: Row[Any]) -> SmsAnswer:
    if is_too_late(message.requested_at, ctx.clock.now(), ctx.settings.patience()):
        return SmsAnswer(SmsOutcome.REFUSED, "too_late")
    try:
        phone = await _phone(ctx, message.recipient)
    except NotFound:
        return SmsAnswer(SmsOutcome.REFUSED, "unknown_recipient")
    except Unavailable:
        return SmsAnswer(SmsOutcome.RETRY, "catalog_unavailable")
    if not phone:
        return SmsAnswer(SmsOutcome.REFUSED, "no_phone")
    return await ctx.sms.send(TextMessage(message.sms_id, phone, message.template, message.params))


async def _phone(ctx: GatewayContext, recipient: str) -> str | None:
    if recipient != SmsRequested.OPERATIONS:
        return await ctx.contacts.phone(recipient)
    own = ctx.settings.operations_phone
    return None if own is None else own.get_secret_value()


async def _record(tx: Tx, ctx: GatewayContext, message: Row[Any], answer: SmsAnswer) -> None:
    """Write down what came of an attempt; one that is not the latest counts only if it sent."""
    now = ctx.clock.now()
    if answer.outcome is SmsOutcome.SENT:
        values = {"sent_at": now, "provider_ref": answer.provider_ref, "error": None}
        await queries.change_message_status(tx, message.sms_id, MessageStatus.SENT, values)
        return
    jitter = random.random()  # noqa: S311 - spreads retries, guards nothing
    next_at = next_try(
        message.requested_at, now, message.attempts, ctx.settings.patience(), jitter=jitter
    )
    if answer.outcome is SmsOutcome.RETRY and next_at is not None:
        await queries.postpone_message(
            tx, message.sms_id, message.attempts, next_at=next_at, error=answer.code
        )
        return
    has_failed = await queries.change_message_status(
        tx, message.sms_id, MessageStatus.FAILED, {"error": answer.code}, attempt=message.attempts
    )
    if has_failed:
        log.error(
            "text message failed",
            extra={
                "sms_id": message.sms_id,
                "recipient": message.recipient,
                "template": message.template,
                "error": answer.code,
            },
        )
