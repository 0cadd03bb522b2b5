"""The code on a ticket: orders writes it, verification reads it, and they share no code."""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shanmen.common.ids import new_id
from shanmen.orders.qr import TicketSigner
from shanmen.verification.domain import Judgement, RefusalCode
from shanmen.verification.qr import load_ticket_keys, read_qr

SEEDS = {key_id: bytes([number]) * 32 for number, key_id in enumerate(("k1", "k2"))}
SIGNERS = {
    key_id: TicketSigner.from_seed(key_id, base64.b64encode(seed).decode())
    for key_id, seed in SEEDS.items()
}
KEYS = load_ticket_keys(
    {
        key_id: base64.b64encode(
            Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        ).decode()
        for key_id, seed in SEEDS.items()
    }
)


def test_gates_read_what_orders_writes() -> None:
    for signer in SIGNERS.values():
        ticket_no = new_id("tkt")
        assert read_qr(signer.payload(ticket_no), KEYS) == ticket_no


def test_a_code_of_one_key_is_forged_under_another() -> None:
    code = SIGNERS["k1"].payload(new_id("tkt")).replace("SM1.k1.", "SM1.k2.")
    refused = read_qr(code, KEYS)
    assert isinstance(refused, Judgement)
    assert refused.code is RefusalCode.FORGED
