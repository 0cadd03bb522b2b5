"""What a bill tells: its lines, and how they add up."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One row. The amount is negative where money left the account; `cells` are all columns that
    do not follow from it."""

    cells: Mapping[str, str]
    amount_fen: int


@dataclass
class Tally:
    """How many lines there are in each direction, and their sums; `out_fen` is never positive."""

    ins: int = 0
    in_fen: int = 0
    outs: int = 0
    out_fen: int = 0

    @property
    def lines(self) -> int:
        """All of them."""
        return self.ins + self.outs

    def add(self, line: Line) -> None:
        """Count a line."""
        if line.amount_fen > 0:
            self.ins += 1
            self.in_fen += line.amount_fen
        else:
            self.outs += 1
            self.out_fen += line.amount_fen
