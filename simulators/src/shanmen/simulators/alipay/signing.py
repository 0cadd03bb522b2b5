"""What an RSA2 signature covers at Alipay OpenAPI, which differs by message.

A request keeps `sign_type` among the signed parameters, a notification drops it, and an answer is
signed over the raw bytes of its node.
"""

from collections.abc import Mapping

from shanmen.simulators.signing import SigningKey, load_public_key, verify

__all__ = ["SigningKey", "load_public_key", "notification_content", "request_content", "verify"]


def request_content(parameters: Mapping[str, str], charset: str) -> bytes:
    """What a request's signature covers: all that was sent and is not empty, but `sign`."""
    return _joined(parameters, {"sign"}, keep_empty=False).encode(charset)


def notification_content(fields: Mapping[str, str]) -> bytes:
    """What a notification's signature covers: all fields but `sign` and `sign_type`."""
    return _joined(fields, {"sign", "sign_type"}, keep_empty=True).encode()


def _joined(values: Mapping[str, str], left_out: set[str], *, keep_empty: bool) -> str:
    return "&".join(
        f"{name}={value}"
        for name, value in sorted(values.items())
        if name not in left_out and (value or keep_empty)
    )
