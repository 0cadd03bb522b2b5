"""RSA keys and RSASSA-PKCS1-v1_5 over SHA-256 in base64, which both channels call RSA2.

What exactly is signed differs by channel and message, and is said there.
"""

import base64
import os
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class SigningKey:
    """The simulator's own RSA key, kept in a file that only its owner may read."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self._key = key

    @classmethod
    def load_or_create(cls, path: Path) -> "SigningKey":
        """Read the key from `path`; on the first start make one and write it there."""
        if not path.exists():
            _write_new_key(path)
        loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(loaded, rsa.RSAPrivateKey):
            raise ValueError(  # noqa: TRY004 - a file, not a call, is wrong
                f"{path} holds no RSA private key; remove it to have one made"
            )
        return cls(loaded)

    def sign(self, content: bytes) -> str:
        """The base64 signature of `content`."""
        return base64.b64encode(
            self._key.sign(content, padding.PKCS1v15(), hashes.SHA256())
        ).decode()

    def public_pem(self) -> str:
        """The public half, as PEM, for those who verify."""
        return (
            self._key.public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            .decode()
        )


def _write_new_key(path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


@lru_cache(maxsize=64)
def load_public_key(pem: str) -> rsa.RSAPublicKey:
    """Read a public key in PEM. Raises ValueError for anything else."""
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("not an RSA public key")  # noqa: TRY004 - a value, not a call, is wrong
    return key


def verify(content: bytes, signature: str, public_key_pem: str) -> bool:
    """Whether `signature` (base64) was made over `content` by the holder of the key."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    try:
        load_public_key(public_key_pem).verify(raw, content, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True
