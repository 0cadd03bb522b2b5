"""The inbox: every event takes effect exactly once per consumer, whatever is repeated.

A batch is one transaction: record the ids (those recorded before are skipped), apply each effect,
commit, and only then let the transport forget the messages. When one event of a batch fails, the
batch is rolled back and tried again one by one, so that a bad event never holds up its neighbours.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, DateTime, MetaData, Table, Text, delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shanmen.common.broker.protocol import DONE, Delivery, Fate, HandlerStopped, Queue, Verdict
from shanmen.common.db import DATABASE_ERRORS, Database, Tx
from shanmen.common.errors import Malformed, NotYet
from shanmen.common.events import Event, Message, parse_event
from shanmen.common.telemetry import span
from shanmen.common.waiting import first_of

log = logging.getLogger(__name__)

INBOX = Table(
    "inbox",
    MetaData(),
    Column("consumer", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

C = TypeVar("C")


Handler = Callable[[Tx, Any, C], Awaitable[None]]
"""Applies one event inside the given transaction; raises NotYet when it comes too early."""


@dataclass(frozen=True)
class Subscription(Generic[C]):
    """One consuming concern of a service: its queue, and what it does with each event type."""

    queue: Queue
    events: Mapping[str, type[Event]]
    handlers: Mapping[str, Handler[C]]


def subscribe(
    name: str, handlers: Mapping[type[Event], Handler[C]], *, batch: int = 100
) -> Subscription[C]:
    """Declare a concern: its queue's name (`service.concern`) and a handler per event type."""
    return Subscription(
        queue=Queue(name, frozenset(event.TYPE for event in handlers), batch),
        events={event.TYPE: event for event in handlers},
        handlers={event.TYPE: handler for event, handler in handlers.items()},
    )


@dataclass(frozen=True)
class _Parsed:
    message: Message
    event: Event


class Inbox(Generic[C]):
    """Handles the batches of one subscription with the context of its service."""

    def __init__(
        self,
        database: Database,
        subscription: Subscription[C],
        context: C,
        *,
        stop: asyncio.Event | None = None,
    ) -> None:
        self._database = database
        self._subscription = subscription
        self._context = context
        self._stop = stop or asyncio.Event()

    async def handle(self, batch: Sequence[Delivery]) -> Sequence[Verdict]:
        """Apply a batch; one verdict per delivery. Waits while the database is out of reach.

        Raises HandlerStopped when it is told to stop while it waits.
        """
        parsed = [self._parse(delivery) for delivery in batch]
        sound = [item for item in parsed if isinstance(item, _Parsed)]
        if await self._apply_together(sound):
            return [DONE if isinstance(item, _Parsed) else item for item in parsed]
        return [
            await self._apply_alone(item) if isinstance(item, _Parsed) else item for item in parsed
        ]

    def _parse(self, delivery: Delivery) -> "_Parsed | Verdict":
        if delivery.message is None:
            return Verdict(Fate.DEAD, "not an event of ours")
        try:
            event = parse_event(delivery.message, self._subscription.events)
        except Malformed as error:
            return Verdict(Fate.DEAD, str(error))
        return _Parsed(delivery.message, event)

    async def _apply_together(self, items: Sequence[_Parsed]) -> bool:
        """The whole batch in one transaction; False when any of it must be looked at alone."""
        if not items:
            return True
        try:
            await self._when_database_answers(items)
        except HandlerStopped:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is isolated one by one next
            log.debug("batch split", extra={"size": len(items), "reason": _reason(error)})
            return False
        return True

    async def _apply_alone(self, item: _Parsed) -> Verdict:
        try:
            await self._when_database_answers([item])
        except NotYet as error:
            return Verdict(Fate.RETRY, f"not yet: {error}")
        except Malformed as error:
            return Verdict(Fate.DEAD, str(error))
        except HandlerStopped:
            raise
        except Exception as error:
            log.exception(
                "event handler failed",
                extra={"event_id": item.message.id, "event_type": item.message.type},
            )
            return Verdict(Fate.RETRY, _reason(error))
        return DONE

    async def _when_database_answers(self, items: Sequence[_Parsed]) -> None:
        """Apply in one transaction. An outage of our own database is no fault of the events."""
        delay_s = 0.1
        while True:
            try:
                await self._apply(items)
            except DATABASE_ERRORS as error:
                if not is_outage(error):
                    raise
                log.warning("database out of reach, holding a batch")
                if await first_of(self._stop, within_s=delay_s):
                    raise HandlerStopped from error
                delay_s = min(5.0, delay_s * 2)
            else:
                return

    async def _apply(self, items: Sequence[_Parsed]) -> None:
        async with self._database.transaction() as tx:
            new_ids = await self._record(tx, [item.message.id for item in items])
            for item in items:
                if item.message.id in new_ids:
                    new_ids.discard(item.message.id)  # the same id twice in one batch counts once
                    handler = self._subscription.handlers[item.message.type]
                    with span(f"consume {item.message.type}", item.message.trace):
                        await handler(tx, item.event, self._context)

    async def _record(self, tx: Tx, event_ids: Sequence[str]) -> set[str]:
        consumer = self._subscription.queue.name
        # Sorted: two consumers of overlapping batches take the same locks in the same order.
        rows = [{"consumer": consumer, "event_id": key} for key in sorted(set(event_ids))]
        recorded = await tx.execute(
            insert(INBOX).on_conflict_do_nothing().returning(INBOX.c.event_id), rows
        )
        return set(recorded.scalars())


def is_outage(error: Exception) -> bool:
    """Whether an error says that the database cannot be reached, rather than what it answered."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        # 08 connection exception, 57P shutdown or crash, 53 out of resources, 25006 read-only.
        return error.connection_invalidated or str(state or "").startswith(
            ("08", "57P", "53", "25006")
        )
    return isinstance(error, PoolTimeoutError | OSError)


async def forget_old(tx: Tx, *, keep_days: int = 90) -> int:
    """Delete inbox rows too old for any redelivery; returns how many."""
    horizon = func.now() - func.make_interval(0, 0, 0, keep_days)
    return (await tx.execute(delete(INBOX).where(INBOX.c.received_at < horizon))).rowcount


def _reason(error: Exception) -> str:
    """What kind of error it was; its text may quote data and stays in the log's stack trace."""
    return type(error).__name__
