"""Waiting for another process: woken when it commits, and nothing sent when nobody waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy import text

from shanmen.common.db import Database, asyncpg_dsn
from shanmen.common.doorbell import CHANNEL, Doorbell, announce_waiting, ring
from shanmen.common.testing.events import eventually
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.toys.keeper import KEEPER
from shanmen.common.waiting import first_of


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    """A database with the table of who waits."""
    return await open_database(KEEPER)


@asynccontextmanager
async def listening(doorbell: Doorbell, database: Database) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(doorbell.run(stop))
    await eventually(lambda: listeners(database))
    yield
    stop.set()
    await running


async def listeners(database: Database) -> list[int]:
    """The back ends that listen and do nothing else."""
    async with database.transaction() as tx:
        rows = await tx.scalars(
            text(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND query LIKE 'LISTEN%' AND state = 'idle'"
            )
        )
        return list(rows)


async def announce(database: Database, key: str) -> None:
    async with database.transaction() as tx:
        await announce_waiting(tx, key)


async def ring_once(database: Database, *keys: str) -> None:
    async with database.transaction() as tx:
        await ring(tx, keys)


async def test_the_one_who_waits_is_woken_by_the_commit_of_another(database: Database) -> None:
    doorbell = Doorbell(database.url)
    async with (
        listening(doorbell, database),
        doorbell.watching("ord_1") as bell,
        doorbell.watching("ord_2") as other,
    ):
        await announce(database, "ord_1")
        await announce(database, "ord_2")
        async with database.transaction() as tx:
            await ring(tx, ["ord_1", "ord_unknown"])
            assert not await first_of(bell, within_s=0.1), "not before the commit"
        assert await first_of(bell, within_s=2)
        assert not other.is_set()


async def test_every_waiter_of_a_key_is_woken(database: Database) -> None:
    doorbells = [Doorbell(database.url), Doorbell(database.url)]
    async with (
        listening(doorbells[0], database),
        listening(doorbells[1], database),
        doorbells[0].watching("ord_1") as first,
        doorbells[0].watching("ord_1") as second,
        doorbells[1].watching("ord_1") as third,
    ):
        await eventually(lambda: two_listen(database))
        await announce(database, "ord_1")
        await ring_once(database, "ord_1")
        for bell in (first, second, third):
            assert await first_of(bell, within_s=2)


async def two_listen(database: Database) -> bool:
    return len(await listeners(database)) == 2


async def test_nothing_is_sent_when_nobody_waits(database: Database) -> None:
    heard: list[object] = []
    connection = await asyncpg.connect(asyncpg_dsn(database.url))
    await connection.add_listener(CHANNEL, lambda *args: heard.append(args[3]))
    await ring_once(database, "ord_1", "ord_2")
    await announce(database, "ord_2")
    await ring_once(database, "ord_1", "ord_2")
    await ring_once(database, "ord_2")  # it was rung for; nobody has asked again
    await announce(database, "ord_3")
    await ring_once(database, "ord_3")
    await eventually(lambda: "ord_3" in heard)
    assert heard == ["ord_2", "ord_3"]
    await connection.close()


async def test_a_lost_connection_is_replaced_and_nobody_waits_in_vain(database: Database) -> None:
    doorbell = Doorbell(database.url)
    async with listening(doorbell, database), doorbell.watching("ord_1") as bell:
        await announce(database, "ord_1")
        (before,) = await listeners(database)
        async with database.transaction() as tx:
            # Rung in the moment in which nobody listens.
            await tx.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": before})
            await ring(tx, ["ord_1"])
        assert await first_of(bell, within_s=5)
        bell.clear()
        await announce(database, "ord_1")
        await eventually(lambda: listeners(database))
        await ring_once(database, "ord_1")
        assert await first_of(bell, within_s=5)


async def test_a_key_is_forgotten_when_its_last_watcher_leaves(database: Database) -> None:
    doorbell = Doorbell(database.url)
    async with doorbell.watching("ord_1"), doorbell.watching("ord_1"):
        assert len(doorbell._waiting["ord_1"]) == 2
    assert doorbell._waiting == {}
