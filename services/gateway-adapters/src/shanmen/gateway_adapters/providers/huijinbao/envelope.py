"""The envelope that requests, answers and notifications travel in.

{"version": "2.0", "merchant_id": …, "sign_type": "RSA2", "key_id": …, "timestamp": …,
 "nonce": …, "data": {…}, "sign": …}
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from shanmen.gateway_adapters.providers import envelope as members_of
from shanmen.gateway_adapters.providers import rsa2
from shanmen.gateway_adapters.providers.calls import Doubt
from shanmen.gateway_adapters.providers.envelope import MalformedEnvelope
from shanmen.gateway_adapters.providers.huijinbao import signing

VERSION: Final = "2.0"
_MARKS: Final = ("version", "merchant_id", "sign_type", "key_id", "timestamp", "nonce", "sign")


class Disbelieved(Exception):
    """An envelope that proves nothing; `doubt` says why."""

    def __init__(self, doubt: Doubt, detail: str) -> None:
        super().__init__(detail)
        self.doubt = doubt


@dataclass(frozen=True)
class Verified:
    """What Huijinbao signed: for whom, as what, and the data."""

    merchant_id: str
    method: str
    nonce: str
    fields: Mapping[str, object]

    def text(self, name: str) -> str:
        """A field as text; blank if it is absent or neither a text nor a whole number."""
        value = self.fields.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return value if isinstance(value, str) else ""

    def fen(self, name: str) -> int | None:
        """A field as an amount; None unless it is a whole number of fen, not below zero."""
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            return None
        return value

    def moment(self, name: str) -> datetime | None:
        """A field as a moment, in UTC; None unless it is one of RFC 3339, with its zone."""
        try:
            moment = datetime.fromisoformat(self.text(name))
            return None if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True)
class Sender:
    """Who we are: our merchant number and our key."""

    merchant_id: str
    key_id: str
    key: RSAPrivateKey = field(repr=False)

    def seal(self, method: str, data: signing.Data, *, timestamp: str, nonce: str) -> bytes:
        """A request, signed."""
        body = signing.canonical(data)
        content = signing.content(self.merchant_id, timestamp, nonce, method, body)
        marks = {
            "version": VERSION,
            "merchant_id": self.merchant_id,
            "sign_type": rsa2.SIGN_TYPE,
            "key_id": self.key_id,
            "timestamp": timestamp,
            "nonce": nonce,
            "sign": rsa2.sign(content, self.key),
        }
        return json.dumps(marks).encode().removesuffix(b"}") + b',"data":' + body + b"}"


def open_envelope(
    raw: bytes, methods: Collection[str], keys: Mapping[str, RSAPublicKey]
) -> Verified:
    """Check an envelope's signature over the very bytes that came, and read its data.

    It must be signed as one of these methods. Raises Disbelieved.
    """
    try:
        members = members_of.split_members(raw)
        if "data" in members and "sign" not in members:
            raise Disbelieved(Doubt.UNSIGNED, "it carries no signature")
        absent = [name for name in ("data", *_MARKS) if name not in members]
        if absent:
            raise Disbelieved(Doubt.MALFORMED, f"it has no {absent[0]}")
        marks = {name: members_of.decode_string(members[name]) for name in _MARKS}
    except MalformedEnvelope as error:
        raise Disbelieved(Doubt.MALFORMED, str(error)) from error
    if marks["key_id"] not in keys:
        raise Disbelieved(Doubt.UNKNOWN_KEY, f"it is signed by a key {marks['key_id']!r}")
    method = _signed_as(methods, marks, members["data"], keys[marks["key_id"]])
    if method is None or (marks["sign_type"], marks["version"]) != (rsa2.SIGN_TYPE, VERSION):
        raise Disbelieved(Doubt.BAD_SIGNATURE, "the signature does not match")
    return Verified(marks["merchant_id"], method, marks["nonce"], _decode(members["data"]))


def _signed_as(
    methods: Collection[str], marks: Mapping[str, str], data: bytes, key: RSAPublicKey
) -> str | None:
    head = (marks["merchant_id"], marks["timestamp"], marks["nonce"])
    for method in methods:
        if rsa2.verify(signing.content(*head, method, data), marks["sign"], [key]):
            return method
    return None


def _decode(data: bytes) -> dict[str, object]:
    """Parse verified bytes. A number with a point stays text: money never becomes a float."""
    try:
        fields = json.loads(data.decode(), parse_float=str, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise Disbelieved(Doubt.MALFORMED, "its data is not JSON") from error
    if not isinstance(fields, dict):
        raise Disbelieved(Doubt.MALFORMED, "its data is not an object")
    return fields
