"""Every cell of the operation's machine."""

from itertools import product

import pytest

from shanmen.gateway_adapters.domain.operations import OPERATION, OperationStatus

OPEN, PARKED, SUCCEEDED, FAILED = OperationStatus
ALLOWED = {
    (OPEN, PARKED),
    (OPEN, SUCCEEDED),
    (OPEN, FAILED),
    (PARKED, OPEN),
    (PARKED, SUCCEEDED),
    (FAILED, SUCCEEDED),
}


@pytest.mark.parametrize(("source", "target"), list(product(OperationStatus, repeat=2)))
def test_every_cell(source: OperationStatus, target: OperationStatus) -> None:
    assert OPERATION.allows(source, target) is ((source, target) in ALLOWED)


def test_an_operation_begins_open_and_money_that_moved_is_the_only_end_for_ever() -> None:
    assert OPERATION.initial is OPEN
    terminal = {status for status in OperationStatus if OPERATION.is_terminal(status)}
    assert terminal == {SUCCEEDED}
