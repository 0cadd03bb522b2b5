"""The retry policy as a table: a history, and what it leads to.

A history is written as `S` (send), `Q` (query) or `C` (cancel), what was said, and when, in
seconds after the request; `lost` is an attempt whose answer nobody recorded. What follows is the
next action and its time, or the status and outcome of the end.
"""

from datetime import UTC, datetime, timedelta

import pytest

from shanmen.gateway_adapters.domain.operations import Action, OperationKind, Outcome
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

START = datetime(2026, 11, 1, tzinfo=UTC)
POLICY = Policy(
    query_delays_s=(10, 30, 120, 300, 900, 3600),
    absent_grace_s=30,
    throttle_delays_s=(1, 2, 5, 15, 60),
    window_s=86_400,
)
LETTERS = {"S": Action.SEND, "Q": Action.QUERY, "C": Action.CANCEL}


def history(text: str) -> list[Attempt]:
    attempts = []
    for word in text.split():
        letter, _, rest = word.partition("=")
        said, _, at = rest.partition("@")
        outcome = None if said == "lost" else Outcome(said)
        attempts.append(Attempt(LETTERS[letter], outcome, START + timedelta(seconds=float(at))))
    return attempts


def written(step: Next | Finish) -> str:
    if isinstance(step, Finish):
        return f"{step.status}/{step.outcome}"
    letter = step.action[0].upper()
    return f"{letter}@{(step.at - START).total_seconds():g}"


