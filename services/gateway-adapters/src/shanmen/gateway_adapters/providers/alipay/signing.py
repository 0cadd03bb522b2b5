"""What the Alipay v2 gateway signs, with RSA2: requests, answers and notifications.

Requests sign `sign_type`; notifications leave it out; answers sign the raw bytes of one member.
"""

from collections.abc import Iterable, Mapping

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from shanmen.gateway_adapters.providers.rsa2 import verify


def request_content(params: Mapping[str, str]) -> bytes:
    """What a request signs: every parameter but `sign` and the empty ones, sorted, values raw."""
    kept = sorted((k, v) for k, v in params.items() if k != "sign" and v)
    return "&".join(f"{key}={value}" for key, value in kept).encode()


def notification_content(params: Mapping[bytes, bytes]) -> bytes:
    """What a notification signs: all but `sign` and `sign_type`, blank values kept.

    Bytes in and out: the signature is checked before the character set is believed.
    """
    kept = sorted((k, v) for k, v in params.items() if k not in (b"sign", b"sign_type"))
    return b"&".join(key + b"=" + value for key, value in kept)


def verify_answer(content: bytes, signature: str, keys: Iterable[RSAPublicKey]) -> bool:
    r"""Like `verify`, for an answer's member.

    Some answers are signed before `/` was escaped as `\/`; Alipay's own SDKs try that form too.
    """
    candidates = tuple(keys)
    if verify(content, signature, candidates):
        return True
    return b"\\/" in content and verify(content.replace(b"\\/", b"/"), signature, candidates)
