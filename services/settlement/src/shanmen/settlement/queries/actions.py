"""What people did about money or want to do, and who may approve it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from shanmen.common.db import Tx, among
from shanmen.settlement.domain.work import MANUAL_ACTION, ActionStatus
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.tables import APPROVERS, MANUAL_ACTIONS

_IN_FORCE = APPROVERS.c.revoked_at.is_(None)


async def add(tx: Tx, values: Mapping[str, Any]) -> Record | None:
    """Add an action; None if another one waits for the same item, or has the same reference."""
    added = insert(MANUAL_ACTIONS).values(**values).on_conflict_do_nothing()
    return (await tx.execute(added.returning(MANUAL_ACTIONS))).one_or_none()


async def change(
    tx: Tx, action_id: str, target: ActionStatus, values: Mapping[str, Any]
) -> Record | None:
    """Move an action to `target`; None if its status forbids it."""
    sources = MANUAL_ACTION.sources(target)
    changed = (
        update(MANUAL_ACTIONS)
        .where(MANUAL_ACTIONS.c.action_id == action_id, among(MANUAL_ACTIONS.c.status, sources))
        .values(status=target, **values)
        .returning(MANUAL_ACTIONS)
    )
    return (await tx.execute(changed)).one_or_none()


async def lapse(tx: Tx, item_id: str, *, at: datetime) -> None:
    """End what waits for approval about an item that has closed."""
    sources = MANUAL_ACTION.sources(ActionStatus.LAPSED)
    await tx.execute(
        update(MANUAL_ACTIONS)
        .where(MANUAL_ACTIONS.c.item_id == item_id, among(MANUAL_ACTIONS.c.status, sources))
        .values(status=ActionStatus.LAPSED, decided_at=at)
    )


async def action(tx: Tx, action_id: str) -> Record | None:
    """One action."""
    wanted = select(MANUAL_ACTIONS).where(MANUAL_ACTIONS.c.action_id == action_id)
    return (await tx.execute(wanted)).one_or_none()


async def of_item(tx: Tx, item_id: str) -> Records:
    """What people did about an item, oldest first."""
    rows = (
        select(MANUAL_ACTIONS)
        .where(MANUAL_ACTIONS.c.item_id == item_id)
        .order_by(MANUAL_ACTIONS.c.action_id)
    )
    return (await tx.execute(rows)).all()


async def page(tx: Tx, *, status: ActionStatus | None, after: str | None, limit: int) -> Records:
    """Actions, newest first."""
    rows = select(MANUAL_ACTIONS)
    if status is not None:
        rows = rows.where(MANUAL_ACTIONS.c.status == status)
    if after is not None:
        rows = rows.where(MANUAL_ACTIONS.c.action_id < after)
    newest_first = rows.order_by(MANUAL_ACTIONS.c.action_id.desc())
    return (await tx.execute(newest_first.limit(limit + 1))).all()


async def grant(tx: Tx, values: Mapping[str, Any]) -> Record | None:
    """Make a person an approver; None if it is one."""
    granted = (
        insert(APPROVERS)
        .values(**values)
        .on_conflict_do_nothing(index_elements=[APPROVERS.c.person], index_where=_IN_FORCE)
        .returning(APPROVERS)
    )
    return (await tx.execute(granted)).one_or_none()


async def revoke(tx: Tx, person: str, *, by: str, at: datetime) -> Record | None:
    """Take the right from a person; None if it has none."""
    revoked = (
        update(APPROVERS)
        .where(APPROVERS.c.person == person, _IN_FORCE)
        .values(revoked_by=by, revoked_at=at)
        .returning(APPROVERS)
    )
    return (await tx.execute(revoked)).one_or_none()


async def approver(tx: Tx, person: str) -> Record | None:
    """A person's grant in force; it cannot be revoked until this transaction has ended."""
    wanted = select(APPROVERS).where(APPROVERS.c.person == person, _IN_FORCE)
    return (await tx.execute(wanted.with_for_update(read=True))).one_or_none()


async def approvers_page(tx: Tx, *, after: str | None, limit: int) -> Records:
    """Grants, newest first, those that were revoked among them."""
    rows = select(APPROVERS).order_by(APPROVERS.c.grant_id.desc()).limit(limit + 1)
    if after is not None:
        rows = rows.where(APPROVERS.c.grant_id < after)
    return (await tx.execute(rows)).all()
