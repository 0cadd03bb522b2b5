"""What the database itself refuses, whatever the code asks of it."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Executable, delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from shanmen.common.db import Database, Tx
from shanmen.common.migrate import check, migrate
from shanmen.common.testing.databases import TemplateDatabases
from shanmen.settlement.domain.ledger import (
    posting_for_debit,
    posting_for_payout,
)
from shanmen.settlement.main import SERVICE
from shanmen.settlement.queries import ledger
from shanmen.settlement.tables import ENTRIES, POSTINGS

NOON = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
DEBIT = posting_for_debit(
    operation_id="deb_1",
    order_no="ord_1",
    channel="alipay",
    price_fen=10_000,
    fee_fen=60,
    occurred_at=NOON,
)
PAYOUT = posting_for_payout(
    payout_id="pay_1",
    order_no=None,
    spot_id="spt_1",
    channel="alipay",
    amount_fen=8_900,
    occurred_at=NOON,
)


async def add_posting(tx: Tx, key: str) -> int:
    values = {"key": key, "kind": "debit", "occurred_at": NOON}
    added = insert(POSTINGS).values(values).returning(POSTINGS.c.posting_id)
    return int((await tx.execute(added)).scalar_one())


async def add_entries(tx: Tx, posting_id: int, **amounts_fen: int) -> None:
    """Entries on `cash:…` accounts; debits are positive."""
    for name, fen in amounts_fen.items():
        await tx.execute(
            insert(ENTRIES).values(
                posting_id=posting_id,
                account=f"cash:{name}",
                debit_fen=max(fen, 0),
                credit_fen=max(-fen, 0),
            )
        )


async def entry_count(database: Database) -> int:
    async with database.transaction() as tx:
        return int(await tx.scalar(select(func.count()).select_from(ENTRIES)) or 0)


async def test_postings_are_written_together_and_each_fact_once(database: Database) -> None:
    async with database.transaction() as tx:
        await ledger.record(tx, [PAYOUT])
    async with database.transaction() as tx:
        await ledger.record(tx, [PAYOUT, DEBIT])
    async with database.transaction() as tx:
        facts = (await tx.execute(select(POSTINGS.c.key, POSTINGS.c.order_no))).all()
        entries = select(ENTRIES).join(POSTINGS).order_by(POSTINGS.c.key, ENTRIES.c.account)
        lines = [(r.account, r.debit_fen, r.credit_fen) for r in await tx.execute(entries)]
    assert set(facts) == {("payout:pay_1", None), ("debit:deb_1", "ord_1")}
    assert lines == [
        ("cash:alipay", 10_060, 0),
        ("custody:ord_1", 0, 10_000),
        ("fees", 0, 60),
        ("cash:alipay", 0, 8_900),
        ("payable:spt_1", 8_900, 0),
    ]


async def test_an_unbalanced_posting_cannot_commit(database: Database) -> None:
    with pytest.raises(IntegrityError, match="does not balance"):
        async with database.transaction() as tx:
            await add_entries(tx, await add_posting(tx, "a"), here=100, there=-99)
    assert await entry_count(database) == 0


async def test_entries_may_come_one_by_one_as_long_as_they_balance_in_the_end(
    database: Database,
) -> None:
    async with database.transaction() as tx:
        await add_entries(tx, await add_posting(tx, "a"), here=60, there=40, yonder=-100)
    assert await entry_count(database) == 3


async def test_an_entry_added_later_cannot_unbalance_a_posting(database: Database) -> None:
    async with database.transaction() as tx:
        posting_id = await add_posting(tx, "a")
        await add_entries(tx, posting_id, here=100, there=-100)
    with pytest.raises(IntegrityError, match="does not balance"):
        async with database.transaction() as tx:
            await add_entries(tx, posting_id, yonder=1)
    assert await entry_count(database) == 2


@pytest.mark.parametrize(
    "change",
    [
        update(ENTRIES).values(debit_fen=ENTRIES.c.debit_fen + 1),
        delete(ENTRIES),
        text("TRUNCATE entries"),
        update(POSTINGS).values(order_no="ord_2"),
        delete(POSTINGS).where(POSTINGS.c.key == "no such posting"),
        text("TRUNCATE postings CASCADE"),
    ],
    ids=str,
)
async def test_the_ledger_is_append_only(database: Database, change: Executable) -> None:
    async with database.transaction() as tx:
        await ledger.record(tx, [DEBIT])
    with pytest.raises(IntegrityError, match="append-only"):
        async with database.transaction() as tx:
            await tx.execute(change)
    assert await entry_count(database) == 3


@pytest.mark.parametrize(
    ("account", "debit_fen", "credit_fen", "constraint"),
    [
        ("cash:alipay", 0, 0, "entries_one_side_check"),
        ("cash:alipay", 5, 5, "entries_one_side_check"),
        ("cash:alipay", -5, 0, "entries_one_side_check"),
        ("petty:cash", 5, 0, "entries_account_check"),
    ],
)
async def test_an_entry_has_one_side_and_an_account_of_the_chart(
    database: Database, account: str, debit_fen: int, credit_fen: int, constraint: str
) -> None:
    entry = {"account": account, "debit_fen": debit_fen, "credit_fen": credit_fen}
    async with database.transaction() as tx:
        posting_id = await add_posting(tx, "a")
        with pytest.raises(IntegrityError, match=constraint):
            await tx.execute(insert(ENTRIES).values(posting_id=posting_id, **entry))
        await tx.rollback()


async def test_migrations_make_the_tables_that_the_code_declares(
    template_databases: TemplateDatabases,
) -> None:
    url = await template_databases.empty()
    migrate(SERVICE.migrations, SERVICE.metadata, url)
    check(SERVICE.migrations, SERVICE.metadata, url)
    await template_databases.drop(url)
