"""The broker killed, stopped or absent, and a message that kills whoever takes it."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from shanmen.common.broker.rabbitmq import RabbitTransport
from shanmen.common.testing.events import QUICK, WatchedTransport, drain, eventually
from shanmen.common.testing.fixtures import OpenDatabase, OpenTransport
from shanmen.common.testing.queues import delete_queues
from shanmen.common.testing.servers import RabbitServer
from shanmen.common.testing.toys.keeper import THINGS_QUEUE
from shanmen.common.testing.toys.pair import Pair, open_pair

RECOVERY_S = 30.0


class Stream:
    """Makes things one after the other until it is stopped."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self.made = 0
        self._stop = asyncio.Event()

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        making = asyncio.create_task(self._make())
        try:
            yield
        finally:
            self._stop.set()
            await making

    async def _make(self) -> None:
        while not self._stop.is_set():
            await self._pair.make(self.made)
            self.made += 1
            await asyncio.sleep(0.002)

    async def kept_for(self, seconds: float) -> None:
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            await self.kept_beyond(len(await self._pair.kept()))

    async def kept_beyond(self, count: int, *, within_s: float = 5.0) -> None:
        async def enough() -> bool:
            return len(await self._pair.kept()) > count

        await eventually(enough, within_s=within_s)


async def test_nothing_is_lost_or_doubled_while_the_broker_dies(
    rabbitmq_transport: OpenTransport,
    rabbitmq_server: RabbitServer,
    open_database: OpenDatabase,
) -> None:
    pair = await open_pair(rabbitmq_transport, open_database)
    stream = Stream(pair)
    async with pair.running():
        async with stream.flowing():
            # RabbitMQ itself loses a quorum queue that was declared within the second before it
            # is killed: the names of new ones go to disk twice a second.
            await stream.kept_for(2.5)
            for _ in range(2):
                await asyncio.to_thread(rabbitmq_server.kill)
                made = stream.made
                await asyncio.to_thread(rabbitmq_server.start)
                # What was made while it was away arrives: relay and consumer came back.
                await stream.kept_beyond(made, within_s=RECOVERY_S)
        await pair.settled(within_s=RECOVERY_S)
    assert await pair.kept() == list(range(stream.made))
    assert await pair.parked() == []
    assert pair.transport.refused == []


async def test_services_outlast_a_shutdown_and_start_without_a_broker(
    rabbitmq_transport: OpenTransport,
    rabbitmq_server: RabbitServer,
    open_database: OpenDatabase,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pair = await open_pair(rabbitmq_transport, open_database)
    stream = Stream(pair)
    try:
        async with pair.running(), stream.flowing():
            await stream.kept_beyond(20)
            await asyncio.to_thread(rabbitmq_server.stop)
            await eventually(lambda: "relay paused" in caplog.text)
        caplog.clear()
        async with pair.running():
            await eventually(lambda: "relay paused" in caplog.text)
            await eventually(lambda: "consumer reconnecting" in caplog.text)
            assert await pair.waiting() > 0
            await asyncio.to_thread(rabbitmq_server.start)
            await pair.settled(within_s=RECOVERY_S)
    finally:
        await asyncio.to_thread(rabbitmq_server.start)
    assert await pair.kept() == list(range(stream.made))
    assert await pair.parked() == []


async def test_a_consumer_comes_back_when_its_queue_is_deleted(
    rabbitmq_transport: OpenTransport, rabbitmq_server: RabbitServer, open_database: OpenDatabase
) -> None:
    pair = await open_pair(rabbitmq_transport, open_database)
    watchful = WatchedTransport(RabbitTransport(rabbitmq_server.url, ladder=QUICK, watchdog_s=0.2))
    pair = replace(
        pair,
        transport=watchful,
        maker=replace(pair.maker, transport=watchful),
        keeper=replace(pair.keeper, transport=watchful),
    )
    async with pair.running():
        await pair.make(1)
        await pair.settled()
        await delete_queues(rabbitmq_server.url, [THINGS_QUEUE], QUICK)
        await pair.make(2)
        await pair.settled(within_s=RECOVERY_S)
    await watchful.aclose()
    assert await pair.kept() == [1, 2]


async def test_a_message_that_kills_its_consumers_is_parked_and_its_neighbours_pass(
    rabbitmq_transport: OpenTransport, rabbitmq_server: RabbitServer, open_database: OpenDatabase
) -> None:
    pair = await open_pair(rabbitmq_transport, open_database)
    numbers, deadly = list(range(1, 31)), 13
    await pair.make(*numbers)
    await drain(pair.maker)

    supervisor = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shanmen.common.testing.toys.supervised",
        env={
            **os.environ,
            "DATABASE_URL": pair.keeper_db.url,
            "AMQP_URL": rabbitmq_server.url,
            "DEADLY_NUMBER": str(deadly),
        },
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        neighbours = [number for number in numbers if number != deadly]
        ((parked_id, reason),) = await eventually(pair.parked, within_s=60)
        assert reason == "delivered too often"

        async def neighbours_are_kept() -> bool:
            return await pair.kept() == neighbours

        await eventually(neighbours_are_kept, within_s=10)
    finally:
        supervisor.send_signal(signal.SIGTERM)
        _, said = await supervisor.communicate()
    assert said.decode().strip() == "deaths: 21", "the delivery limit is twenty redeliveries"

    # The handler is repaired (this process does not die of it), and an operator redrives.
    transport = WatchedTransport(RabbitTransport(rabbitmq_server.url, ladder=QUICK))
    assert await transport.redrive(THINGS_QUEUE, [parked_id]) == 1
    await transport.aclose()

    async def all_are_kept() -> bool:
        return await pair.kept() == numbers

    async with pair.running():
        await eventually(all_are_kept)
