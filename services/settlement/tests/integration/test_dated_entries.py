"""A ledger that is in use when its entries get their dates."""

import asyncio

from alembic import command
from sqlalchemy import text

from shanmen.common.db import Database
from shanmen.common.migrate import alembic_config
from shanmen.common.testing.databases import TemplateDatabases
from shanmen.settlement.main import SERVICE

BEFORE = (
    "INSERT INTO postings (key, kind, occurred_at) VALUES ('a', 'debit', '2026-11-01 04:00Z')",
    "INSERT INTO postings (key, kind, occurred_at) VALUES ('b', 'debit', '2026-11-02 04:00Z')",
    "INSERT INTO entries SELECT posting_id, 'cash:alipay', 5, 0 FROM postings",
    "INSERT INTO entries SELECT posting_id, 'fees', 0, 5 FROM postings",
)
DATES = (
    "SELECT count(*) FROM entries JOIN postings USING (posting_id)"
    " WHERE entries.occurred_at = postings.occurred_at"
)


async def test_entries_of_before_are_dated_and_stay_append_only(
    template_databases: TemplateDatabases,
) -> None:
    url = await template_databases.empty()
    config = alembic_config(SERVICE.migrations, SERVICE.metadata, url)
    await asyncio.to_thread(command.upgrade, config, "0003")
    database = Database(url, pool_size=1)
    async with database.transaction() as tx:
        for statement in BEFORE:
            await tx.execute(text(statement))
    await asyncio.to_thread(command.upgrade, config, "head")
    async with database.transaction() as tx:
        assert await tx.scalar(text(DATES)) == 4
        guards = text("SELECT tgenabled FROM pg_trigger WHERE tgname = 'entries_append_only'")
        assert await tx.scalar(guards) in {"O", b"O"}
    await database.close()
    await asyncio.to_thread(command.downgrade, config, "0003")
    await asyncio.to_thread(command.upgrade, config, "head")
    await template_databases.drop(url)
