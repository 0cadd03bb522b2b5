"""The parts of `shanmen check`: merging books by their keys, and knowing a private number."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from shanmen.platform.checks.control import private_kinds
from shanmen.platform.checks.findings import SHOWN, Finding, Report, Tally
from shanmen.platform.checks.invariants import together
from shanmen.platform.checks.view import ChannelRows, View

KNOWN = frozenset({"2088000000000201", "13800138000"})


class Shelf:
    """A view of books that are lists of keys."""

    def __init__(self, **books: list[str]) -> None:
        self._books = books
        self.sources = {name: ChannelRows("alipay", name, "key") for name in books}

    async def rows(self, source: ChannelRows) -> AsyncIterator[Mapping[str, Any]]:
        """The rows of one book."""
        for key in self._books[source.path]:
            yield {"key": key, "book": source.path}

    async def merged(self) -> list[tuple[str, str]]:
        """Each key with the books that have it."""
        return [
            (key, "".join(name for name, row in rows.items() if row is not None))
            async for key, rows in together(cast("View", self), self.sources)
        ]


async def test_books_are_merged_by_key_and_gaps_stay_gaps() -> None:
    shelf = Shelf(x=["B", "a", "c"], y=["a", "b", "c", "d"], z=[])

    assert await shelf.merged() == [
        ("B", "x"),
        ("a", "xy"),
        ("b", "y"),
        ("c", "xy"),
        ("d", "y"),
    ]


@pytest.mark.parametrize("keys", [["b", "a"], ["a", "a"], ["a", "B"]])
async def test_a_book_out_of_order_is_an_error_not_a_finding(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="x comes in no order"):
        await Shelf(x=keys, y=["a"]).merged()


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ('{"to": "2088000000000201"}', ["an account or phone number"]),
        ("call +13800138000 now", ["an account or phone number"]),
        ("id 11010519491231002X", ["an identity number"]),
        ("id 110105194912310021 has a wrong check digit", []),
        ("deb_2088000000000201 is an id of ours", []),
        ("2088000000000202 is nobody's", []),
        ("12088000000000201 holds it by chance", []),
    ],
)
def test_a_private_number_is_known_by_its_owner_or_its_check_digit(
    text: str, kinds: list[str]
) -> None:
    assert list(private_kinds(text, KNOWN)) == kinds


def test_many_offending_rows_are_counted_and_the_first_kept() -> None:
    tally = Tally(checked=1_000)
    for number in range(100):
        tally.offend(str(number), "wrong")
    report = Report("single", 1.0, [Finding("M1", "…", tally), Finding("M2", "…", Tally())])

    assert not report.ok
    assert report.counts() == {"ok": False, "invariants": {"M1": 100, "M2": 0}}
    assert [o.row for o in report.finding("M1").tally.first] == [str(n) for n in range(SHOWN)]
    assert report.text().startswith("M1 0: wrong\nM1 1: wrong")
