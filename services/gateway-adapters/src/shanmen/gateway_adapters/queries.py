"""The gateway's SQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.common.db import Tx, among
from shanmen.gateway_adapters.domain import OPERATION, Action, OperationStatus
from shanmen.gateway_adapters.tables import ATTEMPTS, NOTIFICATIONS, OPERATIONS

Rows = Sequence[Row[Any]]


async def insert_operation(tx: Tx, values: Mapping[str, Any]) -> bool:
    """Record an operation; False when its number is known already."""
    added = upsert(OPERATIONS).values(values).on_conflict_do_nothing()
    return (await tx.execute(added)).rowcount == 1


async def operation(tx: Tx, operation_id: str, *, lock: bool = False) -> Row[Any] | None:
    """One operation."""
    wanted = select(OPERATIONS).where(OPERATIONS.c.operation_id == operation_id)
    if lock:
        wanted = wanted.with_for_update()
    return (await tx.execute(wanted)).one_or_none()


async def list_operations(
    tx: Tx, *, filters: Mapping[str, str | None], after: str | None, limit: int
) -> Rows:
    """Operations, newest number first, one more than `limit`."""
    wanted = select(OPERATIONS).order_by(OPERATIONS.c.operation_id.desc()).limit(limit + 1)
    for name, value in filters.items():
        if value is not None:
            wanted = wanted.where(OPERATIONS.c[name] == value)
    if after is not None:
        wanted = wanted.where(OPERATIONS.c.operation_id < after)
    return (await tx.execute(wanted)).all()


async def attempts(tx: Tx, operation_ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """Attempts by operation, oldest first."""
    rows = await tx.execute(
        select(ATTEMPTS)
        .where(among(ATTEMPTS.c.operation_id, operation_ids))
        .order_by(ATTEMPTS.c.id)
    )
    found: dict[str, list[Row[Any]]] = {key: [] for key in operation_ids}
    for row in rows:
        found[row.operation_id].append(row)
    return found


async def claim_due(
    tx: Tx, *, now: datetime, leased_until: datetime, then_at: datetime, limit: int
) -> Rows:
    """Claim due operations for one attempt each; the rows are as they were before the claim.

    The claim writes down the pessimistic next step: if nothing more is heard of this attempt, its
    outcome is unknown, and a query is due.
    """
    due = (
        select(OPERATIONS)
        .where(
            OPERATIONS.c.status == OperationStatus.OPEN,
            OPERATIONS.c.next_at <= now,
            or_(OPERATIONS.c.leased_until.is_(None), OPERATIONS.c.leased_until <= now),
        )
        .order_by(OPERATIONS.c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = (await tx.execute(due)).all()
    if rows:
        await tx.execute(
            update(OPERATIONS)
            .where(among(OPERATIONS.c.operation_id, [row.operation_id for row in rows]))
            .values(
                leased_until=leased_until,
                lease=OPERATIONS.c.lease + 1,
                next_action=Action.QUERY,
                next_at=then_at,
            )
        )
        await tx.execute(
            insert(ATTEMPTS),
            [
                {
                    "operation_id": row.operation_id,
                    "lease": row.lease + 1,
                    "action": row.next_action,
                    "started_at": now,
                }
                for row in rows
            ],
        )
    return rows


async def finish_attempt(tx: Tx, operation_id: str, lease: int, values: Mapping[str, Any]) -> None:
    """Write down what an attempt's answer was."""
    await tx.execute(
        update(ATTEMPTS)
        .where(
            ATTEMPTS.c.operation_id == operation_id,
            ATTEMPTS.c.lease == lease,
            ATTEMPTS.c.finished_at.is_(None),
        )
        .values(values)
    )


async def apply_next(
    tx: Tx, operation_id: str, lease: int, *, action: Action, at: datetime
) -> None:
    """Schedule the next step, unless somebody else has claimed the operation meanwhile."""
    await tx.execute(
        update(OPERATIONS)
        .where(
            OPERATIONS.c.operation_id == operation_id,
            OPERATIONS.c.lease == lease,
            OPERATIONS.c.status == OperationStatus.OPEN,
        )
        .values(next_action=action, next_at=at, leased_until=None)
    )


async def change_status(
    tx: Tx, operation_id: str, target: OperationStatus, values: Mapping[str, Any]
) -> Row[Any] | None:
    """Guarded transition of an operation; the changed row, or None when the table forbids it."""
    changed = await tx.execute(
        update(OPERATIONS)
        .where(
            OPERATIONS.c.operation_id == operation_id,
            among(OPERATIONS.c.status, OPERATION.sources(target)),
        )
        .values({**values, "status": target, "leased_until": None})
        .returning(OPERATIONS)
    )
    return changed.one_or_none()


async def hasten_query(tx: Tx, operation_id: str, now: datetime) -> bool:
    """Make an already planned query due now; a send, or a call in flight, is left alone."""
    hastened = await tx.execute(
        update(OPERATIONS)
        .where(
            OPERATIONS.c.operation_id == operation_id,
            OPERATIONS.c.status == OperationStatus.OPEN,
            OPERATIONS.c.next_action == Action.QUERY,
            or_(OPERATIONS.c.leased_until.is_(None), OPERATIONS.c.leased_until <= now),
        )
        .values(next_at=now)
    )
    return hastened.rowcount == 1


async def insert_notification(tx: Tx, values: Mapping[str, Any]) -> bool:
    """Keep a notification; False when a believed one came before under the same id."""
    added = upsert(NOTIFICATIONS).values(values).on_conflict_do_nothing()
    return (await tx.execute(added)).rowcount == 1


async def notifications(tx: Tx, *, believed: bool | None, limit: int) -> Rows:
    """The latest notifications."""
    wanted = select(NOTIFICATIONS).order_by(NOTIFICATIONS.c.id.desc()).limit(limit)
    if believed is not None:
        wanted = wanted.where(NOTIFICATIONS.c.believed.is_(believed))
    return (await tx.execute(wanted)).all()
