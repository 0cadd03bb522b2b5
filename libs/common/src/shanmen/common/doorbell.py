"""Lets a request wait for what another process does, woken by PostgreSQL's NOTIFY.

A NOTIFY serialises commits, so one is sent only for keys that somebody is recorded as waiting for.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy import Column, DateTime, MetaData, Table, Text, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from shanmen.common.db import Tx, among, asyncpg_dsn
from shanmen.common.waiting import first_of

log = logging.getLogger(__name__)

CHANNEL = "shanmen_doorbell"

WAITERS = Table(
    "waiters",
    MetaData(),
    Column("key", Text, primary_key=True),
    Column("since", DateTime(timezone=True), nullable=False, server_default=func.now()),
)


async def announce_waiting(tx: Tx, key: str) -> None:
    """Record, with the effect that is waited for, that somebody waits."""
    await tx.execute(insert(WAITERS).values(key=key).on_conflict_do_nothing())


async def ring(tx: Tx, keys: Sequence[str]) -> None:
    """Wake whoever waits for these keys, once the transaction commits."""
    waited_for = await tx.execute(
        delete(WAITERS).where(among(WAITERS.c.key, keys)).returning(WAITERS.c.key)
    )
    for key in waited_for.scalars().all():
        await tx.execute(select(func.pg_notify(CHANNEL, key)))


class Doorbell:
    """The listening end, one per process that answers requests."""

    def __init__(self, database_url: str) -> None:
        self._dsn = asyncpg_dsn(database_url)
        self._waiting: dict[str, set[asyncio.Event]] = {}

    @asynccontextmanager
    async def watching(self, key: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set when the key is rung; enter before making the effect."""
        bell = asyncio.Event()
        self._waiting.setdefault(key, set()).add(bell)
        try:
            yield bell
        finally:
            self._waiting[key].discard(bell)
            if not self._waiting[key]:
                del self._waiting[key]

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until told to stop, over any number of lost connections."""
        while not stop.is_set():
            try:
                await self._listen(stop)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                log.warning("doorbell reconnecting", extra={"reason": type(error).__name__})
                await first_of(stop, within_s=1.0)

    async def _listen(self, stop: asyncio.Event) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=5)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _connection: lost.set())
        try:
            await connection.add_listener(CHANNEL, lambda *args: self._rung(str(args[3])))
            self._ring_everyone()  # whatever was rung while nobody listened is looked at again
            while not stop.is_set() and not lost.is_set():
                await first_of(stop, lost, within_s=60)
        finally:
            await connection.close(timeout=2)

    def _rung(self, key: str) -> None:
        for bell in self._waiting.get(key, ()):
            bell.set()

    def _ring_everyone(self) -> None:
        for bells in self._waiting.values():
            for bell in bells:
                bell.set()
