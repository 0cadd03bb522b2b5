"""The SQL of operations and their attempts."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    case,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.common.db import Tx, among
from shanmen.gateway_adapters.domain.operations import OPERATION, Action, Channel, OperationStatus
from shanmen.gateway_adapters.queries.listing import Rows, newest
from shanmen.gateway_adapters.tables import ATTEMPTS, CIRCUITS, OPERATIONS


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


async def known_operations(
    tx: Tx, channel: Channel, operation_ids: Collection[str]
) -> dict[str, Row[Any]]:
    """What is known of the numbers that a bill names: kind, status and amount, by id."""
    told = [OPERATIONS.c[name] for name in ("operation_id", "kind", "status", "amount_fen")]
    rows = await tx.execute(
        select(*told).where(
            among(OPERATIONS.c.operation_id, operation_ids), OPERATIONS.c.channel == channel
        )
    )
    return {row.operation_id: row for row in rows}


async def lock_operations(tx: Tx, operation_ids: Sequence[str]) -> dict[str, Row[Any]]:
    """Operations by id, locked in one order, so that no two lists block each other."""
    rows = await tx.execute(
        select(OPERATIONS)
        .where(among(OPERATIONS.c.operation_id, operation_ids))
        .order_by(OPERATIONS.c.operation_id)
        .with_for_update()
    )
    return {row.operation_id: row for row in rows}


async def list_operations(
    tx: Tx,
    *,
    filters: Mapping[str, str | None],
    parked_since: datetime | None = None,
    after: str | None,
    limit: int,
) -> Rows:
    """Operations, newest first, one more than `limit`; `after` is the last one seen.

    `parked_since`: only those that were parked then or later, and still are.
    """
    is_parked = OPERATIONS.c.status == OperationStatus.PARKED
    conditions: list[ColumnElement[bool]] = []
    if parked_since is not None:
        conditions = [is_parked, OPERATIONS.c.finished_at >= parked_since]
    key = OPERATIONS.c.operation_id
    return await newest(tx, key, filters=filters, after=after, limit=limit, conditions=conditions)


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
    tx: Tx,
    channel: Channel,
    *,
    now: datetime,
    leased_until: datetime,
    limit: int,
    probe: bool = False,
) -> Rows:
    """Claim a channel's due operations for one attempt each; the rows are as before the claim.

    The claim writes down the pessimistic next step: if nothing more is heard of this attempt, its
    outcome is unknown, and a query is due. While the channel's circuit is open there is nothing to
    claim but for a `probe`.
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
    if not probe:
        due = due.where(_is_circuit_closed(channel))
    rows = (await tx.execute(due)).all()
    next_step = {"next_action": Action.QUERY, "next_at": leased_until}
    await _lease(tx, rows, leased_until, next_step)
    await _begin_attempts(tx, [(row, row.next_action) for row in rows], now)
    return rows


async def claim_rechecks(
    tx: Tx,
    channel: Channel,
    *,
    now: datetime,
    leased_until: datetime,
    limit: int,
    probe: bool = False,
) -> Rows:
    """Claim failed operations that are due to be asked about again, as `claim_due` does.

    If nothing more is heard of the attempt, the operation is asked about again.
    """
    due = (
        select(OPERATIONS)
        .where(
            OPERATIONS.c.channel == channel,
            OPERATIONS.c.recheck_at <= now,
            or_(OPERATIONS.c.leased_until.is_(None), OPERATIONS.c.leased_until <= now),
        )
        .order_by(OPERATIONS.c.recheck_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if not probe:
        due = due.where(_is_circuit_closed(channel))
    rows = (await tx.execute(due)).all()
    await _lease(tx, rows, leased_until, {"recheck_at": leased_until})
    await _begin_attempts(tx, [(row, Action.QUERY) for row in rows], now)
    return rows


async def _lease(tx: Tx, rows: Rows, leased_until: datetime, next_step: Mapping[str, Any]) -> None:
    if rows:
        await tx.execute(
            update(OPERATIONS)
            .where(among(OPERATIONS.c.operation_id, [row.operation_id for row in rows]))
            .values(leased_until=leased_until, lease=OPERATIONS.c.lease + 1, **next_step)
        )


async def _begin_attempts(tx: Tx, claimed: Sequence[tuple[Row[Any], str]], now: datetime) -> None:
    if claimed:
        await tx.execute(
            insert(ATTEMPTS),
            [
                {
                    "operation_id": row.operation_id,
                    "lease": row.lease + 1,
                    "action": action,
                    "started_at": now,
                }
                for row, action in claimed
            ],
        )


def _is_circuit_closed(channel: Channel) -> ColumnElement[bool]:
    return ~exists().where(CIRCUITS.c.channel == channel, CIRCUITS.c.opened_at.is_not(None))


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
        .values({"recheck_at": None, **values, "status": target, "leased_until": None})
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


async def abandon_operation(
    tx: Tx, operation_id: str, now: datetime, next_step: Mapping[str, Any] | None = None
) -> None:
    """Mark an operation that is locked as never to be sent again, with its next step if given."""
    await tx.execute(
        update(OPERATIONS)
        .where(OPERATIONS.c.operation_id == operation_id)
        .values(abandoned_at=func.coalesce(OPERATIONS.c.abandoned_at, now), **(next_step or {}))
    )


async def plan_recheck(tx: Tx, operation_id: str, lease: int, at: datetime | None) -> None:
    """When a failed operation is asked about after this attempt, unless a hint came meanwhile."""
    is_hastened = OPERATIONS.c.recheck_at < OPERATIONS.c.leased_until
    await tx.execute(
        update(OPERATIONS)
        .where(
            OPERATIONS.c.operation_id == operation_id,
            OPERATIONS.c.lease == lease,
            OPERATIONS.c.status == OperationStatus.FAILED,
        )
        .values(
            recheck_at=case((is_hastened, OPERATIONS.c.recheck_at), else_=at), leased_until=None
        )
    )


async def hasten_recheck(tx: Tx, operation_id: str, now: datetime) -> None:
    """Ask about a failed operation now, or right after the call in flight."""
    await tx.execute(
        update(OPERATIONS)
        .where(
            OPERATIONS.c.operation_id == operation_id,
            OPERATIONS.c.status == OperationStatus.FAILED,
        )
        .values(recheck_at=func.least(OPERATIONS.c.recheck_at, now))
    )
