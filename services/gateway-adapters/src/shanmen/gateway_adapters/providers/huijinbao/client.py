"""One call of the interface: sign, post, verify. Nothing unverified is ever returned."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Final

from shanmen.common.clock import Clock
from shanmen.gateway_adapters.providers import rsa2
from shanmen.gateway_adapters.providers.calls import (
    AnswerMissing,
    AnswerUnverifiable,
    Doubt,
    get_file,
)
from shanmen.gateway_adapters.providers.huijinbao.envelope import (
    Disbelieved,
    Sender,
    Verified,
    open_envelope,
)
from shanmen.gateway_adapters.providers.huijinbao.outcomes import Method
from shanmen.gateway_adapters.providers.huijinbao.settings import HuijinbaoSettings
from shanmen.gateway_adapters.providers.huijinbao.signing import Data
from shanmen.gateway_adapters.providers.transport import Timeout, Transport, TransportFailed

CHINA_TIME: Final = timezone(timedelta(hours=8), "Asia/Shanghai")
"""Huijinbao's clock. China keeps no summer time, so no zone data is needed."""

_PATH: Final = "/hjb/v2/"


@dataclass(frozen=True)
class VerifiedAnswer:
    """What Huijinbao signed as the answer to a call, and the whole answer as it came."""

    said: Verified
    raw: bytes = field(repr=False)

    def text(self, name: str) -> str:
        """A field as text; blank if it is absent."""
        return self.said.text(name)

    def fen(self, name: str) -> int | None:
        """A field as an amount; None if it is absent, or no amount."""
        return self.said.fen(name)

    def moment(self, name: str) -> datetime | None:
        """A field as a moment, in UTC; None if it is absent, or no moment."""
        return self.said.moment(name)


class HuijinbaoClient:
    """Calls methods of the interface, each call under a nonce of its own."""

    def __init__(self, settings: HuijinbaoSettings, clock: Clock, transport: Transport) -> None:
        self._clock = clock
        self._transport = transport
        self._url = str(settings.base_url).rstrip("/") + _PATH
        self._timeout = Timeout(settings.connect_timeout_s, settings.read_timeout_s)
        self._file_timeout = Timeout(settings.connect_timeout_s, settings.bill_timeout_s)
        key = rsa2.load_private_key(settings.private_key.get_secret_value())
        self._sender = Sender(settings.merchant_id, settings.key_id, key)
        self._trusted = settings.trusted_keys()

    async def call(self, method: Method, data: Data) -> VerifiedAnswer:
        """Call a method and return its verified answer, whatever that says.

        A call that moves no money of its own needs no number of its own: its nonce is one. Raises
        AnswerMissing or AnswerUnverifiable.
        """
        nonce = str(uuid.uuid4())
        timestamp = self._clock.now().astimezone(CHINA_TIME).isoformat(timespec="seconds")
        body = self._sender.seal(
            method, {"req_seq_id": nonce, **data}, timestamp=timestamp, nonce=nonce
        )
        try:
            answer = await self._transport.post(self._url + method, {}, body, self._timeout)
        except TransportFailed as error:
            raise AnswerMissing(error.trouble, str(error)) from error
        try:
            said = open_envelope(answer.body, (method,), self._trusted)
        except Disbelieved as error:
            detail = f"the answer (HTTP {answer.status}) cannot be believed: {error}"
            raise AnswerUnverifiable(error.doubt, detail, answer.body) from error
        if (said.merchant_id, said.nonce) != (self._sender.merchant_id, nonce):
            detail = "the answer is signed, and is the answer to another call"
            raise AnswerUnverifiable(Doubt.OTHER_CALL, detail, answer.body)
        return VerifiedAnswer(said, answer.body)

    async def download(self, url: str) -> bytes:
        """A file that an answer links to; the answer has its hash. Raises AnswerMissing."""
        return await get_file(self._transport, url, self._file_timeout)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()