FOR_EVERY_KIND = [
    # The first send is the only attempt.
    ("S=ok@3", "succeeded/ok"),
    ("S=final@3", "failed/final"),
    ("S=funds@3", "parked/funds"),
    ("S=conflict@3", "parked/conflict"),
    ("S=config@3", "parked/config"),
    ("S=throttled@3", "S@4"),
    ("S=unknown@3", "Q@13"),
    ("S=pending@3", "Q@13"),
    ("S=lost@3", "Q@13"),
    ("S=absent@3", "Q@13"),  # only a query can say that it knows no such number
    # Queries come at growing distances, whatever leaves it open.
    ("S=unknown@0 Q=unknown@10", "Q@40"),
    ("S=unknown@0 Q=unknown@10 Q=pending@40", "Q@160"),
    ("S=lost@0 Q=lost@10 Q=lost@40 Q=lost@160", "Q@460"),
    ("S=pending@0 Q=unknown@10 Q=lost@40 Q=unknown@160 Q=pending@460", "Q@1360"),
    ("S=unknown@0 Q=unknown@1 Q=unknown@2 Q=unknown@3 Q=unknown@4 Q=unknown@5", "Q@3605"),
    ("S=unknown@0 Q=unknown@1 Q=unknown@2 Q=unknown@3 Q=unknown@4 Q=unknown@5 Q=lost@6", "Q@3606"),
    # A new send begins the distances anew.
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=unknown@41", "Q@51"),
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=unknown@41 Q=unknown@51", "Q@81"),
    # What a query finds is certain.
    ("S=unknown@0 Q=ok@10", "succeeded/ok"),
    ("S=lost@0 Q=ok@30", "succeeded/ok"),
    ("S=unknown@0 Q=final@10", "failed/final"),
    ("S=lost@0 Q=final@30", "failed/final"),
    ("S=pending@0 Q=pending@10 Q=final@40", "failed/final"),
    ("S=unknown@0 Q=unknown@10 Q=unknown@40 Q=ok@160", "succeeded/ok"),
    ("S=unknown@0 Q=funds@10", "parked/funds"),
    ("S=unknown@0 Q=conflict@10", "parked/conflict"),
    ("S=unknown@0 Q=config@10", "parked/config"),
    # "Not found" once is not believed; twice in a row and 30 s apart it is.
    ("S=unknown@0 Q=absent@10", "Q@40"),
    ("S=unknown@0 Q=absent@10 Q=absent@39", "Q@40"),
    ("S=unknown@0 Q=absent@10 Q=absent@40", "S@40"),
    ("S=unknown@0 Q=absent@10 Q=absent@15 Q=absent@40", "S@40"),
    ("S=lost@0 Q=absent@30 Q=absent@60", "S@60"),
    ("S=unknown@0 Q=absent@10 Q=unknown@40", "Q@160"),
    ("S=unknown@0 Q=absent@10 Q=unknown@40 Q=absent@160", "Q@190"),
    ("S=unknown@0 Q=absent@10 Q=pending@40 Q=absent@160 Q=absent@190", "S@190"),
    ("S=unknown@0 Q=absent@10 Q=lost@40 Q=absent@160", "Q@190"),
    ("S=unknown@0 Q=absent@10 Q=throttled@40 Q=absent@50", "Q@80"),
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=ok@41", "succeeded/ok"),
    # A "not found" from before the send says nothing about it.
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=unknown@41 Q=absent@51", "Q@81"),
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=unknown@41 Q=absent@51 Q=absent@81", "S@81"),
    # Throttled: the same call again, later each time.
    ("S=throttled@0 S=throttled@1", "S@3"),
    ("S=throttled@0 S=throttled@1 S=throttled@3", "S@8"),
    ("S=throttled@0 S=throttled@1 S=throttled@3 S=throttled@8", "S@23"),
    ("S=throttled@0 S=throttled@1 S=throttled@3 S=throttled@8 S=throttled@23", "S@83"),
    (
        "S=throttled@0 S=throttled@1 S=throttled@3 S=throttled@8 S=throttled@23 S=throttled@83",
        "S@143",
    ),
    ("S=throttled@0 S=ok@1", "succeeded/ok"),
    ("S=throttled@0 S=unknown@1", "Q@11"),
    ("S=unknown@0 Q=throttled@10", "Q@11"),
    ("S=unknown@0 Q=throttled@10 Q=throttled@11", "Q@13"),
    ("S=unknown@0 Q=throttled@10 Q=ok@11", "succeeded/ok"),
    ("S=unknown@0 Q=throttled@10 Q=unknown@11", "Q@131"),
    # A refused send is believed unless an earlier send may have been carried out.
    ("S=throttled@0 S=final@1", "failed/final"),
    ("S=funds@0 S=final@900", "failed/final"),
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=final@41", "Q@41"),
    ("S=lost@0 Q=absent@30 Q=absent@60 S=final@61", "Q@61"),
    ("S=pending@0 Q=absent@10 Q=absent@40 S=final@41", "Q@41"),
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=final@41 Q=ok@42", "succeeded/ok"),
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=final@41 Q=final@42", "failed/final"),
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=final@41 Q=unknown@42", "Q@72"),
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=final@41 Q=absent@42", "Q@72"),
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=final@41 Q=absent@42 Q=absent@72", "failed/final"),
    # After a top-up the same number is sent again.
    ("S=funds@0 S=ok@900", "succeeded/ok"),
    ("S=funds@0 S=funds@900", "parked/funds"),
    ("S=funds@0 S=unknown@900", "Q@910"),
    # What a person has looked at goes on with a query.
    ("S=config@0 Q=absent@900", "Q@930"),
    ("S=config@0 Q=absent@900 Q=absent@930", "S@930"),
    ("S=conflict@0 Q=ok@900", "succeeded/ok"),
    ("S=conflict@0 Q=conflict@900", "parked/conflict"),
    # A cancellation that is certain ends it without the money; "not found" there proves nothing.
    ("S=unknown@0 C=ok@5", "failed/final"),
    ("S=unknown@0 C=unknown@5", "Q@35"),
    ("S=unknown@0 C=absent@5", "Q@35"),
    ("S=unknown@0 Q=absent@10 C=absent@40", "Q@160"),
    ("S=unknown@0 C=throttled@5", "C@6"),
    ("S=unknown@0 C=final@5", "Q@5"),
]


@pytest.mark.parametrize("kind", OperationKind)
@pytest.mark.parametrize(("attempts", "expected"), FOR_EVERY_KIND)
def test_what_follows(kind: OperationKind, attempts: str, expected: str) -> None:
    step = decide(kind, history(attempts), POLICY, since=START)
    assert written(step) == expected


