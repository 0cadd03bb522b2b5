"""What the retry policy never does, whatever was said, and where it leads with a real channel."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from hypothesis import example, given
from hypothesis import strategies as st

from shanmen.gateway_adapters.domain.operations import (
    Action,
    OperationKind,
    OperationStatus,
    Outcome,
)
from shanmen.gateway_adapters.domain.policy import Attempt, Finish, Next, Policy, abandon, decide

START = datetime(2026, 11, 1, tzinfo=UTC)
POLICY = Policy()
DOUBTFUL = (None, Outcome.UNKNOWN, Outcome.PENDING)
KINDS = st.sampled_from(OperationKind)
OUTCOMES = st.sampled_from([None, *Outcome])


@st.composite
def histories(draw: st.DrawFn) -> list[Attempt]:
    """A send, and then anything at all."""
    rest = draw(st.lists(st.tuples(st.sampled_from(Action), OUTCOMES), max_size=7))
    gaps = draw(
        st.lists(
            st.sampled_from([0.0, 1.0, 29.9, 30.0, 4_000.0, 90_000.0]),
            min_size=len(rest) + 1,
            max_size=len(rest) + 1,
        )
    )
    now, attempts = START, []
    for (action, outcome), gap in zip([(Action.SEND, draw(OUTCOMES)), *rest], gaps, strict=True):
        now += timedelta(seconds=gap)
        attempts.append(Attempt(action, outcome, now))
    return attempts


def not_found_at_the_end(attempts: list[Attempt]) -> list[Attempt]:
    run: list[Attempt] = []
    while len(run) < len(attempts):
        attempt = attempts[-1 - len(run)]
        if attempt.action is not Action.QUERY or attempt.outcome is not Outcome.ABSENT:
            break
        run.append(attempt)
    return run


@given(kind=KINDS, attempts=histories())
def test_a_second_send_needs_proof_that_the_first_was_not_carried_out(
    kind: OperationKind, attempts: list[Attempt]
) -> None:
    step = decide(kind, attempts, POLICY, since=START)
    if not isinstance(step, Next) or step.action is not Action.SEND:
        return
    if attempts[-1].action is Action.SEND:
        assert attempts[-1].outcome is Outcome.THROTTLED
        return
    absences = not_found_at_the_end(attempts)
    assert len(absences) >= 2
    assert absences[0].at - absences[-1].at >= timedelta(seconds=30)


@given(kind=KINDS, attempts=histories())
def test_failed_needs_certainty(kind: OperationKind, attempts: list[Attempt]) -> None:
    step = decide(kind, attempts, POLICY, since=START)
    if not isinstance(step, Finish) or step.status is not OperationStatus.FAILED:
        return
    last = attempts[-1]
    sends = [attempt for attempt in attempts if attempt.action is Action.SEND]
    if last.action is Action.CANCEL:
        assert last.outcome is Outcome.OK
    elif last.action is Action.SEND:
        assert last.outcome is Outcome.FINAL
        assert all(send.outcome not in DOUBTFUL for send in sends)
    elif last.outcome is not Outcome.FINAL:
        absences = not_found_at_the_end(attempts)
        assert absences[0].at - absences[-1].at >= timedelta(seconds=30)
        assert sends[-1].outcome is Outcome.FINAL


@given(kind=KINDS, attempts=histories(), at_s=st.floats(0, 1e6))
def test_a_success_always_ends_it(
    kind: OperationKind, attempts: list[Attempt], at_s: float
) -> None:
    at = attempts[-1].at + timedelta(seconds=at_s)
    for action in (Action.SEND, Action.QUERY):
        step = decide(kind, [*attempts, Attempt(action, Outcome.OK, at)], POLICY, since=START)
        assert step == Finish(OperationStatus.SUCCEEDED, Outcome.OK)


@given(attempts=histories())
def test_a_debit_never_waits_for_a_person_because_its_outcome_is_unknown(
    attempts: list[Attempt],
) -> None:
    step = decide(OperationKind.DEBIT, attempts, POLICY, since=START)
    assert step != Finish(OperationStatus.PARKED, Outcome.UNKNOWN)


@given(kind=KINDS, attempts=histories(), jitter=st.floats(0, 0.999))
def test_nothing_is_planned_for_the_past(
    kind: OperationKind, attempts: list[Attempt], jitter: float
) -> None:
    step = decide(kind, attempts, POLICY, since=START, jitter=jitter)
    assert isinstance(step, Finish) or step.at >= attempts[-1].at


@given(said=st.lists(st.sampled_from(DOUBTFUL), min_size=2, max_size=12))
def test_the_distance_between_queries_never_shrinks(said: list[Outcome | None]) -> None:
    attempts = [Attempt(Action.SEND, said[0], START)]
    delays = []
    for outcome in said[1:]:
        step = decide(OperationKind.DEBIT, attempts, POLICY, since=START)
        assert isinstance(step, Next)
        assert step.action is Action.QUERY
        delays.append(step.at - attempts[-1].at)
        attempts.append(Attempt(Action.QUERY, outcome, step.at))
    assert delays == sorted(delays)
    assert delays[0] > timedelta()


@given(attempts=histories(), jitter=st.floats(0, 0.999))
def test_once_given_up_it_is_never_sent(attempts: list[Attempt], jitter: float) -> None:
    step = decide(
        OperationKind.DEBIT, attempts, POLICY, since=START, abandoned=True, jitter=jitter
    )
    assert isinstance(step, Finish) or step.action is not Action.SEND
    first = abandon(attempts, attempts[-1].at)
    assert isinstance(first, Next)
    assert first.action is not Action.SEND


@given(attempts=histories())
def test_given_up_it_ends_for_certain_or_keeps_asking(attempts: list[Attempt]) -> None:
    """But for what only a person can put right."""
    step = decide(OperationKind.DEBIT, attempts, POLICY, since=START, abandoned=True)
    last = attempts[-1]
    if isinstance(step, Next):
        assert step.at >= last.at
    elif step.status is OperationStatus.PARKED:
        assert last.outcome in {Outcome.CONFLICT, Outcome.CONFIG}
    elif step.status is OperationStatus.SUCCEEDED:
        assert last.outcome is Outcome.OK
        assert last.action is not Action.CANCEL
    elif last.outcome is Outcome.ABSENT:
        sends = [attempt for attempt in attempts if attempt.action is Action.SEND]
        run = list(takewhile(lambda a: a.outcome is Outcome.ABSENT, reversed(attempts)))
        assert Action.CANCEL in {attempt.action for attempt in run}
        if any(send.outcome in DOUBTFUL for send in sends):
            asked = [attempt.at for attempt in run if attempt.action is Action.QUERY]
            assert asked[0] - asked[-1] >= timedelta(seconds=30)
    else:
        certain = {Action.CANCEL: Outcome.OK, Action.QUERY: Outcome.FINAL}
        assert last.outcome is certain.get(last.action, Outcome.FINAL)


@dataclass
class ModelChannel:
    """A channel as the policy may assume it: it carries a number out once, and does not lie.

    A send is told or not, carried out at once, within the grace, or never; a query sees what has
    been carried out by then, or is not answered. A cancellation undoes what has been carried out
    by then, at once or within the grace.
    """

    fates: Iterator[str]
    moved_at: datetime | None = None
    undone_at: datetime | None = None
    sent: int = 0
    refused: bool = field(default=False)

    def answer(self, action: Action, now: datetime) -> Outcome | None:
        fate = next(self.fates, "told")
        has_moved = self.moved_at is not None and self.moved_at <= now
        if action is Action.QUERY:
            return self._query(fate, now, has_moved=has_moved)
        if action is Action.CANCEL:
            return self._cancel(fate, now, has_moved=has_moved)
        self.sent += 1
        if has_moved:
            return None if fate == "lost" else Outcome.OK
        if fate in {"refused", "throttled"}:
            return Outcome.FINAL if fate == "refused" else Outcome.THROTTLED
        if fate == "never":
            return Outcome.UNKNOWN
        delay_s = 25 if fate == "late" else 0
        self.moved_at = self.moved_at or now + timedelta(seconds=delay_s)
        return Outcome.OK if fate == "told" else None

    def _query(self, fate: str, now: datetime, *, has_moved: bool) -> Outcome | None:
        if fate in {"lost", "late"}:
            return None
        if self.undone_at is not None and self.undone_at <= now:
            return Outcome.FINAL
        return Outcome.OK if has_moved else Outcome.ABSENT

    def _cancel(self, fate: str, now: datetime, *, has_moved: bool) -> Outcome | None:
        refusals = {"refused": Outcome.FINAL, "throttled": Outcome.THROTTLED}
        if fate in {*refusals, "never"}:
            return refusals.get(fate, Outcome.UNKNOWN)
        if not has_moved:
            return Outcome.ABSENT if fate == "told" else None
        delay_s = 25 if fate == "late" else 0
        self.undone_at = self.undone_at or now + timedelta(seconds=delay_s)
        return Outcome.OK if fate == "told" else None


FATES = st.lists(
    st.sampled_from(["told", "lost", "late", "never", "refused", "throttled"]), max_size=12
)


@given(kind=KINDS, fates=FATES, latency_s=st.sampled_from([0.0, 0.2, 4.0]))
def test_the_end_is_what_the_channel_did(
    kind: OperationKind, fates: list[str], latency_s: float
) -> None:
    channel, attempts = ModelChannel(iter(fates)), list[Attempt]()
    step: Next | Finish = Next(Action.SEND, START)
    while isinstance(step, Next):
        now = step.at + timedelta(seconds=latency_s)
        attempts.append(Attempt(step.action, channel.answer(step.action, now), now))
        step = decide(kind, attempts, POLICY, since=START)
        assert len(attempts) < 60
    has_moved = channel.moved_at is not None
    assert step.status is (OperationStatus.SUCCEEDED if has_moved else OperationStatus.FAILED)


@example(fates=["lost", "lost", "late"], latency_s=0.0, given_up_after=0, is_calling=True)
@example(fates=["late", "told", "told"], latency_s=0.2, given_up_after=1, is_calling=False)
@given(
    fates=FATES,
    latency_s=st.sampled_from([0.0, 0.2, 4.0]),
    given_up_after=st.integers(0, 6),
    is_calling=st.booleans(),
)
def test_the_end_of_what_was_given_up_is_what_the_channel_did(
    fates: list[str], latency_s: float, given_up_after: int, is_calling: bool
) -> None:
    """Given up between two calls, or during one."""
    channel, attempts = ModelChannel(iter(fates)), list[Attempt]()
    step: Next | Finish = Next(Action.SEND, START)
    while isinstance(step, Next):
        if len(attempts) == given_up_after and not is_calling:
            step = abandon(attempts, attempts[-1].at if attempts else START)
            if isinstance(step, Finish):
                break
        now = step.at + timedelta(seconds=latency_s)
        attempts.append(Attempt(step.action, channel.answer(step.action, now), now))
        abandoned = len(attempts) > given_up_after
        step = decide(OperationKind.DEBIT, attempts, POLICY, since=START, abandoned=abandoned)
        assert len(attempts) < 80
    has_moved = channel.moved_at is not None and channel.undone_at is None
    assert step.status is (OperationStatus.SUCCEEDED if has_moved else OperationStatus.FAILED)
