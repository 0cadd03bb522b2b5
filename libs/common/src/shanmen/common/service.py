"""One value describes a service; processes, migrations, documents and tests all start from it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from fastapi import APIRouter
from sqlalchemy import MetaData

from shanmen.common.auth import Introspector
from shanmen.common.broker.protocol import Transport
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.events import Event
from shanmen.common.inbox import Inbox, Subscription
from shanmen.common.outbox import Relay
from shanmen.common.settings import ServiceSettings

log = logging.getLogger(__name__)


class Context(Protocol):
    """What a service's routes, handlers and jobs are given: its ports."""

    @property
    def db(self) -> Database:
        """The service's own database."""

    @property
    def tokens(self) -> Introspector:
        """Tells who a bearer token stands for."""


C = TypeVar("C", bound=Context)
S = TypeVar("S", bound=ServiceSettings)


@dataclass(frozen=True)
class Job(Generic[C]):
    """A loop that runs beside the consumers until `stop` is set.

    `with_api` jobs run where requests are answered too (such as the doorbell's listener).
    """

    name: str
    run: Callable[[C, asyncio.Event], Coroutine[Any, Any, None]]
    with_api: bool = False


@dataclass(frozen=True)
class Service(Generic[C, S]):
    """A service: its name, its rooms, and what it owns at the edge."""

    name: str
    title: str
    settings: type[S]
    metadata: MetaData
    migrations: Path
    router: APIRouter
    prefixes: tuple[str, ...]
    emits: tuple[type[Event], ...]
    subscriptions: tuple[Subscription[C], ...]
    jobs: tuple[Job[C], ...]
    open_context: Callable[[S, Database, Clock], AbstractAsyncContextManager[C]]


@dataclass(frozen=True)
class Running(Generic[C]):
    """A service with its resources open, in one process."""

    service: Service[C, Any]
    settings: ServiceSettings
    context: C
    transport: Transport


@asynccontextmanager
async def open_service(
    service: Service[C, S], settings: S, transport: Transport, clock: Clock
) -> AsyncIterator[Running[C]]:
    """Open a service's database and ports, and close them at the end."""
    database = Database(
        settings.database_url.get_secret_value(),
        pool_size=settings.database_pool,
        application_name=f"shanmen-{service.name}",
    )
    try:
        async with service.open_context(settings, database, clock) as context:
            yield Running(service, settings, context, transport)
    finally:
        await database.close()


async def run_background(running: Running[Any], stop: asyncio.Event, *, worker: bool) -> None:
    """Run the relay, and in a worker the consumers and all jobs, until `stop`; then drain.

    Any of them ending with an error ends them all: a process that does half its work must not
    look alive.
    """
    service, context = running.service, running.context
    relay = Relay(context.db, running.transport, idle_s=running.settings.relay_poll_s)
    async with asyncio.TaskGroup() as group:
        group.create_task(relay.run(stop), name=f"{service.name} relay")
        for job in service.jobs:
            if worker or job.with_api:
                group.create_task(job.run(context, stop), name=f"{service.name} {job.name}")
        if worker:
            for subscription in service.subscriptions:
                inbox = Inbox(context.db, subscription, context, stop=stop)
                consuming = running.transport.consume(subscription.queue, inbox.handle, stop)
                group.create_task(consuming, name=subscription.queue.name)


def every(interval_s: float, work: Callable[[C], Awaitable[object]], *, name: str) -> Job[C]:
    """A job that does `work` now and again; a failure is logged and tried again next time."""

    async def run(context: C, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await work(context)
            except Exception:
                log.exception("job failed, tried again later", extra={"job": name})
            try:
                await asyncio.wait_for(stop.wait(), interval_s)
            except TimeoutError:
                continue

    return Job(name, run)
