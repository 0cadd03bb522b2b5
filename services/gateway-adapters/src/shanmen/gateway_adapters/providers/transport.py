"""How bytes reach a channel and come back, so that the HTTP library can change alone."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

import httpx

ANSWER_LIMIT_BYTES: Final = 1 << 20
FORM: Final = "application/x-www-form-urlencoded;charset=utf-8"
JSON: Final = "application/json;charset=utf-8"


_NOTHING_LEFT: Final = (
    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout),
    *(httpx.InvalidURL, httpx.UnsupportedProtocol),
)


class Trouble(StrEnum):
    """Why no whole answer came."""

    NOT_SENT = "not_sent"
    """No connection: for certain not one byte of the request left."""
    TIMEOUT = "timeout"
    """The request left, at least in part, and no answer came in time."""
    CONNECTION_LOST = "connection_lost"
    """The connection broke after the request had begun to leave."""
    TOO_LARGE = "too_large"
    """The answer is longer than any answer of a channel."""
    NO_FILE = "no_file"
    """Something came, and it is not the file that was asked for."""


class TransportFailed(Exception):
    """No whole answer came. Only `Trouble.NOT_SENT` says that nothing can have happened."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.trouble = trouble


@dataclass(frozen=True)
class Timeout:
    """How long to wait for a connection, and for the answer once connected, in seconds."""

    connect_s: float
    read_s: float


@dataclass(frozen=True)
class RawAnswer:
    """An HTTP answer as it came: nothing in it is believed yet."""

    status: int
    body: bytes


class Transport(Protocol):
    """Posts to a channel, and gets its files."""

    async def post(
        self, url: str, params: Mapping[str, str], body: bytes, limits: Timeout
    ) -> RawAnswer:
        """Post a body with these query parameters. Raises TransportFailed."""

    async def get(self, url: str, limits: Timeout, *, limit_bytes: int) -> RawAnswer:
        """Get a file of at most so many bytes. Raises TransportFailed."""

    async def aclose(self) -> None:
        """Close the connections."""


class HttpxTransport:
    """The transport over httpx: no redirects, no proxies from the environment, bounded answers.

    Only httpx's own time-outs end a call. Cancelling one from outside would lose its place in the
    connection pool for ever.
    """

    def __init__(
        self,
        content_type: str,
        *,
        connections: int = 32,
        answer_limit_bytes: int = ANSWER_LIMIT_BYTES,
    ) -> None:
        self._post_headers = {"Content-Type": content_type}
        self._answer_limit_bytes = answer_limit_bytes
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
            limits=httpx.Limits(
                max_connections=connections, max_keepalive_connections=connections
            ),
        )

    async def post(
        self, url: str, params: Mapping[str, str], body: bytes, limits: Timeout
    ) -> RawAnswer:
        """Post a body with these query parameters. Raises TransportFailed."""
        sent = {"params": dict(params), "content": body, "headers": self._post_headers}
        return await self._call("POST", url, limits, self._answer_limit_bytes, **sent)

    async def get(self, url: str, limits: Timeout, *, limit_bytes: int) -> RawAnswer:
        """Get a file of at most so many bytes. Raises TransportFailed."""
        return await self._call("GET", url, limits, limit_bytes)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _call(
        self, method: str, url: str, limits: Timeout, limit_bytes: int, **sent: Any
    ) -> RawAnswer:
        timeout = httpx.Timeout(limits.read_s, connect=limits.connect_s, pool=limits.connect_s)
        try:
            async with self._client.stream(method, url, timeout=timeout, **sent) as response:
                body = await _read(response, limits.read_s, limit_bytes)
        except _NOTHING_LEFT as error:
            raise TransportFailed(Trouble.NOT_SENT, _describe(error)) from error
        except httpx.TimeoutException as error:
            raise TransportFailed(Trouble.TIMEOUT, _describe(error)) from error
        except httpx.HTTPError as error:
            raise TransportFailed(Trouble.CONNECTION_LOST, _describe(error)) from error
        return RawAnswer(response.status_code, body)


async def _read(response: httpx.Response, read_s: float, limit_bytes: int) -> bytes:
    """Read the body, bounded in size and, as httpx bounds only each piece, in whole time."""
    deadline = time.monotonic() + read_s
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > limit_bytes:
            limit = f"the answer is longer than {limit_bytes} bytes"
            raise TransportFailed(Trouble.TOO_LARGE, limit)
        if time.monotonic() > deadline:
            raise TransportFailed(Trouble.TIMEOUT, f"the answer took longer than {read_s} s")
    return bytes(body)


def _describe(error: Exception) -> str:
    """The kind of trouble and its text, which never holds the request's parameters."""
    return f"{type(error).__name__}: {error}".rstrip(": ")
