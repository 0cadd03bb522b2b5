"""Fixtures for every test folder; the root conftest loads them and starts the servers.

`fresh_database`  a migrated, empty database of a service; dropped afterwards
`open_database`   the same, opened
`transport`       opens transports; a test that uses it runs once on each of them
`tokens`          an introspector that issues what the test needs
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import pytest

from shanmen.common.broker.local import LocalTransport
from shanmen.common.broker.protocol import Ladder
from shanmen.common.broker.rabbitmq import RabbitTransport
from shanmen.common.db import Database
from shanmen.common.service import Service
from shanmen.common.testing.databases import TemplateDatabases
from shanmen.common.testing.events import QUICK, WatchedTransport
from shanmen.common.testing.principals import FakeIntrospector
from shanmen.common.testing.queues import declare_queues, delete_queues
from shanmen.common.testing.servers import PostgresServer

FreshDatabase = Callable[[Service[Any, Any]], Awaitable[str]]
OpenDatabase = Callable[[Service[Any, Any]], Awaitable[Database]]


class OpenTransport(Protocol):
    """Opens a transport for services that talk to each other over it."""

    async def __call__(
        self, *services: Service[Any, Any], ladder: Ladder = QUICK
    ) -> WatchedTransport:
        """A transport that knows the queues of all these services."""


@pytest.fixture(scope="session")
def template_databases(postgres_server: PostgresServer) -> TemplateDatabases:
    """The maker of databases on this session's server."""
    return TemplateDatabases(postgres_server)


@pytest.fixture
async def fresh_database(template_databases: TemplateDatabases) -> AsyncIterator[FreshDatabase]:
    """Call it with a Service: the URL of a database of its own."""
    urls: list[str] = []

    async def fresh(service: Service[Any, Any]) -> str:
        urls.append(await template_databases.fresh(service))
        return urls[-1]

    yield fresh
    for url in urls:
        await template_databases.drop(url)


@pytest.fixture
async def open_database(fresh_database: FreshDatabase) -> AsyncIterator[OpenDatabase]:
    """Call it with a Service: a database of its own, opened; closed afterwards."""
    opened: list[Database] = []

    async def open_fresh(service: Service[Any, Any]) -> Database:
        opened.append(Database(await fresh_database(service)))
        return opened[-1]

    yield open_fresh
    for database in opened:
        await database.close()


@pytest.fixture
async def local_transport(
    template_databases: TemplateDatabases,
) -> AsyncIterator[OpenTransport]:
    """Opens in-process transports."""
    opened: list[tuple[str, WatchedTransport]] = []

    async def open_local(*services: Service[Any, Any], ladder: Ladder = QUICK) -> WatchedTransport:
        url = await template_databases.empty()
        queues = [sub.queue for service in services for sub in service.subscriptions]
        local = LocalTransport(Database(url), queues, ladder=ladder)
        await local.create_tables()
        opened.append((url, WatchedTransport(local, ladder=ladder)))
        return opened[-1][1]

    yield open_local
    for url, transport in opened:
        await transport.aclose()
        await template_databases.drop(url)


@pytest.fixture
async def rabbitmq_transport(request: pytest.FixtureRequest) -> AsyncIterator[OpenTransport]:
    """Opens transports to this session's RabbitMQ; what they declared is deleted afterwards."""
    url: str = request.getfixturevalue("rabbitmq_server").url
    opened: list[tuple[WatchedTransport, list[str], Ladder]] = []

    async def open_rabbitmq(
        *services: Service[Any, Any], ladder: Ladder = QUICK
    ) -> WatchedTransport:
        transport = WatchedTransport(RabbitTransport(url, ladder=ladder), ladder=ladder)
        queues = [sub.queue for service in services for sub in service.subscriptions]
        await declare_queues(url, queues, ladder)
        opened.append((transport, [queue.name for queue in queues], ladder))
        return transport

    yield open_rabbitmq
    for transport, names, ladder in opened:
        await transport.aclose()
        await delete_queues(url, names, ladder)


@pytest.fixture(params=["local", "rabbitmq"])
def transport(request: pytest.FixtureRequest) -> OpenTransport:
    """Opens transports of one kind; the test runs once for each kind."""
    opener: OpenTransport = request.getfixturevalue(f"{request.param}_transport")
    return opener


@pytest.fixture
def tokens() -> FakeIntrospector:
    """Issues tokens for `principal(…)`, and introspects them."""
    return FakeIntrospector()
