"""Consumers that stop, die or lose their database with events in hand: nothing lost or doubled."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from shanmen.common.broker.protocol import Delivery, Verdict
from shanmen.common.db import Tx
from shanmen.common.inbox import Inbox
from shanmen.common.testing.events import eventually, message_of
from shanmen.common.testing.fixtures import OpenDatabase, OpenTransport
from shanmen.common.testing.servers import PostgresServer
from shanmen.common.testing.toys.events import ThingHappened
from shanmen.common.testing.toys.keeper import KEEPER, count_transactions
from shanmen.common.testing.toys.pair import Pair, open_pair


class Gate:
    """A behaviour that holds every event in hand until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.seen: Counter[int] = Counter()

    async def __call__(self, _tx: Tx, event: ThingHappened) -> None:
        self.seen[event.number] += 1
        self.reached.set()
        await self.open.wait()


async def publish_things(pair: Pair, count: int) -> list[int]:
    numbers = list(range(count))
    things = [ThingHappened(thing_no=f"thg_{number}", number=number) for number in numbers]
    await pair.transport.publish([message_of(thing) for thing in things])
    return numbers


async def test_what_is_in_hand_is_finished_before_the_end(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    gate = Gate()
    pair = await open_pair(transport, open_database, behaviour=gate)
    numbers = await publish_things(pair, 20)
    async with pair.running() as stop:
        await gate.reached.wait()
        stop.set()
        gate.open.set()
    in_hand = await pair.kept()
    assert in_hand
    assert set(gate.seen) == set(in_hand), "nothing new is taken after the request to stop"

    await pair.drain()
    assert await pair.kept() == numbers
    assert set(gate.seen.values()) == {1}, "what was finished is not delivered again"


async def test_a_consumer_that_dies_between_commit_and_ack_does_no_harm(
    transport: OpenTransport, open_database: OpenDatabase
) -> None:
    gate = Gate()
    gate.open.set()
    pair = await open_pair(transport, open_database, behaviour=gate)
    numbers = await publish_things(pair, 20)
    (things,) = KEEPER.subscriptions
    inbox = Inbox(pair.keeper_db, things, pair.keeper.context)
    committed = asyncio.Event()

    async def die_after_commit(batch: Sequence[Delivery]) -> Sequence[Verdict]:
        await inbox.handle(batch)
        committed.set()
        await asyncio.get_running_loop().create_future()
        return []

    dying = asyncio.create_task(
        pair.transport.consume(things.queue, die_after_commit, asyncio.Event())
    )
    await committed.wait()
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    already = await pair.kept()
    assert already

    await pair.drain()
    handled = sum(size for _, size in pair.transport.batches)
    assert handled == len(numbers), "all were delivered again, also those with an effect"
    assert await pair.kept() == numbers
    assert set(gate.seen.values()) == {1}


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_a_batch_outlasts_a_restart_of_its_database(
    transport: OpenTransport,
    open_database: OpenDatabase,
    postgres_server: PostgresServer,
    end: str,
) -> None:
    gate = Gate()
    pair = await open_pair(transport, open_database, behaviour=gate)
    numbers = await publish_things(pair, 20)
    async with pair.running():
        await gate.reached.wait()
        await asyncio.to_thread(getattr(postgres_server, end))
        gate.open.set()
        await eventually(lambda: gate.seen.total() >= 1)
        await asyncio.to_thread(postgres_server.start)
        await eventually(lambda: pair.make(1_000), within_s=10)
        await pair.settled(within_s=15)
    assert await pair.kept() == [*numbers, 1_000]
    assert pair.transport.refused == [], "an outage of ours is no fault of the events"
    assert await count_transactions(pair.keeper_db) < len(numbers), "and no reason to split"


async def test_a_consumer_can_stop_while_its_database_is_away(
    rabbitmq_transport: OpenTransport,
    open_database: OpenDatabase,
    postgres_server: PostgresServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pair = await open_pair(rabbitmq_transport, open_database)
    numbers = await publish_things(pair, 20)
    await asyncio.to_thread(postgres_server.stop)
    try:
        async with asyncio.timeout(5), pair.running():
            await eventually(lambda: "database out of reach, holding a batch" in caplog.text)
    finally:
        await asyncio.to_thread(postgres_server.start)
    assert pair.transport.batches == []
    await pair.drain()
    assert await pair.kept() == numbers
