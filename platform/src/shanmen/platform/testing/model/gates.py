"""Verification by its facts: passes, the real judgement at the gate, and their expiry."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from shanmen.common.clock import Clock
from shanmen.common.errors import NotYet
from shanmen.verification.domain import USAGE, Pass, Usage, Verdict, judge


@dataclass
class Gates:
    """All passes. `tell` carries what became of one to orders and settlement."""

    clock: Clock
    tell: Callable[[str, Usage], None]
    passes: dict[str, Pass] = field(default_factory=dict)
    admissions: list[str] = field(default_factory=list)

    def open_passes(self, passes: Iterable[Pass]) -> None:
        """The order was issued."""
        for held in passes:
            self.passes.setdefault(held.entitlement_id, held)

    def activate(self, ticket_no: str) -> None:
        """A visitor is known. Raises NotYet."""
        known = [held for held in self.passes.values() if held.ticket_no == ticket_no]
        if not known:
            raise NotYet(ticket_no)
        for held in known:
            self.passes[held.entitlement_id] = replace(held, activated=True)

    def scan(self, ticket_no: str, spot_id: str) -> bool:
        """Read a ticket at a spot's gate; whether the visitor enters."""
        held = [each for each in self.passes.values() if each.ticket_no == ticket_no]
        judgement = judge(held, spot_id, self.clock.now())
        if judgement.verdict is not Verdict.ADMITTED or judgement.subject is None:
            return False
        key = judgement.subject.entitlement_id
        self.admissions.append(key)
        return self._change(key, Usage.USED)

    def void(self, entitlement_ids: Sequence[str]) -> None:
        """Orders wants these unusable. Raises NotYet."""
        if any(key not in self.passes for key in entitlement_ids):
            raise NotYet(str(entitlement_ids))
        for key in entitlement_ids:
            self._change(key, Usage.VOIDED)

    def expire(self) -> None:
        """Expire what nobody can use any more."""
        now = self.clock.now()
        for key in [key for key, held in self.passes.items() if now >= held.expires_at]:
            self._change(key, Usage.EXPIRED)

    def expires_at(self) -> datetime | None:
        """When the last pass expires."""
        return max((held.expires_at for held in self.passes.values()), default=None)

    def _change(self, key: str, usage: Usage) -> bool:
        if not USAGE.allows(self.passes[key].usage, usage):
            return False
        self.passes[key] = replace(self.passes[key], usage=usage)
        self.tell(key, usage)
        return True
