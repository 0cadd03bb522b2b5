"""The SQL of circuits."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, case, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.common.db import Tx
from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.tables import CIRCUITS


async def circuits(tx: Tx) -> dict[Channel, Row[Any]]:
    """The circuit of every channel that ever had one, open or closed."""
    rows = await tx.execute(select(CIRCUITS).order_by(CIRCUITS.c.channel))
    return {Channel(row.channel): row for row in rows}


async def open_circuit(
    tx: Tx, channel: Channel, *, now: datetime, next_probe_at: datetime, failures: int
) -> bool:
    """Open a channel's circuit; False when it is open already, and then a failure is counted."""
    opened = upsert(CIRCUITS).values(
        channel=channel, opened_at=now, next_probe_at=next_probe_at, failures=failures
    )
    was_closed = CIRCUITS.c.opened_at.is_(None)
    changed = await tx.execute(
        opened.on_conflict_do_update(
            index_elements=[CIRCUITS.c.channel],
            set_={
                "opened_at": func.coalesce(CIRCUITS.c.opened_at, now),
                "next_probe_at": func.coalesce(CIRCUITS.c.next_probe_at, next_probe_at),
                "failures": case((was_closed, failures), else_=CIRCUITS.c.failures + 1),
            },
        ).returning(CIRCUITS.c.opened_at)
    )
    return bool(changed.scalar_one() == now)


async def close_circuit(tx: Tx, channel: Channel) -> bool:
    """Close a channel's circuit; False when it is closed already."""
    closed = await tx.execute(
        update(CIRCUITS)
        .where(CIRCUITS.c.channel == channel, CIRCUITS.c.opened_at.is_not(None))
        .values(opened_at=None, next_probe_at=None, failures=0)
    )
    return closed.rowcount == 1


async def lock_probe(tx: Tx, channel: Channel, now: datetime) -> bool:
    """Whether this transaction alone may make the next probe of an open circuit now."""
    due = select(CIRCUITS.c.channel).where(
        CIRCUITS.c.channel == channel, CIRCUITS.c.next_probe_at <= now
    )
    found = await tx.execute(due.with_for_update(skip_locked=True))
    return found.one_or_none() is not None


async def plan_probe(tx: Tx, channel: Channel, next_probe_at: datetime) -> None:
    """Say when the probe after this one may be made."""
    await tx.execute(
        update(CIRCUITS)
        .where(CIRCUITS.c.channel == channel, CIRCUITS.c.opened_at.is_not(None))
        .values(next_probe_at=next_probe_at)
    )
