"""SQL of webhook endpoints and notices. Pages hold up to `limit + 1` rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Table,
    and_,
    delete,
    exists,
    insert,
    select,
    text,
    update,
)

from shanmen.common.db import Tx
from shanmen.orders.tables import (
    ORDERS,
    WEBHOOK_DELIVERIES,
    WEBHOOK_ENDPOINTS,
    WEBHOOK_EVENTS,
)

Rows = Sequence[Row[Any]]

_LOCK_ENDPOINTS = text("SELECT pg_advisory_xact_lock(hashtextextended(:distributor_id, 2))")

IS_OPEN = and_(WEBHOOK_ENDPOINTS.c.enabled, WEBHOOK_ENDPOINTS.c.deleted_at.is_(None))
"""Whether an endpoint is sent to."""


# endpoints


async def lock_endpoints(tx: Tx, distributor_id: str) -> None:
    """Keep others from adding endpoints of this distributor until the transaction ends."""
    await tx.execute(_LOCK_ENDPOINTS, {"distributor_id": distributor_id})


async def endpoints_of(tx: Tx, distributor_id: str) -> Rows:
    """All endpoints of a distributor, newest first."""
    rows = await tx.execute(
        select(WEBHOOK_ENDPOINTS)
        .where(
            WEBHOOK_ENDPOINTS.c.distributor_id == distributor_id,
            WEBHOOK_ENDPOINTS.c.deleted_at.is_(None),
        )
        .order_by(WEBHOOK_ENDPOINTS.c.endpoint_id.desc())
    )
    return rows.all()


async def endpoint(
    tx: Tx, endpoint_id: str, *, distributor_id: str, lock: bool = False
) -> Row[Any] | None:
    """One endpoint of a distributor, locked against other changes if asked."""
    wanted = select(WEBHOOK_ENDPOINTS).where(
        WEBHOOK_ENDPOINTS.c.endpoint_id == endpoint_id,
        WEBHOOK_ENDPOINTS.c.distributor_id == distributor_id,
        WEBHOOK_ENDPOINTS.c.deleted_at.is_(None),
    )
    if lock:
        wanted = wanted.with_for_update()
    return (await tx.execute(wanted)).one_or_none()


async def insert_endpoint(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    """Write an endpoint."""
    written = await tx.execute(insert(WEBHOOK_ENDPOINTS).values(values).returning(*_columns()))
    return written.one()


async def change_endpoint(
    tx: Tx, endpoint_id: str, now: datetime, values: Mapping[str, Any]
) -> Row[Any]:
    """Change an endpoint that the transaction holds."""
    changed = await tx.execute(
        update(WEBHOOK_ENDPOINTS)
        .where(WEBHOOK_ENDPOINTS.c.endpoint_id == endpoint_id)
        .values(version=WEBHOOK_ENDPOINTS.c.version + 1, updated_at=now, **values)
        .returning(*_columns())
    )
    return changed.one()


async def disable_endpoint(tx: Tx, endpoint_id: str, now: datetime, reason: str) -> None:
    """Disable an endpoint that is still enabled."""
    await tx.execute(
        update(WEBHOOK_ENDPOINTS)
        .where(WEBHOOK_ENDPOINTS.c.endpoint_id == endpoint_id, WEBHOOK_ENDPOINTS.c.enabled)
        .values(
            enabled=False,
            disabled_reason=reason,
            version=WEBHOOK_ENDPOINTS.c.version + 1,
            updated_at=now,
        )
    )


async def open_endpoints(tx: Tx, distributor_id: str) -> Rows:
    """The endpoints of a distributor that are sent to."""
    rows = await tx.execute(
        select(WEBHOOK_ENDPOINTS).where(
            WEBHOOK_ENDPOINTS.c.distributor_id == distributor_id, IS_OPEN
        )
    )
    return rows.all()


# notices


async def next_sequence(tx: Tx, order_no: str) -> int:
    """The number of an order's next notice; the order is locked until the transaction ends.

    Raises NoResultFound when there is no such order.
    """
    numbered = await tx.execute(
        update(ORDERS)
        .where(ORDERS.c.order_no == order_no)
        .values(notices=ORDERS.c.notices + 1)
        .returning(ORDERS.c.notices)
    )
    return numbered.scalar_one()


async def insert_event(tx: Tx, values: Mapping[str, Any]) -> None:
    """Write a notice."""
    await tx.execute(insert(WEBHOOK_EVENTS).values(values))


async def event(tx: Tx, event_id: str, *, distributor_id: str) -> Row[Any] | None:
    """One notice to a distributor."""
    rows = await tx.execute(
        select(WEBHOOK_EVENTS).where(
            WEBHOOK_EVENTS.c.event_id == event_id,
            WEBHOOK_EVENTS.c.distributor_id == distributor_id,
        )
    )
    return rows.one_or_none()


async def list_events(
    tx: Tx, *, filters: Mapping[str, Any], after: str | None, limit: int
) -> Rows:
    """Notices, newest first."""
    key = WEBHOOK_EVENTS.c.event_id
    return (await tx.execute(page(WEBHOOK_EVENTS, key, filters, after, limit))).all()


async def forget_events(tx: Tx, before: datetime, limit: int) -> int:
    """Delete up to `limit` notices from before that no delivery is left of."""
    is_delivered = exists().where(WEBHOOK_DELIVERIES.c.event_id == WEBHOOK_EVENTS.c.event_id)
    old = (
        select(WEBHOOK_EVENTS.c.event_id)
        .where(WEBHOOK_EVENTS.c.occurred_at < before, ~is_delivered)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    forgotten = delete(WEBHOOK_EVENTS).where(WEBHOOK_EVENTS.c.event_id.in_(old))
    return (await tx.execute(forgotten)).rowcount


def page(
    table: Table,
    key: ColumnElement[str],
    filters: Mapping[str, Any],
    after: str | None,
    limit: int,
) -> Select[Any]:
    """Rows that agree with the filters, newest first, from after a key on."""
    wanted = select(table).order_by(key.desc()).limit(limit + 1)
    for name, value in filters.items():
        if value is not None:
            wanted = wanted.where(table.c[name] == value)
    return wanted if after is None else wanted.where(key < after)


def _columns() -> Sequence[ColumnElement[Any]]:
    return tuple(WEBHOOK_ENDPOINTS.c)
