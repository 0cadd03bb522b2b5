"""The tables as they are migrated, and what they refuse by themselves."""

from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, Final

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from shanmen.common.migrate import check
from shanmen.common.testing.fixtures import FreshDatabase
from shanmen.gateway_adapters.main import SERVICE
from shanmen.gateway_adapters.tables import ATTEMPTS, BILLS, OPERATIONS
from shanmen.gateway_adapters.testing import Desk

NOW: Final = datetime(2026, 11, 1, tzinfo=UTC)
SUBSCRIBED: Final = {"kind": "subscribe", "channel": "huijinbao", "account_id": None}
LIQUIDATED: Final = {**SUBSCRIBED, "kind": "liquidate", "amount_fen": 0}


async def test_the_migrations_make_the_tables_of_the_code(fresh_database: FreshDatabase) -> None:
    check(SERVICE.migrations, SERVICE.metadata, await fresh_database(SERVICE))


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"amount_fen": 0}, "operations_amount_fen_check"),
        ({"status": "done", "finished_at": NOW}, "operations_status_check"),
        ({"next_action": "hope"}, "operations_next_action_check"),
        ({"status": "failed"}, "operations_finished_at_check"),
        ({"kind": "refund"}, "operations_refund_names_its_debit_check"),
        ({"original_operation_id": "deb_0"}, "operations_refund_names_its_debit_check"),
        ({"operation_id": "deb_1"}, "operations_pkey"),
        ({"account_id": None}, "operations_wealth_is_the_platforms_own_check"),
        ({"principal_fen": 1, "yield_fen": 1}, "operations_proceeds_check"),
        ({**SUBSCRIBED, "channel": "alipay"}, "operations_wealth_is_huijinbaos_check"),
        ({**SUBSCRIBED, "account_id": "a"}, "operations_wealth_is_the_platforms_own_check"),
        ({**SUBSCRIBED, "amount_fen": 0}, "operations_amount_fen_check"),
        ({**LIQUIDATED, "amount_fen": 1}, "operations_amount_fen_check"),
        ({**LIQUIDATED, "principal_fen": 1}, "operations_proceeds_check"),
        ({**LIQUIDATED, "principal_fen": 1, "yield_fen": -1}, "operations_proceeds_check"),
        (
            {**LIQUIDATED, "status": "succeeded", "finished_at": NOW},
            "operations_liquidated_is_known_check",
        ),
    ],
)
async def test_an_impossible_operation_is_refused(
    desk: Desk, changes: dict[str, Any], constraint: str
) -> None:
    await desk.debit()
    row = (await desk.operation())._asdict()
    with pytest.raises(IntegrityError, match=constraint):
        async with desk.ctx.db.transaction() as tx:
            await tx.execute(insert(OPERATIONS).values({**row, "operation_id": "x", **changes}))


async def test_an_attempt_is_recorded_once_and_only_for_an_operation(desk: Desk) -> None:
    await desk.debit()
    attempt = {"operation_id": "deb_1", "lease": 1, "action": "send"}
    attempt["started_at"] = desk.clock.now()
    async with desk.ctx.db.transaction() as tx:
        await tx.execute(insert(ATTEMPTS).values(attempt))
    for changes, constraint in (
        ({}, "attempts_operation_id_lease_key"),
        ({"operation_id": "deb_2"}, "attempts_operation_id_fkey"),
        ({"lease": 2, "outcome": "ok"}, "attempts_outcome_check"),
    ):
        with pytest.raises(IntegrityError, match=constraint):
            async with desk.ctx.db.transaction() as tx:
                await tx.execute(insert(ATTEMPTS).values({**attempt, **changes}))


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({}, "bills_channel_bill_date_bill_type_sha256_key"),
        ({"content": b"another"}, "bills_sha256_check"),
        ({"bill_type": "WEALTH", "channel": "bank"}, "bills_channel_check"),
        ({"bill_type": "WEALTH", "rows": -1}, "bills_totals_check"),
        ({"bill_type": "WEALTH", "sum_out_fen": -1}, "bills_totals_check"),
    ],
)
async def test_a_bill_is_kept_once_under_its_own_hash(
    desk: Desk, changes: dict[str, Any], constraint: str
) -> None:
    bill = {
        "channel": "huijinbao",
        "bill_date": date(2026, 11, 1),
        "bill_type": "TRADE",
        "sha256": sha256(b"content").hexdigest(),
        "content": b"content",
        "fetched_at": NOW,
        **dict.fromkeys(("rows", "sum_in_fen", "sum_out_fen"), 0),
    }
    async with desk.ctx.db.transaction() as tx:
        await tx.execute(insert(BILLS).values(bill))
    with pytest.raises(IntegrityError, match=constraint):
        async with desk.ctx.db.transaction() as tx:
            await tx.execute(insert(BILLS).values({**bill, **changes}))
