"""The SMS gateway: signed messages are kept once, others are refused."""

import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shanmen.simulators.sms.app import Settings, create_app
from shanmen.simulators.testing.servers import served

_NOW_S = 1_790_000_000
_SECRET = "a shared secret"
_MESSAGE = {
    "request_id": "episode-1",
    "to": "13800001234",
    "template": "balance_low",
    "params": {"account": "alipay"},
}


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(tmp_path, _SECRET, clock_s=lambda: _NOW_S))
    async with served(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        yield http


async def _send(
    gateway: httpx.AsyncClient,
    message: dict[str, Any],
    *,
    secret: str = _SECRET,
    at_s: int = _NOW_S,
    signed: dict[str, Any] | None = None,
) -> httpx.Response:
    body = json.dumps(message)
    content = f"{at_s}.{json.dumps(signed or message)}".encode()
    signature = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    headers = {"X-Timestamp": str(at_s), "X-Signature": signature}
    return await gateway.post("/sms/send", content=body, headers=headers)


async def test_messages(gateway: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    first = await _send(gateway, _MESSAGE)
    again = await _send(gateway, _MESSAGE)
    other = await _send(gateway, _MESSAGE | {"template": "welcome"})
    await _send(gateway, _MESSAGE | {"request_id": "episode-2", "to": "13900005678"})

    assert first.status_code == 200
    assert first.json() == again.json()
    assert (other.status_code, other.json()["code"]) == (409, "request_id_reused")
    kept = (await gateway.get("/admin/messages?to=13800001234")).json()["messages"]
    assert [message["request_id"] for message in kept] == ["episode-1"]
    assert kept[0]["params"] == {"account": "alipay"}
    assert len((await gateway.get("/admin/messages")).json()["messages"]) == 2
    assert "138****34" in caplog.text
    assert "13800001234" not in "".join(
        record.getMessage() for record in caplog.records if "simulators" in record.name
    )


async def test_refusals(gateway: httpx.AsyncClient) -> None:
    refused = [
        await _send(gateway, _MESSAGE, secret="another"),
        await _send(gateway, _MESSAGE, at_s=_NOW_S - 301),
        await _send(gateway, _MESSAGE, at_s=_NOW_S + 301),
        await _send(gateway, _MESSAGE, signed=_MESSAGE | {"to": "13900005678"}),
        await gateway.post("/sms/send", json=_MESSAGE),
    ]
    assert [response.status_code for response in refused] == [401] * 5
    incomplete = await _send(gateway, {"to": "13800001234"})
    assert (incomplete.status_code, incomplete.json()["code"]) == (400, "bad_request")
    assert (await gateway.get("/admin/messages")).json()["messages"] == []
