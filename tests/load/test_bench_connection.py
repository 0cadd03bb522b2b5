"""The bench's own HTTP client, against a server that answers the way a test wants it to."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from shanmen.platform.bench.calls import problem_of
from shanmen.platform.bench.connection import Address, Answer, Caller, ConnectionBroken

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CREATED = b'HTTP/1.1 201 Created\r\ncontent-length: 7\r\n\r\n{"a":1}'


class Server:
    """Answers the n-th request with the n-th answer, given in pieces; empty pieces hang up."""

    def __init__(self, answers: Sequence[Sequence[bytes]]) -> None:
        self._answers = iter(answers)
        self.requests: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self.requests.append(head + await reader.readexactly(int(length or b"0")))
                pieces = next(self._answers)
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    for _ in range(5):  # turns of the loop, in which the client reads it
                        await asyncio.sleep(0)
                if not pieces:
                    return
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()


@asynccontextmanager
async def serving(*answers: Sequence[bytes]) -> AsyncIterator[tuple[Server, Address]]:
    server = Server(answers)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listener:
        yield server, listener.sockets[0].getsockname()[:2]


async def test_requests_follow_each_other_on_one_connection() -> None:
    async with serving([OK], [CREATED]) as (server, address):
        caller = Caller(address, "token-1")
        assert await caller.get("/v1/things?limit=1") == Answer(200, b"{}")
        assert await caller.post("/v1/things", '{"名":1}', key="k-1", wait_s=5) == Answer(
            201, b'{"a":1}'
        )
        caller.close()
    assert server.connections == 1
    assert server.requests[0].startswith(b"GET /v1/things?limit=1 HTTP/1.1\r\n")
    head, _, body = server.requests[1].partition(b"\r\n\r\n")
    assert body.decode() == '{"名":1}'
    for line in (b"Authorization: Bearer token-1", b"Idempotency-Key: k-1", b"Prefer: wait=5"):
        assert line in head.split(b"\r\n")


async def test_an_answer_may_come_in_pieces() -> None:
    pieces = [CREATED[:5], CREATED[5:45], CREATED[45:-3], CREATED[-3:]]
    async with serving(pieces) as (_, address):
        caller = Caller(address, "t")
        assert await caller.get("/") == Answer(201, b'{"a":1}')
        caller.close()


async def test_a_closed_connection_is_told_and_opened_again() -> None:
    async with serving([], [OK]) as (server, address):
        caller = Caller(address, "t")
        with pytest.raises(ConnectionBroken):
            await caller.get("/")
        assert (await caller.get("/")).status == 200
        caller.close()
    assert server.connections == 2


async def test_an_answer_of_unknown_length_is_refused() -> None:
    async with serving([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]) as (
        _,
        address,
    ):
        with pytest.raises(ConnectionBroken, match="Content-Length"):
            await Caller(address, "t").get("/")


async def test_nobody_there_is_told() -> None:
    async with serving() as (_, address):
        pass
    with pytest.raises(ConnectionBroken, match="no connection"):
        await Caller(address, "t").get("/")


def test_a_refusal_is_counted_by_its_status_and_code() -> None:
    assert problem_of(Answer(409, b'{"code": "sold_out", "detail": "Only 0 left"}')) == (
        "409 sold_out"
    )
    assert problem_of(Answer(502, b"<html>")) == "502"
