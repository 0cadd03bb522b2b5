"""Pure ASGI middleware: bounded bodies, and a span per request with the caller's trace context."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shanmen.common.http.problem import problem_response
from shanmen.common.telemetry import span

MAX_BODY_BYTES: Final = 256 * 1024


class BoundedBody:
    """Refuses a body past the bound with 413, whether its length was announced or not."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > self._max_bytes:
            await self._refuse(scope, receive, send)
            return
        seen = 0

        async def bounded_receive() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                # The one kind of error that FastAPI lets through while it reads a body.
                raise HTTPException(413, self._detail)
            return message

        await self._app(scope, bounded_receive, send)

    @property
    def _detail(self) -> str:
        return f"A request body may hold at most {self._max_bytes} bytes."

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await problem_response(413, "body_too_large", self._detail)(scope, receive, send)


class Traced:
    """Runs each request in a span that continues the caller's `traceparent`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        parent = (
            {"traceparent": headers[b"traceparent"].decode("latin-1")}
            if (b"traceparent" in headers)
            else {}
        )
        with span(f"{scope['method']} request", parent):
            await self._app(scope, receive, send)
