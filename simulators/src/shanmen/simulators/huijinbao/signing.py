"""What a signature covers at Huijinbao: five lines, the last of which is the data.

    merchant_id \n timestamp \n nonce \n method \n data

In a request the data is its canonical form, so that a sender may write it as it likes; in an
answer or a notification it is the raw bytes as they stand. An answer repeats the nonce and the
method of its request; a notification has its event in the place of the method.
"""

import json
from collections.abc import Mapping
from typing import Any


def canonical(data: Mapping[str, Any]) -> bytes:
    """The data as it is signed in a request: keys sorted, no spaces, UTF-8, nulls left out."""
    return json.dumps(
        _without_nulls(data), ensure_ascii=False, sort_keys=True, separators=(",", ":")
    ).encode()


def signed_text(
    *, merchant_id: str, timestamp: str, nonce: str, method: str, data: bytes
) -> bytes:
    """The bytes that a signature is made over."""
    return f"{merchant_id}\n{timestamp}\n{nonce}\n{method}\n".encode() + data


def _without_nulls(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
