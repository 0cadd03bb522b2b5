"""The transport over real sockets: what is known of a request when its answer does not come."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

from shanmen.gateway_adapters.providers.transport import (
    FORM,
    HttpxTransport,
    RawAnswer,
    Timeout,
    TransportFailed,
    Trouble,
)

TIMEOUT = Timeout(connect_s=1, read_s=0.3)
OK_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"

Say = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def transport() -> AsyncIterator[HttpxTransport]:
    transport = HttpxTransport(FORM, connections=1, answer_limit_bytes=1_000)
    yield transport
    await transport.aclose()


@asynccontextmanager
async def saying(say: Say, port: int) -> AsyncIterator[list[bytes]]:
    """A server that reads a request, says what it is told to, and hangs up."""
    requests: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        requests.append(head + await reader.readexactly(4))
        try:
            await say(reader, writer)
            await writer.drain()
        except ConnectionError:
            pass  # the client has had enough
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port)
    async with server:
        yield requests


def words(said: bytes) -> Say:
    async def say(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)

    return say


async def nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Say nothing until the client hangs up."""
    await reader.read()


async def drops(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say a byte at a time, each within the time that a read may take."""
    writer.write(OK_HEAD % 500)
    for _ in range(500):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def post(transport: HttpxTransport, port: int) -> RawAnswer:
    return await transport.post(
        f"http://127.0.0.1:{port}/gateway.do", {"a": "1 &", "b": "门"}, b"c=1\n", TIMEOUT
    )


async def test_an_answer_comes_back_as_it_was_sent(
    transport: HttpxTransport, free_port: Callable[[], int]
) -> None:
    port = free_port()
    body = b'{"a":"\xe9\x97\xa8"}'
    async with saying(words(OK_HEAD % len(body) + body), port) as requests:
        assert await post(transport, port) == RawAnswer(200, body)
    head, _, form = requests[0].partition(b"\r\n\r\n")
    method, target, _ = head.decode().split(" ", 2)
    assert (method, urlsplit(target).path) == ("POST", "/gateway.do")
    assert parse_qs(urlsplit(target).query) == {"a": ["1 &"], "b": ["门"]}
    assert b"application/x-www-form-urlencoded;charset=utf-8" in head
    assert form == b"c=1\n"


@pytest.mark.parametrize(
    ("say", "trouble"),
    [
        (nothing, Trouble.TIMEOUT),
        (drops, Trouble.TIMEOUT),
        (words(b""), Trouble.CONNECTION_LOST),
        (words(OK_HEAD % 100 + b"{"), Trouble.CONNECTION_LOST),
        (words(b"not HTTP at all\r\n\r\n"), Trouble.CONNECTION_LOST),
        (words(OK_HEAD % 1_001 + b"x" * 1_001), Trouble.TOO_LARGE),
    ],
)
async def test_a_request_that_left_and_brought_no_whole_answer(
    transport: HttpxTransport, free_port: Callable[[], int], say: Say, trouble: Trouble
) -> None:
    port = free_port()
    async with saying(say, port) as requests:
        with pytest.raises(TransportFailed) as failure:
            await post(transport, port)
    assert failure.value.trouble is trouble
    assert len(requests) == 1


async def test_a_refused_connection_means_that_nothing_was_sent(
    transport: HttpxTransport, free_port: Callable[[], int]
) -> None:
    with pytest.raises(TransportFailed) as failure:
        await post(transport, free_port())
    assert failure.value.trouble is Trouble.NOT_SENT


async def test_waiting_for_a_free_connection_in_vain_sends_nothing(
    free_port: Callable[[], int],
) -> None:
    transport = HttpxTransport(FORM, connections=1)
    port = free_port()
    patient, hasty = Timeout(connect_s=1, read_s=0.5), Timeout(connect_s=0.1, read_s=0.5)
    url = f"http://127.0.0.1:{port}/"
    async with saying(nothing, port) as requests:
        calls = [transport.post(url, {}, b"c=1\n", limits) for limits in (patient, hasty)]
        failures = await asyncio.gather(*calls, return_exceptions=True)
    troubles = [f.trouble for f in failures if isinstance(f, TransportFailed)]
    assert troubles == [Trouble.TIMEOUT, Trouble.NOT_SENT]
    assert len(requests) == 1
    await transport.aclose()


async def test_a_time_out_gives_its_connection_back(
    transport: HttpxTransport, free_port: Callable[[], int]
) -> None:
    """The pool has one place: were it lost with the first call, the second would get none."""
    port = free_port()
    async with saying(nothing, port):
        for _ in range(2):
            with pytest.raises(TransportFailed) as failure:
                await post(transport, port)
            assert failure.value.trouble is Trouble.TIMEOUT


async def test_a_redirect_is_an_answer_like_any_other(
    transport: HttpxTransport, free_port: Callable[[], int]
) -> None:
    port = free_port()
    redirect = b"HTTP/1.1 307 Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with saying(words(redirect), port) as requests:
        assert await post(transport, port) == RawAnswer(307, b"")
    assert len(requests) == 1


async def test_the_environment_names_no_proxy(
    free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    transport = HttpxTransport(
        FORM,
    )
    port = free_port()
    async with saying(words(OK_HEAD % 2 + b"{}"), port):
        assert (await post(transport, port)).body == b"{}"
    await transport.aclose()
