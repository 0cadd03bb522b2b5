"""The tables: migrations match them, and their constraints hold what must never happen."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import func, insert, text, update
from sqlalchemy.exc import IntegrityError

from shanmen.common.migrate import check
from shanmen.common.testing.fixtures import FreshDatabase
from shanmen.contracts.orders import TicketsIssued
from shanmen.verification.main import SERVICE
from shanmen.verification.ports import VerificationContext
from shanmen.verification.tables import PASSES, SCANS

Issue = Callable[..., Awaitable[TicketsIssued]]


async def test_migrations_and_tables_agree(fresh_database: FreshDatabase) -> None:
    check(SERVICE.migrations, SERVICE.metadata, await fresh_database(SERVICE))


@pytest.mark.parametrize(
    "values",
    [
        {"usage": "lost"},
        {"usage": "used"},
        {"usage": "expired"},
        {"usage": "voided"},
        {"used_at": func.now(), "used_scan_id": "scn_1", "used_device": "dev"},
        {"usage": "used", "used_at": func.now()},
        {"expires_at": PASSES.c.valid_until - text("interval '1 second'")},
        {"valid_until": PASSES.c.valid_from},
    ],
)
async def test_a_pass_that_contradicts_itself_cannot_be_stored(
    values: dict[str, Any], ctx: VerificationContext, issue: Issue
) -> None:
    await issue("tkt_1")
    with pytest.raises(IntegrityError):
        async with ctx.db.transaction() as tx:
            await tx.execute(update(PASSES).values(values))


@pytest.mark.parametrize(
    "values",
    [
        {"verdict": "admitted", "entitlement_id": "ent_1"},  # a second time
        {"verdict": "admitted", "entitlement_id": None},
        {"verdict": "admitted", "entitlement_id": "ent_2", "code": "expired"},
        {"verdict": "refused", "code": None},
        {"verdict": "refused", "code": "not_in_the_mood"},
    ],
)
async def test_a_scan_that_contradicts_itself_cannot_be_stored(
    values: dict[str, Any], ctx: VerificationContext
) -> None:
    scan = {"scan_id": "scn_1", "spot_id": "spt_a", "device": "dev", "detail": "", "qr_sha256": ""}
    first = {**scan, "verdict": "admitted", "entitlement_id": "ent_1"}
    async with ctx.db.transaction() as tx:
        await tx.execute(insert(SCANS).values(first))
    with pytest.raises(IntegrityError):
        async with ctx.db.transaction() as tx:
            await tx.execute(insert(SCANS).values({**scan, "scan_id": "scn_2", **values}))


async def test_the_sweep_reads_due_passes_from_their_index(ctx: VerificationContext) -> None:
    async with ctx.db.transaction() as tx:
        await tx.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await tx.execute(
            text(
                "EXPLAIN SELECT entitlement_id FROM passes WHERE usage = 'unused' "
                "AND expires_at <= now() + interval '36 hours' ORDER BY expires_at LIMIT 10 "
                "FOR UPDATE SKIP LOCKED"
            )
        )
        assert "passes_due_ix" in "\n".join(plan.scalars())
