"""The QR payload, looked at with a verifier written from its description alone."""

import base64
import re

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shanmen.common.ids import new_id
from shanmen.orders.qr import TicketSigner

SEED = base64.b64encode(bytes(range(32))).decode()


def public_key(seed: str = SEED) -> Ed25519PublicKey:
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(seed)).public_key()


def read(payload: str, key: Ed25519PublicKey) -> tuple[str, str, str]:
    """Version, key id and ticket number. Raises InvalidSignature, ValueError."""
    version, key_id, ticket_no, signature = payload.split(".")
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    key.verify(raw, payload[: -len(signature) - 1].encode())
    return version, key_id, ticket_no


def test_a_payload_says_which_key_and_which_ticket_and_no_more() -> None:
    ticket_no = new_id("tkt")
    payload = TicketSigner.from_seed("2026a", SEED).payload(ticket_no)
    assert re.fullmatch(r"SM1\.2026a\.tkt_[0-9A-Z]{26}\.[A-Za-z0-9_-]{86}", payload)
    assert read(payload, public_key()) == ("SM1", "2026a", ticket_no)


def test_the_same_ticket_has_the_same_code() -> None:
    signers = [TicketSigner.from_seed("2026a", SEED) for _ in range(2)]
    assert len({signer.payload("tkt_1") for signer in signers}) == 1


def test_no_letter_of_it_can_be_changed() -> None:
    payload = TicketSigner.from_seed("2026a", SEED).payload("tkt_1")
    text, _, signature = payload.rpartition(".")
    for position, letter in enumerate(text):
        forged = text[:position] + ("A" if letter != "A" else "B") + text[position + 1 :]
        with pytest.raises((InvalidSignature, ValueError)):
            read(f"{forged}.{signature}", public_key())


def test_another_key_does_not_verify_it() -> None:
    payload = TicketSigner.from_seed("2026a", SEED).payload("tkt_1")
    other = base64.b64encode(bytes(32)).decode()
    with pytest.raises(InvalidSignature):
        read(payload, public_key(other))
