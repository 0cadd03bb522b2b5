"""The real processes of a service: they drain on SIGTERM, and lose nothing on SIGKILL."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from shanmen.common.db import Database
from shanmen.common.testing.databases import TemplateDatabases
from shanmen.common.testing.events import QUICK, drain, eventually, outbox_size
from shanmen.common.testing.fixtures import OpenDatabase, OpenTransport
from shanmen.common.testing.queues import put_raw
from shanmen.common.testing.servers import RabbitServer
from shanmen.common.testing.toys.keeper import THINGS_QUEUE, kept_numbers
from shanmen.common.testing.toys.maker import MAKER
from shanmen.common.testing.toys.pair import Pair, open_pair

TOKEN = "shm_test_operator"


@asynccontextmanager
async def process(
    module: str, kind: str, **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of a toy service; killed at the end if it still runs."""
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"shanmen.common.testing.toys.{module}",
        kind,
        env={**os.environ, **variables},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def ended(started: asyncio.subprocess.Process, *, within_s: float = 10) -> int:
    async with asyncio.timeout(within_s):
        return await started.wait()


async def has_kept(pair: Pair, numbers: list[int]) -> bool:
    kept = await pair.kept()
    assert kept == numbers
    return True


async def blocked_by(database: Database, count: int = 1) -> bool:
    """Whether that many sessions wait for a lock."""
    async with database.transaction() as tx:
        waiting = await tx.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )
    return int(waiting or 0) >= count


async def test_a_worker_finishes_what_it_has_and_ends(
    rabbitmq_transport: OpenTransport,
    rabbitmq_server: RabbitServer,
    open_database: OpenDatabase,
    tmp_path: Path,
) -> None:
    pair = await open_pair(rabbitmq_transport, open_database)
    numbers = list(range(50))
    await pair.make(*numbers)
    await drain(pair.maker)
    variables = {
        "DATABASE_URL": pair.keeper_db.url,
        "AMQP_URL": rabbitmq_server.url,
        "RETRY_DELAYS_S": str(list(QUICK.delays_s)),
        "HEARTBEAT_FILE": str(tmp_path / "beat"),
    }
    async with process("keeper", "worker", **variables) as worker:
        async with pair.keeper_db.transaction() as tx:
            await tx.execute(text("LOCK TABLE effects IN EXCLUSIVE MODE"))
            await eventually(lambda: blocked_by(pair.keeper_db), within_s=15)
            worker.send_signal(signal.SIGTERM)
        assert await ended(worker) == 0
    in_hand = await pair.kept()
    assert in_hand
    assert (tmp_path / "beat").exists()
    async with pair.running():
        await eventually(lambda: has_kept(pair, numbers))
    redelivered = sum(size for _, size in pair.transport.batches)
    assert redelivered == len(numbers) - len(in_hand), "what was finished was acked"


async def test_a_worker_that_is_killed_loses_nothing(
    rabbitmq_transport: OpenTransport, rabbitmq_server: RabbitServer, open_database: OpenDatabase
) -> None:
    pair = await open_pair(rabbitmq_transport, open_database)
    numbers = list(range(500))
    await pair.make(*numbers)
    variables = {
        "DATABASE_URL": pair.keeper_db.url,
        "AMQP_URL": rabbitmq_server.url,
        "RETRY_DELAYS_S": str(list(QUICK.delays_s)),
    }
    async with process("keeper", "worker", **variables) as worker:
        await drain(pair.maker)
        await eventually(pair.kept, within_s=15)
        worker.kill()
        assert await ended(worker) == -signal.SIGKILL
    async with pair.running():
        await eventually(lambda: has_kept(pair, numbers))


async def test_an_api_answers_what_it_has_and_ends(
    rabbitmq_transport: OpenTransport,
    rabbitmq_server: RabbitServer,
    open_database: OpenDatabase,
    free_port: Callable[[], int],
) -> None:
    pair = await open_pair(rabbitmq_transport, open_database)
    port = free_port()
    variables = {
        "DATABASE_URL": pair.maker_db.url,
        "AMQP_URL": rabbitmq_server.url,
        "PORT": str(port),
        "TOKEN": TOKEN,
    }
    async with (
        process("maker", "api", **variables) as api,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {TOKEN}"}
        ) as client,
    ):

        async def is_up() -> bool:
            try:
                return (await client.get("/health")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(is_up, within_s=15)
        async with pair.maker_db.transaction() as tx:
            await tx.execute(text("LOCK TABLE things IN EXCLUSIVE MODE"))
            posting = asyncio.create_task(client.post("/v1/things", json={"number": 1}))
            await eventually(lambda: blocked_by(pair.maker_db))
            api.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.TransportError):
                async with httpx.AsyncClient() as late:
                    await eventually_refused(late, port)
        assert (await posting).status_code == 201
        assert await ended(api) == 0
    # The process that took the request also published its event before it ended, or kept it.
    await pair.drain()
    assert await pair.kept() == [1]


