"""Serving an application on a free loopback port for as long as a test runs."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from shanmen.simulators.serving import build_server

_PORTS: Final = range(20_000, 32_000)
"""Below the ports that the operating system gives out by itself."""


def free_port() -> int:
    """A loopback port that nobody listens on at this moment. Raises OSError if there is none."""
    for port in random.sample(_PORTS, 200):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port among 200 of {_PORTS}")


@asynccontextmanager
async def served(app: ASGIApp, port: int | None = None) -> AsyncIterator[str]:
    """Serve `app` in this event loop; yields its base URL, stops it at the end."""
    chosen = free_port() if port is None else port
    server = build_server(app, "127.0.0.1", chosen)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        if serving.done():
            serving.result()
            raise RuntimeError("the server ended before it had started; see its log")
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{chosen}"
    finally:
        server.should_exit = True
        await serving


class Stage:
    """An ASGI application that stays served while the one behind it changes.

    uvicorn takes tenths of a second to start and to stop; a test takes hundredths.
    """

    def __init__(self) -> None:
        self._shown: Starlette | None = None

    @asynccontextmanager
    async def showing(self, app: Starlette) -> AsyncIterator[None]:
        """Let `app` answer, started and stopped as a server would."""
        async with app.router.lifespan_context(app):
            self._shown = app
            try:
                yield
            finally:
                self._shown = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for the application that is shown."""
        if scope["type"] == "lifespan":
            await Starlette()(scope, receive, send)
        elif self._shown is None:
            await PlainTextResponse("nobody is here", 503)(scope, receive, send)
        else:
            await self._shown(scope, receive, send)
