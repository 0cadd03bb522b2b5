"""Four eyes in the database: what it refuses to whoever bypasses the service."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Executable, delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from shanmen.common import audit
from shanmen.common.db import Database
from shanmen.settlement.tables import APPROVERS, AUDIT, MANUAL_ACTIONS, WORK_ITEMS

NOON = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
ITEM = {
    "item_id": "wrk_1",
    "family": "payout",
    "kind": "payout_refused",
    "subject_id": "pay_1",
    "operation_id": "pay_1",
    "channel": "alipay",
    "account_id": "acc_1",
    "amount_fen": 900_000,
    "code": "PAYEE_NOT_EXIST",
    "reason": "payee unknown",
    "since": NOON,
    "opened_at": NOON,
    "updated_at": NOON,
}
ACTION = {
    "action_id": "act_1",
    "item_id": "wrk_1",
    "action": "remit",
    "kind": "payout_refused",
    "subject_id": "pay_1",
    "operation_id": "pay_1",
    "amount_fen": 900_000,
    "channel": "alipay",
    "account_id": "acc_1",
    "note": "because",
    "requested_by": "ann",
    "requested_at": NOON,
    "threshold_fen": 500_000,
    "status": "waiting",
}
EXECUTED = {"status": "executed", "executed_at": NOON}
APPROVED = {
    **EXECUTED,
    "approved_by": "bob",
    "approved_at": NOON,
    "approved_amount_fen": 900_000,
    "approved_account_id": "acc_1",
}


def grant(person: str, by: str = "admin") -> dict[str, Any]:
    return {
        "grant_id": f"grt_{person}",
        "person": person,
        "granted_by": by,
        "granted_at": NOON,
    }


@pytest.fixture
async def waiting(database: Database) -> Database:
    """`ann`'s action waits; `bob` may approve, and `carl` by her own grant."""
    async with database.transaction() as tx:
        await tx.execute(insert(WORK_ITEMS).values(**ITEM))
        await tx.execute(insert(MANUAL_ACTIONS).values(**ACTION))
        await tx.execute(insert(APPROVERS), [grant("bob"), grant("ann"), grant("carl", "ann")])
        await audit.append(tx, at=NOON, actor="ann", action="a", subject="s", details={})
    return database


async def status(database: Database) -> str:
    async with database.transaction() as tx:
        return str(await tx.scalar(select(MANUAL_ACTIONS.c.status)))


async def refused(database: Database, statement: Executable, what: str) -> None:
    with pytest.raises(IntegrityError, match=what):
        async with database.transaction() as tx:
            await tx.execute(statement)


def changed(values: dict[str, Any]) -> Executable:
    return update(MANUAL_ACTIONS).values(**values)


async def test_another_persons_approval_is_accepted(waiting: Database) -> None:
    async with waiting.transaction() as tx:
        await tx.execute(changed(APPROVED))
    assert await status(waiting) == "executed"


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (EXECUTED, "manual_actions_four_eyes_check"),
        ({**APPROVED, "approved_by": "ann"}, "manual_actions_approver_check"),
        ({**APPROVED, "approved_by": "dora"}, "dora may not approve"),
        ({**APPROVED, "approved_by": "carl"}, "carl may not approve"),
        ({**APPROVED, "approved_amount_fen": 1}, "manual_actions_approved_amount_check"),
        ({**APPROVED, "approved_amount_fen": None}, "manual_actions_approval_check"),
        ({**APPROVED, "approved_account_id": "acc_2"}, "manual_actions_approved_account_check"),
        ({**APPROVED, "approved_account_id": None}, "manual_actions_approved_account_check"),
        ({**APPROVED, "status": "waiting", "executed_at": None}, "manual_actions_approval_check"),
        ({**EXECUTED, "threshold_fen": 900_000}, "threshold_fen .* never changes"),
        ({**EXECUTED, "amount_fen": 1}, "amount_fen .* never changes"),
        ({**EXECUTED, "action": "resolve"}, "action .* never changes"),
        ({"account_id": "acc_2"}, "account_id .* never changes"),
        ({**APPROVED, "requested_by": "eve"}, "requested_by .* never changes"),
        ({"requested_at": datetime(2026, 1, 1, tzinfo=UTC)}, "requested_at .* never changes"),
        ({"status": "rejected"}, "manual_actions_decided_check"),
    ],
)
async def test_ways_around_the_second_person_are_shut(
    waiting: Database, values: dict[str, Any], what: str
) -> None:
    await refused(waiting, changed(values), what)
    assert await status(waiting) == "waiting"


