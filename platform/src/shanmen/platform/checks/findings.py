"""What a check found: numbers, and the rows that offend, by their ids."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

SHOWN: Final = 20
"""So many offending rows of an invariant are kept; the others are counted."""


@dataclass(frozen=True)
class Offence:
    """A row that breaks an invariant: its id, and the facts that do not fit together.

    Ids, statuses and amounts only: never an account number, a phone number or a secret.
    """

    row: str
    facts: str


@dataclass
class Tally:
    """How many rows were looked at, how many offend, and the first of those."""

    checked: int = 0
    offending: int = 0
    first: list[Offence] = field(default_factory=list)

    def offend(self, row: str, facts: str) -> None:
        """Count a row that offends."""
        self.offending += 1
        if len(self.first) < SHOWN:
            self.first.append(Offence(row, facts))


@dataclass(frozen=True)
class Finding:
    """What became of one invariant."""

    id: str
    title: str
    tally: Tally


@dataclass(frozen=True)
class Report:
    """What became of all invariants of one installation."""

    mode: str
    seconds: float
    findings: Sequence[Finding]

    @property
    def ok(self) -> bool:
        """Whether nothing offends."""
        return not any(finding.tally.offending for finding in self.findings)

    def finding(self, invariant_id: str) -> Finding:
        """The finding of one invariant. Raises KeyError."""
        return {finding.id: finding for finding in self.findings}[invariant_id]

    def counts(self) -> dict[str, Any]:
        """Whether all is well, and how many rows offend each invariant."""
        return {
            "ok": self.ok,
            "invariants": {finding.id: finding.tally.offending for finding in self.findings},
        }

    def as_json(self) -> dict[str, Any]:
        """The report as `shanmen check --json` writes it."""
        return {
            "ok": self.ok,
            "mode": self.mode,
            "seconds": round(self.seconds, 3),
            "invariants": [
                {
                    "id": finding.id,
                    "title": finding.title,
                    "checked": finding.tally.checked,
                    "offending": finding.tally.offending,
                    "rows": [{"id": o.row, "facts": o.facts} for o in finding.tally.first],
                }
                for finding in self.findings
            ],
        }

    def text(self) -> str:
        """The offending rows as text, a line each; empty when all is well."""
        return "\n".join(
            f"{finding.id} {offence.row}: {offence.facts}"
            for finding in self.findings
            for offence in finding.tally.first
        )