WHEN_ABANDONED = [
    # The answer to a send that was under way when it was given up.
    ("S=ok@3", "succeeded/ok"),
    ("S=final@3", "failed/final"),
    ("S=unknown@3", "Q@13"),
    ("S=pending@3", "Q@13"),
    ("S=lost@3", "Q@13"),
    ("S=absent@3", "Q@13"),
    ("S=funds@3", "C@3"),
    ("S=config@3", "C@3"),
    ("S=throttled@3", "C@4"),
    ("S=conflict@3", "parked/conflict"),
    # The same where an earlier send may still be carried out.
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=funds@41", "Q@51"),
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=config@41", "Q@51"),
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=throttled@41", "Q@42"),
    ("S=unknown@0 Q=absent@10 Q=absent@40 S=final@41", "Q@41"),
    # Asked about first, and then cancelled unless that is a certain end.
    ("S=unknown@0 Q=ok@10", "succeeded/ok"),
    ("S=unknown@0 Q=final@10", "failed/final"),
    ("S=unknown@0 Q=pending@10", "C@10"),
    ("S=unknown@0 Q=unknown@10", "C@10"),
    ("S=unknown@0 Q=lost@10", "C@10"),
    ("S=unknown@0 Q=absent@10", "C@10"),
    ("S=unknown@0 Q=funds@10", "C@10"),
    ("S=unknown@0 Q=config@10", "C@10"),
    ("S=unknown@0 Q=throttled@10", "Q@11"),
    ("S=unknown@0 Q=throttled@10 Q=throttled@11", "Q@13"),
    ("S=unknown@0 Q=conflict@10", "parked/conflict"),
    ("S=funds@0 Q=absent@10", "C@10"),
    # What a cancellation comes to.
    ("S=unknown@0 Q=unknown@10 C=ok@11", "failed/final"),
    ("S=unknown@0 Q=unknown@10 C=unknown@11", "Q@21"),
    ("S=unknown@0 Q=unknown@10 C=pending@11", "Q@21"),
    ("S=unknown@0 Q=unknown@10 C=lost@11", "Q@21"),
    ("S=unknown@0 Q=unknown@10 C=funds@11", "Q@21"),
    ("S=unknown@0 Q=unknown@10 C=final@11", "Q@21"),
    ("S=unknown@0 Q=unknown@10 C=absent@11", "Q@21"),
    ("S=unknown@0 Q=unknown@10 C=throttled@11", "C@12"),
    ("S=unknown@0 Q=unknown@10 C=config@11", "parked/config"),
    ("S=unknown@0 Q=unknown@10 C=conflict@11", "parked/conflict"),
    # Turns of a query and a cancellation, at growing distances.
    ("S=unknown@0 Q=unknown@10 C=unknown@11 Q=unknown@21", "C@21"),
    ("S=unknown@0 Q=unknown@10 C=unknown@11 Q=unknown@21 C=lost@22", "Q@52"),
    ("S=unknown@0 Q=lost@1 C=lost@2 Q=lost@3 C=lost@4 Q=lost@5 C=lost@6", "Q@126"),
    # Nothing to cancel: certain if no send is in doubt, else only if queries say so twice.
    ("S=funds@0 C=absent@5", "failed/final"),
    ("S=throttled@0 C=absent@5", "failed/final"),
    ("S=unknown@0 Q=absent@10 C=absent@11", "Q@40"),
    ("S=unknown@0 Q=absent@10 C=absent@11 Q=absent@20", "Q@40"),
    ("S=unknown@0 Q=absent@10 C=absent@11 Q=absent@40", "failed/final"),
    ("S=unknown@0 Q=absent@10 Q=absent@40 C=absent@41", "failed/final"),
    ("S=unknown@0 Q=unknown@10 C=absent@11 Q=absent@21", "Q@51"),
    ("S=unknown@0 Q=absent@10 C=absent@11 Q=unknown@40", "C@40"),
    ("S=unknown@0 Q=absent@10 C=absent@11 Q=ok@40", "succeeded/ok"),
    ("S=conflict@0 Q=absent@10 C=absent@11", "Q@40"),
    # The money that a query sees may be undone by a cancellation that is on its way.
    ("S=unknown@0 Q=unknown@10 C=unknown@11 Q=ok@21", "Q@41"),
    ("S=unknown@0 Q=unknown@10 C=lost@11 Q=ok@21 Q=ok@41", "succeeded/ok"),
    ("S=unknown@0 Q=unknown@10 C=lost@11 Q=ok@21 Q=final@41", "failed/final"),
    ("S=unknown@0 Q=unknown@10 C=funds@11 Q=ok@21", "succeeded/ok"),
    ("S=unknown@0 Q=unknown@10 C=absent@11 Q=ok@21", "succeeded/ok"),
]


@pytest.mark.parametrize(("attempts", "expected"), WHEN_ABANDONED)
def test_what_follows_once_it_is_given_up(attempts: str, expected: str) -> None:
    step = decide(OperationKind.DEBIT, history(attempts), POLICY, since=START, abandoned=True)
    assert written(step) == expected


