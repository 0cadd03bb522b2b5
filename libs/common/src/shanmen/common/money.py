"""Money is an integer number of fen (1/100 CNY); rates are basis points (1/10 000).

There is no float anywhere, and one rounding rule: half-up to the fen, in `share_bps`.
"""

import re
from collections.abc import Sequence
from typing import Final, NewType

Fen = NewType("Fen", int)
"""An amount in fen, 1/100 of a CNY yuan."""

CURRENCY: Final = "CNY"
BPS_PER_WHOLE: Final = 10_000

_YUAN = re.compile(r"(-?)(\d{1,15})(?:\.(\d{1,2}))?", re.ASCII)


def share_bps(amount_fen: int, rate_bps: int) -> Fen:
    """`rate_bps` basis points of a non-negative amount, rounded half-up to the fen."""
    if amount_fen < 0 or rate_bps < 0:
        raise ValueError(f"a share needs a non-negative amount and rate: {amount_fen}, {rate_bps}")
    return Fen((amount_fen * rate_bps * 2 + BPS_PER_WHOLE) // (BPS_PER_WHOLE * 2))


def allocate(total_fen: int, weights: Sequence[int]) -> list[Fen]:
    """Split a total in proportion to the weights by largest remainder: the parts add up exactly.

    Equal remainders go to the earlier part. Weights that are all zero split evenly.
    """
    if not weights or total_fen < 0 or min(weights) < 0:
        raise ValueError("allocate needs a non-negative total and non-negative weights")
    effective = list(weights) if any(weights) else [1] * len(weights)
    whole = sum(effective)
    parts = [total_fen * weight // whole for weight in effective]
    remainders = [total_fen * weight % whole for weight in effective]
    by_remainder = sorted(range(len(parts)), key=lambda index: (-remainders[index], index))
    for index in by_remainder[: total_fen - sum(parts)]:
        parts[index] += 1
    return [Fen(part) for part in parts]


def to_yuan(amount_fen: int) -> str:
    """Render fen the way both channels write yuan: a sign if negative, two decimals."""
    sign = "-" if amount_fen < 0 else ""
    yuan, fen = divmod(abs(amount_fen), 100)
    return f"{sign}{yuan}.{fen:02d}"


def from_yuan(text: str) -> Fen:
    """Read a yuan amount such as `88.88` without ever passing through a float.

    Raises ValueError for anything but digits with at most two decimals.
    """
    match = _YUAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not an amount in yuan: {text!r}")
    sign, yuan, decimals = match.groups()
    fen = int(yuan) * 100 + int((decimals or "0").ljust(2, "0"))
    return Fen(-fen if sign else fen)
