"""Serving HTTP inside an event loop whose signals are handled elsewhere."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

DRAIN_S: Final = 40
"""Longer than the longest request (Prefer: wait=30), shorter than a supervisor's kill grace."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers.

    They would raise the signal again after serving, before what runs beside it has drained.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


async def serve_http(
    app: ASGIApp, host: str, port: int, stop: asyncio.Event, *, drain_s: int = DRAIN_S
) -> None:
    """Serve until `stop` is set, then finish the requests in hand.

    Raises OSError when the port cannot be listened on.
    """
    server = _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=drain_s,
            timeout_keep_alive=30,
        )
    )
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await _finished(serving, host, port)
    finally:
        stopping.cancel()


async def _finished(serving: "asyncio.Task[None]", host: str, port: int) -> None:
    try:
        await serving
    except SystemExit as error:  # uvicorn's way to say that it could not bind
        raise OSError(f"cannot listen on {host}:{port}") from error
