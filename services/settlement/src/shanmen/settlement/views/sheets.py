"""Tables of an answer: what columns hold, and their rows, whatever they are written as."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum, auto
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

BEIJING: Final = ZoneInfo("Asia/Shanghai")

Cell: TypeAlias = str | int | date | datetime | None
"""Amounts are integer fen, times are aware."""


class Holds(Enum):
    """What a column holds."""

    TEXT = auto()
    COUNT = auto()
    FEN = auto()
    """Shown in yuan."""
    TIME = auto()
    """Shown in Beijing time."""
    DAY = auto()


@dataclass(frozen=True)
class Column:
    """One column: its header, what it holds, and its width in characters."""

    title: str
    holds: Holds = Holds.TEXT
    width: int = 18


@dataclass(frozen=True)
class Sheet:
    """One table; `totals`, if any, is its last row."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    totals: Sequence[Cell] | None = None


@dataclass(frozen=True)
class Book:
    """A report: what it is, what it is about (label and text), and its tables."""

    title: str
    about: Sequence[tuple[str, str]]
    sheets: Sequence[Sheet]


def fen_column(title: str) -> Column:
    """A column of amounts."""
    return Column(f"{title} (元)", Holds.FEN, 14)


def time_column(title: str) -> Column:
    """A column of times."""
    return Column(f"{title} (北京时间)", Holds.TIME, 22)
