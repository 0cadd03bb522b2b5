"""Running services inside a test: over ASGI, and with their background work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx

from shanmen.common.app import create_app
from shanmen.common.broker.protocol import Transport
from shanmen.common.service import Running, Service, run_background
from shanmen.common.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)


def settings_for(
    service: Service[Any, S], database_url: str, amqp_url: str = "", **values: Any
) -> S:
    """A service's settings for a test: a quick relay, small pools, and whatever else is named."""
    given = {"database_url": database_url, "amqp_url": amqp_url, "relay_poll_s": 0.05}
    return service.settings(**{**given, **values})


def running_of(
    service: Service[Any, Any], context: Any, transport: Transport | None = None, **settings: Any
) -> Running[Any]:
    """A service as if it had been opened, around a context that the test made itself."""
    return Running(
        service=service,
        settings=settings_for(service, context.db.url, **settings),
        context=context,
        transport=transport if transport is not None else NoTransport(),
    )


@asynccontextmanager
async def api_client(
    service: Service[Any, Any], context: Any, *, token: str = ""
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service's HTTP face, in this process, with a bearer token if one is given.

    Errors inside the service come back as its answers, as they would over a socket.
    """
    app = create_app(service, running_of(service, context))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False),
        base_url="http://test",
        headers={"Authorization": f"Bearer {token}"} if token else {},
    ) as client:
        yield client


@asynccontextmanager
async def background(*services: Running[Any], worker: bool = True) -> AsyncIterator[asyncio.Event]:
    """Relays, and as a worker consumers and jobs too, around a block; drained at its end.

    Yields the event that stops them, for tests that stop them earlier.
    """
    stop = asyncio.Event()

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            for running in services:
                group.create_task(run_background(running, stop, worker=worker))

    working = asyncio.create_task(work())
    try:
        yield stop
    finally:
        stop.set()
        await working


class NoTransport:
    """Stands where a test must not publish or consume anything."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"this test has no transport, and something asked it to {name}")
