"""The in-process transport of the single-process mode: a durable queue table, woken in-process.

The same guarantees as the broker's: an event is safe once it is published, is delivered at least
once, goes down the same ladder and ends among the same dead letters, over any restart. One process
consumes; the table lives in a database of its own that no service reads.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from shanmen.common.broker.protocol import (
    BatchHandler,
    DeadLetter,
    Delivery,
    Fate,
    HandlerStopped,
    Ladder,
    Queue,
    TransportDown,
    Verdict,
)
from shanmen.common.db import DATABASE_ERRORS, Database, among, build_metadata
from shanmen.common.events import Message
from shanmen.common.waiting import first_of

METADATA = build_metadata()

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("queue", Text, nullable=False),
    Column("message", JSONB, nullable=False),
    Column("refusals", Integer, nullable=False, server_default="0"),
    Column("reason", Text, nullable=False, server_default=""),
    Column("due_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("parked_at", DateTime(timezone=True)),
    Index("deliveries_due", "queue", "due_at", "id", postgresql_where="parked_at IS NULL"),
)

_IDLE_S = 5.0


class LocalTransport:
    """One process's queues. Every queue is named before the first event is published."""

    def __init__(
        self, database: Database, queues: Sequence[Queue], *, ladder: Ladder | None = None
    ) -> None:
        self._database = database
        self._ladder = ladder or Ladder()
        self._queues = tuple(queues)
        self._arrived = {queue.name: asyncio.Event() for queue in queues}

    async def create_tables(self) -> None:
        """Create the queue table where it is missing."""
        async with self._database.transaction() as tx:
            await tx.run_sync(METADATA.create_all)

    async def publish(self, messages: Sequence[Message]) -> Sequence[Exception | None]:
        """Store one delivery per message and bound queue; see the protocol."""
        routes = [[q for q in self._queues if m.type in q.types] for m in messages]
        rows = [
            {"queue": queue.name, "message": _to_json(message)}
            for message, queues in zip(messages, routes, strict=True)
            for queue in queues
        ]
        woken = {queue.name for queues in routes for queue in queues}
        try:
            async with self._database.transaction() as tx:
                if rows:
                    await tx.execute(insert(DELIVERIES), rows)
        except DATABASE_ERRORS as error:
            raise TransportDown(f"cannot publish: {type(error).__name__}") from error
        for name in woken:
            self._arrived[name].set()
        return [
            None if queues else LookupError(f"{message.type}: unroutable, no queue is bound")
            for message, queues in zip(messages, routes, strict=True)
        ]

    async def consume(self, queue: Queue, handle: BatchHandler, stop: asyncio.Event) -> None:
        """Deliver what is due, oldest first, until `stop`; see the protocol."""
        arrived = self._arrived[queue.name]
        while not stop.is_set():
            arrived.clear()
            try:
                wait_s = await self._deliver_due(queue, handle)
            except (*DATABASE_ERRORS, HandlerStopped):
                wait_s = 1.0
            if wait_s > 0:
                await first_of(stop, arrived, within_s=wait_s)

    async def _deliver_due(self, queue: Queue, handle: BatchHandler) -> float:
        """Deliver one batch; returns how long to wait for the next."""
        waiting = (DELIVERIES.c.queue == queue.name) & DELIVERIES.c.parked_at.is_(None)
        async with self._database.transaction() as tx:
            due = await tx.execute(
                select(DELIVERIES)
                .where(waiting & (DELIVERIES.c.due_at <= func.now()))
                .order_by(DELIVERIES.c.due_at, DELIVERIES.c.id)
                .limit(queue.batch)
            )
            rows = due.all()
            if not rows:
                until_next = await tx.scalar(
                    select(
                        func.extract("epoch", func.min(DELIVERIES.c.due_at) - func.now())
                    ).where(waiting)
                )
                return _IDLE_S if until_next is None else min(_IDLE_S, float(until_next) + 0.001)
        verdicts = await handle([Delivery(_from_json(r.message), r.refusals) for r in rows])
        await self._carry_out(rows, verdicts)
        return 0.0

    async def _carry_out(self, rows: Sequence[Any], verdicts: Sequence[Verdict]) -> None:
        done = [r.id for r, v in zip(rows, verdicts, strict=True) if v.fate is Fate.DONE]
        async with self._database.transaction() as tx:
            await tx.execute(delete(DELIVERIES).where(among(DELIVERIES.c.id, done)))
            for row, verdict in zip(rows, verdicts, strict=True):
                if verdict.fate is not Fate.DONE:
                    await tx.execute(
                        update(DELIVERIES)
                        .where(DELIVERIES.c.id == row.id)
                        .values(self._refused(row.refusals, verdict))
                    )

    def _refused(self, refusals: int, verdict: Verdict) -> dict[str, Any]:
        delays = self._ladder.delays_s
        values: dict[str, Any] = {"refusals": refusals + 1, "reason": verdict.reason[:500]}
        if verdict.fate is Fate.DEAD or refusals >= len(delays):
            return {**values, "parked_at": func.now()}
        return {**values, "due_at": func.now() + timedelta(seconds=delays[refusals])}

    async def dead_letters(self, queue: str) -> Sequence[DeadLetter]:
        """What is parked for a queue, oldest first."""
        async with self._database.transaction() as tx:
            rows = await tx.execute(
                select(DELIVERIES)
                .where((DELIVERIES.c.queue == queue) & DELIVERIES.c.parked_at.is_not(None))
                .order_by(DELIVERIES.c.parked_at, DELIVERIES.c.id)
            )
        return [
            DeadLetter(
                id=row.message["id"],
                queue=queue,
                type=row.message["type"],
                subject=row.message["subject"],
                reason=row.reason,
                refusals=row.refusals,
                parked_at=row.parked_at,
            )
            for row in rows
        ]

    async def redrive(self, queue: str, ids: Collection[str] | None = None) -> int:
        """Make parked messages due again; returns how many."""
        parked = (DELIVERIES.c.queue == queue) & DELIVERIES.c.parked_at.is_not(None)
        if ids is not None:
            parked &= among(DELIVERIES.c.message["id"].astext, ids)
        async with self._database.transaction() as tx:
            moved = await tx.execute(
                update(DELIVERIES)
                .where(parked)
                .values(parked_at=None, refusals=0, due_at=func.now())
            )
        if queue in self._arrived:
            self._arrived[queue].set()
        return moved.rowcount

    async def aclose(self) -> None:
        """Close the queue database."""
        await self._database.close()


def _to_json(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "type": message.type,
        "source": message.source,
        "subject": message.subject,
        "time": message.time.isoformat(),
        "data": dict(message.data),
        "trace": dict(message.trace),
    }


def _from_json(stored: dict[str, Any]) -> Message:
    return Message(**{**stored, "time": datetime.fromisoformat(stored["time"]).astimezone(UTC)})
