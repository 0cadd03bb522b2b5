"""Serving HTTP inside an event loop whose signals are handled elsewhere."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

DRAIN_S: Final = 40
"""Longer than the longest request (Prefer: wait=30), shorter than a supervisor's kill grace."""


class CannotListen(OSError):
    """The port is taken, or not ours to take; the text names it."""


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

    Raises CannotListen.
    """
    listener = _listen(host, port)
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=drain_s,
            timeout_keep_alive=30,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        stopping.cancel()
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    """Open the port ourselves: uvicorn would end the process if it could not."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}") from error
    listener.setblocking(False)
    return listener
