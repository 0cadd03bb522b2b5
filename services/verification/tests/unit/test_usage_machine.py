"""The status machine of an entitlement's usage, cell by cell (every other status is terminal)."""

import itertools

import pytest

from shanmen.verification.domain import USAGE, Usage

LEGAL = {
    (Usage.UNUSED, Usage.USED),
    (Usage.UNUSED, Usage.EXPIRED),
    (Usage.UNUSED, Usage.VOIDED),
}


@pytest.mark.parametrize(("source", "target"), [*itertools.product(Usage, Usage)])
def test_every_cell(source: Usage, target: Usage) -> None:
    assert USAGE.allows(source, target) is ((source, target) in LEGAL)


def test_it_starts_unused_and_everything_else_is_the_end() -> None:
    assert USAGE.initial is Usage.UNUSED
    assert [status for status in Usage if USAGE.is_terminal(status)] == [
        Usage.USED,
        Usage.EXPIRED,
        Usage.VOIDED,
    ]
