"""What Huijinbao signs, with RSA2: five lines, the last of which is the data.

A request's data is signed in its canonical form, which is also how we send it; an answer's and a
notification's in the very bytes that came. An answer repeats the nonce and the method of its
request; a notification has its event in the place of the method (Huijinbao interface v2, "sign").
"""

import json
from collections.abc import Mapping

Data = Mapping[str, str | int | None]


def canonical(data: Data) -> bytes:
    """Data as it is signed: names sorted, no spaces, UTF-8, nulls left out."""
    kept = {name: value for name, value in data.items() if value is not None}
    return json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def content(merchant_id: str, timestamp: str, nonce: str, method: str, data: bytes) -> bytes:
    """The bytes that are signed."""
    return b"\n".join([*(part.encode() for part in (merchant_id, timestamp, nonce, method)), data])
