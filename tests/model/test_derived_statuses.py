"""Derived statuses over every combination of facts, against a second reading of the rules.

The rules are written down again here, sentence by sentence as the domain has them, and compared
with the services' own functions over the whole product space of up to three entitlements (S1-S3).
"""

from collections.abc import Sequence
from itertools import combinations_with_replacement, product
from typing import Final

import pytest

from shanmen.orders.domain import (
    ImpossibleFacts,
    OrderStatus,
    RefundStatus,
    Settlement,
    Shown,
    SpotFacts,
    Usage,
    outcome,
    refund_status,
    spot_status,
)

EVERY_FACT: Final = [
    SpotFacts(usage, activated, settlement)
    for usage, activated, settlement in product(Usage, (False, True), Settlement)
]


def shown_as_written(facts: SpotFacts) -> set[Shown]:
    """Every row of the table of spot statuses (景区状态) that applies; none means impossible."""
    is_unused = facts.usage is Usage.UNUSED
    is_used = facts.usage is Usage.USED
    is_over = facts.usage in {Usage.EXPIRED, Usage.VOIDED}
    money = facts.settlement
    rows = {
        Shown.AWAITING_ACTIVATION: is_unused and not facts.activated and money == "pending",
        Shown.AWAITING_VISIT: is_unused and facts.activated and money == "pending",
        Shown.VISITED: is_used and money == "pending",
        Shown.AWAITING_SETTLEMENT: is_used and money == "settle_failed",
        Shown.SETTLED: is_used and money == "settled",
        Shown.LAPSED: is_over and money == "pending",
        Shown.AWAITING_REFUND: is_over and money == "refund_failed",
        Shown.REFUNDED: is_over and money == "refunded",
        Shown.FORFEITED: facts.usage is Usage.EXPIRED and money == "forfeited",
    }
    return {shown for shown, applies in rows.items() if applies}


POSSIBLE: Final = [facts for facts in EVERY_FACT if shown_as_written(facts)]
ORDERS: Final = [
    tuple(order) for size in (1, 2, 3) for order in combinations_with_replacement(POSSIBLE, size)
]
"""Every order of one to three entitlements whose facts are possible."""


def refunds_as_written(order: Sequence[SpotFacts]) -> RefundStatus:
    """退款状态: the first match wins."""
    shown = [one for facts in order for one in shown_as_written(facts)]
    if any(one is Shown.AWAITING_REFUND for one in shown):
        return RefundStatus.REFUND_PENDING
    if all(one is Shown.REFUNDED for one in shown):
        return RefundStatus.REFUNDED
    is_settled_or_back = all(one in {Shown.REFUNDED, Shown.SETTLED} for one in shown)
    if is_settled_or_back and any(one is Shown.REFUNDED for one in shown):
        return RefundStatus.PARTIALLY_REFUNDED
    return RefundStatus.NONE


def ends_as_written(order: Sequence[SpotFacts]) -> set[OrderStatus]:
    """Every status that an issued order has by these facts; exactly one is expected.

    交易成功: every entitlement is used; or some are used and the others over; or nothing is left
    to come, and something that expired was not refundable.
    交易关闭2: the refund status is 退款成功.
    """
    is_used = [facts.usage is Usage.USED for facts in order]
    is_open = any(facts.usage is Usage.UNUSED for facts in order)
    gone_back = [facts.settlement is Settlement.REFUNDED for facts in order]
    kept = [facts.settlement is Settlement.FORFEITED for facts in order]
    is_waiting = any(
        facts.usage is Usage.EXPIRED and not (back or forfeited)
        for facts, back, forfeited in zip(order, gone_back, kept, strict=True)
    )
    visited = any(is_used) and not is_open
    only_kept = not any(is_used) and not is_open and any(kept) and not is_waiting
    ends = {
        OrderStatus.COMPLETED: visited or only_kept,
        OrderStatus.CLOSED_REFUNDED: refunds_as_written(order) is RefundStatus.REFUNDED,
    }
    found = {status for status, holds in ends.items() if holds}
    return found or {OrderStatus.ISSUED}


@pytest.mark.parametrize("facts", EVERY_FACT, ids=str)
def test_a_spot_status_is_its_row_and_everything_else_is_an_incident(facts: SpotFacts) -> None:
    rows = shown_as_written(facts)
    assert len(rows) <= 1
    if rows:
        assert {spot_status(facts)} == rows
    else:
        with pytest.raises(ImpossibleFacts):
            spot_status(facts)


def test_every_order_has_exactly_the_refund_status_that_is_written() -> None:
    for order in ORDERS:
        shown = [spot_status(facts) for facts in order]
        assert refund_status(shown) is refunds_as_written(order), order


def test_every_order_has_exactly_the_one_status_that_is_written() -> None:
    for order in ORDERS:
        written = ends_as_written(order)
        assert len(written) == 1, order
        assert {outcome(order) or OrderStatus.ISSUED} == written, order


def test_an_order_is_closed_exactly_when_all_of_it_went_back() -> None:
    for order in ORDERS:
        is_closed = outcome(order) is OrderStatus.CLOSED_REFUNDED
        shown = [spot_status(facts) for facts in order]
        assert is_closed == (refund_status(shown) is RefundStatus.REFUNDED), order


def test_the_order_of_entitlements_does_not_matter() -> None:
    for order in ORDERS:
        turned = order[::-1]
        assert outcome(turned) == outcome(order)
        shown = [spot_status(facts) for facts in turned]
        assert refund_status(shown) is refunds_as_written(order)
