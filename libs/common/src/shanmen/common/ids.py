"""Identifiers: 128-bit, time-ordered (UUIDv7, RFC 9562), written in Crockford's base32.

Time order keeps index pages warm; the prefix says what a number names, in logs as in bills. Only
letters, digits and underscores occur, so that an operation's id is also its number at a channel.
"""

import os
import threading
import time
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH: Final = 26

_lock = threading.Lock()
_last_stamp = 0


def _uuid7_int() -> int:
    """A UUIDv7 whose 60 leading time bits grow strictly within this process."""
    global _last_stamp  # noqa: PLW0603 - the process-wide clock of its numbers
    with _lock:
        # Method 3 of RFC 9562 section 6.2: the sub-millisecond fraction rides in rand_a.
        stamp = max(time.time_ns() * 4096 // 1_000_000, _last_stamp + 1)
        _last_stamp = stamp
    milliseconds, fraction = stamp >> 12, stamp & 0xFFF
    tail = int.from_bytes(os.urandom(8)) & ((1 << 62) - 1)
    return milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | tail


def new_id(prefix: str) -> str:
    """A new identifier such as `ord_06DZ…`: the prefix, an underscore, 26 base32 characters."""
    value = _uuid7_int()
    digits = [_ALPHABET[value >> shift & 31] for shift in range((_LENGTH - 1) * 5, -1, -5)]
    return f"{prefix}_{''.join(digits)}"
