"""The code on a ticket: its text, and whether we signed it. Pure; `cryptography` does the curve.

    SM1.<key id>.<ticket number>.<signature>

The signature is Ed25519 (RFC 8032) over the ASCII bytes before its dot, written in base64url
without padding (RFC 4648 section 5). Orders signs; here are only public keys, by key id, so that
keys can be rotated while tickets of the old one are still valid. There is one text per signature:
other spellings of the same bytes are not ticket codes. No text longer than 164 characters is one.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shanmen.verification.domain import DETAILS, Judgement, RefusalCode, answer

TicketKeys = Mapping[str, Ed25519PublicKey]
"""The keys that sign tickets, by key id."""

_KEY_ID: Final = r"[A-Za-z0-9_-]{1,32}"
_TICKET_CODE: Final = re.compile(
    rf"(?P<signed>SM1\.(?P<key_id>{_KEY_ID})\.(?P<ticket_no>[A-Za-z0-9_]{{1,40}}))"
    r"\.(?P<signature>[A-Za-z0-9_-]{86})"
)


def read_qr(text: str, keys: TicketKeys) -> str | Judgement:
    """The ticket number that a code stands for, or the refusal that ends the scan here."""
    code = _TICKET_CODE.fullmatch(text)
    signature = _canonical_bytes(code["signature"]) if code else None
    if code is None or signature is None:
        return answer(RefusalCode.UNREADABLE)
    key = keys.get(code["key_id"])
    if key is None:
        # Named, because the likeliest cause is a new key that has not been configured here.
        detail = f"{DETAILS[RefusalCode.FORGED]} Its key {code['key_id']!r} is not known."
        return Judgement(RefusalCode.FORGED, detail)
    try:
        key.verify(signature, code["signed"].encode("ascii"))
    except InvalidSignature:
        return answer(RefusalCode.FORGED)
    return code["ticket_no"]


def load_ticket_keys(encoded: Mapping[str, str]) -> TicketKeys:
    """Public keys out of key id → base64 of the 32 raw bytes. Raises ValueError."""
    return {key_id: _load_key(key_id, text) for key_id, text in encoded.items()}


def _load_key(key_id: str, text: str) -> Ed25519PublicKey:
    if not re.fullmatch(_KEY_ID, key_id):
        raise ValueError(f"key id {key_id!r}: use 1 to 32 of the characters A-Z a-z 0-9 _ -")
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except ValueError as error:  # binascii.Error is one
        raise ValueError(f"key {key_id!r} is not the base64 of 32 bytes") from error


def _canonical_bytes(text: str) -> bytes | None:
    """Decode unpadded base64url; None when it is not how these bytes are written."""
    try:
        decoded = base64.urlsafe_b64decode(text + "==")
    except binascii.Error:
        return None
    written = base64.urlsafe_b64encode(decoded).rstrip(b"=").decode("ascii")
    return decoded if written == text else None
