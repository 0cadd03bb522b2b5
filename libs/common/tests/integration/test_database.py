"""One database per service: transactions, snapshots, migrations."""

import asyncio
from dataclasses import replace

import pytest
from alembic.util import CommandError
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shanmen.common.db import Database, among
from shanmen.common.migrate import check, migrate, with_common_tables
from shanmen.common.testing.databases import TemplateDatabases
from shanmen.common.testing.fixtures import FreshDatabase, OpenDatabase
from shanmen.common.testing.toys.keeper import EFFECTS, KEEPER, kept_numbers
from shanmen.common.testing.toys.maker import MAKER, make_thing
from shanmen.common.waiting import first_of


async def keep(database: Database, *numbers: int) -> None:
    async with database.transaction() as tx:
        rows = [{"thing_no": f"thg_{number}", "number": number} for number in numbers]
        await tx.execute(insert(EFFECTS), rows)


async def test_a_snapshot_sees_one_state_and_cannot_write(open_database: OpenDatabase) -> None:
    database = await open_database(KEEPER)
    await keep(database, 1)
    count = select(func.count()).select_from(EFFECTS)
    async with database.snapshot() as tx:
        before = await tx.scalar(count)
        await keep(database, 2)
        assert await tx.scalar(count) == before == 1
    with pytest.raises(DBAPIError, match="read-only"):
        async with database.snapshot() as tx:
            await tx.execute(insert(EFFECTS).values(thing_no="x", number=3))
    await keep(database, 3)  # on the same pooled connection
    assert await kept_numbers(database) == [1, 2, 3]


async def test_one_statement_serves_lists_of_any_length(open_database: OpenDatabase) -> None:
    database = await open_database(KEEPER)
    await keep(database, 1, 2, 3)
    async with database.transaction() as tx:
        for wanted in ([], [2], [3, 1, 9]):
            found = await tx.scalars(
                select(EFFECTS.c.number).where(among(EFFECTS.c.number, wanted))
            )
            assert set(found) == {1, 2, 3}.intersection(wanted)


async def test_only_a_commit_with_events_wakes_the_relay(open_database: OpenDatabase) -> None:
    database = await open_database(MAKER)

    async def make(number: int, *, fail: bool = False) -> bool:
        database.outbox_written.clear()
        async with database.transaction() as tx:
            await make_thing(tx, number)
            assert not database.outbox_written.is_set()
            if fail:
                raise InterruptedError
        return database.outbox_written.is_set()

    assert await make(1)
    with pytest.raises(InterruptedError):
        await make(2, fail=True)
    async with database.transaction() as tx:
        await tx.execute(text("SELECT 1"))
    assert not database.outbox_written.is_set()


async def test_waits_are_bounded(fresh_database: FreshDatabase) -> None:
    database = Database(await fresh_database(KEEPER), pool_size=2)
    async with database.transaction() as tx:
        settings = {
            name: await tx.scalar(text(f"SHOW {name}"))
            for name in (
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
            )
        }
        assert "0" not in settings.values()
        async with database.transaction(), asyncio.timeout(3):
            with pytest.raises(PoolTimeoutError):
                async with database.transaction():
                    pass
    await database.close()


async def test_a_migrated_database_is_what_the_code_says(
    template_databases: TemplateDatabases,
) -> None:
    url = await template_databases.empty()
    migrate(MAKER.migrations, MAKER.metadata, url)
    migrate(MAKER.migrations, MAKER.metadata, url)  # again: nothing to do
    check(MAKER.migrations, MAKER.metadata, url)
    drifted = with_common_tables(MetaData())
    for table in MAKER.metadata.tables.values():
        if table.name not in drifted.tables:
            table.to_metadata(drifted)
    Table("forgotten", drifted, Column("id", Integer, primary_key=True))
    with pytest.raises(CommandError, match="forgotten"):
        check(MAKER.migrations, drifted, url)
    await template_databases.drop(url)


async def test_fresh_databases_are_apart(open_database: OpenDatabase) -> None:
    first, second = await open_database(KEEPER), await open_database(KEEPER)
    await keep(first, 1)
    assert await kept_numbers(second) == []
    assert replace(KEEPER, name="other").metadata is KEEPER.metadata


async def test_the_first_of_several_events_ends_the_wait() -> None:
    early, late = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, early.set)
    async with asyncio.timeout(2):
        assert await first_of(late, early, within_s=10)
        assert not await first_of(late, within_s=0.01)
