"""The tables: migrations match them, and their constraints hold what must never happen."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from alembic import command
from sqlalchemy import Table, insert, select, text
from sqlalchemy.exc import IntegrityError

from shanmen.catalog.main import SERVICE
from shanmen.catalog.tables import ACCOUNTS, CONSENTS, CREDENTIALS, PRODUCTS, STOCK
from shanmen.common.db import Database
from shanmen.common.migrate import alembic_config, check
from shanmen.common.testing.databases import TemplateDatabases
from shanmen.common.testing.fixtures import FreshDatabase

if TYPE_CHECKING:
    from services.catalog.tests.conftest import Market


async def test_migrations_and_tables_agree(fresh_database: FreshDatabase) -> None:
    check(SERVICE.migrations, SERVICE.metadata, await fresh_database(SERVICE))


async def test_operators_who_were_there_before_are_known_by_their_labels(
    template_databases: TemplateDatabases,
) -> None:
    url = await template_databases.empty()
    config = alembic_config(SERVICE.migrations, SERVICE.metadata, url)
    await asyncio.to_thread(command.upgrade, config, "0001")
    database = Database(url)
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO parties (party_id, kind, name, time_zone, fee_bps)"
                " VALUES ('spt_1', 'spot', '黄山', 'Asia/Shanghai', 0)"
            )
        )
        await tx.execute(
            text(
                "INSERT INTO credentials"
                " (credential_id, token_hash, kind, party_id, label, scopes)"
                " VALUES ('crd_1', '1', 'operator', NULL, '张三', '{}'),"
                " ('crd_2', '2', 'operator', NULL, '张三', '{}'),"
                " ('crd_3', '3', 'operator', NULL, '李四', '{}'),"
                " ('crd_4', '4', 'spot', 'spt_1', '张三', '{}')"
            )
        )
    await asyncio.to_thread(command.upgrade, config, "head")
    async with database.transaction() as tx:
        held = await tx.execute(select(CREDENTIALS.c.credential_id, CREDENTIALS.c.person))
        assert sorted(tuple(row) for row in held) == [
            ("crd_1", "张三"),
            ("crd_2", "张三"),
            ("crd_3", "李四"),
            ("crd_4", None),
        ]
    await database.close()
    await template_databases.drop(url)


async def test_accounts_that_were_there_before_are_the_default_since_their_registration(
    template_databases: TemplateDatabases,
) -> None:
    url = await template_databases.empty()
    config = alembic_config(SERVICE.migrations, SERVICE.metadata, url)
    await asyncio.to_thread(command.upgrade, config, "0003")
    database = Database(url)
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO parties (party_id, kind, name, time_zone, fee_bps)"
                " VALUES ('spt_1', 'spot', '黄山', 'Asia/Shanghai', 0)"
            )
        )
        await tx.execute(
            text(
                "INSERT INTO accounts (account_id, party_id, role, channel, account_no,"
                " account_name, is_default, created_at)"
                " VALUES ('acc_1', 'spt_1', 'receive', 'alipay', '1', '黄山', true, '2026-01-02Z')"
            )
        )
    await asyncio.to_thread(command.upgrade, config, "head")
    async with database.transaction() as tx:
        since = (await tx.execute(select(ACCOUNTS.c.default_since))).scalar_one()
        assert since == datetime(2026, 1, 2, tzinfo=UTC)
    await database.close()
    await template_databases.drop(url)


NOW: Final = datetime.now(UTC)
IMPOSSIBLE: Final[list[tuple[Table, dict[str, Any], str]]] = [
    # a row that exists, and a second one that differs from it in this
    (ACCOUNTS, {"account_id": "acc_2", "is_default": False}, "accounts_same_twice"),
    (ACCOUNTS, {"account_id": "acc_2", "account_no": "2"}, "accounts_one_default"),
    (ACCOUNTS, {"account_id": "acc_2", "agreement_no": None}, "accounts_agreement_check"),
    (ACCOUNTS, {"account_id": "acc_2", "channel": "cash"}, "accounts_channel_check"),
    (PRODUCTS, {"product_id": "prd_2", "unit_price_fen": 0}, "products_unit_price_fen_check"),
    (PRODUCTS, {"product_id": "prd_2", "visit_rule": "open"}, "products_open_validity_check"),
    (PRODUCTS, {"product_id": "prd_2", "status": "gone"}, "products_status_check"),
    (PRODUCTS, {"product_id": "prd_2", "invests": True}, "products_of_combined_only_check"),
    (
        PRODUCTS,
        {"product_id": "prd_2", "allow_negative_margin": True},
        "products_of_combined_only_check",
    ),
    (PRODUCTS, {"product_id": "prd_2", "terms_version": 2}, "products_terms_version_check"),
    (CONSENTS, {}, "consents_pkey"),
    (CONSENTS, {"version": 2, "status": "accepted"}, "consents_answer_check"),
    (CONSENTS, {"version": 2, "answered_by": "crd_1"}, "consents_answer_check"),
    (
        CONSENTS,
        {"version": 2, "status": "agreed", "answered_at": NOW, "answered_by": "crd_1"},
        "consents_status_check",
    ),
    (CONSENTS, {"version": 2, "settle_fen": -1}, "consents_settle_fen_check"),
    (CONSENTS, {"version": 2, "spot_id": "spt_none"}, "consents_spot_id_fkey"),
    (STOCK, {"stock_id": "stk_2"}, "stock_entry"),
    (STOCK, {"stock_id": "stk_2", "slot": "上午", "sold": 51}, "stock_never_oversold_check"),
    (CREDENTIALS, {"credential_id": "crd_2"}, "credentials_token_hash_key"),
    (CREDENTIALS, {"credential_id": "crd_2", "party_id": None}, "credentials_party_check"),
    (CREDENTIALS, {"credential_id": "crd_2", "reseller": "x"}, "credentials_reseller_check"),
    (CREDENTIALS, {"credential_id": "crd_2", "person": "x"}, "credentials_person_check"),
    (
        CREDENTIALS,
        {"credential_id": "crd_2", "kind": "operator", "party_id": None},
        "credentials_person_check",
    ),
    (
        CREDENTIALS,
        {"credential_id": "crd_2", "kind": "operator", "party_id": None, "person": "nobody"}
        | {"token_hash": "of its own"},
        "credentials_person_fkey",
    ),
]


async def test_what_cannot_be_stored(market: "Market") -> None:
    distributor = await market.distributor()
    await market.product(total=50)
    await market.combined({await market.spot(): 1, await market.spot(): 1}, sold=False, total=None)
    async with market.ctx.db.transaction() as tx:
        await tx.execute(
            insert(CREDENTIALS).values(
                credential_id="crd_1",
                token_hash="hash",
                kind="distributor",
                party_id=distributor,
                label="test",
                scopes=[],
            )
        )
    for table, change, constraint in IMPOSSIBLE:
        row = next(row for row in await market.rows(table) if row.get("role", "pay") == "pay")
        with pytest.raises(IntegrityError, match=constraint):
            async with market.ctx.db.transaction() as tx:
                await tx.execute(insert(table).values({**row, **change}))
