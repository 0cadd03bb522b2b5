"""The gateway's SQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, case, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.common.db import Tx, among
from shanmen.gateway_adapters.domain import OPERATION, Action, Channel, OperationStatus
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
    """Operations, newest first, one more than `limit`; `after` is the last one seen."""
    age = (OPERATIONS.c.requested_at, OPERATIONS.c.operation_id)
    wanted = select(OPERATIONS).order_by(*(column.desc() for column in age)).limit(limit + 1)
    for name, value in filters.items():
        if value is not None:
            wanted = wanted.where(OPERATIONS.c[name] == value)
    if after is not None:
        seen = select(*age).where(OPERATIONS.c.operation_id == after).scalar_subquery()
        wanted = wanted.where(tuple_(*age) < seen)
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
    tx: Tx, channel: Channel, *, now: datetime, leased_until: datetime, limit: int
) -> Rows:
    """Claim a channel's due operations for one attempt each; the rows are as before the claim.

    The claim writes down the pessimistic next step: if nothing more is heard of this attempt, its
    outcome is unknown, and a query is due.
    """
    due = (
        select(OPERATIONS)
        .where(
            OPERATIONS.c.status == OperationStatus.OPEN,
            OPERATIONS.c.channel == channel,
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
                next_at=leased_until,
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


async def finish_attempt(tx: Tx, operation_id: str, lease: int, values: Mapping[str, Any]) -> bool:
    """Write down what an attempt's answer was; False when that was done before."""
    finished = await tx.execute(
        update(ATTEMPTS)
        .where(
            ATTEMPTS.c.operation_id == operation_id,
            ATTEMPTS.c.lease == lease,
            ATTEMPTS.c.finished_at.is_(None),
        )
        .values(values)
    )
    return finished.rowcount == 1


async def apply_next(
    tx: Tx, operation_id: str, lease: int, *, action: Action, at: datetime
) -> None:
    """Schedule the next step, unless somebody else has claimed the operation meanwhile.

    A query that was hastened during the call keeps its earlier time.
    """
    is_hastened = OPERATIONS.c.next_at < OPERATIONS.c.leased_until
    next_at = (
        case((is_hastened, func.least(OPERATIONS.c.next_at, at)), else_=at)
        if action is Action.QUERY
        else at
    )
    await tx.execute(
        update(OPERATIONS)
        .where(
            OPERATIONS.c.operation_id == operation_id,
            OPERATIONS.c.lease == lease,
            OPERATIONS.c.status == OperationStatus.OPEN,
        )
        .values(next_action=action, next_at=next_at, leased_until=None)
    )


async def change_status(
    tx: Tx,
    operation_id: str,
    target: OperationStatus,
    values: Mapping[str, Any],
    *,
    lease: int | None = None,
) -> Row[Any] | None:
    """Guarded transition of an operation; the changed row, or None when it is not allowed.

    The table of `OPERATION` says from where; with a `lease`, nobody may have claimed it since.
    """
    change = (
        update(OPERATIONS)
        .where(
            OPERATIONS.c.operation_id == operation_id,
            among(OPERATIONS.c.status, OPERATION.sources(target)),
        )
        .values({**values, "status": target, "leased_until": None})
        .returning(OPERATIONS)
    )
    if lease is not None:
        change = change.where(OPERATIONS.c.lease == lease)
    return (await tx.execute(change)).one_or_none()


async def hasten_query(tx: Tx, operation_id: str, now: datetime) -> bool:
    """Make an already planned query due now, or right after the call in flight; never a send."""
    hastened = await tx.execute(
        update(OPERATIONS)
        .where(
            OPERATIONS.c.operation_id == operation_id,
            OPERATIONS.c.status == OperationStatus.OPEN,
            OPERATIONS.c.next_action == Action.QUERY,
            OPERATIONS.c.next_at > now,
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
