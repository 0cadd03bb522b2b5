"""Serving a simulator with uvicorn, in a process of its own or inside another's event loop."""

from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CUT_EXTENSION: Final = "shanmen.simulators.cut"
"""ASGI scope extension: `{"abort": callable}`, which drops the connection without an answer."""

_STOP_GRACE_S: Final = 2
"""A call that a fault holds open must not hold up the end of the process."""


class CuttableProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, letting the application drop the connection.

    ASGI has no word for "close without answering", and a payment channel that vanishes in the
    middle of a call is the first thing to simulate.
    """

    def on_message_begin(self) -> None:
        """Start of a request: add the extension to the scope that uvicorn just made."""
        super().on_message_begin()
        extensions: dict[str, dict[object, object]] = {
            CUT_EXTENSION: {"abort": self.transport.abort}
        }
        self.scope["extensions"] = extensions


def build_server(app: ASGIApp, host: str, port: int) -> uvicorn.Server:
    """A uvicorn server for one simulator: `await server.serve()`, stop with `should_exit`."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=CuttableProtocol,
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=_STOP_GRACE_S,
            # Longer than clients keep idle connections: else both may use and close one at once.
            timeout_keep_alive=30,
        )
    )


async def drop_connection(scope: Scope, receive: Receive) -> bool:
    """Cut the connection without a byte of answer; False where the server cannot do that."""
    extension: dict[str, Any] | None = scope.get("extensions", {}).get(CUT_EXTENSION)
    if extension is None:
        return False
    extension["abort"]()
    while (await receive())["type"] != "http.disconnect":
        pass
    return True
