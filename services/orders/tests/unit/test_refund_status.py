"""The refund status (退款状态) of an order, and what an issued order has become."""

from itertools import combinations_with_replacement, permutations

import pytest

from shanmen.orders.domain import (
    Settlement,
    Shown,
    SpotFacts,
    Usage,
    outcome,
    refund_status,
    spot_status,
)

ROWS = [
    # what its entitlements show, the order's refund status
    ("", "none"),
    ("awaiting_refund", "refund_pending"),
    ("refunded", "refunded"),
    ("refunded refunded", "refunded"),
    ("refunded settled", "partially_refunded"),
    ("refunded refunded settled", "partially_refunded"),
    ("settled", "none"),
    ("settled settled", "none"),
    # the first match wins: one that waits decides, whatever the others are
    ("awaiting_refund refunded", "refund_pending"),
    ("awaiting_refund settled", "refund_pending"),
    ("awaiting_refund refunded settled", "refund_pending"),
    ("awaiting_refund awaiting_visit", "refund_pending"),
    # not every one is refunded or settled
    ("refunded visited", "none"),
    ("refunded settled visited", "none"),
    ("refunded awaiting_settlement", "none"),
    ("refunded lapsed", "none"),
    ("refunded forfeited", "none"),
    ("lapsed", "none"),
    ("forfeited", "none"),
    ("awaiting_activation awaiting_visit", "none"),
]


@pytest.mark.parametrize(("shown", "status"), ROWS)
def test_every_row_in_any_order(shown: str, status: str) -> None:
    for order in permutations([Shown(one) for one in shown.split()]):
        assert refund_status(order) == status


def read_refund_status(shown: tuple[str, ...]) -> str:
    """The rule once more, by counting."""
    refunded, settled = shown.count("refunded"), shown.count("settled")
    if shown.count("awaiting_refund") > 0:
        return "refund_pending"
    if refunded == 0 or refunded + settled < len(shown):
        return "none"
    return "refunded" if settled == 0 else "partially_refunded"


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_every_order_of_up_to_three_entitlements(size: int) -> None:
    for shown in combinations_with_replacement(Shown, size):
        assert refund_status(shown) == read_refund_status(shown), shown


LEGAL = [
    "unused/pending",
    *("used/pending", "used/settle_failed", "used/settled"),
    *("expired/pending", "expired/refund_failed", "expired/refunded", "expired/forfeited"),
    *("voided/pending", "voided/refund_failed", "voided/refunded"),
]


def facts_of(text: str) -> SpotFacts:
    usage, _, settlement = text.partition("/")
    return SpotFacts(Usage(usage), activated=True, settlement=Settlement(settlement))


OUTCOMES = [
    ("unused/pending", None),
    ("used/pending", "completed"),
    ("used/pending unused/pending", None),
    ("used/settled used/settle_failed", "completed"),
    ("used/pending expired/pending", "completed"),
    ("used/settled voided/refunded", "completed"),
    ("expired/pending", None),
    ("expired/refund_failed", None),
    ("expired/refunded", "closed_refunded"),
    ("expired/refunded voided/refunded", "closed_refunded"),
    ("expired/refunded expired/pending", None),
    ("expired/forfeited", "completed"),
    ("expired/forfeited expired/forfeited", "completed"),
    ("expired/forfeited voided/refunded", "completed"),
    ("expired/forfeited expired/pending", None),
    ("expired/forfeited expired/refund_failed", None),
    ("expired/forfeited expired/refunded", "completed"),
    ("used/pending voided/refund_failed", "completed"),
    ("used/settled voided/pending expired/pending", "completed"),
    ("voided/refunded expired/pending", None),
    ("voided/refund_failed", None),
    ("voided/refunded", "closed_refunded"),
    ("voided/refunded unused/pending", None),
]


@pytest.mark.parametrize(("facts", "status"), OUTCOMES)
def test_what_an_issued_order_has_become(facts: str, status: str | None) -> None:
    for order in permutations([facts_of(one) for one in facts.split()]):
        assert outcome(order) == status


def read_outcome(facts: tuple[str, ...]) -> str | None:
    """The rule once more, from the words: 交易关闭2 is 退款成功 of every entitlement, 交易成功 is
    all used, or some used and none left, or nothing that expired is refundable."""
    shown = tuple(spot_status(facts_of(one)) for one in facts)
    if facts and read_refund_status(shown) == "refunded":
        return "closed_refunded"
    if not facts or "unused/pending" in facts:
        return None
    expired = [one for one in facts if one.startswith("expired")]
    some_used = any(one.startswith("used") for one in facts)
    nothing_to_refund = "expired/forfeited" in expired and not (
        {"expired/pending", "expired/refund_failed"} & {*expired}
    )
    return "completed" if some_used or nothing_to_refund else None


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_every_issued_order_of_up_to_three_entitlements(size: int) -> None:
    for facts in combinations_with_replacement(LEGAL, size):
        assert outcome([facts_of(one) for one in facts]) == read_outcome(facts), facts


FINAL = ["used/settled", "expired/refunded", "expired/forfeited", "voided/refunded"]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_when_nothing_can_happen_any_more_there_is_a_conclusion(size: int) -> None:
    for facts in combinations_with_replacement(FINAL, size):
        assert outcome([facts_of(one) for one in facts]) is not None, facts
