"""A sender over HTTP, in the manner of Chinese SMS gateways: JSON, signed with a shared secret.

`POST {to, template, params, request_id}` with `X-Timestamp` (Unix seconds) and `X-Signature`, the
hexadecimal HMAC-SHA256 of `<timestamp>.<body>`. The gateway keeps one message per `request_id`,
so that after a time-out the same request again is safe.
"""

import hashlib
import hmac
import json
import re
import time
from typing import Any, Final

import httpx

from shanmen.common.clock import Clock
from shanmen.gateway_adapters.providers.sms.base import SmsAnswer, SmsOutcome, TextMessage
from shanmen.gateway_adapters.providers.sms.settings import SmsSettings

ANSWER_LIMIT_BYTES: Final = 64 * 1024

_REFUSALS: Final = frozenset({400, 401, 403, 404, 405, 409, 413, 415, 422})
"""What no repetition mends. Any other answer but a success is tried again within the window."""

_CODE: Final = re.compile(r"(?!.*\d{7})[A-Za-z0-9_.:-]{1,64}")
"""Codes that are kept; what else a gateway says may quote the phone number."""


class HttpSender:
    """Sends through one SMS gateway."""

    def __init__(self, settings: SmsSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            headers={"Content-Type": "application/json"},
            timeout=httpx.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s),
        )

    async def send(self, message: TextMessage) -> SmsAnswer:
        """See SmsSender."""
        body = _body(message)
        url = str(self._settings.url)
        try:
            async with self._client.stream(
                "POST", url, content=body, headers=self._signature(body)
            ) as response:
                return _judge(response.status_code, await self._read(response))
        except httpx.TimeoutException:
            return SmsAnswer(SmsOutcome.RETRY, "timeout")
        except httpx.HTTPError:
            return SmsAnswer(SmsOutcome.RETRY, "connection_lost")

    async def aclose(self) -> None:
        """See SmsSender."""
        await self._client.aclose()

    def _signature(self, body: bytes) -> dict[str, str]:
        timestamp = str(int(self._clock.now().timestamp()))
        secret = self._settings.secret.get_secret_value().encode()
        signed = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256)
        return {"X-Timestamp": timestamp, "X-Signature": signed.hexdigest()}

    async def _read(self, response: httpx.Response) -> bytes:
        """Read the body, bounded in size and, as httpx bounds only each piece, in whole time."""
        deadline = time.monotonic() + self._settings.read_timeout_s
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > ANSWER_LIMIT_BYTES:
                break
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the answer took too long in all")
        return bytes(body)


def _body(message: TextMessage) -> bytes:
    content = {
        "request_id": message.request_id,
        "to": message.phone,
        "template": message.template,
        "params": dict(message.params),
    }
    return json.dumps(content, ensure_ascii=False, sort_keys=True).encode()


def _judge(status: int, body: bytes) -> SmsAnswer:
    """Sent only if the gateway says so in its own words; refused only by a listed status."""
    said = _object(body)
    code = said.get("code")
    if status == httpx.codes.OK and code == "ok":
        reference = str(said.get("message_id", ""))[:64]
        return SmsAnswer(SmsOutcome.SENT, provider_ref=reference or None)
    outcome = SmsOutcome.REFUSED if status in _REFUSALS else SmsOutcome.RETRY
    is_plain = isinstance(code, str) and _CODE.fullmatch(code) is not None
    return SmsAnswer(outcome, str(code) if is_plain else f"http_{status}")


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
