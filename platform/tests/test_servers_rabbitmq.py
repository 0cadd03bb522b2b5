"""A real RabbitMQ of our own: its life, its messages and its privacy."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import pytest
from aio_pika.exceptions import ProbableAuthenticationError

from shanmen.platform.servers.errors import PortTaken, ServerError, ServerMissing
from shanmen.platform.servers.ports import free_port, holder_of, is_free
from shanmen.platform.servers.process import marked_processes
from shanmen.platform.servers.rabbitmq import (
    DIST_PORT_VARIABLE,
    EPMD_PORT_VARIABLE,
    PORT_VARIABLE,
    QUEUE_SETTLING_S,
    EmbeddedRabbitMQ,
    rabbitmq_from_environment,
)
from shanmen.platform.servers.rabbitmq_install import no_service_starts
from shanmen.platform.servers.state import StateDir
from shanmen.platform.servers.throwaway import throwaway_state

VARIABLES = (PORT_VARIABLE, DIST_PORT_VARIABLE, EPMD_PORT_VARIABLE)
DEFAULT_EPMD_PORT = 4369


@pytest.fixture(scope="module")
def state() -> Iterator[StateDir]:
    with throwaway_state() as state:
        yield state


@pytest.fixture(scope="module")
def ports() -> dict[str, str]:
    """Ports of the node by their settings, as a person would give them."""
    return {variable: str(free_port()) for variable in VARIABLES}


@pytest.fixture(scope="module")
def server(state: StateDir, ports: dict[str, str]) -> Iterator[EmbeddedRabbitMQ]:
    """A running node; a test that stops it starts it again."""
    with EmbeddedRabbitMQ(state, environment=ports) as server:
        yield server


async def publish(url: str, queue_name: str, count: int) -> None:
    """Publish messages to a new quorum queue, each confirmed."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue(queue_name, durable=True, arguments={"x-queue-type": "quorum"})
        for number in range(count):
            message = aio_pika.Message(
                str(number).encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT
            )
            await channel.default_exchange.publish(message, queue_name, timeout=20)


async def take_all(url: str, queue_name: str, count: int) -> list[int]:
    """Take `count` messages, in the order in which they come."""
    taken: list[int] = []
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(queue_name)
        async with queue.iterator(timeout=20) as messages:
            async for message in messages:
                await message.ack()
                taken.append(int(message.body))
                if len(taken) == count:
                    break
    return taken


async def test_messages_of_a_quorum_queue_survive_the_death_of_the_node(
    server: EmbeddedRabbitMQ,
) -> None:
    await publish(server.url, "survivors", 20)
    await asyncio.sleep(QUEUE_SETTLING_S)  # nothing tells when the node has flushed the name

    server.kill()
    assert server.pid is None
    server.start()
    assert await take_all(server.url, "survivors", 20) == list(range(20))


async def test_nobody_gets_in_but_our_user(server: EmbeddedRabbitMQ) -> None:
    for login in ("guest:guest", "shanmen:guess"):
        with pytest.raises(ProbableAuthenticationError):
            await aio_pika.connect(f"amqp://{login}@127.0.0.1:{server.port}/")


def test_stop_leaves_no_process_and_no_epmd(
    server: EmbeddedRabbitMQ, state: StateDir, ports: dict[str, str]
) -> None:
    assert not any(is_free(int(port)) for port in ports.values())
    assert len(marked_processes(str(state.path))) > 1  # the node, and its epmd

    server.stop()
    assert server.pid is None
    assert marked_processes(str(state.path)) == []
    assert all(is_free(int(port)) for port in ports.values())
    assert holder_of(DEFAULT_EPMD_PORT) is None
    server.start()


def test_its_secrets_are_readable_by_its_account_alone(
    server: EmbeddedRabbitMQ, state: StateDir
) -> None:
    folder = state.path / "rabbitmq"
    owner = Path(f"/proc/{server.pid}").stat().st_uid
    for file in (folder / "rabbitmq.conf", folder / "node" / ".erlang.cookie"):
        assert file.stat().st_uid == owner
        assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("variable", VARIABLES)
def test_each_taken_port_is_named_with_its_setting(variable: str) -> None:
    with throwaway_state() as state, socket.socket() as listener:
        taken = free_port()
        listener.bind(("127.0.0.1", taken))
        listener.listen()
        ports = {name: str(free_port()) for name in VARIABLES} | {variable: str(taken)}
        server = EmbeddedRabbitMQ(state, environment=ports)
        with pytest.raises(PortTaken, match=f"{taken}.*process {os.getpid()}.*{variable}="):
            server.start()


def test_a_given_broker_is_used_as_it_is() -> None:
    given = rabbitmq_from_environment({"AMQP_URL": "amqp://user:secret@broker.example:5672/shop"})
    assert given is not None
    assert given.url == "amqp://user:secret@broker.example:5672/shop"
    assert rabbitmq_from_environment({}) is None
    with pytest.raises(ServerError, match="AMQP_URL"):
        rabbitmq_from_environment({"AMQP_URL": "https://broker.example"})


def test_services_do_not_start_while_packages_are_installed(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with no_service_starts(policy):
        assert os.access(policy, os.X_OK)
        assert policy.read_text().splitlines() == ["#!/bin/sh", "exit 101"]
    assert not policy.exists()


@pytest.mark.parametrize(("exit_code", "accepted"), [(101, True), (0, False)])
def test_an_administrators_policy_is_kept_and_must_refuse_by_itself(
    tmp_path: Path, exit_code: int, accepted: bool
) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    policy.chmod(0o755)
    if accepted:
        with no_service_starts(policy):
            pass
    else:
        with (
            pytest.raises(ServerMissing, match="would let its own node start"),
            no_service_starts(policy),
        ):
            pytest.fail("nothing may be installed")
    assert policy.read_text() == f"#!/bin/sh\nexit {exit_code}\n"