async def test_an_approver_who_lost_the_right_is_refused(waiting: Database) -> None:
    async with waiting.transaction() as tx:
        await tx.execute(
            update(APPROVERS)
            .where(APPROVERS.c.person == "bob")
            .values(revoked_by="admin", revoked_at=NOON)
        )
    await refused(waiting, changed(APPROVED), "bob may not approve")


async def test_a_revocation_under_way_is_waited_for(waiting: Database) -> None:
    async with waiting.transaction() as tx:
        await tx.execute(
            update(APPROVERS)
            .where(APPROVERS.c.person == "bob")
            .values(revoked_by="admin", revoked_at=NOON)
        )
        approving = asyncio.create_task(refused(waiting, changed(APPROVED), "bob may not approve"))
        done, _ = await asyncio.wait({approving}, timeout=0.2)
        assert not done
    await approving


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({**ACTION, "action_id": "act_2"}, "manual_actions_waiting_ix"),
        ({**ACTION, "action_id": "act_2", **APPROVED}, "approved before it waited"),
        ({**ACTION, "action_id": "act_2", **EXECUTED}, "manual_actions_four_eyes_check"),
        ({**ACTION, "action_id": "act_2", "item_id": None}, "manual_actions_top_up_check"),
    ],
)
async def test_no_action_appears_that_was_not_asked_for(
    waiting: Database, values: dict[str, Any], what: str
) -> None:
    await refused(waiting, insert(MANUAL_ACTIONS).values(**values), what)


@pytest.mark.parametrize("values", [{"status": "waiting"}, {"note": "other"}, APPROVED])
async def test_what_is_decided_stays_decided(waiting: Database, values: dict[str, Any]) -> None:
    decision = {"status": "rejected", "decided_by": "bob", "decided_at": NOON}
    async with waiting.transaction() as tx:
        await tx.execute(changed(decision))
    await refused(waiting, changed(values), "is rejected already")


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (delete(MANUAL_ACTIONS), "manual_actions are kept for good"),
        (delete(WORK_ITEMS), "work_items are kept for good"),
        (delete(APPROVERS), "approvers are kept for good"),
        (text("TRUNCATE work_items CASCADE"), "are kept for good"),
        (update(APPROVERS).values(granted_by="eve"), "not be changed otherwise"),
        (insert(APPROVERS).values(**grant("eve", "eve")), "approvers_granted_by_check"),
        (
            insert(APPROVERS).values({**grant("bob"), "grant_id": "grt_2"}),
            "approvers_in_force_ix",
        ),
        (update(AUDIT).values(actor="eve"), "audit is append-only"),
        (delete(AUDIT), "audit is append-only"),
        (text("TRUNCATE audit"), "audit is append-only"),
        (
            text(
                "INSERT INTO audit SELECT 2, at, 'eve', action, subject, details, 'f', hash"
                " FROM audit"
            ),
            "does not continue the chain",
        ),
        (
            insert(WORK_ITEMS).values({**ITEM, "item_id": "wrk_2"}),
            "work_items_open_ix",
        ),
        (
            insert(WORK_ITEMS).values(
                {**ITEM, "item_id": "wrk_2", "subject_id": "pay_2", "family": "refund"}
            ),
            "work_items_kind_of_family_check",
        ),
    ],
)
async def test_nothing_is_removed_or_rewritten(
    waiting: Database, statement: Executable, what: str
) -> None:
    await refused(waiting, statement, what)


async def test_a_revoked_grant_is_not_revived(waiting: Database) -> None:
    async with waiting.transaction() as tx:
        await tx.execute(update(APPROVERS).values(revoked_by="admin", revoked_at=NOON))
    revived = update(APPROVERS).values(revoked_by=None, revoked_at=None)
    await refused(waiting, revived, "can be revoked, once")