async def eventually_refused(client: httpx.AsyncClient, port: int) -> None:
    """Raises httpx.TransportError as soon as nobody listens on the port."""
    while True:
        await client.get(f"http://127.0.0.1:{port}/v1/slow", params={"seconds": 0})


async def test_an_api_whose_port_is_taken_says_so(
    open_database: OpenDatabase, rabbitmq_server: RabbitServer, free_port: Callable[[], int]
) -> None:
    database, port = await open_database(MAKER), free_port()
    variables = {"DATABASE_URL": database.url, "AMQP_URL": rabbitmq_server.url, "PORT": str(port)}
    with socket.create_server(("127.0.0.1", port)):
        async with process("maker", "api", **variables) as api:
            assert api.stderr is not None
            said = (await api.stderr.read()).decode()
            assert await ended(api) != 0
    assert "Address already in use" in said
    assert str(port) in said
    assert "Traceback" not in said


async def test_a_process_that_lacks_its_settings_says_which(tmp_path: Path) -> None:
    async with process("keeper", "worker", DATABASE_POOL="none") as worker:
        assert worker.stderr is not None
        said = (await worker.stderr.read()).decode()
        assert await ended(worker) == 1
    assert "DATABASE_URL" in said
    assert "DATABASE_POOL" in said
    assert "Traceback" not in said


async def test_a_process_whose_clock_was_moved_badly_says_so(
    open_database: OpenDatabase, rabbitmq_server: RabbitServer, tmp_path: Path
) -> None:
    file = tmp_path / "clock"
    file.write_text("tomorrow")
    variables = {
        "DATABASE_URL": (await open_database(MAKER)).url,
        "AMQP_URL": rabbitmq_server.url,
        "CLOCK_SHIFT_FILE": str(file),
    }
    async with process("maker", "worker", **variables) as worker:
        assert worker.stderr is not None
        said = (await worker.stderr.read()).decode()
        assert await ended(worker) == 1
    assert f"{file} must hold one number of seconds" in said
    assert "Traceback" not in said


async def test_a_health_check_believes_a_recent_heartbeat(tmp_path: Path) -> None:
    async def check(beat: Path) -> int:
        variables = {"DATABASE_URL": "postgresql+asyncpg://nowhere", "HEARTBEAT_FILE": str(beat)}
        async with process("keeper", "healthy", **variables) as checking:
            return await ended(checking, within_s=30)

    recent, old = tmp_path / "recent", tmp_path / "old"
    recent.touch()
    old.touch()
    os.utime(old, (0, 0))
    codes = await asyncio.gather(check(recent), check(old), check(tmp_path / "missing"))
    assert list(codes) == [0, 1, 1]


async def test_migrations_of_several_processes_wait_for_each_other(
    template_databases: TemplateDatabases,
) -> None:
    url = await template_databases.empty()
    async with (
        process("keeper", "migrate", DATABASE_URL=url) as first,
        process("keeper", "migrate", DATABASE_URL=url) as second,
    ):
        assert [await ended(first), await ended(second)] == [0, 0]
    database = Database(url)
    assert await kept_numbers(database) == []
    assert await outbox_size(database) == 0
    await database.close()
    await template_databases.drop(url)


async def test_an_operator_lists_and_redrives_what_a_service_gave_up_on(
    rabbitmq_transport: OpenTransport, rabbitmq_server: RabbitServer, open_database: OpenDatabase
) -> None:
    pair = await open_pair(rabbitmq_transport, open_database)
    await put_raw(rabbitmq_server.url, THINGS_QUEUE, b"not an event")
    async with pair.running():
        await eventually(pair.parked)

    async def said_by(command: str) -> str:
        operator = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shanmen.common.testing.toys.keeper", command),
            env={
                **os.environ,
                "DATABASE_URL": pair.keeper_db.url,
                "AMQP_URL": rabbitmq_server.url,
            },
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await operator.communicate()
        assert operator.returncode == 0
        return said.decode()

    assert "not an event of ours" in await said_by("parked")
    assert await said_by("redrive") == f"{THINGS_QUEUE}: 1 sent back\n"
    assert await said_by("parked") == ""
