"""A client of HTTP/1.1 that costs next to nothing: the load shares its cores with what it loads.

One request at a time on a connection that is kept. It understands what our servers answer, a
`Content-Length` and that many bytes, and nothing else.
"""

import asyncio
from typing import Final, NamedTuple, cast

Address = tuple[str, int]
"""Host and port."""

_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"\r\ncontent-length:"
_CONNECT_TIMEOUT_S: Final = 5.0


class Answer(NamedTuple):
    """Status and body of an answer."""

    status: int
    body: bytes


class ConnectionBroken(Exception):
    """The answer did not come, or is not one that this client can read."""


class _Exchange(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._status = 0
        self._body_at = 0
        self._end = 0
        self._waiting: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._fail("the connection was closed")

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._end and not self._read_head():
            return
        if len(self._received) < self._end or self._waiting is None:
            return
        answer = Answer(self._status, bytes(self._received[self._body_at : self._end]))
        del self._received[: self._end]
        self._end = 0
        waiting, self._waiting = self._waiting, None
        if not waiting.done():
            waiting.set_result(answer)

    def ask(self, request: bytes) -> "asyncio.Future[Answer]":
        self._waiting = asyncio.get_running_loop().create_future()
        if self.transport is None:
            self._fail("the connection is closed")
        else:
            self.transport.write(request)
        return self._waiting

    def _read_head(self) -> bool:
        end = self._received.find(_END_OF_HEAD)
        if end < 0:
            return False
        head = bytes(self._received[:end]).lower()
        length = head.find(_LENGTH)
        if length < 0:
            self._fail("an answer came without Content-Length")
            return False
        self._status = int(head[9:12])
        self._body_at = end + len(_END_OF_HEAD)
        self._end = self._body_at + int(head[length + len(_LENGTH) :].partition(b"\r\n")[0])
        return True

    def _fail(self, reason: str) -> None:
        if self.transport is not None:
            self.transport.abort()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionBroken(reason))


class Caller:
    """Calls one service as one principal, over one connection that is opened when needed."""

    def __init__(self, address: Address, token: str) -> None:
        self._address = address
        host, port = address
        self._common = f" HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\n"
        self._exchange: _Exchange | None = None

    async def get(self, path: str) -> Answer:
        """GET. Raises ConnectionBroken."""
        return await self._ask(f"GET {path}{self._common}\r\n".encode())

    async def post(self, path: str, body: str, *, key: str, wait_s: int = 0) -> Answer:
        """POST JSON text under an Idempotency-Key. Raises ConnectionBroken."""
        content = body.encode()
        prefer = f"Prefer: wait={wait_s}\r\n" if wait_s else ""
        head = (
            f"POST {path}{self._common}Content-Type: application/json\r\n"
            f"Idempotency-Key: {key}\r\n{prefer}Content-Length: {len(content)}\r\n\r\n"
        )
        return await self._ask(head.encode() + content)

    def close(self) -> None:
        """Close the connection."""
        if self._exchange is not None and self._exchange.transport is not None:
            self._exchange.transport.abort()

    async def _ask(self, request: bytes) -> Answer:
        if self._exchange is None or self._exchange.transport is None:
            self._exchange = await self._opened()
        return await self._exchange.ask(request)

    async def _opened(self) -> _Exchange:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                _, exchange = await loop.create_connection(_Exchange, *self._address)
        except (OSError, TimeoutError) as error:
            host, port = self._address
            raise ConnectionBroken(f"no connection to {host}:{port}") from error
        return exchange
