"""Matching: whatever is done to a bill is found, and nothing else."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanmen.settlement.domain.matching import Matcher
from shanmen.settlement.domain.reconciliation import (
    ACCOUNT_BILL,
    DAY,
    DIRECTION_OF,
    BreakClass,
    Explained,
    Fact,
    Findings,
    Line,
    Window,
    midnight,
    places_of,
)

TODAY = date(2026, 11, 1)
KINDS = {
    "alipay": ("debit", "refund", "payout", "owner_in", "owner_out"),
    "huijinbao": (
        *("debit", "refund", "payout", "owner_in"),
        *("subscription", "redemption", "liquidation"),
    ),
}
WAYS = {
    **DIRECTION_OF,
    "owner_in": "in",
    "owner_out": "out",
    "subscription": "out",
    "redemption": "in",
    "liquidation": "in",
}


def fact_of(kind: str, number: str, amount_fen: int, **given: Any) -> Fact:
    at = given.pop("at", midnight(TODAY) + timedelta(hours=12))
    root = given.pop("root", number)
    return Fact(
        f"{kind}:{number}", kind, number, root, WAYS[kind], amount_fen, at, TODAY
    )._replace(**given)


def lines_of(channel: str, facts: Sequence[Fact]) -> list[Line]:
    """The bill as it must be."""
    return [
        Line(
            bill_type=bill_type,
            line=place,
            number=number,
            root=fact.root,
            direction=fact.direction,
            amount_fen=fact.amount_fen,
            succeeded=True,
            business_type="x",
            channel_ref=f"ref-{fact.number}",
            at=fact.at,
            day=fact.day,
        )
        for place, fact in enumerate(facts, 2)
        for bill_type, number in places_of(channel, fact)
    ]


def match(
    channel: str,
    facts: Sequence[Fact],
    lines: Sequence[Line],
    explained: Sequence[Explained] = (),
    **window: Any,
) -> Findings:
    usual: dict[str, Any] = {"has_previous": True, "has_next": True, "edge": timedelta(hours=2)}
    return Matcher(channel, Window(day=TODAY, **{**usual, **window})).match(
        facts, lines, explained
    )


def found(findings: Findings) -> list[tuple[str, str]]:
    return [(each.break_class.value, each.number) for each in findings.differences]


@st.composite
def histories(draw: st.DrawFn) -> tuple[str, list[Fact]]:
    channel = draw(st.sampled_from(["alipay", "huijinbao"]))
    facts: list[Fact] = []
    amounts = st.integers(min_value=1, max_value=5)  # equal amounts are what is hard
    for place in range(draw(st.integers(min_value=1, max_value=12))):
        kind = draw(st.sampled_from(KINDS[channel]))
        debits = [fact.number for fact in facts if fact.kind == "debit"]
        root = f"n{place}"
        if kind == "refund":
            root = draw(st.sampled_from(debits)) if debits else "n-earlier"
        at = midnight(TODAY) + timedelta(minutes=draw(st.integers(0, 24 * 60 - 1)))
        facts.append(fact_of(kind, f"n{place}", draw(amounts), root=root, at=at))
    return channel, facts


CHANGES = ("removed", "added", "altered", "duplicated", "moved")


@given(history=histories(), data=st.data())
@settings(max_examples=300, deadline=None)
def test_what_is_done_to_a_bill_is_found_and_nothing_else(
    history: tuple[str, list[Fact]], data: st.DataObject
) -> None:
    channel, facts = history
    changed = {
        index: data.draw(st.sampled_from(CHANGES), label=f"fact {index}")
        for index in data.draw(st.sets(st.integers(0, len(facts) - 1), max_size=3))
    }
    wanted: Counter[tuple[str, str]] = Counter()
    lines: list[Line] = []
    refunds_of = Counter(fact.root for fact in facts if fact.kind == "refund")
    for index, fact in enumerate(facts):
        mine = [line._replace(line=index + 2) for line in lines_of(channel, [fact])]
        change = changed.get(index)
        if fact.kind == "refund" and refunds_of[fact.root] > 1 and change == "altered":
            change = None  # which of the refunds of one debit was altered, its bill does not say
        if change == "removed":
            wanted["missing_there", fact.number] += 1
            continue
        if change == "added":
            strange = [
                line._replace(number="s", root=f"s{index}", line=90 + index) for line in mine
            ]
            lines += [line._replace(number=f"s{index}") for line in strange]
            wanted["missing_here", f"s{index}"] += 1
        if change == "altered":
            mine = [line._replace(amount_fen=fact.amount_fen + 100 + index) for line in mine]
            wanted["amount", fact.number] += 1
        if change == "duplicated":
            lines += [line._replace(line=190 + index) for line in mine]
            wanted["missing_here", fact.number] += 1
        if change == "moved":
            mine = [
                line._replace(day=TODAY + data.draw(st.sampled_from([DAY, -DAY]))) for line in mine
            ]
        lines += mine
    lines = data.draw(st.permutations(lines))
    ambiguous = any(
        refunds_of[facts[index].root] > 1 for index in changed if facts[index].kind == "refund"
    )
    got = found(match(channel, facts, lines))
    if ambiguous:
        assert len(got) >= sum(wanted.values())
    else:
        assert Counter(got) == wanted


@pytest.mark.parametrize("channel", ["alipay", "huijinbao"])
def test_one_break_for_the_same_money_in_both_bills(channel: str) -> None:
    debit = fact_of("debit", "d", 100)
    refund = fact_of("refund", "r", 40, root="d")
    lines = lines_of(channel, [debit, refund])
    (gone,) = match(channel, [debit, refund], lines_of(channel, [debit])).differences
    assert (gone.break_class, gone.number, gone.ours_fen) == (BreakClass.MISSING_THERE, "r", 40)
    assert len(gone.places) == 2
    (more,) = match(channel, [debit], lines).differences
    assert (more.break_class, more.number, more.theirs_fen) == (BreakClass.MISSING_HERE, "r", 40)
    assert {place.line for place in more.places} == {3}
    # In one of the bills only: it is told which.
    account = [line for line in lines if line.bill_type == ACCOUNT_BILL[channel]]
    only_there = [line for line in lines if line not in account]
    (half,) = match(
        channel, [refund], [one for one in account if one.amount_fen == 40]
    ).differences
    assert {place.bill_type for place in half.places} == {only_there[0].bill_type}


def test_a_liquidation_may_be_two_rows() -> None:
    fact = fact_of("liquidation", "l", 100)
    whole = lines_of("huijinbao", [fact])
    split = [
        part
        for line in whole
        for part in (line._replace(amount_fen=97), line._replace(amount_fen=3, line=9))
    ]
    assert match("huijinbao", [fact], split).differences == ()
    assert match("huijinbao", [fact], split).matched == 4
    debit = fact_of("debit", "l", 100)
    parts = [
        line._replace(bill_type="TRADE" if line.bill_type == "WEALTH" else "ACCOUNT")
        for line in split
    ]
    assert len(match("huijinbao", [debit], parts).differences) > 0


def test_what_is_near_midnight_waits_for_the_next_bill() -> None:
    late = fact_of("payout", "p", 5, at=midnight(TODAY + DAY) - timedelta(minutes=1))
    waiting = match("alipay", [late], [], has_next=False)
    assert (found(waiting), [fact.number for fact in waiting.waiting]) == ([], ["p"])
    assert found(match("alipay", [late], [])) == [("missing_there", "p")]
    # The next day's run judges it, under its own day.
    tail = late._replace(day=TODAY - DAY, at=midnight(TODAY) - timedelta(minutes=1))
    (judged,) = match("alipay", [tail], []).differences
    assert (judged.bill_date, judged.number) == (TODAY - DAY, "p")
    assert found(match("alipay", [tail], lines_of("alipay", [tail._replace(day=TODAY)]))) == []
    noon = fact_of("payout", "p", 5)
    assert found(match("alipay", [noon], [], has_next=False)) == [("missing_there", "p")]


def test_statuses_that_differ() -> None:
    fact = fact_of("debit", "d", 100)
    lines = lines_of("huijinbao", [fact])
    refused = [line._replace(succeeded=False) for line in lines]
    assert found(match("huijinbao", [fact], refused)) == [("status", "d")]
    assert found(match("huijinbao", [], refused)) == []
    known = [line._replace(known=("debit", "open")) for line in lines]
    assert found(match("huijinbao", [], known)) == [("status", "d")]
    assert found(match("huijinbao", [fact], known)) == [("status", "d")]
    fine = [line._replace(known=("debit", "succeeded")) for line in lines]
    assert found(match("huijinbao", [fact], fine)) == []
    assert found(match("huijinbao", [fact], [*fine, *fine])) == [("missing_here", "d")]


def test_a_debit_that_was_undone_at_the_channel_moved_nothing() -> None:
    came = lines_of("alipay", [fact_of("debit", "d", 100)])
    failed = [line._replace(known=("debit", "failed")) for line in came]
    went = [line._replace(direction="out", line=7, known=None) for line in came]
    assert match("alipay", [], [*failed, *went]).differences == ()
    assert len(match("alipay", [], failed).differences) == 1
    assert len(match("alipay", [], [*came, *went]).differences) == 2


def test_an_owners_movement_is_found_by_the_channels_own_number() -> None:
    fact = fact_of("owner_in", "ref-7", 100)
    (line,) = lines_of("alipay", [fact])
    assert found(match("alipay", [fact], [line._replace(number="x", channel_ref="ref-7")])) == []


@given(history=histories(), data=st.data())
@settings(max_examples=100, deadline=None)
def test_what_was_dealt_with_is_not_found_again(
    history: tuple[str, list[Fact]], data: st.DataObject
) -> None:
    channel, facts = history
    lines = lines_of(channel, facts)
    kept = [line for line in lines if data.draw(st.booleans(), label="kept")]
    bent = [
        line._replace(amount_fen=line.amount_fen + data.draw(st.sampled_from([0, 0, 7])))
        for line in kept
    ]
    differences = match(channel, facts, bent).differences
    explained = [
        Explained(
            *(place.bill_type, place.number, each.direction, each.ours_fen, each.theirs_fen),
            *(each.theirs_at or each.ours_at or datetime.now(UTC), each.bill_date),
        )
        for each in differences
        for place in each.places
    ]
    assert match(channel, facts, bent, explained).differences == ()


def test_two_days_apart_is_too_far() -> None:
    fact = fact_of("payout", "p", 5, day=TODAY - DAY, at=midnight(TODAY) - timedelta(hours=9))
    late = [line._replace(day=TODAY + DAY) for line in lines_of("alipay", [fact])]
    assert match("alipay", [fact], late).settled_facts == frozenset()
    near = [line._replace(day=TODAY) for line in late]
    assert match("alipay", [fact], near).settled_facts == {fact.key}


def test_where_each_fact_is() -> None:
    refund = fact_of("refund", "r", 1, root="d")
    payout, top_up = fact_of("payout", "p", 1), fact_of("owner_in", "t", 1)
    assert places_of("alipay", refund) == [("signcustomer", "d"), ("trade", "r")]
    assert places_of("alipay", payout) == [("signcustomer", "p")]
    assert places_of("huijinbao", refund) == [("ACCOUNT", "r"), ("TRADE", "r")]
    assert places_of("huijinbao", payout) == [("ACCOUNT", "p"), ("TRADE", "p")]
    assert places_of("huijinbao", top_up) == [("ACCOUNT", "t")]
    subscription = fact_of("subscription", "s", 1)
    assert places_of("huijinbao", subscription) == [("ACCOUNT", "s"), ("WEALTH", "s")]
