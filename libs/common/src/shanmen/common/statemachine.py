"""Status machines as data: one mapping from a status to the statuses it may become.

A use case never assigns a status. It runs one guarded `UPDATE … WHERE status IN (sources)`, and
`sources` comes from here, so the database enforces the very table that the tests enumerate.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S", bound=StrEnum)


@dataclass(frozen=True)
class Machine(Generic[S]):
    """The transition table of one written status.

    `transitions` names every status exactly once; a status that maps to nothing is terminal.
    """

    name: str
    initial: S
    transitions: Mapping[S, frozenset[S]]

    def __post_init__(self) -> None:
        missing = set(type(self.initial)) - set(self.transitions)
        if missing:
            raise ValueError(f"{self.name}: no row for {sorted(missing)}")

    def allows(self, source: S, target: S) -> bool:
        """Whether the table lets `source` become `target`."""
        return target in self.transitions[source]

    def sources(self, target: S) -> frozenset[S]:
        """The statuses that may become `target`: the guard of its UPDATE."""
        return frozenset(s for s, targets in self.transitions.items() if target in targets)

    def is_terminal(self, status: S) -> bool:
        """Whether nothing follows `status`."""
        return not self.transitions[status]


def table(rows: Iterable[tuple[S, Iterable[S]]]) -> Mapping[S, frozenset[S]]:
    """Write a transition table as rows of (status, what it may become)."""
    return {source: frozenset(targets) for source, targets in rows}
