"""A distributor's server: takes webhooks over HTTP, and behaves as a test wants."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from standardwebhooks.webhooks import Webhook

_END_OF_HEAD: Final = b"\r\n\r\n"


@dataclass(frozen=True)
class Received:
    """One request: header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str) -> dict[str, Any]:
        """The body, once an independent implementation has found a signature by the secret."""
        notice: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return notice


@dataclass
class Receiver:
    """What was received, and what is answered: `statuses` in turn, the last one for ever.

    While `held_up` is not set, answers wait.
    """

    port: int
    scheme: str = "http"
    statuses: list[int] = field(default_factory=lambda: [204])
    headers: str = ""
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    held_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://127.0.0.1:{self.port}/hook?of=us"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        self.connections += 1
        try:
            self.requests.append(await _read(reader))
            await self.held_up.wait()
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            head = f"HTTP/1.1 {status} Answer\r\n{self.headers}Content-Length: 0\r\n\r\n"
            writer.write(head.encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the caller has gone
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(_END_OF_HEAD)).decode().removesuffix("\r\n\r\n")
    line, *fields = head.split("\r\n")
    pairs = (entry.partition(": ") for entry in fields)
    headers = {name.lower(): value for name, _, value in pairs}
    return Received(line, headers, await reader.readexactly(int(headers["content-length"])))


OpenReceiver = Callable[..., Awaitable[Receiver]]


@pytest.fixture
async def open_receiver(free_port: Callable[[], int]) -> AsyncIterator[OpenReceiver]:
    """`await open_receiver(tls=None)`: a server of its own, which answers 204."""
    async with AsyncExitStack() as stack:

        async def opened(tls: ssl.SSLContext | None = None) -> Receiver:
            receiver = Receiver(free_port(), "https" if tls else "http")
            receiver.held_up.set()
            server = await asyncio.start_server(
                receiver.serve, "127.0.0.1", receiver.port, ssl=tls
            )

            async def close() -> None:
                receiver.held_up.set()
                server.close()
                await server.wait_closed()

            stack.push_async_callback(close)
            return receiver

        yield opened


@pytest.fixture
async def receiver(open_receiver: OpenReceiver) -> Receiver:
    """A distributor's server."""
    return await open_receiver()
