"""The SQL of what channels notified."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.common.db import Tx
from shanmen.gateway_adapters.queries.listing import Rows
from shanmen.gateway_adapters.tables import NOTIFICATIONS


async def forget_disbelieved(tx: Tx, *, before: datetime, keep: int) -> int:
    """Delete what was not believed and is older, or more than so many; returns how many."""
    disbelieved = NOTIFICATIONS.c.believed.is_(False)
    newest = select(NOTIFICATIONS.c.id).where(disbelieved).order_by(NOTIFICATIONS.c.id.desc())
    last_kept = newest.offset(keep).limit(1).scalar_subquery()
    forgotten = await tx.execute(
        delete(NOTIFICATIONS).where(
            disbelieved,
            or_(NOTIFICATIONS.c.received_at < before, NOTIFICATIONS.c.id <= last_kept),
        )
    )
    return forgotten.rowcount


async def insert_notification(tx: Tx, values: Mapping[str, Any]) -> bool:
    """Keep a notification; False when a believed one came before under the same id."""
    added = upsert(NOTIFICATIONS).values(values).on_conflict_do_nothing()
    return (await tx.execute(added)).rowcount == 1


async def notifications(tx: Tx, *, believed: bool | None, limit: int) -> Rows:
    """The latest notifications."""
    wanted = select(NOTIFICATIONS).order_by(NOTIFICATIONS.c.id.desc()).limit(limit)
    if believed is not None:
        wanted = wanted.where(NOTIFICATIONS.c.believed.is_(believed))
    return (await tx.execute(wanted)).all()
