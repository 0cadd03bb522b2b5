"""What to do next with an operation: the whole retry policy, a function of the attempts so far."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shanmen.gateway_adapters.domain.operations import (
    Action,
    OperationKind,
    OperationStatus,
    Outcome,
)


@dataclass(frozen=True)
class Attempt:
    """One call as the policy sees it; `outcome` is None when the process died before it knew."""

    action: Action
    outcome: Outcome | None
    at: datetime


@dataclass(frozen=True)
class Policy:
    """The delays of the retry policy; configuration, so that tests take milliseconds."""

    query_delays_s: tuple[float, ...] = (10, 30, 120, 300, 900, 3600)
    """After an outcome that leaves it open; the last one repeats for ever."""
    absent_grace_s: float = 30
    """"Not found" counts only when it is said twice, at least this far apart."""
    throttle_delays_s: tuple[float, ...] = (1, 2, 5, 15, 60)
    """Before the same call again; the last one repeats."""
    window_s: float = 24 * 3600
    """What is no debit goes to a person this long after it was (last) asked for; debits never
    do."""


@dataclass(frozen=True)
class Next:
    """Do `action` at `at`."""

    action: Action
    at: datetime


@dataclass(frozen=True)
class Finish:
    """The operation has this outcome for good (`ok`, `final`), or waits for a person (others)."""

    status: OperationStatus
    outcome: Outcome


_SUCCEEDED: Final = Finish(OperationStatus.SUCCEEDED, Outcome.OK)
_FAILED: Final = Finish(OperationStatus.FAILED, Outcome.FINAL)

_UNDECIDED: Final = frozenset({None, Outcome.PENDING, Outcome.UNKNOWN})
"""What leaves open whether the call was carried out, and whether it still will be."""

_NOT_CARRIED_OUT: Final = frozenset(
    {Outcome.FUNDS, Outcome.THROTTLED, Outcome.CONFIG, Outcome.FINAL}
)
"""What makes it certain that a send moved nothing."""

_JITTER: Final = 0.2
"""The most that is added to a growing delay, as a share of it."""


@dataclass(frozen=True)
class _Case:
    """What a rule may look at."""

    kind: OperationKind
    attempts: Sequence[Attempt]
    policy: Policy
    since: datetime
    jitter: float

    @property
    def last(self) -> Attempt:
        return self.attempts[-1]

    @property
    def is_past_window(self) -> bool:
        age_s = (self.last.at - self.since).total_seconds()
        return self.kind is not OperationKind.DEBIT and age_s > self.policy.window_s

    def after(self, action: Action, delays_s: Sequence[float], index: int) -> Next:
        """This action after the delay of that index, spread a little."""
        delay_s = _nth(delays_s, index) * (1 + _JITTER * self.jitter)
        return Next(action, _later(self.last.at, delay_s))

    def now(self, action: Action) -> Next:
        """This action at once."""
        return Next(action, self.last.at)


def decide(
    kind: OperationKind,
    attempts: Sequence[Attempt],
    policy: Policy,
    *,
    since: datetime,
    abandoned: bool = False,
    jitter: float = 0.0,
) -> Next | Finish:
    """What to do after the latest attempt of an operation, given all of them, oldest first.

    Unknown is never failed: only a verified answer ends an operation, and nothing that may have
    been carried out is sent again before a query has said "not found" twice. `since` is when the
    operation was asked for, or asked to go on; `jitter` in [0, 1) spreads growing delays.

    An `abandoned` operation is never sent again. It is asked about and cancelled, in turns, until
    a verified answer says for certain that the money has moved, or never will.
    """
    case = _Case(kind, attempts, policy, since, jitter)
    rules = _RULES_WHEN_ABANDONED if abandoned else _RULES
    return rules[case.last.outcome](case)


def resume(attempts: Sequence[Attempt], now: datetime) -> Next:
    """How a parked operation goes on: the same request after a top-up, else a query first."""
    short = bool(attempts) and attempts[-1].outcome is Outcome.FUNDS
    return Next(Action.SEND if short or not attempts else Action.QUERY, now)


def abandon(attempts: Sequence[Attempt], now: datetime) -> Next | Finish:
    """How an operation that nobody works on at the moment is given up.

    One that was never sent has failed, for certain. What may have been carried out is asked about
    first; anything else is cancelled, to be sure.
    """
    if not attempts:
        return _FAILED
    may_have_moved = _is_send_in_doubt(attempts) or attempts[-1].outcome is Outcome.CONFLICT
    return Next(Action.QUERY if may_have_moved else Action.CANCEL, now)


def next_recheck(
    finished_at: datetime,
    now: datetime,
    ages_s: Sequence[float],
    *,
    outcome: Outcome | None = None,
    repeat_s: float = 3600.0,
) -> datetime | None:
    """When a failed operation is asked about again, at the latest of these ages for the last time.

    After the last one only while a query brings no end: `outcome` is what the latest one said, and
    `repeat_s` how long after it the next one comes.
    """
    moments = (_later(finished_at, age_s) for age_s in ages_s)
    planned = next((moment for moment in moments if moment > now), None)
    if planned is None and outcome in {Outcome.PENDING, Outcome.UNKNOWN, Outcome.THROTTLED}:
        return _later(now, repeat_s)
    return planned


def _after_success(case: _Case) -> Next | Finish:
    """A successful cancel makes it certain that the operation never will succeed."""
    return _FAILED if case.last.action is Action.CANCEL else _SUCCEEDED


def _park(case: _Case) -> Next | Finish:
    """Time alone does not help."""
    return Finish(OperationStatus.PARKED, case.last.outcome or Outcome.UNKNOWN)


def _after_throttle(case: _Case) -> Next | Finish:
    """Not executed: the same call again, later each time, within the window."""
    if case.is_past_window:
        return Finish(OperationStatus.PARKED, Outcome.UNKNOWN)
    index = _run_length(case.attempts, {Outcome.THROTTLED}) - 1
    return case.after(case.last.action, case.policy.throttle_delays_s, index)


def _after_doubt(case: _Case) -> Next | Finish:
    """It may have happened: ask. Past the window what is no debit goes to a person."""
    if case.is_past_window:
        return Finish(OperationStatus.PARKED, Outcome.UNKNOWN)
    return case.after(Action.QUERY, case.policy.query_delays_s, _calls_since_send(case.attempts))


def _after_refusal(case: _Case) -> Next | Finish:
    """What a query says is certain; a refused send is, if no earlier send is in doubt."""
    is_certain = {
        Action.QUERY: True,
        Action.SEND: not _is_send_in_doubt(case.attempts),
        Action.CANCEL: False,
    }
    return _FAILED if is_certain[case.last.action] else case.now(Action.QUERY)


def _after_absence(case: _Case) -> Next | Finish:
    """The channel knows no such number: believed once it is said twice, far enough apart."""
    absences = _latest(case.attempts, {Action.QUERY}, Outcome.ABSENT)
    if not absences:  # said to something else than a query, it proves nothing
        return _after_doubt(case)
    since_first_s = (case.last.at - absences[0].at).total_seconds()
    grace_s = case.policy.absent_grace_s
    if len(absences) == 1 or since_first_s < grace_s:
        return Next(Action.QUERY, _later(case.last.at, max(grace_s - since_first_s, 0.0)))
    sends = [a for a in case.attempts if a.action is Action.SEND]
    if sends and sends[-1].outcome is Outcome.FINAL:
        return _FAILED
    return case.now(Action.SEND)


_RULES: Final[Mapping[Outcome | None, Callable[[_Case], Next | Finish]]] = {
    None: _after_doubt,
    Outcome.PENDING: _after_doubt,
    Outcome.UNKNOWN: _after_doubt,
    Outcome.OK: _after_success,
    Outcome.ABSENT: _after_absence,
    Outcome.FUNDS: _park,
    Outcome.CONFLICT: _park,
    Outcome.CONFIG: _park,
    Outcome.THROTTLED: _after_throttle,
    Outcome.FINAL: _after_refusal,
}


def _give_up(case: _Case) -> Next | Finish:
    """No certain end yet: ask what may have been carried out, cancel, ask again, later each time.

    The pause is between a cancellation and the query that follows it, so no turn is without one.
    """
    if case.last.action is Action.QUERY:
        return case.now(Action.CANCEL)
    if case.last.action is Action.SEND:
        if not _is_send_in_doubt(case.attempts):
            return case.now(Action.CANCEL)
        return case.after(Action.QUERY, case.policy.query_delays_s, 0)
    cancels = sum(attempt.action is Action.CANCEL for attempt in case.attempts)
    return case.after(Action.QUERY, case.policy.query_delays_s, cancels - 1)


def _give_up_after_success(case: _Case) -> Next | Finish:
    """The money has moved, unless a cancellation in doubt is still on its way to undo that."""
    if case.last.action is Action.CANCEL:
        return _FAILED
    in_doubt = [
        attempt.at
        for attempt in case.attempts
        if attempt.action is Action.CANCEL and attempt.outcome in _UNDECIDED
    ]
    believed_from = _later(in_doubt[-1], case.policy.absent_grace_s) if in_doubt else case.last.at
    return _SUCCEEDED if case.last.at >= believed_from else Next(Action.QUERY, believed_from)


def _give_up_after_refusal(case: _Case) -> Next | Finish:
    """As ever; a cancellation that is refused is tried again."""
    return _give_up(case) if case.last.action is Action.CANCEL else _after_refusal(case)


def _give_up_after_setting(case: _Case) -> Next | Finish:
    """What keeps us from cancelling is for a person; anything else is cancelled."""
    return _park(case) if case.last.action is Action.CANCEL else _give_up(case)


def _give_up_after_throttle(case: _Case) -> Next | Finish:
    """Not executed: what is due instead of a send, or the same call again, later each time."""
    action = case.last.action
    if action is Action.SEND:
        action = Action.QUERY if _is_send_in_doubt(case.attempts) else Action.CANCEL
    index = _run_length(case.attempts, {Outcome.THROTTLED}) - 1
    return case.after(action, case.policy.throttle_delays_s, index)


def _give_up_after_absence(case: _Case) -> Next | Finish:
    """Nothing to cancel: certain if no send is in doubt, else only if queries say so twice."""
    run = _latest(case.attempts, {Action.QUERY, Action.CANCEL}, Outcome.ABSENT)
    if not any(attempt.action is Action.CANCEL for attempt in run):
        return _give_up(case)
    if not _is_send_in_doubt(case.attempts):
        return _FAILED
    asked = [attempt.at for attempt in run if attempt.action is Action.QUERY]
    if not asked:
        return _give_up(case)
    believed_from = _later(asked[0], case.policy.absent_grace_s)
    if asked[-1] >= believed_from and len(asked) > 1:
        return _FAILED
    return Next(Action.QUERY, max(believed_from, case.last.at))


_RULES_WHEN_ABANDONED: Final[Mapping[Outcome | None, Callable[[_Case], Next | Finish]]] = {
    None: _give_up,
    Outcome.PENDING: _give_up,
    Outcome.UNKNOWN: _give_up,
    Outcome.OK: _give_up_after_success,
    Outcome.ABSENT: _give_up_after_absence,
    Outcome.FUNDS: _give_up,
    Outcome.CONFLICT: _park,
    Outcome.CONFIG: _give_up_after_setting,
    Outcome.THROTTLED: _give_up_after_throttle,
    Outcome.FINAL: _give_up_after_refusal,
}


def _is_send_in_doubt(attempts: Sequence[Attempt]) -> bool:
    """Whether any send may have been carried out, or still may be."""
    return any(
        attempt.action is Action.SEND and attempt.outcome not in _NOT_CARRIED_OUT
        for attempt in attempts
    )


def _latest(
    attempts: Sequence[Attempt], actions: Collection[Action], outcome: Outcome
) -> list[Attempt]:
    """The latest attempts in a row that were one of these and came to this, oldest first."""
    found: list[Attempt] = []
    for attempt in reversed(attempts):
        if attempt.action not in actions or attempt.outcome is not outcome:
            break
        found.insert(0, attempt)
    return found


def _calls_since_send(attempts: Sequence[Attempt]) -> int:
    count = 0
    for attempt in reversed(attempts):
        if attempt.action is Action.SEND:
            break
        count += 1
    return count


def _run_length(attempts: Sequence[Attempt], outcomes: Collection[Outcome]) -> int:
    count = 0
    for attempt in reversed(attempts):
        if attempt.outcome not in outcomes:
            break
        count += 1
    return count


def _nth(delays_s: Sequence[float], index: int) -> float:
    return delays_s[min(index, len(delays_s) - 1)]


def _later(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)
