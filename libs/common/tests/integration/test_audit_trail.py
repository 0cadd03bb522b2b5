"""The audit trail: whatever is done to its rows, the first that no longer fits is named."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from sqlalchemy import MetaData, delete, insert, select, update

from shanmen.common.audit import (
    AUDIT,
    EMPTY,
    GENESIS,
    Fault,
    Head,
    append,
    hash_of,
    head,
    page,
    verify,
)
from shanmen.common.db import Database, Tx
from shanmen.common.testing.databases import TemplateDatabases

NOON: Final = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
ROWS: Final = 30
FIELDS: Final = ("at", "actor", "action", "subject", "details", "prev_hash", "hash")

Expected = tuple[int, bool]
"""The first bad row, and whether it takes a head noted elsewhere to see it."""
Tampering = Callable[[Tx, random.Random], Awaitable[Expected]]


@pytest.fixture
async def database(template_databases: TemplateDatabases) -> AsyncIterator[Database]:
    """A database with an empty trail, and no triggers in the way."""
    url = await template_databases.empty()
    database = Database(url)
    metadata = MetaData()
    AUDIT.to_metadata(metadata)
    async with database.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield database
    await database.close()
    await template_databases.drop(url)


async def add_rows(database: Database, count: int) -> Head:
    async with database.transaction() as tx:
        for number in range(count):
            await append(
                tx,
                at=NOON + timedelta(microseconds=number),
                actor=f"person {number % 3}",
                action="remit",
                subject=f"pay_{number}",
                details={"金额": number, "account": None, "note": 'a "quoted"\nword'},
            )
        return await head(tx)


async def row(tx: Tx, seq: int) -> dict[str, Any]:
    found = await tx.execute(select(AUDIT).where(AUDIT.c.seq == seq))
    return dict(found.mappings().one())


def altered(value: Any) -> Any:
    return value + timedelta(microseconds=1) if isinstance(value, datetime) else f"{value}x"


async def change_a_field(tx: Tx, dice: random.Random) -> Expected:
    seq, field = dice.randint(1, ROWS), dice.choice(FIELDS)
    value = altered((await row(tx, seq))[field])
    await tx.execute(update(AUDIT).where(AUDIT.c.seq == seq).values({field: value}))
    return seq, False


async def change_and_hash_again(tx: Tx, dice: random.Random) -> Expected:
    """The row itself looks sound; the next one does not follow it any more."""
    seq = dice.randint(1, ROWS)
    forged = {**await row(tx, seq), "subject": "pay_forged"}
    forged["hash"] = hash_of(forged)
    await tx.execute(update(AUDIT).where(AUDIT.c.seq == seq).values(**forged))
    return (seq, True) if seq == ROWS else (seq + 1, False)


async def delete_some(tx: Tx, dice: random.Random) -> Expected:
    first = dice.randint(1, ROWS)
    last = dice.randint(first, ROWS)
    await tx.execute(delete(AUDIT).where(AUDIT.c.seq.between(first, last)))
    return first, last == ROWS


async def exchange_two(tx: Tx, dice: random.Random) -> Expected:
    first, second = sorted(dice.sample(range(1, ROWS + 1), 2))
    one, other = await row(tx, first), await row(tx, second)
    await tx.execute(delete(AUDIT).where(AUDIT.c.seq.in_([first, second])))
    await tx.execute(insert(AUDIT), [{**one, "seq": second}, {**other, "seq": first}])
    return first, False


async def squeeze_one_in(tx: Tx, dice: random.Random) -> Expected:
    """A forged row with a hash of its own that fits its predecessor; the rest moves up."""
    seq = dice.randint(1, ROWS)
    await tx.execute(update(AUDIT).where(AUDIT.c.seq >= seq).values(seq=AUDIT.c.seq + 1000))
    await tx.execute(update(AUDIT).where(AUDIT.c.seq >= 1000).values(seq=AUDIT.c.seq - 999))
    forged = {**await row(tx, seq + 1), "seq": seq, "prev_hash": "f" * 64}
    await tx.execute(insert(AUDIT).values({**forged, "hash": hash_of(forged)}))
    return seq, False


async def write_anew_from(tx: Tx, dice: random.Random) -> Expected:
    first = dice.randint(1, ROWS)
    last_hash = (await row(tx, first - 1))["hash"] if first > 1 else GENESIS
    for seq in range(first, ROWS + 1):
        forged = {**await row(tx, seq), "actor": "nobody", "prev_hash": last_hash}
        forged["hash"] = last_hash = hash_of(forged)
        await tx.execute(update(AUDIT).where(AUDIT.c.seq == seq).values(**forged))
    return ROWS, True


async def put_one_behind(tx: Tx, _: random.Random) -> Expected:
    forged = {**await row(tx, ROWS), "seq": ROWS + 1, "prev_hash": "f" * 64}
    await tx.execute(insert(AUDIT).values({**forged, "hash": hash_of(forged)}))
    return ROWS + 1, False


TAMPERINGS: Final[tuple[Tampering, ...]] = (
    *(change_a_field, change_and_hash_again, delete_some, exchange_two),
    *(squeeze_one_in, write_anew_from, put_one_behind),
)


async def test_three_hundred_tamperings_are_named(database: Database) -> None:
    noted = await add_rows(database, ROWS)
    dice = random.Random(20261101)  # noqa: S311 - a seeded choice, no secret
    for number in range(300):
        tamper = TAMPERINGS[number % len(TAMPERINGS)]
        async with database.transaction() as tx:
            seq, needs_head = await tamper(tx, dice)
            alone = await verify(tx)
            against_head = await verify(tx, expected_head=noted)
            await tx.rollback()
        seen = (alone and alone.seq, against_head and against_head.seq)
        assert seen == (None if needs_head else seq, seq), f"{number}: {tamper.__name__}"
    async with database.transaction() as tx:
        assert await verify(tx, expected_head=noted) is None


async def test_an_empty_trail_is_sound_unless_a_head_was_noted(database: Database) -> None:
    async with database.transaction() as tx:
        assert await head(tx) == EMPTY
        assert await verify(tx, expected_head=EMPTY) is None
        missing = await verify(tx, expected_head=Head(2, "f" * 64))
    assert missing == Fault(1, "it is missing: the chain went on to row 2")


async def test_an_earlier_head_stays_part_of_the_chain(database: Database) -> None:
    noted = await add_rows(database, 3)
    await add_rows(database, 3)
    async with database.transaction() as tx:
        assert await verify(tx, expected_head=noted) is None
        fault = await verify(tx, expected_head=Head(3, "f" * 64))
    assert fault == Fault(3, "it is not the row whose hash was noted")


async def test_writers_at_the_same_moment_make_one_chain_without_gaps(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.transaction() as tx:
            await append(tx, at=NOON, actor=f"p{number}", action="a", subject="s", details={})
            if number % 4 == 0:
                await tx.rollback()

    await asyncio.gather(*(write(number) for number in range(8)))
    async with database.transaction() as tx:
        assert await verify(tx) is None
        assert (await head(tx)).seq == 6


async def test_pages_go_back_from_the_newest(database: Database) -> None:
    await add_rows(database, 5)
    async with database.transaction() as tx:
        first = await page(tx, before=None, limit=2)
        second = await page(tx, before=4, limit=2)
    assert [r.seq for r in first] == [5, 4, 3]
    assert [r.seq for r in second] == [3, 2, 1]
