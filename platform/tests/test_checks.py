"""Negative controls: books that are spoiled in one place are found out, by the right invariant.

Without them a check that looks at nothing would pass as well.
"""

import sqlite3
from typing import TYPE_CHECKING

import pytest

from shanmen.platform.checks.checking import INVARIANTS, check_installation
from shanmen.platform.checks.findings import Report
from shanmen.platform.testing.damages import DAMAGES, Damage

if TYPE_CHECKING:
    from platform.tests.conftest import Books


_DROP_CHECKS = """
DO $$ DECLARE found record; BEGIN
    FOR found IN SELECT conname, contype FROM pg_constraint
        WHERE conrelid = '{table}'::regclass AND contype IN ('c', 'u', 'p')
    LOOP EXECUTE format('ALTER TABLE {table} DROP CONSTRAINT %I CASCADE', found.conname);
    END LOOP;
    FOR found IN SELECT indexrelid::regclass AS name FROM pg_index
        WHERE indrelid = '{table}'::regclass AND indisunique
    LOOP EXECUTE format('DROP INDEX %s', found.name);
    END LOOP;
END $$
"""


async def checked(books: "Books") -> Report:
    """The report of a moment: what is at rest does not get any quieter."""
    return await check_installation(books.installation, quiet_within_s=0.0)


async def test_books_at_rest_are_found_in_order(books: "Books") -> None:
    report = await check_installation(books.installation, quiet_within_s=5.0)

    assert report.ok, report.text()
    looked_at = {f.id for f in report.findings if f.tally.checked}
    assert looked_at >= {"M1", "M2", "M3", "M7", "M9", "S1", "S3", "S4", "K1", "K2", "E2", "E5"}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
async def test_damage_is_found_where_it_is(books: "Books", damage: Damage) -> None:
    async with books.spoiling(damage.owner) as database:
        found = await database.fetchval(damage.find)
        assert found is not None, "the story has no such row"
        if damage.unchecked:
            await database.execute(_DROP_CHECKS.format(table=damage.unchecked))
        await database.execute(damage.spoil.replace(":found", f"'{found}'"))
        report = await checked(books)

    rows = report.finding(damage.invariant).tally.first
    assert any((damage.row or str(found)) in offence.row for offence in rows), report.text()


async def test_a_payout_that_alipay_changed_is_found_by_its_number(books: "Books") -> None:
    file = next(books.installation.state.path.glob("simulators-single/alipay-data/*.sqlite3"))
    change = "UPDATE entries SET amount_fen = amount_fen {} 5 WHERE business_no = ?"
    with sqlite3.connect(file) as alipay:
        (number,) = alipay.execute("SELECT out_biz_no FROM transfers").fetchone()
        alipay.execute(change.format("+"), [number])
    try:
        report = await checked(books)
    finally:
        with sqlite3.connect(file) as alipay:
            alipay.execute(change.format("-"), [number])

    assert number in [offence.row for offence in report.finding("M3").tally.first]
    assert report.finding("M2").tally.offending


def test_every_invariant_has_been_seen_to_fail() -> None:
    assert {invariant.id for invariant in INVARIANTS} == {damage.invariant for damage in DAMAGES}
