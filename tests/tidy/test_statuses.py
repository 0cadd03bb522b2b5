"""Every status says what it is called in the source: a Chinese term, beside its definition."""

import pytest

from shanmen.orders.domain import RefundStatus, Shown
from shanmen.platform.documents.docstrings import term_and_meaning
from shanmen.platform.documents.states import machines

STATUSES = [*(type(machine.initial) for _, machine in machines()), Shown, RefundStatus]


def test_no_machine_is_overlooked() -> None:
    names = [machine.name for _, machine in machines()]
    assert {"order", "debit", "usage", "settlement", "payout", "operation"} <= {*names}
    assert len(names) == len({*names}), "docs/states has one page per name"


@pytest.mark.parametrize("status", STATUSES, ids=lambda status: status.__qualname__)
def test_every_member_has_its_chinese_term(status: type) -> None:
    untold = [member.name for member in status if not term_and_meaning(member)[0]]  # type: ignore[attr-defined] # an enumeration
    assert not untold, (
        f"{status.__module__}.{status.__qualname__}: begin the docstring under each of these "
        f"members with its Chinese term and a colon: {untold}"
    )
