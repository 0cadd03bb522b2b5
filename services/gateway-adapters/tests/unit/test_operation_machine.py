"""Every cell of the operation's machine."""

from itertools import product

import pytest

from shanmen.gateway_adapters.domain import OPERATION, OperationStatus

OPEN, PARKED, SUCCEEDED, FAILED = OperationStatus
ALLOWED = {
    (OPEN, PARKED),
    (OPEN, SUCCEEDED),
    (OPEN, FAILED),
    (PARKED, OPEN),
    (PARKED, SUCCEEDED),
}


@pytest.mark.parametrize(("source", "target"), list(product(OperationStatus, repeat=2)))
def test_every_cell(source: OperationStatus, target: OperationStatus) -> None:
    assert OPERATION.allows(source, target) is ((source, target) in ALLOWED)


def test_an_operation_begins_open_and_ends_for_good() -> None:
    assert OPERATION.initial is OPEN
    assert {status for status in OperationStatus if OPERATION.is_terminal(status)} == {
        SUCCEEDED,
        FAILED,
    }
