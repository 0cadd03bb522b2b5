"""What an operation with a channel is, what an answer means, and what to do next.

Everything here is pure. `decide` is the whole retry policy: a function of the attempts so far.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from shanmen.common.statemachine import Machine, table


class Channel(StrEnum):
    """A clearing channel."""

    ALIPAY = "alipay"  # 支付宝
    HUIJINBAO = "huijinbao"  # 汇金宝


class OperationKind(StrEnum):
    """What is asked of a channel."""

    DEBIT = "debit"  # 扣款: distributor → platform
    PAYOUT = "payout"  # 打款: platform → spot
    REFUND = "refund"  # 退款: platform → distributor, the way it came


class Action(StrEnum):
    """What one attempt does."""

    SEND = "send"
    QUERY = "query"
    CANCEL = "cancel"


class Outcome(StrEnum):
    """What a channel's answer means, whatever its own codes are."""

    OK = "ok"
    """Done, for certain."""
    PENDING = "pending"
    """Accepted and not yet decided: ask again."""
    UNKNOWN = "unknown"
    """May or may not have happened. Never taken for a failure."""
    ABSENT = "absent"
    """A query's answer: the channel knows no such number (now)."""
    FUNDS = "funds"
    """The paying account is short. Same number again after a top-up."""
    THROTTLED = "throttled"
    """Not executed, come back later with the same number."""
    CONFLICT = "conflict"
    """The number is taken with other content: a defect, for a person."""
    FINAL = "final"
    """Refused for certain; this number can never succeed."""
    CONFIG = "config"
    """Refused because of a setting or contract of ours; alarm, for a person."""


class OperationStatus(StrEnum):
    """How far an operation is."""

    OPEN = "open"
    """处理中: being worked on; the next step is due at `next_at`."""
    PARKED = "parked"
    """挂起: waits for something that time alone does not bring."""
    SUCCEEDED = "succeeded"
    """成功: the money has moved, for certain."""
    FAILED = "failed"
    """失败: the money has not moved and under this number never will, for certain."""


OPERATION: Final = Machine(
    "operation",
    OperationStatus.OPEN,
    table(
        [
            (
                OperationStatus.OPEN,
                [OperationStatus.PARKED, OperationStatus.SUCCEEDED, OperationStatus.FAILED],
            ),
            # An answer that came late may still say that the money has moved.
            (OperationStatus.PARKED, [OperationStatus.OPEN, OperationStatus.SUCCEEDED]),
            (OperationStatus.SUCCEEDED, []),
            (OperationStatus.FAILED, []),
        ]
    ),
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
    """Payouts and refunds go to a person this long after they were (last) asked for; debits never
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


_UNDECIDED: Final = frozenset({None, Outcome.PENDING, Outcome.UNKNOWN})


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


def decide(
    kind: OperationKind,
    attempts: Sequence[Attempt],
    policy: Policy,
    *,
    since: datetime,
    jitter: float = 0.0,
) -> Next | Finish:
    """What to do after the latest attempt of an operation, given all of them, oldest first.

    Unknown is never failed: only a verified answer ends an operation, and nothing that may have
    been carried out is sent again before a query has said "not found" twice. `since` is when the
    operation was asked for, or asked to go on; `jitter` in [0, 1) spreads throttled calls.
    """
    case = _Case(kind, attempts, policy, since, jitter)
    return _RULES[case.last.outcome](case)


def resume(attempts: Sequence[Attempt], now: datetime) -> Next:
    """How a parked operation goes on: the same request after a top-up, else a query first."""
    short = bool(attempts) and attempts[-1].outcome is Outcome.FUNDS
    return Next(Action.SEND if short or not attempts else Action.QUERY, now)


def _after_success(case: _Case) -> Next | Finish:
    """A successful cancel makes it certain that the operation never will succeed."""
    if case.last.action is Action.CANCEL:
        return Finish(OperationStatus.FAILED, Outcome.FINAL)
    return Finish(OperationStatus.SUCCEEDED, Outcome.OK)


def _park(case: _Case) -> Next | Finish:
    """Time alone does not help."""
    return Finish(OperationStatus.PARKED, case.last.outcome or Outcome.UNKNOWN)


def _after_throttle(case: _Case) -> Next | Finish:
    """Not executed: the same call again, later each time, within the window."""
    if case.is_past_window:
        return Finish(OperationStatus.PARKED, Outcome.UNKNOWN)
    index = _run_length(case.attempts, {Outcome.THROTTLED}) - 1
    delay_s = _nth(case.policy.throttle_delays_s, index) * (1 + case.jitter)
    return Next(case.last.action, _later(case.last.at, delay_s))


def _after_doubt(case: _Case) -> Next | Finish:
    """It may have happened: ask. Past the window a payout or refund goes to a person."""
    if case.is_past_window:
        return Finish(OperationStatus.PARKED, Outcome.UNKNOWN)
    delay_s = _nth(case.policy.query_delays_s, _queries_since_send(case.attempts))
    return Next(Action.QUERY, _later(case.last.at, delay_s))


def _after_refusal(case: _Case) -> Next | Finish:
    """What a query says is certain; a refused send is, if no earlier send is in doubt."""
    earlier = [a.outcome for a in case.attempts[:-1] if a.action is Action.SEND]
    is_certain = {
        Action.QUERY: True,
        Action.SEND: _UNDECIDED.isdisjoint(earlier),
        Action.CANCEL: False,
    }
    if is_certain[case.last.action]:
        return Finish(OperationStatus.FAILED, Outcome.FINAL)
    return Next(Action.QUERY, case.last.at)


def _after_absence(case: _Case) -> Next | Finish:
    """The channel knows no such number: believed once it is said twice, far enough apart."""
    absences = _latest_absences(case.attempts)
    if not absences:  # said to something else than a query, it proves nothing
        return _after_doubt(case)
    since_first_s = (case.last.at - absences[0].at).total_seconds()
    grace_s = case.policy.absent_grace_s
    if len(absences) == 1 or since_first_s < grace_s:
        return Next(Action.QUERY, _later(case.last.at, max(grace_s - since_first_s, 0.0)))
    sends = [a for a in case.attempts if a.action is Action.SEND]
    if sends and sends[-1].outcome is Outcome.FINAL:
        return Finish(OperationStatus.FAILED, Outcome.FINAL)
    return Next(Action.SEND, case.last.at)


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


def _latest_absences(attempts: Sequence[Attempt]) -> list[Attempt]:
    absences: list[Attempt] = []
    for attempt in reversed(attempts):
        if (attempt.action, attempt.outcome) != (Action.QUERY, Outcome.ABSENT):
            break
        absences.insert(0, attempt)
    return absences


def _queries_since_send(attempts: Sequence[Attempt]) -> int:
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