def test_every_answer_to_every_action_is_in_the_table() -> None:
    lasts = {attempts.split()[-1].partition("@")[0] for attempts, _ in WHEN_ABANDONED}
    assert lasts == {f"{a}={o}" for a in LETTERS for o in ("lost", *Outcome)}


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ("", "failed/final"),
        ("S=unknown@0", "Q@500"),
        ("S=lost@0", "Q@500"),
        ("S=unknown@0 Q=absent@10 Q=absent@40", "Q@500"),
        ("S=unknown@0 Q=absent@10 Q=absent@40 S=funds@41", "Q@500"),
        ("S=conflict@0", "Q@500"),
        ("S=funds@0", "C@500"),
        ("S=config@0", "C@500"),
        ("S=throttled@0", "C@500"),
    ],
)
def test_how_it_is_given_up(attempts: str, expected: str) -> None:
    assert written(abandon(history(attempts), START + timedelta(seconds=500))) == expected


@pytest.mark.parametrize(
    ("at_s", "outcome", "expected_s"),
    [
        (0, None, 60),
        (60, Outcome.ABSENT, 600),
        (61, Outcome.UNKNOWN, 600),
        (5_000, Outcome.ABSENT, None),  # nobody asked for long: the later ages are over, too
        (600, Outcome.ABSENT, None),
        (600, Outcome.FINAL, None),
        (600, Outcome.UNKNOWN, 4_200),
        (600, Outcome.THROTTLED, 4_200),
        (600, Outcome.PENDING, 4_200),
    ],
)
def test_when_a_failed_one_is_asked_about_again(
    at_s: float, outcome: Outcome | None, expected_s: float | None
) -> None:
    at = next_recheck(START, START + timedelta(seconds=at_s), (60, 600), outcome=outcome)
    assert at == (None if expected_s is None else START + timedelta(seconds=expected_s))


PAST_THE_WINDOW = [
    ("S=unknown@0 Q=unknown@86400", "Q@86430", "Q@86430"),
    ("S=unknown@0 Q=unknown@86401", "Q@86431", "parked/unknown"),
    ("S=pending@0 Q=pending@86401", "Q@86431", "parked/unknown"),
    ("S=lost@0 Q=lost@86401", "Q@86431", "parked/unknown"),
    ("S=throttled@0 S=throttled@86401", "S@86403", "parked/unknown"),
    ("S=unknown@0 Q=throttled@86401", "Q@86402", "parked/unknown"),
    ("S=unknown@0 Q=ok@86401", "succeeded/ok", "succeeded/ok"),
    ("S=unknown@0 Q=final@86401", "failed/final", "failed/final"),
    ("S=unknown@0 Q=absent@86401", "Q@86431", "Q@86431"),
]


@pytest.mark.parametrize(("attempts", "debit", "other"), PAST_THE_WINDOW)
def test_only_debits_are_asked_about_for_ever(attempts: str, debit: str, other: str) -> None:
    for kind, expected in (
        (OperationKind.DEBIT, debit),
        (OperationKind.PAYOUT, other),
        (OperationKind.REFUND, other),
        (OperationKind.SUBSCRIBE, other),
        (OperationKind.REDEEM, other),
        (OperationKind.LIQUIDATE, other),
    ):
        assert written(decide(kind, history(attempts), POLICY, since=START)) == expected


def test_the_window_begins_anew_when_a_person_asks_again() -> None:
    asked_again = START + timedelta(seconds=200_000)
    attempts = history("S=funds@0 S=unknown@200001")
    step = decide(OperationKind.PAYOUT, attempts, POLICY, since=asked_again)
    assert written(step) == "Q@200011"


def test_jitter_spreads_growing_delays_by_a_fifth_at_most() -> None:
    def with_jitter(attempts: str) -> str:
        return written(
            decide(OperationKind.DEBIT, history(attempts), POLICY, since=START, jitter=0.5)
        )

    assert with_jitter("S=throttled@0") == "S@1.1"
    assert with_jitter("S=throttled@0 S=throttled@1 S=throttled@3") == "S@8.5"
    assert with_jitter("S=unknown@0") == "Q@11"
    assert with_jitter("S=unknown@0 Q=unknown@11") == "Q@44"
    assert with_jitter("S=unknown@0 Q=absent@10") == "Q@40"  # a grace is no growing delay


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ("", "S@500"),
        ("S=funds@0", "S@500"),
        ("S=unknown@0 Q=absent@10 Q=absent@40 S=funds@41", "S@500"),
        ("S=config@0", "Q@500"),
        ("S=conflict@0", "Q@500"),
        ("S=unknown@0 Q=config@10", "Q@500"),
        ("S=unknown@0 Q=unknown@400", "Q@500"),
        ("S=throttled@0", "Q@500"),
        ("S=funds@0 Q=lost@1", "Q@500"),
    ],
)
def test_how_a_parked_one_goes_on(attempts: str, expected: str) -> None:
    assert written(resume(history(attempts), START + timedelta(seconds=500))) == expected
