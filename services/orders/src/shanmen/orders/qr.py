"""The QR payload of a ticket: `SM1.<key id>.<ticket number>.<signature>`.

The signature is Ed25519 over the text before its dot, base64url without padding. The payload holds
nothing but the number: no personal data, no price, no date.
"""

import base64
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VERSION = "SM1"


@dataclass(frozen=True)
class TicketSigner:
    """Signs ticket numbers with one key."""

    key_id: str
    key: Ed25519PrivateKey

    @classmethod
    def from_seed(cls, key_id: str, seed_base64: str) -> "TicketSigner":
        """The signer of a base64 seed of 32 bytes."""
        seed = base64.b64decode(seed_base64, validate=True)
        return cls(key_id, Ed25519PrivateKey.from_private_bytes(seed))

    def payload(self, ticket_no: str) -> str:
        """The text to be shown as a QR code."""
        signed = f"{VERSION}.{self.key_id}.{ticket_no}"
        signature = base64.urlsafe_b64encode(self.key.sign(signed.encode("ascii")))
        return f"{signed}.{signature.rstrip(b'=').decode()}"
