"""What a debit's success means: every status of an order, every state, current and replaced."""

from itertools import product

import pytest

from shanmen.orders.domain import DebitState, ImpossibleFacts, OrderStatus, debit_success

# The order's status, by the state of its current debit; "-" cannot be, and is an incident.
CURRENT = """
                      none requested short_of_funds stuck refused succeeded
    awaiting_payment   -     pays         pays      pays   pays       -
    closed_unpaid      -      -            -         -    orphans     -
    paid               -      -            -         -      -      repeats
    issued             -      -            -         -      -      repeats
    completed          -      -            -         -      -      repeats
    closed_refunded    -      -            -         -      -      repeats
"""


def cells() -> dict[tuple[str, str], str]:
    header, *rows = [line.split() for line in CURRENT.strip().splitlines()]
    return {
        (status, state): meaning
        for status, *meanings in rows
        for state, meaning in zip(header, meanings, strict=True)
    }


@pytest.mark.parametrize(("status", "state"), [*product(OrderStatus, DebitState)])
def test_of_the_orders_current_debit(status: OrderStatus, state: DebitState) -> None:
    expected = cells()[status, state]
    if expected == "-":
        with pytest.raises(ImpossibleFacts):
            debit_success(status, state, is_current=True)
    else:
        assert debit_success(status, state, is_current=True) == expected


@pytest.mark.parametrize(("status", "state"), [*product(OrderStatus, DebitState)])
def test_of_one_that_was_replaced(status: OrderStatus, state: DebitState) -> None:
    """Whatever the order and its later debit have become: at most one number ever pays it."""
    assert debit_success(status, state, is_current=False) == "orphans"
