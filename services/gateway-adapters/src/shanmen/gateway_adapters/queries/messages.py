"""The SQL of text messages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.common.db import Tx, among
from shanmen.gateway_adapters.domain.messages import MESSAGE, MessageStatus
from shanmen.gateway_adapters.queries.listing import Rows, newest
from shanmen.gateway_adapters.tables import MESSAGES


async def insert_message(tx: Tx, values: Mapping[str, Any]) -> bool:
    """Record a text message; False when its id is known already."""
    added = upsert(MESSAGES).values(values).on_conflict_do_nothing()
    return (await tx.execute(added)).rowcount == 1


async def claim_messages(tx: Tx, *, now: datetime, until: datetime, limit: int) -> Rows:
    """Claim due messages for one attempt each; the rows are as after the claim.

    If nothing more is heard of an attempt, the next one is due at `until`.
    """
    due = (
        select(MESSAGES.c.sms_id)
        .where(MESSAGES.c.status == MessageStatus.OPEN, MESSAGES.c.next_at <= now)
        .order_by(MESSAGES.c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claimed = await tx.execute(
        update(MESSAGES)
        .where(MESSAGES.c.sms_id.in_(due))
        .values(attempts=MESSAGES.c.attempts + 1, next_at=until)
        .returning(MESSAGES)
    )
    return claimed.all()


async def change_message_status(
    tx: Tx,
    sms_id: str,
    target: MessageStatus,
    values: Mapping[str, Any],
    *,
    attempt: int | None = None,
) -> bool:
    """Guarded transition of a message; False when it is not allowed.

    The table of `MESSAGE` says from where; with an `attempt`, it must be the latest one.
    """
    change = (
        update(MESSAGES)
        .where(MESSAGES.c.sms_id == sms_id, among(MESSAGES.c.status, MESSAGE.sources(target)))
        .values({**values, "status": target})
    )
    if attempt is not None:
        change = change.where(MESSAGES.c.attempts == attempt)
    return (await tx.execute(change)).rowcount == 1


async def postpone_message(
    tx: Tx, sms_id: str, attempt: int, *, next_at: datetime, error: str
) -> None:
    """Schedule the attempt after this one, unless that has begun, or the message has ended."""
    await tx.execute(
        update(MESSAGES)
        .where(
            MESSAGES.c.sms_id == sms_id,
            MESSAGES.c.attempts == attempt,
            MESSAGES.c.status == MessageStatus.OPEN,
        )
        .values(next_at=next_at, error=error)
    )


async def list_messages(
    tx: Tx, *, filters: Mapping[str, str | None], after: str | None, limit: int
) -> Rows:
    """Text messages, newest first, one more than `limit`; `after` is the last one seen."""
    return await newest(tx, MESSAGES.c.sms_id, filters=filters, after=after, limit=limit)
