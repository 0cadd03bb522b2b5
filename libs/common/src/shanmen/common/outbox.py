"""The outbox: an event is a row, written in the same transaction as the fact it tells.

`Relay` moves rows to the broker. Rows are claimed with FOR UPDATE SKIP LOCKED, published with
confirms and deleted in that same transaction, so a relay that dies merely lets its claim go and
the rows are published again; consumers do not mind repeats. A cursor `id > last` would miss rows
of transactions that commit late.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from shanmen.common.broker.protocol import Transport
from shanmen.common.db import DATABASE_ERRORS, Database, Tx, among, flag_outbox_written
from shanmen.common.events import Event, Message
from shanmen.common.ids import new_id
from shanmen.common.telemetry import current_trace
from shanmen.common.waiting import first_of

log = logging.getLogger(__name__)

OUTBOX = Table(
    "outbox",
    MetaData(),
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("data", JSONB, nullable=False),
    Column("trace", JSONB, nullable=False),
    Column("refusals", Integer, nullable=False, server_default="0"),
    Column("not_before", DateTime(timezone=True), nullable=False, server_default=func.now()),
)


class Outbox:
    """Writes events of one service into its outbox."""

    def __init__(self, source: str) -> None:
        self.source = source

    async def add(self, tx: Tx, events: Sequence[Event]) -> None:
        """Record events in the transaction of the facts that they tell."""
        if not events:
            return
        time, trace = datetime.now(UTC), current_trace()
        rows = [
            {
                "event_id": new_id("evt"),
                "type": event.TYPE,
                "source": self.source,
                "subject": event.subject(),
                "time": time,
                "data": event.model_dump(mode="json"),
                "trace": trace,
            }
            for event in events
        ]
        await tx.execute(insert(OUTBOX), rows)
        flag_outbox_written(tx)


class Relay:
    """Publishes outbox rows until told to stop; several may run side by side."""

    def __init__(
        self, database: Database, transport: Transport, *, batch: int = 200, idle_s: float = 0.5
    ) -> None:
        self._database = database
        self._transport = transport
        self._batch = batch
        self._idle_s = idle_s

    async def run(self, stop: asyncio.Event) -> None:
        """Publish what waits, then wait for a commit in this process or the next poll."""
        while not stop.is_set():
            self._database.outbox_written.clear()
            try:
                moved = await self.publish_batch()
            except DATABASE_ERRORS as error:
                log.warning("relay paused", extra={"reason": type(error).__name__})
                await first_of(stop, within_s=1.0)
                continue
            if moved < self._batch:
                await first_of(stop, self._database.outbox_written, within_s=self._idle_s)

    async def publish_batch(self) -> int:
        """Publish one batch; returns how many rows were claimed."""
        async with self._database.transaction() as tx:
            claimed = (
                await tx.execute(
                    select(OUTBOX)
                    .where(OUTBOX.c.not_before <= func.now())
                    .order_by(OUTBOX.c.id)
                    .limit(self._batch)
                    .with_for_update(skip_locked=True)
                )
            ).all()
            if not claimed:
                return 0
            refusals = await self._transport.publish([_message(row) for row in claimed])
            sent = [r.id for r, refused in zip(claimed, refusals, strict=True) if refused is None]
            kept = [r for r, refused in zip(claimed, refusals, strict=True) if refused is not None]
            if sent:
                await tx.execute(delete(OUTBOX).where(among(OUTBOX.c.id, sent)))
            for row in kept:
                await self._postpone(tx, row)
        if kept:
            reasons = {str(refused) for refused in refusals if refused is not None}
            log.error("events refused by the broker, kept", extra={"reasons": sorted(reasons)})
        return len(claimed)

    async def _postpone(self, tx: Tx, row: Any) -> None:
        delay = timedelta(seconds=min(60, 2 ** min(row.refusals, 6)))
        await tx.execute(
            update(OUTBOX)
            .where(OUTBOX.c.id == row.id)
            .values(refusals=row.refusals + 1, not_before=func.now() + delay)
        )


def _message(row: Any) -> Message:
    return Message(
        id=row.event_id,
        type=row.type,
        source=row.source,
        subject=row.subject,
        time=row.time,
        data=row.data,
        trace=row.trace,
    )
