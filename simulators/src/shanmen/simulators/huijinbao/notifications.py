"""Huijinbao's notifications: when they come, and what each message says.

The signed envelope is posted to the merchant, which acknowledges it with `RECV_OK_<req_seq_id>`;
anything else means that it comes again after 15 s, 1 m, 5 m, 30 m, 2 h, 6 h and 15 h.
"""

import json
import sqlite3
from typing import Final

from shanmen.simulators import postbox
from shanmen.simulators.channel import Letter
from shanmen.simulators.huijinbao.keys import ChannelKeys
from shanmen.simulators.huijinbao.signing import signed_text
from shanmen.simulators.huijinbao.wire import data_bytes, envelope
from shanmen.simulators.moments import china_rfc3339

SCHEMA: Final = postbox.schema("merchant_id", "merchants")

POSTBOX: Final = postbox.Postbox(
    "merchant_id",
    tuple(seconds * 1_000 for seconds in (15, 60, 5 * 60, 30 * 60, 2 * 3600, 6 * 3600, 15 * 3600)),
)


def letter(row: sqlite3.Row, keys: ChannelKeys, wall_ms: int, nonce: str) -> Letter:
    """The signed message of one sending."""
    data = data_bytes({**json.loads(row["fields"]), "notify_id": row["notify_id"]})
    head = {
        "version": "2.0",
        "merchant_id": row["merchant_id"],
        "sign_type": "RSA2",
        "key_id": keys.current_id,
        "timestamp": china_rfc3339(wall_ms),
        "nonce": nonce,
        "event": row["method"],
    }
    text = signed_text(
        merchant_id=head["merchant_id"],
        timestamp=head["timestamp"],
        nonce=nonce,
        method=head["event"],
        data=data + b" " if row["is_forged"] else data,
    )
    return Letter(
        content=envelope(head, data, keys.current.sign(text)),
        media_type="application/json",
        accepted=b"RECV_OK_" + row["number"].encode(),
    )
