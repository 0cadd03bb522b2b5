"""Ways in which books can be wrong, one fact at a time: negative controls for `shanmen check`."""

from typing import Final

from shanmen.platform.testing.damages import income, money, moves, positions, statuses
from shanmen.platform.testing.damages.damage import Damage

__all__ = ["DAMAGES", "Damage"]

DAMAGES: Final = (
    *money.DAMAGES,
    *moves.DAMAGES,
    *positions.DAMAGES,
    *income.DAMAGES,
    *statuses.DAMAGES,
)
"""Every invariant is broken by at least one."""
