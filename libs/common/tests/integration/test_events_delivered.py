"""An event is published if and only if its fact is committed, and takes effect exactly once."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shanmen.common.db import Tx
from shanmen.common.inbox import Inbox
from shanmen.common.testing.events import deliver, eventually, message_of
from shanmen.common.testing.fixtures import OpenDatabase, OpenTransport
from shanmen.common.testing.toys.events import ThingHappened
from shanmen.common.testing.toys.keeper import (
    KEEPER,
    KeeperContext,
    count_transactions,
    kept_numbers,
)
from shanmen.common.testing.toys.maker import make_thing
from shanmen.common.testing.toys.pair import open_pair


async def test_committed_facts_are_told_and_rolled_back_ones_are_not(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    pair = await open_pair(transport, open_database)

    async def make_and_give_up() -> None:
        async with pair.maker_db.transaction() as tx:
            await make_thing(tx, 1)
            raise InterruptedError

    async with pair.running():
        with pytest.raises(InterruptedError):
            await make_and_give_up()
        await pair.make(2)
        with pytest.raises(DBAPIError, match="things_number_key"):
            await pair.make(2)  # refused by the COMMIT itself, after the event was recorded
        await pair.make(3)
        await pair.settled()
    assert await pair.kept() == [2, 3]
    assert [message.data["number"] for message in pair.transport.published] == [2, 3]


async def test_nothing_is_published_before_the_commit(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    pair = await open_pair(transport, open_database)
    async with pair.running():
        async with pair.maker_db.transaction() as tx:
            await make_thing(tx, 1)
            await pair.make(2)  # another transaction, later and quicker
            await eventually(lambda: pair.transport.published)
            assert [m.data["number"] for m in pair.transport.published] == [2]
        await pair.settled()
    assert await pair.kept() == [1, 2]


async def test_a_commit_wakes_the_relay_at_once(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    pair = await open_pair(transport, open_database)
    pair.maker.settings.relay_poll_s = 60.0
    async with pair.running():
        await pair.make(1)
        await pair.settled(within_s=2.0)
        await pair.make(2)
        await pair.settled(within_s=2.0)
    assert await pair.kept() == [1, 2]


async def test_an_event_published_five_times_takes_effect_once(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    pair = await open_pair(transport, open_database)
    events = [message_of(ThingHappened(thing_no=f"thg_{n}", number=n)) for n in range(20)]
    async with pair.running():
        for _ in range(5):
            await pair.transport.publish(events)
        await eventually(lambda: sum(size for _, size in pair.transport.batches) >= 100)
    assert await pair.kept() == list(range(20))


async def test_the_same_event_twice_in_one_batch_takes_effect_once(
    open_database: OpenDatabase,
) -> None:
    database = await open_database(KEEPER)
    inbox = Inbox(database, KEEPER.subscriptions[0], KeeperContext(database))
    event = message_of(ThingHappened(thing_no="thg_1", number=1))
    verdicts = await deliver(inbox, event, event)
    assert [verdict.fate for verdict in verdicts] == ["done", "done"]
    assert await kept_numbers(database) == [1]


async def test_two_consumers_of_the_same_events_at_once_apply_them_once(
    open_database: OpenDatabase,
) -> None:
    database = await open_database(KEEPER)
    inbox = Inbox(database, KEEPER.subscriptions[0], KeeperContext(database))
    events = [message_of(ThingHappened(thing_no=f"thg_{n}", number=n)) for n in range(50)]
    for _ in range(5):
        await asyncio.gather(
            deliver(inbox, *events), deliver(inbox, *reversed(events)), deliver(inbox, *events)
        )
    assert await kept_numbers(database) == list(range(50))


async def test_what_waits_is_applied_in_one_transaction(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    pair = await open_pair(transport, open_database)
    events = [message_of(ThingHappened(thing_no=f"thg_{n}", number=n)) for n in range(100)]
    await pair.transport.publish(events)
    await pair.drain()
    assert await pair.kept() == list(range(100))
    # The first message may start a batch before the others are there; the rest share.
    assert await count_transactions(pair.keeper_db) <= 10


async def test_effect_and_inbox_row_stand_or_fall_together(open_database: OpenDatabase) -> None:
    database = await open_database(KEEPER)
    fail = True

    async def fail_after_writing(tx: Tx, event: ThingHappened) -> None:
        await tx.execute(
            text("INSERT INTO effects (thing_no, number) VALUES (:no, -1)"), {"no": event.thing_no}
        )
        if fail:
            raise RuntimeError("after the write, before the commit")

    inbox = Inbox(database, KEEPER.subscriptions[0], KeeperContext(database, fail_after_writing))
    event = message_of(ThingHappened(thing_no="thg_1", number=1))
    assert [verdict.fate for verdict in await deliver(inbox, event)] == ["retry"]
    assert await kept_numbers(database) == []
    fail = False
    assert [verdict.fate for verdict in await deliver(inbox, event)] == ["done"]
    assert await kept_numbers(database) == [-1, 1]
