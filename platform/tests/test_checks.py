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

_UNKNOWN_HERE = """
UPDATE wealth_moves SET liquidated_by = NULL;
UPDATE wealth_moves SET status = 'parked', reason = 'no answer', finished_at = NULL,
    principal_fen = NULL, yield_fen = NULL WHERE kind = 'liquidate';
DELETE FROM entries USING postings p
WHERE p.posting_id = entries.posting_id AND p.kind = 'liquidation';
DELETE FROM postings WHERE kind = 'liquidation';
INSERT INTO work_items (item_id, family, kind, subject_id, operation_id, channel, account_id,
    amount_fen, code, reason, since, opened_at, updated_at)
SELECT 'wrk_1', 'liquidate', 'liquidate_stuck', move_id, move_id, 'huijinbao', '', 0, '', '',
    now(), now(), now() FROM wealth_moves WHERE kind = 'liquidate'
"""
_UNKNOWN_THERE = """
UPDATE operations SET status = 'parked', outcome = 'unknown', principal_fen = NULL,
    yield_fen = NULL WHERE kind = 'liquidate'
"""


async def checked(books: "Books") -> Report:
    """The report of a moment: what is at rest does not get any quieter."""
    return await check_installation(books.installation, quiet_within_s=0.0)


async def test_books_at_rest_are_found_in_order(books: "Books") -> None:
    report = await check_installation(books.installation, quiet_within_s=5.0)

    assert report.ok, report.text()
    looked_at = {f.id for f in report.findings if f.tally.checked}
    assert looked_at >= {"M1", "M2", "M3", "M7", "M9", "M11", "M12", "S1", "S3", "S4"}
    assert looked_at >= {"K1", "K2", "E2", "E5"}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
async def test_damage_is_found_where_it_is(books: "Books", damage: Damage) -> None:
    async with books.spoiling(damage.owner) as database:
        found = await database.fetchval(damage.find)
        assert found is not None, "the story has no such row"
        if damage.unchecked:
            await database.execute(_DROP_CHECKS.format(table=damage.unchecked))
        await database.execute(damage.spoil.replace(":found", f"'{found}'"))
        report = await checked(books)

    row = damage.row or str(found)
    assert any(
        row in offence.row and damage.facts in offence.facts
        for offence in report.finding(damage.invariant).tally.first
    ), report.text()


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


async def test_a_position_that_huijinbao_changed_is_found_by_its_product(books: "Books") -> None:
    folder = books.installation.state.path / "simulators-single" / "huijinbao-data"
    file = next(folder.glob("*.sqlite3"))
    change = "UPDATE lots SET remaining_fen = remaining_fen {} 1 WHERE lot_id = ?"
    with sqlite3.connect(file) as huijinbao:
        lot_id, product_id = huijinbao.execute(
            "SELECT lot_id, biz_no FROM lots JOIN positions USING (position_id)"
            " WHERE remaining_fen > 0"
        ).fetchone()
        huijinbao.execute(change.format("-"), [lot_id])
    try:
        report = await checked(books)
    finally:
        with sqlite3.connect(file) as huijinbao:
            huijinbao.execute(change.format("+"), [lot_id])

    assert product_id in [offence.row for offence in report.finding("M11").tally.first]


async def test_a_liquidation_that_nobody_knows_the_end_of_is_no_damage(books: "Books") -> None:
    async with books.spoiling("settlement") as here, books.spoiling("gateway-adapters") as there:
        await here.execute(_UNKNOWN_HERE)
        await there.execute(_UNKNOWN_THERE)
        report = await checked(books)

    assert report.ok, report.text()


async def test_an_order_that_was_booked_before_products_were_told_is_no_damage(
    books: "Books",
) -> None:
    async with books.spoiling("settlement") as database:
        await database.execute("UPDATE debits SET product_id = NULL WHERE NOT invests")
        report = await checked(books)

    assert report.ok, report.text()


def test_every_invariant_has_been_seen_to_fail() -> None:
    assert {invariant.id for invariant in INVARIANTS} == {damage.invariant for damage in DAMAGES}
