"""RSA2 signatures and their keys, as the clearing channels use them.

RSA2 is RSASSA-PKCS1-v1_5 with SHA-256, base64 without line breaks (Alipay OpenAPI, "sign_type").
What is signed is each channel's own affair.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

SIGN_TYPE: Final = "RSA2"
MINIMUM_KEY_BITS: Final = 2048


class UnusableKey(ValueError):
    """A key that cannot be read, or is too weak. The message never contains the key."""


def load_private_key(text: str) -> RSAPrivateKey:
    """Read an unencrypted RSA private key: PEM (PKCS#1 or PKCS#8), or its bare base64 lines.

    Raises UnusableKey.
    """
    for data in _encodings(text, "RSA PRIVATE KEY", "PRIVATE KEY"):
        try:
            key = serialization.load_pem_private_key(data, password=None)
        except (ValueError, TypeError):
            continue
        if isinstance(key, RSAPrivateKey) and key.key_size >= MINIMUM_KEY_BITS:
            return key
    raise UnusableKey(
        f"not an RSA private key of at least {MINIMUM_KEY_BITS} bits; give an unencrypted PKCS#1 "
        "or PKCS#8 key, as PEM or as bare base64"
    )


def load_public_key(text: str) -> RSAPublicKey:
    """Read an RSA public key: PEM, or the bare base64 that a channel's console shows.

    Raises UnusableKey.
    """
    for data in _encodings(text, "PUBLIC KEY", "RSA PUBLIC KEY"):
        try:
            key = serialization.load_pem_public_key(data)
        except ValueError:
            continue
        if isinstance(key, RSAPublicKey) and key.key_size >= MINIMUM_KEY_BITS:
            return key
    raise UnusableKey(
        f"not an RSA public key of at least {MINIMUM_KEY_BITS} bits; give the channel's public "
        "key (not our own), as PEM or as bare base64"
    )


def sign(content: bytes, key: RSAPrivateKey) -> str:
    """The RSA2 signature of some content, in base64."""
    return base64.b64encode(key.sign(content, padding.PKCS1v15(), hashes.SHA256())).decode()


def verify(content: bytes, signature: str, keys: Iterable[RSAPublicKey]) -> bool:
    """Whether any of the keys made this signature. No keys, no belief."""
    try:
        decoded = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    if base64.b64encode(decoded).decode() != signature:
        return False  # one signature has one spelling: the unused bits of the last letter are zero
    return any(_made_by(key, content, decoded) for key in keys)


def _made_by(key: RSAPublicKey, content: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _encodings(text: str, *labels: str) -> list[bytes]:
    """The text as it is if it is PEM, else wrapped as PEM under each label."""
    stripped = text.strip()
    if stripped.startswith("-----BEGIN"):
        return [stripped.encode()]
    bare = "".join(stripped.split())
    lines = "\n".join(bare[at : at + 64] for at in range(0, len(bare), 64))
    return [
        f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode() for label in labels
    ]
