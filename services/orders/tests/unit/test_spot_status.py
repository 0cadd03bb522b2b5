"""The spot status (景区状态): every combination of facts, the legal ones as a table."""

import itertools

import pytest

from shanmen.orders.domain import ImpossibleFacts, Settlement, SpotFacts, Usage, spot_status

TABLE = """
    usage            activated  settlement     shown
    unused           no         pending        awaiting_activation
    unused           yes        pending        awaiting_visit
    used             -          pending        visited
    used             -          settle_failed  awaiting_settlement
    used             -          settled        settled
    expired,voided   -          pending        lapsed
    expired,voided   -          refund_failed  awaiting_refund
    expired,voided   -          refunded       refunded
    expired          -          forfeited      forfeited
"""


def legal() -> dict[tuple[str, bool, str], str]:
    meaning = {"no": [False], "yes": [True], "-": [False, True]}
    rows = [line.split() for line in TABLE.strip().splitlines()[1:]]
    return {
        (usage, activated, settlement): shown
        for usages, marked, settlement, shown in rows
        for usage in usages.split(",")
        for activated in meaning[marked]
    }


EVERY = [*itertools.product(Usage, [False, True], Settlement)]


def test_there_are_no_other_facts() -> None:
    assert len(EVERY) == 4 * 2 * 6
    assert len(legal()) == 2 + 3 * 2 + 3 * 2 * 2 + 2


@pytest.mark.parametrize(("usage", "activated", "settlement"), EVERY)
def test_every_combination(usage: Usage, activated: bool, settlement: Settlement) -> None:
    facts, expected = SpotFacts(usage, activated, settlement), legal()
    if (usage, activated, settlement) in expected:
        assert spot_status(facts) == expected[usage, activated, settlement]
    else:
        with pytest.raises(ImpossibleFacts, match=f"{usage}, activated {activated}, {settlement}"):
            spot_status(facts)
