"""Every status says what it is called in the source: a Chinese term, beside its definition."""

from enum import StrEnum
from pathlib import Path
from typing import Final

import pytest

from shanmen.orders.domain import RefundStatus, Shown
from shanmen.platform.documents.docstrings import term_and_meaning
from shanmen.platform.documents.states import machines

STATUSES: Final[list[type[StrEnum]]] = [
    *(type(machine.initial) for _, machine in machines()),
    *(Shown, RefundStatus),
]


def test_no_machine_is_overlooked() -> None:
    names = [machine.name for _, machine in machines()]
    assert {"order", "debit", "usage", "settlement", "payout", "operation"} <= {*names}
    assert len(names) == len({*names}), "docs/states has one page per name"


@pytest.mark.parametrize("status", STATUSES, ids=lambda status: status.__qualname__)
def test_every_member_has_its_chinese_term(status: type[StrEnum]) -> None:
    untold = [member.name for member in status if not term_and_meaning(member)[0]]
    assert not untold, (
        f"{status.__module__}.{status.__qualname__}: begin the docstring under each of these "
        f"members with its Chinese term and a colon: {untold}"
    )


@pytest.mark.parametrize("status", STATUSES, ids=lambda status: status.__qualname__)
def test_the_glossary_has_every_member(status: type[StrEnum], root: Path) -> None:
    glossary = (root / "docs/glossary.md").read_text(encoding="utf-8")
    entries = [f"{term_and_meaning(member)[0]} `{member.value}`" for member in status]
    missing = [entry for entry in entries if entry not in glossary]
    assert not missing, f"docs/glossary.md, under Statuses: {missing}"
