"""SQL of webhook deliveries: the queue of each endpoint, in order per order."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    delete,
    exists,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.common.db import Tx, among
from shanmen.orders.domain import DELIVERY, DeliveryStatus
from shanmen.orders.queries.webhooks import IS_OPEN, page
from shanmen.orders.tables import (
    WEBHOOK_DELIVERIES,
    WEBHOOK_ENDPOINTS,
    WEBHOOK_EVENTS,
)

Rows = Sequence[Row[Any]]

# A literal, not a parameter: a generic plan must still see that the partial indexes apply.
_PENDING: ColumnElement[str] = literal_column(f"'{DeliveryStatus.PENDING.value}'")
_IS_PENDING = WEBHOOK_DELIVERIES.c.status == _PENDING


async def enqueue(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> Rows:
    """Write deliveries; one that is pending already becomes due again instead."""
    if not rows:
        return []
    written = upsert(WEBHOOK_DELIVERIES)
    hurried = written.on_conflict_do_update(
        index_elements=["event_id", "endpoint_id"],
        index_where=_IS_PENDING,
        set_={
            "next_attempt_at": written.excluded.next_attempt_at,
            "give_up_at": written.excluded.give_up_at,
        },
    )
    return (await tx.execute(hurried.returning(WEBHOOK_DELIVERIES), list(rows))).all()


async def list_deliveries(
    tx: Tx, *, filters: Mapping[str, Any], after: str | None, limit: int
) -> Rows:
    """Deliveries, newest first."""
    key = WEBHOOK_DELIVERIES.c.delivery_id
    return (await tx.execute(page(WEBHOOK_DELIVERIES, key, filters, after, limit))).all()


async def endpoints_with_work(tx: Tx, now: datetime) -> Sequence[str]:
    """The endpoints that something is due for."""
    is_due = and_(
        _is_due(now), WEBHOOK_DELIVERIES.c.endpoint_id == WEBHOOK_ENDPOINTS.c.endpoint_id
    )
    rows = await tx.execute(
        select(WEBHOOK_ENDPOINTS.c.endpoint_id).where(
            IS_OPEN, exists().where(is_due).correlate(WEBHOOK_ENDPOINTS)
        )
    )
    return rows.scalars().all()


async def claim(
    tx: Tx, endpoint_id: str, now: datetime, claimed_until: datetime, limit: int
) -> Rows:
    """Count an attempt at up to `limit` due deliveries of an endpoint, the first of each order.

    Rows are deliveries with their notice and where it goes. Nobody else has them until
    `claimed_until`; after it, a claim that came to nothing is made again.
    """
    earlier = WEBHOOK_DELIVERIES.alias("earlier")
    is_behind_another = exists().where(
        earlier.c.endpoint_id == WEBHOOK_DELIVERIES.c.endpoint_id,
        earlier.c.order_no == WEBHOOK_DELIVERIES.c.order_no,
        earlier.c.status == _PENDING,
        earlier.c.position < WEBHOOK_DELIVERIES.c.position,
    )
    heads = (
        select(WEBHOOK_DELIVERIES.c.delivery_id)
        .where(WEBHOOK_DELIVERIES.c.endpoint_id == endpoint_id, _is_due(now), ~is_behind_another)
        .order_by(WEBHOOK_DELIVERIES.c.next_attempt_at, WEBHOOK_DELIVERIES.c.position)
        .limit(limit)
        .with_for_update(skip_locked=True, of=WEBHOOK_DELIVERIES)
        .cte("heads")
    )
    claimed = (
        update(WEBHOOK_DELIVERIES)
        .where(
            WEBHOOK_DELIVERIES.c.delivery_id == heads.c.delivery_id,
            WEBHOOK_EVENTS.c.event_id == WEBHOOK_DELIVERIES.c.event_id,
            WEBHOOK_ENDPOINTS.c.endpoint_id == WEBHOOK_DELIVERIES.c.endpoint_id,
            IS_OPEN,
        )
        .values(attempts=WEBHOOK_DELIVERIES.c.attempts + 1, claimed_until=claimed_until)
        .returning(
            *(WEBHOOK_DELIVERIES.c[name] for name in ("delivery_id", "endpoint_id", "event_id")),
            *(WEBHOOK_DELIVERIES.c[name] for name in ("order_no", "attempts", "give_up_at")),
            *(WEBHOOK_EVENTS.c[name] for name in ("type", "sequence", "data", "occurred_at")),
            *(WEBHOOK_ENDPOINTS.c[name] for name in ("url", "secret", "former_secret")),
            WEBHOOK_ENDPOINTS.c.former_secret_until,
        )
    )
    return (await tx.execute(claimed)).all()


async def finish_delivery(
    tx: Tx,
    delivery_id: str,
    target: DeliveryStatus,
    now: datetime,
    *,
    attempt: int,
    last_status: int | None,
    last_error: str | None,
) -> bool:
    """Guarded end of a delivery by its latest attempt; False when another has decided.

    What waited behind it becomes due.
    """
    changed = await tx.execute(
        update(WEBHOOK_DELIVERIES)
        .where(
            WEBHOOK_DELIVERIES.c.delivery_id == delivery_id,
            WEBHOOK_DELIVERIES.c.attempts == attempt,
            among(WEBHOOK_DELIVERIES.c.status, DELIVERY.sources(target)),
        )
        .values(
            status=target,
            finished_at=now,
            claimed_until=None,
            last_status=last_status,
            last_error=last_error,
        )
        .returning(WEBHOOK_DELIVERIES)
    )
    finished = changed.one_or_none()
    if finished is not None:
        await _move_followers(tx, finished, now)
    return finished is not None


async def postpone_delivery(
    tx: Tx,
    delivery_id: str,
    next_attempt_at: datetime,
    *,
    attempt: int,
    last_status: int | None,
    last_error: str,
) -> None:
    """Try again later, unless another attempt has been made meanwhile.

    What waits behind it is put off as long: nobody looks at it before.
    """
    changed = await tx.execute(
        update(WEBHOOK_DELIVERIES)
        .where(
            WEBHOOK_DELIVERIES.c.delivery_id == delivery_id,
            WEBHOOK_DELIVERIES.c.attempts == attempt,
            _IS_PENDING,
        )
        .values(
            next_attempt_at=next_attempt_at,
            claimed_until=None,
            last_status=last_status,
            last_error=last_error,
        )
        .returning(WEBHOOK_DELIVERIES)
    )
    postponed = changed.one_or_none()
    if postponed is not None:
        await _move_followers(tx, postponed, next_attempt_at)


async def give_up_on_closed_endpoints(tx: Tx, now: datetime, limit: int) -> int:
    """Give up deliveries to deleted endpoints, and overdue ones to disabled endpoints."""
    lost = (
        select(WEBHOOK_DELIVERIES.c.delivery_id)
        .join(
            WEBHOOK_ENDPOINTS,
            WEBHOOK_ENDPOINTS.c.endpoint_id == WEBHOOK_DELIVERIES.c.endpoint_id,
        )
        .where(
            _IS_PENDING,
            or_(
                WEBHOOK_ENDPOINTS.c.deleted_at.is_not(None),
                and_(
                    WEBHOOK_ENDPOINTS.c.enabled.is_(False), WEBHOOK_DELIVERIES.c.give_up_at <= now
                ),
            ),
        )
        .limit(limit)
        .with_for_update(skip_locked=True, of=WEBHOOK_DELIVERIES)
        .cte("lost")
    )
    changed = await tx.execute(
        update(WEBHOOK_DELIVERIES)
        .where(WEBHOOK_DELIVERIES.c.delivery_id == lost.c.delivery_id)
        .values(
            status=DeliveryStatus.GIVEN_UP,
            finished_at=now,
            claimed_until=None,
            last_error="the endpoint was disabled or deleted",
        )
    )
    return changed.rowcount


async def forget_deliveries(tx: Tx, before: datetime, limit: int) -> int:
    """Delete up to `limit` deliveries that were finished before."""
    old = (
        select(WEBHOOK_DELIVERIES.c.delivery_id)
        .where(WEBHOOK_DELIVERIES.c.finished_at < before)
        .limit(limit)
    )
    forgotten = delete(WEBHOOK_DELIVERIES).where(WEBHOOK_DELIVERIES.c.delivery_id.in_(old))
    return (await tx.execute(forgotten)).rowcount


async def _move_followers(tx: Tx, head: Row[Any], moment: datetime) -> None:
    """Let what waits behind a delivery be due at a moment."""
    await tx.execute(
        update(WEBHOOK_DELIVERIES)
        .where(
            WEBHOOK_DELIVERIES.c.endpoint_id == head.endpoint_id,
            WEBHOOK_DELIVERIES.c.order_no == head.order_no,
            WEBHOOK_DELIVERIES.c.position > head.position,
            _IS_PENDING,
        )
        .values(next_attempt_at=moment)
    )


def _is_due(now: datetime) -> ColumnElement[bool]:
    return and_(
        _IS_PENDING,
        WEBHOOK_DELIVERIES.c.next_attempt_at <= now,
        or_(
            WEBHOOK_DELIVERIES.c.claimed_until.is_(None),
            WEBHOOK_DELIVERIES.c.claimed_until <= now,
        ),
    )
