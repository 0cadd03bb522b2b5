"""The relay: every committed outbox row is published, by however many relays and writers."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from shanmen.common.broker.protocol import TransportDown
from shanmen.common.db import Database
from shanmen.common.events import Message
from shanmen.common.outbox import Relay
from shanmen.common.testing.clients import NoTransport
from shanmen.common.testing.events import eventually, outbox_size
from shanmen.common.testing.fixtures import FreshDatabase, OpenDatabase
from shanmen.common.testing.toys.maker import MAKER, make_thing


class Recorder(NoTransport):
    """Publishes into a list; can be down, and can lose its answer."""

    def __init__(self) -> None:
        self.published: Counter[int] = Counter()
        self.is_down = False
        self.loses_answers = False
        self.attempts = 0

    async def publish(self, messages: Sequence[Message]) -> Sequence[Exception | None]:
        self.attempts += 1
        if self.is_down:
            raise TransportDown("down")
        await asyncio.sleep(0.001)
        self.published.update(message.data["number"] for message in messages)
        if self.loses_answers:
            await asyncio.get_running_loop().create_future()
        return [None] * len(messages)


async def make(database: Database, *numbers: int) -> None:
    async with database.transaction() as tx:
        for number in numbers:
            await make_thing(tx, number)


async def test_slow_writers_and_two_relays_miss_nothing(fresh_database: FreshDatabase) -> None:
    """A reader that remembers the last id it saw misses rows that commit late."""
    url = await fresh_database(MAKER)
    writing = Database(url, pool_size=12)
    relaying = [Database(url, pool_size=2) for _ in range(2)]
    transport, stop = Recorder(), asyncio.Event()
    chance = random.Random(20261101)  # noqa: S311 - only varies how long a commit takes

    async def write(writer: int) -> None:
        for turn in range(20):
            async with writing.transaction() as tx:
                await make_thing(tx, 1 + writer * 1_000 + turn)
                await asyncio.sleep(chance.uniform(0, 0.02))

    async with asyncio.TaskGroup() as group:
        for database in relaying:
            group.create_task(Relay(database, transport, batch=7, idle_s=0.001).run(stop))
        await asyncio.gather(*(write(writer) for writer in range(12)))
        await eventually(lambda: transport.published.total() >= 240)
        stop.set()
    expected = {1 + writer * 1_000 + turn for writer in range(12) for turn in range(20)}
    assert set(transport.published) == expected
    assert set(transport.published.values()) == {1}, "while nothing fails, nothing is repeated"
    assert await outbox_size(writing) == 0
    for database in (writing, *relaying):
        await database.close()


async def test_events_of_one_transaction_leave_in_their_order(open_database: OpenDatabase) -> None:
    database, transport = await open_database(MAKER), Recorder()
    await make(database, 3, 1, 2)
    assert await Relay(database, transport).publish_batch() == 3
    assert list(transport.published) == [3, 1, 2]


async def test_rows_wait_while_the_transport_is_down(open_database: OpenDatabase) -> None:
    database, transport, stop = await open_database(MAKER), Recorder(), asyncio.Event()
    transport.is_down = True
    await make(database, 1, 2)
    relaying = asyncio.create_task(Relay(database, transport, idle_s=0.01).run(stop))
    await eventually(lambda: transport.attempts >= 1)
    assert await outbox_size(database) == 2
    transport.is_down = False
    await eventually(lambda: len(transport.published) == 2)
    stop.set()
    await relaying
    assert await outbox_size(database) == 0


async def test_a_relay_that_dies_after_publishing_publishes_again(
    open_database: OpenDatabase,
) -> None:
    database, transport = await open_database(MAKER), Recorder()
    await make(database, 1, 2)
    transport.loses_answers = True
    dying = asyncio.create_task(Relay(database, transport).publish_batch())
    await eventually(lambda: len(transport.published) == 2)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    transport.loses_answers = False
    assert await Relay(database, transport).publish_batch() == 2
    assert transport.published == {1: 2, 2: 2}
    assert await outbox_size(database) == 0


async def test_a_claimed_row_is_left_alone_by_another_relay(open_database: OpenDatabase) -> None:
    database, transport, idle = await open_database(MAKER), Recorder(), Recorder()
    await make(database, 1)
    transport.loses_answers = True
    holding = asyncio.create_task(Relay(database, transport).publish_batch())
    await eventually(lambda: transport.published)
    assert await Relay(database, idle).publish_batch() == 0
    holding.cancel()
    await asyncio.wait([holding])
