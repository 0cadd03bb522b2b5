"""Alipay's notifications: when they come, and what each form says.

A form is posted to the merchant, signed over all fields but `sign` and `sign_type`; anything but
the seven characters `success` means that it comes again, with the same `notify_id`, after 4 min,
10 min, 10 min, 1 h, 2 h, 6 h and 15 h.
"""

import json
import sqlite3
from typing import Final

from shanmen.simulators.alipay.signing import notification_content
from shanmen.simulators.moments import china_time
from shanmen.simulators.postbox import Postbox
from shanmen.simulators.signing import SigningKey

ACCEPTED: Final = b"success"

_MINUTE_MS: Final = 60_000
POSTBOX: Final = Postbox(
    "app_id",
    tuple(minutes * _MINUTE_MS for minutes in (4, 10, 10, 60, 2 * 60, 6 * 60, 15 * 60)),
)


def form(row: sqlite3.Row, key: SigningKey, now_ms: int) -> dict[str, str]:
    """The signed form of one sending."""
    fields: dict[str, str] = json.loads(row["fields"])
    fields |= {
        "notify_id": row["notify_id"],
        "app_id": row["app_id"],
        "charset": "utf-8",
        "sign_type": "RSA2",
    }
    if "msg_method" in fields:
        fields |= {"version": "1.1", "utc_timestamp": str(now_ms)}
    else:
        fields |= {
            "version": "1.0",
            "auth_app_id": row["app_id"],
            "notify_time": china_time(now_ms),
        }
    content = notification_content(fields)
    fields["sign"] = key.sign(content + b"&forged=1" if row["is_forged"] else content)
    return fields
