"""What an SMS gateway can answer over HTTP, and what is made of it."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from shanmen.common.clock import ManualClock
from shanmen.gateway_adapters.providers.sms.base import SmsAnswer, SmsOutcome, TextMessage
from shanmen.gateway_adapters.providers.sms.http_sender import HttpSender
from shanmen.gateway_adapters.providers.sms.settings import SmsSettings
from shanmen.simulators.testing.servers import free_port, served

PHONE = "13800001234"
SECRET = "a shared secret"
MESSAGE = TextMessage("sms_1", PHONE, "payment_short", {"order_no": "订单1"})
SENT, RETRY, REFUSED = SmsOutcome


class Gateway:
    """An SMS gateway that answers what it is told to, and keeps the requests."""

    url = ""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Take every message at once, and begin to count anew."""
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.response: Response = JSONResponse({"code": "ok", "message_id": 7})
        self.delay_s = 0.0

    async def answer(self, request: Request) -> Response:
        self.requests.append((dict(request.headers), await request.body()))
        await asyncio.sleep(self.delay_s)
        return self.response

    def sender(self, **values: Any) -> HttpSender:
        given = {"url": self.url, "secret": SECRET, "read_timeout_s": 0.3, **values}
        clock = ManualClock(datetime(2026, 11, 1, tzinfo=UTC))
        return HttpSender(SmsSettings.model_validate(given), clock)


@pytest.fixture(scope="module")
async def served_gateway() -> AsyncIterator[Gateway]:
    made = Gateway()
    routes = [Route("/send", made.answer, methods=["POST"])]
    async with served(Starlette(routes=routes)) as url:
        made.url = f"{url}/send"
        yield made


@pytest.fixture
def gateway(served_gateway: Gateway) -> Gateway:
    """The gateway as it is at first."""
    served_gateway.forget()
    return served_gateway


async def send(gateway: Gateway, **values: Any) -> SmsAnswer:
    sender = gateway.sender(**values)
    try:
        return await sender.send(MESSAGE)
    finally:
        await sender.aclose()


async def test_a_request_is_signed_over_its_very_bytes(gateway: Gateway) -> None:
    assert await send(gateway) == SmsAnswer(SENT, provider_ref="7")
    ((headers, body),) = gateway.requests
    assert json.loads(body) == {
        "request_id": "sms_1",
        "to": PHONE,
        "template": "payment_short",
        "params": {"order_no": "订单1"},
    }
    timestamp = headers["x-timestamp"]
    assert 0 <= int(timestamp) - int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) < 5
    content = timestamp.encode() + b"." + body
    right = hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()
    assert headers["x-signature"] == right


@pytest.mark.parametrize(
    ("status", "said", "answer"),
    [
        (200, {"code": "ok"}, SmsAnswer(SENT, provider_ref=None)),
        (200, {"code": "OK", "message_id": 7}, SmsAnswer(RETRY, "OK")),
        (200, {"message_id": 7}, SmsAnswer(RETRY, "http_200")),
        (200, ["ok"], SmsAnswer(RETRY, "http_200")),
        (400, {"code": "bad_request", "error": PHONE}, SmsAnswer(REFUSED, "bad_request")),
        (400, {"code": f"bad number {PHONE}"}, SmsAnswer(REFUSED, "http_400")),
        (400, {"code": PHONE}, SmsAnswer(REFUSED, "http_400")),
        (400, {"code": f"to:{PHONE}"}, SmsAnswer(REFUSED, "http_400")),
        (400, {"code": 160040}, SmsAnswer(REFUSED, "http_400")),
        (401, {"code": "bad_signature"}, SmsAnswer(REFUSED, "bad_signature")),
        (403, {"code": "isv.OUT_OF_SERVICE"}, SmsAnswer(REFUSED, "isv.OUT_OF_SERVICE")),
        (409, {"code": "request_id_reused"}, SmsAnswer(REFUSED, "request_id_reused")),
        (307, {}, SmsAnswer(RETRY, "http_307")),
        (429, {"code": "too_many"}, SmsAnswer(RETRY, "too_many")),
        (500, {"code": "ok", "message_id": 7}, SmsAnswer(RETRY, "ok")),
        (503, {}, SmsAnswer(RETRY, "http_503")),
    ],
)
async def test_answers(gateway: Gateway, status: int, said: Any, answer: SmsAnswer) -> None:
    gateway.response = JSONResponse(said, status, headers={"Location": "/elsewhere"})
    assert await send(gateway) == answer
    assert len(gateway.requests) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 60_000, b" " * 70_000 + b"{}"])
async def test_an_answer_that_is_no_answer_proves_nothing(gateway: Gateway, body: bytes) -> None:
    gateway.response = Response(body)
    assert await send(gateway) == SmsAnswer(RETRY, "http_200")


async def test_a_slow_answer_is_unknown(gateway: Gateway) -> None:
    gateway.delay_s = 0.5
    assert await send(gateway, read_timeout_s=0.05) == SmsAnswer(RETRY, "timeout")
    assert len(gateway.requests) == 1


async def test_an_answer_that_trickles_in_is_unknown(gateway: Gateway) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" "
            await asyncio.sleep(0.05)
        yield b'{"code": "ok"}'

    gateway.response = StreamingResponse(trickle())
    assert await send(gateway, read_timeout_s=0.2) == SmsAnswer(RETRY, "timeout")


async def test_where_nobody_listens_it_is_tried_again() -> None:
    gateway = Gateway()
    gateway.url = f"http://127.0.0.1:{free_port()}/send"
    assert await send(gateway) == SmsAnswer(RETRY, "connection_lost")
