"""One call of the gateway: sign, post, verify. Nothing unverified is ever returned."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from shanmen.common.clock import Clock
from shanmen.gateway_adapters.providers import envelope, rsa2
from shanmen.gateway_adapters.providers.alipay import moments, signing
from shanmen.gateway_adapters.providers.alipay.outcomes import Method
from shanmen.gateway_adapters.providers.alipay.settings import AlipaySettings
from shanmen.gateway_adapters.providers.calls import (
    AnswerMissing,
    AnswerUnverifiable,
    Doubt,
    get_file,
)
from shanmen.gateway_adapters.providers.envelope import MalformedEnvelope
from shanmen.gateway_adapters.providers.transport import (
    RawAnswer,
    Timeout,
    Transport,
    TransportFailed,
)

_ERROR_NODE: Final = "error_response"
_CLAIM: Final = re.compile(rb'"(code|sub_code)"\s*:\s*"([A-Za-z0-9._-]{1,64})"')


@dataclass(frozen=True)
class VerifiedAnswer:
    """What the gateway signed: the business fields, and the whole answer as it came."""

    fields: Mapping[str, object]
    raw: bytes = field(repr=False)

    def text(self, name: str) -> str:
        """A field as text; blank if it is absent or not a text."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""

    def moment(self, name: str) -> datetime | None:
        """A field as a moment, in UTC; None if it is absent, or no moment."""
        try:
            return moments.read(self.text(name)).astimezone(UTC)
        except (ValueError, OverflowError):
            return None


class AlipayClient:
    """Calls methods of the v2 gateway.

    Common parameters travel in the query string and `biz_content` in the body, as the channel's
    own SDKs send them.
    """

    def __init__(self, settings: AlipaySettings, clock: Clock, transport: Transport) -> None:
        self._clock = clock
        self._transport = transport
        self._url = str(settings.gateway_url)
        self._timeout = Timeout(settings.connect_timeout_s, settings.read_timeout_s)
        self._file_timeout = Timeout(settings.connect_timeout_s, settings.bill_timeout_s)
        self._key = rsa2.load_private_key(settings.app_private_key.get_secret_value())
        self._trusted = settings.trusted_keys()
        self._certificate_mode = settings.certificate_mode
        self._constant_params = {
            "app_id": settings.app_id,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": rsa2.SIGN_TYPE,
            "version": "1.0",
            **settings.certificate_params(),
        }

    async def call(
        self, method: Method, biz_content: Mapping[str, object], notify_url: str | None = None
    ) -> VerifiedAnswer:
        """Call a method and return its verified answer, whatever that says.

        Raises AnswerMissing or AnswerUnverifiable.
        """
        body = {"biz_content": _compact_json(biz_content)}
        params = self._signed_params(method, body, notify_url)
        try:
            answer = await self._transport.post(
                self._url, params, urlencode(body).encode(), self._timeout
            )
        except TransportFailed as error:
            raise AnswerMissing(error.trouble, str(error)) from error
        return self._verified(method, answer)

    async def download(self, url: str) -> bytes:
        """A file that an answer links to; nothing signs it. Raises AnswerMissing."""
        return await get_file(self._transport, url, self._file_timeout)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    def _signed_params(
        self, method: Method, body: Mapping[str, str], notify_url: str | None
    ) -> dict[str, str]:
        params = {
            **self._constant_params,
            "method": method.value,
            "timestamp": moments.written(self._clock.now()),
        }
        if notify_url:
            params["notify_url"] = notify_url
        content = signing.request_content({**params, **body})
        return {**params, "sign": rsa2.sign(content, self._key)}

    def _verified(self, method: Method, answer: RawAnswer) -> VerifiedAnswer:
        """Check the signature over the exact bytes; the HTTP status proves nothing either way."""
        raw = answer.body
        try:
            members = envelope.split_members(raw)
            node = _node(method, members)
            if "sign" not in members:
                raise AnswerUnverifiable(Doubt.UNSIGNED, _unsigned(answer), raw)
            signature = envelope.decode_string(members["sign"])
            certificate_sn = None
            if "alipay_cert_sn" in members:
                certificate_sn = envelope.decode_string(members["alipay_cert_sn"])
        except MalformedEnvelope as error:
            detail = f"the answer (HTTP {answer.status}) is not an answer of the gateway: {error}"
            raise AnswerUnverifiable(Doubt.MALFORMED, detail, raw) from error
        keys = self._trusted.for_answer(certificate_sn)
        if not keys:
            detail = f"the answer is signed by certificate {certificate_sn}, which we do not hold"
            raise AnswerUnverifiable(Doubt.UNKNOWN_CERTIFICATE, detail, raw)
        if not signing.verify_answer(node, signature, keys):
            detail = "the signature does not match the answer"
            raise AnswerUnverifiable(Doubt.BAD_SIGNATURE, detail, raw)
        return VerifiedAnswer(_decode(node, raw), raw)


def _node(method: Method, members: Mapping[str, bytes]) -> bytes:
    """The bytes of the method's own answer, or of the gateway's refusal, never of both."""
    names = {method.value.replace(".", "_") + "_response", _ERROR_NODE} & members.keys()
    if len(names) != 1:
        raise MalformedEnvelope(f"it has {len(names)} nodes for {method}, one is needed")
    return members[names.pop()]


def _decode(node: bytes, raw: bytes) -> dict[str, object]:
    """Parse verified bytes. A number that is no string stays text: money never becomes a float."""
    try:
        fields = json.loads(node.decode(), parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        detail = "the signed answer is not JSON"
        raise AnswerUnverifiable(Doubt.MALFORMED, detail, raw) from error
    if not isinstance(fields, dict):
        raise AnswerUnverifiable(Doubt.MALFORMED, "the signed answer is not an object", raw)
    return fields


def _unsigned(answer: RawAnswer) -> str:
    """Say what an unsigned answer claims: an operator needs it, nothing else may use it."""
    claims = dict(_CLAIM.findall(answer.body))
    claimed = " ".join(claims[name].decode() for name in (b"code", b"sub_code") if name in claims)
    return f"the answer carries no signature; it claims {claimed or 'nothing'}"


def _compact_json(content: Mapping[str, object]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
