"""Processes: `python -m shanmen.<service>.main api|worker|migrate|healthy|parked|redrive`."""

import argparse
import asyncio
import json
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shanmen.common.app import create_app
from shanmen.common.broker.protocol import Ladder
from shanmen.common.broker.rabbitmq import RabbitTransport
from shanmen.common.clock import UnusableShift, open_clock
from shanmen.common.migrate import migrate
from shanmen.common.service import Running, Service, open_service, run_background
from shanmen.common.serving import CannotListen, serve_http
from shanmen.common.settings import ServiceSettings
from shanmen.common.telemetry import configure_logging, start_telemetry
from shanmen.common.waiting import first_of

log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
UNWELL_AFTER_S = 30.0


def main(service: Service[Any, Any], argv: list[str] | None = None) -> None:
    """Run one process of a service. Ends with code 2 and a sentence when it cannot start."""
    parser = argparse.ArgumentParser(prog=f"shanmen-{service.name}", description=service.title)
    parser.add_argument("process", choices=sorted(_PROCESSES))
    process = parser.parse_args(argv).process
    try:
        settings = service.settings()
    except ValidationError as error:
        missing = ", ".join(str(p["loc"][0]).upper() for p in error.errors(include_input=False))
        sys.exit(f"{parser.prog}: set or correct these environment variables: {missing}")
    configure_logging(settings.log_level)
    start_telemetry(service.name)
    _PROCESSES[process](service, settings)


def _api(service: Service[Any, Any], settings: ServiceSettings) -> None:
    async def serve() -> None:
        stop = _stop_on_signals()
        async with _opened(service, settings) as running, asyncio.TaskGroup() as group:
            background = group.create_task(run_background(running, stop, worker=False))
            background.add_done_callback(lambda _: stop.set())
            app = create_app(service, running)
            await serve_http(app, settings.host, settings.port, stop)
            stop.set()

    _run(serve())


def _worker(service: Service[Any, Any], settings: ServiceSettings) -> None:
    async def work() -> None:
        stop = _stop_on_signals()
        async with _opened(service, settings) as running, asyncio.TaskGroup() as group:
            if settings.heartbeat_file:
                group.create_task(_heartbeat(Path(settings.heartbeat_file), stop))
            group.create_task(run_background(running, stop, worker=True))
            log.info("worker started", extra={"service": service.name})

    _run(work())


def _stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set: stop taking, finish what is in hand, close."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    return stop


def _migrate(service: Service[Any, Any], settings: ServiceSettings) -> None:
    migrate(service.migrations, service.metadata, settings.database_url.get_secret_value())


def _healthy(_: Service[Any, Any], settings: ServiceSettings) -> None:
    """Exit 0 when this container's worker has beaten lately (a health check)."""
    beat = Path(settings.heartbeat_file)
    if not beat.exists() or time.time() - beat.stat().st_mtime > UNWELL_AFTER_S:
        sys.exit("the worker has not been heard of lately")


def _parked(service: Service[Any, Any], settings: ServiceSettings) -> None:
    """Print the events that this service gave up on, one JSON object a line."""

    async def look(transport: RabbitTransport, queue: str) -> None:
        for letter in await transport.dead_letters(queue):
            sys.stdout.write(json.dumps(vars(letter), default=str, ensure_ascii=False) + "\n")

    _for_each_queue(service, settings, look)


def _redrive(service: Service[Any, Any], settings: ServiceSettings) -> None:
    """Send all events that this service gave up on back to it, once their cause is mended."""

    async def send_back(transport: RabbitTransport, queue: str) -> None:
        sys.stdout.write(f"{queue}: {await transport.redrive(queue)} sent back\n")

    _for_each_queue(service, settings, send_back)


def _for_each_queue(
    service: Service[Any, Any],
    settings: ServiceSettings,
    work: Callable[[RabbitTransport, str], Awaitable[None]],
) -> None:
    async def all_queues() -> None:
        transport = RabbitTransport(settings.amqp_url.get_secret_value())
        for subscription in service.subscriptions:
            await work(transport, subscription.queue.name)

    asyncio.run(all_queues())


_PROCESSES = {
    "api": _api,
    "worker": _worker,
    "migrate": _migrate,
    "healthy": _healthy,
    "parked": _parked,
    "redrive": _redrive,
}


@asynccontextmanager
async def _opened(
    service: Service[Any, Any], settings: ServiceSettings
) -> AsyncIterator[Running[Any]]:
    transport = RabbitTransport(
        settings.amqp_url.get_secret_value(), ladder=Ladder(settings.retry_delays_s)
    )
    try:
        clock = open_clock(settings.clock_shift_file)
        async with open_service(service, settings, transport, clock) as running:
            yield running
    finally:
        await transport.aclose()


async def _heartbeat(file: Path, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await asyncio.to_thread(file.touch)
        await first_of(stop, within_s=HEARTBEAT_S)


def _run(main_coroutine: Any) -> None:
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(main_coroutine)
    except* (CannotListen, UnusableShift) as refused:
        sys.exit(str(refused.exceptions[0]))


def _loop_factory() -> Any:
    import uvloop  # noqa: PLC0415 - processes only; tests run on the standard loop

    return uvloop.new_event_loop
