"""Accounts that every payment posts to are no bottleneck, and the dates of entries are certain."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, select, text

from shanmen.common.db import Database
from shanmen.settlement.domain.ledger import Posting, posting_for_debit
from shanmen.settlement.queries import ledger
from shanmen.settlement.queries.ledger import Cut
from shanmen.settlement.tables import ENTRIES, POSTINGS

NOON = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
WAIT_S = 5


def debit(number: int) -> Posting:
    """Every one of them posts to `cash:alipay` and `fees`."""
    return posting_for_debit(
        operation_id=f"deb_{number}",
        order_no=f"ord_{number}",
        channel="alipay",
        price_fen=100,
        fee_fen=1,
        occurred_at=NOON,
    )


async def test_postings_to_the_same_accounts_do_not_wait_for_each_other(
    database: Database,
) -> None:
    """Each commits while the other one's transaction is still open."""
    async with asyncio.timeout(WAIT_S), database.transaction() as one:
        await ledger.record(one, [debit(1)])
        async with database.transaction() as other:
            await other.execute(text("SET LOCAL lock_timeout = '100ms'"))
            await ledger.record(other, [debit(2)])
            async with database.transaction() as reader:
                assert (await ledger.sums_of(reader, "fees", Cut())).credit_fen == 0
        async with database.transaction() as reader:
            assert (await ledger.sums_of(reader, "fees", Cut())).credit_fen == 1
    async with database.transaction() as reader:
        assert (await ledger.sums_of(reader, "fees", Cut())).credit_fen == 2


async def test_an_entry_has_its_postings_time_whatever_is_claimed(database: Database) -> None:
    async with database.transaction() as tx:
        await ledger.record(tx, [debit(1)])
        values = {"key": "k", "kind": "debit", "occurred_at": NOON + timedelta(days=1)}
        added = insert(POSTINGS).values(values).returning(POSTINGS.c.posting_id)
        line = {"posting_id": await tx.scalar(added), "occurred_at": NOON}
        sides = [{"debit_fen": 5, "credit_fen": 0}, {"debit_fen": 0, "credit_fen": 5}]
        for account, side in zip(("fees", "margin"), sides, strict=True):
            await tx.execute(insert(ENTRIES).values(account=account, **line, **side))
    async with database.transaction() as tx:
        dates = select(ENTRIES.c.occurred_at, POSTINGS.c.occurred_at).join(POSTINGS)
        rows = [tuple(row) for row in await tx.execute(dates)]
    assert len(rows) == 5
    assert all(own == of_posting for own, of_posting in rows)
