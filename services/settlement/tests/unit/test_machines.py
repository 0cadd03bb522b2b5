"""Every cell of the status machines, against tables written out by hand."""

from itertools import product

import pytest

from shanmen.settlement.domain.statuses import (
    PAYOUT,
    REFUND,
    SETTLEMENT,
    PayoutStatus,
    RefundPaymentStatus,
    Settlement,
)
from shanmen.settlement.domain.wealth import WEALTH_MOVE, WealthMoveStatus

# Rows become columns, in the order in which the statuses are named; x is allowed.
SETTLEMENT_TABLE = """
                pending settled settle_failed refunded refund_failed forfeited
pending         .       x       x             x        x             x
settled         .       .       .             .        .             .
settle_failed   .       x       .             .        .             .
refunded        .       .       .             .        .             .
refund_failed   .       .       .             x        .             .
forfeited       .       .       .             .        .             .
"""

PAYOUT_TABLE = """
                requested paid parked failed
requested       .         x    x      x
paid            .         .    .      .
parked          x         x    .      x
failed          .         .    .      .
"""

REFUND_TABLE = """
                requested refunded parked failed
requested       .         x        x      x
refunded        .         .        .      .
parked          x         x        .      x
failed          .         .        .      .
"""

WEALTH_MOVE_TABLE = """
                requested done parked failed
requested       .         x    x      x
done            .         .    .      .
parked          x         x    .      x
failed          .         x    .      .
"""


def cells(table: str) -> dict[tuple[str, str], bool]:
    head, *rows = table.strip().splitlines()
    targets = head.split()
    return {
        (row.split()[0], target): mark == "x"
        for row in rows
        for target, mark in zip(targets, row.split()[1:], strict=True)
    }


@pytest.mark.parametrize(("source", "target"), list(product(Settlement, Settlement)))
def test_settlement_machine(source: Settlement, target: Settlement) -> None:
    assert SETTLEMENT.allows(source, target) is cells(SETTLEMENT_TABLE)[source, target]


@pytest.mark.parametrize(("source", "target"), list(product(PayoutStatus, PayoutStatus)))
def test_payout_machine(source: PayoutStatus, target: PayoutStatus) -> None:
    assert PAYOUT.allows(source, target) is cells(PAYOUT_TABLE)[source, target]


@pytest.mark.parametrize(
    ("source", "target"), list(product(RefundPaymentStatus, RefundPaymentStatus))
)
def test_refund_machine(source: RefundPaymentStatus, target: RefundPaymentStatus) -> None:
    assert REFUND.allows(source, target) is cells(REFUND_TABLE)[source, target]


@pytest.mark.parametrize(("source", "target"), list(product(WealthMoveStatus, WealthMoveStatus)))
def test_wealth_move_machine(source: WealthMoveStatus, target: WealthMoveStatus) -> None:
    assert WEALTH_MOVE.allows(source, target) is cells(WEALTH_MOVE_TABLE)[source, target]


def test_money_starts_with_the_platform_and_a_payment_as_asked_for() -> None:
    assert SETTLEMENT.initial == "pending"
    assert {str(machine.initial) for machine in (PAYOUT, REFUND, WEALTH_MOVE)} == {"requested"}
