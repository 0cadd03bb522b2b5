"""Files of any length are read page by page, and miss nothing between the pages."""

from datetime import UTC, datetime, timedelta

from shanmen.common.db import Database
from shanmen.settlement.domain.ledger import posting_for_debit
from shanmen.settlement.queries import ledger
from shanmen.settlement.queries.ledger import Cut
from shanmen.settlement.usecases.bookkeeping import (
    AccountPeriod,
    read_whole_statement,
    read_whole_trial_balance,
)

NOON = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
DEBITS = [
    posting_for_debit(
        operation_id=f"deb_{number}",
        order_no=f"ord_{number}",
        channel="alipay",
        price_fen=100,
        fee_fen=number + 1,
        occurred_at=NOON + timedelta(seconds=number // 2),  # two at a time
    )
    for number in range(6)
]


async def test_a_statement_in_pages_is_the_statement(database: Database) -> None:
    async with database.transaction() as tx:
        await ledger.record(tx, DEBITS)
    period = AccountPeriod("fees", NOON, NOON + timedelta(hours=1))
    async with database.snapshot() as tx:
        for rows_at_once in (1, 2, 5, 6, 7):
            pages = [
                page async for page in read_whole_statement(tx, period, rows_at_once=rows_at_once)
            ]
            lines = [line for page in pages for line in page.lines]
            assert [line.entry.credit_fen for line in lines] == [1, 2, 3, 4, 5, 6]
            assert [line.balance_fen for line in lines] == [1, 3, 6, 10, 15, 21]
            assert {(page.opening_fen, page.closing_fen) for page in pages} == {(0, 21)}


async def test_a_trial_balance_in_pages_has_every_account(database: Database) -> None:
    async with database.transaction() as tx:
        await ledger.record(tx, DEBITS)
    async with database.snapshot() as tx:
        for rows_at_once in (1, 3, 8, 9):
            pages = read_whole_trial_balance(
                tx, Cut(), prefix="", include_zero=False, rows_at_once=rows_at_once
            )
            rows = [row async for page in pages for row in page]
            assert [row.account for row in rows] == [
                *("cash:alipay", *(f"custody:ord_{number}" for number in range(6)), "fees")
            ]
            assert sum(row.debit_fen - row.credit_fen for row in rows) == 0
