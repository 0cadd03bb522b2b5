"""The servers that tests run against: started on first use, one of each per test session."""

import platform
from collections.abc import Callable, Iterator

import pytest

from shanmen.platform.servers.ports import free_port as pick_free_port
from shanmen.platform.servers.postgres import EmbeddedPostgres
from shanmen.platform.servers.rabbitmq import EmbeddedRabbitMQ
from shanmen.platform.servers.throwaway import throwaway_postgres, throwaway_rabbitmq

# pytest's importlib mode would replace the standard library's module by our folder `platform/`.
platform.__path__ = []

pytest_plugins = ["shanmen.common.testing.fixtures"]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of this session's own; `url(database)` addresses it."""
    with throwaway_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[EmbeddedRabbitMQ]:
    """A RabbitMQ node of this session's own, with `url`, `start`, `stop` and `kill`."""
    with throwaway_rabbitmq() as server:
        yield server


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Picks a port that nobody listens on, below the range of outgoing connections."""
    return pick_free_port
