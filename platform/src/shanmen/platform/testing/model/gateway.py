"""The gateway by its facts: the real retry policy, with claims whose answers may come late."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from shanmen.common.clock import Clock
from shanmen.common.errors import NotYet
from shanmen.gateway_adapters.domain.operations import (
    OPERATION,
    Action,
    OperationKind,
    OperationStatus,
    Outcome,
)
from shanmen.gateway_adapters.domain.policy import (
    Attempt,
    Finish,
    Next,
    Policy,
    abandon,
    decide,
    next_recheck,
    resume,
)

LEASE_S: Final = 3.0
RECHECK_AGES_S: Final = (2.0, 10.0, 60.0)
POLICY: Final = Policy(
    query_delays_s=(0.5, 1, 2), absent_grace_s=2, throttle_delays_s=(0.5, 1), window_s=12
)


@dataclass
class Call:
    """One attempt: claimed, made, and perhaps answered."""

    lease: int
    action: Action
    started_at: datetime
    is_recheck: bool
    outcome: Outcome | None = None
    finished_at: datetime | None = None

    @property
    def attempt(self) -> Attempt:
        """As the policy sees it."""
        return Attempt(self.action, self.outcome, self.finished_at or self.started_at)


@dataclass
class Operation:
    """One number at the channel."""

    number: str
    kind: OperationKind
    amount_fen: int
    next_at: datetime
    opened_at: datetime
    status: OperationStatus = OperationStatus.OPEN
    outcome: Outcome | None = None
    code: str | None = None
    next_action: Action = Action.SEND
    finished_at: datetime | None = None
    recheck_at: datetime | None = None
    lease: int = 0
    leased_until: datetime | None = None
    is_abandoned: bool = False
    calls: list[Call] = field(default_factory=list)
    sends_when_abandoned: int | None = None

    @property
    def due_at(self) -> datetime | None:
        """When it may be claimed next; None while nothing is planned."""
        planned = self.next_at if self.status is OperationStatus.OPEN else self.recheck_at
        if planned is None or self.leased_until is None:
            return planned
        return max(planned, self.leased_until)

    @property
    def sends(self) -> int:
        """How often it was sent."""
        return sum(call.action is Action.SEND for call in self.calls)


@dataclass
class Gateway:
    """All operations. `tell` carries the news to whoever asked for an operation."""

    clock: Clock
    tell: Callable[[Operation], None]
    operations: dict[str, Operation] = field(default_factory=dict)

    def request(self, number: str, kind: OperationKind, amount_fen: int) -> None:
        """Take an operation on; asked for again, a parked one goes on."""
        known = self.operations.get(number)
        if known is not None:
            assert (known.kind, known.amount_fen) == (kind, amount_fen), f"{number} has changed"
            self._go_on(known)
            return
        now = self.clock.now()
        self.operations[number] = Operation(number, kind, amount_fen, next_at=now, opened_at=now)

    def resume(self, number: str) -> None:
        """Let a parked operation go on. Raises NotYet."""
        self._go_on(self._known(number))

    def cancel(self, number: str) -> None:
        """Give a debit up. Raises NotYet."""
        operation = self._known(number)
        is_parked = operation.status is OperationStatus.PARKED
        if operation.status in {OperationStatus.SUCCEEDED, OperationStatus.FAILED}:
            self.tell(operation)
        elif operation.leased_until is not None:
            self._abandon(operation)
        elif is_parked and operation.outcome is Outcome.CONFLICT:
            self._abandon(operation)
            self.tell(operation)
        elif not operation.is_abandoned or is_parked:
            self._give_up(operation)

    def hint(self, number: str) -> None:
        """A notification that is believed: look soon."""
        operation, now = self.operations[number], self.clock.now()
        if operation.status is OperationStatus.PARKED and operation.outcome is not Outcome.FUNDS:
            self._reopen(operation, Next(Action.QUERY, now))
        elif operation.status is OperationStatus.FAILED:
            operation.recheck_at = min(operation.recheck_at or now, now)
        elif operation.status is OperationStatus.OPEN and operation.next_action is Action.QUERY:
            operation.next_at = min(operation.next_at, now)

    def claim(self, operation: Operation) -> Call:
        """Write the intent of one attempt down, and what follows if nothing is heard of it."""
        now = self.clock.now()
        is_recheck = operation.status is OperationStatus.FAILED
        action = Action.QUERY if is_recheck else operation.next_action
        until = now + timedelta(seconds=LEASE_S)
        operation.lease, operation.leased_until = operation.lease + 1, until
        if is_recheck:
            operation.recheck_at = until
        else:
            operation.next_action, operation.next_at = Action.QUERY, until
        call = Call(operation.lease, action, now, is_recheck)
        operation.calls.append(call)
        return call

    def apply(self, operation: Operation, call: Call, outcome: Outcome) -> None:
        """Write an answer down, and draw its conclusion."""
        now = self.clock.now()
        call.outcome, call.finished_at = outcome, now
        if operation.status is OperationStatus.FAILED:
            self._apply_to_failed(operation, call, outcome)
            return
        before = [known.attempt for known in operation.calls if known.lease < call.lease]
        step = decide(
            operation.kind,
            [*before, Attempt(call.action, outcome, now)],
            POLICY,
            since=operation.opened_at,
            abandoned=operation.is_abandoned,
        )
        if isinstance(step, Next):
            self._plan(operation, call, step)
        elif not any(
            known.action is Action.CANCEL and known.lease > call.lease for known in operation.calls
        ):
            self._conclude(operation, call, step)

    def _known(self, number: str) -> Operation:
        if number not in self.operations:
            raise NotYet(number)
        return self.operations[number]

    def _go_on(self, operation: Operation) -> None:
        if operation.status is not OperationStatus.PARKED:
            if operation.status is not OperationStatus.OPEN:
                self.tell(operation)
        elif operation.is_abandoned:
            self._give_up(operation)
        else:
            attempts = [call.attempt for call in operation.calls]
            self._reopen(operation, resume(attempts, self.clock.now()))

    def _give_up(self, operation: Operation) -> None:
        now = self.clock.now()
        step = abandon([call.attempt for call in operation.calls], now)
        self._abandon(operation)
        if isinstance(step, Finish):
            if self._change(operation, step.status, step.outcome):
                operation.code, operation.finished_at = "cancelled", now
                self.tell(operation)
        elif operation.status is OperationStatus.PARKED:
            self._reopen(operation, step)
        else:
            operation.next_action, operation.next_at = step.action, step.at

    def _abandon(self, operation: Operation) -> None:
        if not operation.is_abandoned:
            operation.is_abandoned, operation.sends_when_abandoned = True, operation.sends

    def _reopen(self, operation: Operation, step: Next) -> None:
        if self._change(operation, OperationStatus.OPEN, None):
            operation.next_action, operation.next_at = step.action, step.at
            operation.opened_at, operation.finished_at = step.at, None

    def _plan(self, operation: Operation, call: Call, step: Next) -> None:
        if operation.lease != call.lease or operation.status is not OperationStatus.OPEN:
            return
        at, lease_end = step.at, operation.leased_until
        if step.action is Action.QUERY and lease_end and operation.next_at < lease_end:
            at = min(at, operation.next_at)
        operation.next_action, operation.next_at = step.action, at
        operation.leased_until = None

    def _conclude(self, operation: Operation, call: Call, step: Finish) -> None:
        has_succeeded = step.status is OperationStatus.SUCCEEDED
        if not has_succeeded and operation.lease != call.lease:
            return
        if not self._change(operation, step.status, step.outcome):
            return
        now = self.clock.now()
        operation.finished_at = now
        if step.status is OperationStatus.FAILED:
            operation.code = "cancelled" if operation.is_abandoned else "refused"
            if call.action is Action.CANCEL or call.outcome is Outcome.ABSENT:
                operation.recheck_at = next_recheck(now, now, RECHECK_AGES_S)
        self.tell(operation)

    def _apply_to_failed(self, operation: Operation, call: Call, outcome: Outcome) -> None:
        now, finished_at = self.clock.now(), operation.finished_at
        assert finished_at is not None
        has_moved = outcome is Outcome.OK and call.action is not Action.CANCEL
        if has_moved and call.is_recheck:
            if self._change(operation, OperationStatus.SUCCEEDED, Outcome.OK):
                operation.finished_at = now
                self.tell(operation)
        elif has_moved:
            operation.recheck_at = min(operation.recheck_at or now, now)
        elif call.is_recheck and operation.lease == call.lease:
            at, lease_end = operation.recheck_at, operation.leased_until
            if not (at and lease_end and at < lease_end):
                operation.recheck_at = next_recheck(
                    finished_at, now, RECHECK_AGES_S, outcome=outcome, repeat_s=2
                )
            operation.leased_until = None

    def _change(
        self, operation: Operation, target: OperationStatus, outcome: Outcome | None
    ) -> bool:
        if not OPERATION.allows(operation.status, target):
            return False
        operation.status, operation.outcome = target, outcome
        operation.leased_until, operation.recheck_at = None, None
        return True
