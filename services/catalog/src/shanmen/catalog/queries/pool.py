"""SQL of the pool (票池): stock, and what is set aside of it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Integer, Row, Text, bindparam, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.catalog.domain import RESERVATION, ReservationStatus
from shanmen.catalog.tables import RESERVATIONS, STOCK
from shanmen.common.db import Tx, among

Rows = Sequence[Row[Any]]

_WANTED_ENTRIES = text(
    "SELECT w.ordinal, s.stock_id"
    " FROM unnest(:products, :dates, :slots) WITH ORDINALITY AS w(product_id, day, slot, ordinal)"
    " JOIN stock s ON s.product_id = w.product_id"
    "  AND s.visit_date IS NOT DISTINCT FROM w.day::date AND s.slot IS NOT DISTINCT FROM w.slot"
).bindparams(
    bindparam("products", type_=ARRAY(Text)),
    bindparam("dates", type_=ARRAY(Text)),
    bindparam("slots", type_=ARRAY(Text)),
)

_MOVE_COUNTERS = text(
    "UPDATE stock SET reserved = stock.reserved + m.reserved, sold = stock.sold + m.sold"
    " FROM unnest(:stock_ids, :reserved, :sold) AS m(stock_id, reserved, sold)"
    " WHERE stock.stock_id = m.stock_id"
).bindparams(
    bindparam("stock_ids", type_=ARRAY(Text)),
    bindparam("reserved", type_=ARRAY(Integer)),
    bindparam("sold", type_=ARRAY(Integer)),
)


async def put_stock(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Set totals of calendar entries; returns the ids of those that were possible."""
    entry = upsert(STOCK)
    entry = entry.on_conflict_do_update(
        constraint="stock_entry",
        set_={"total": entry.excluded.total},
        where=STOCK.c.reserved + STOCK.c.sold <= entry.excluded.total,
    )
    return list((await tx.execute(entry.returning(STOCK.c.stock_id), list(rows))).scalars())


async def calendar(
    tx: Tx, product_id: str, *, first: date | None, last: date | None, limit: int
) -> Rows:
    """A product's stock entries by date and slot."""
    wanted = (
        select(STOCK)
        .where(STOCK.c.product_id == product_id)
        .order_by(STOCK.c.visit_date, STOCK.c.slot)
        .limit(limit)
    )
    if first is not None:
        wanted = wanted.where(STOCK.c.visit_date >= first)
    if last is not None:
        wanted = wanted.where(STOCK.c.visit_date <= last)
    return (await tx.execute(wanted)).all()


async def find_entries(
    tx: Tx, wanted: Sequence[tuple[str, date | None, str | None]]
) -> dict[int, str]:
    """Stock entry ids of (product, date, slot), by position in the list; missing ones left out."""
    rows = await tx.execute(
        _WANTED_ENTRIES,
        {
            "products": [product for product, _, _ in wanted],
            "dates": [day.isoformat() if day else None for _, day, _ in wanted],
            "slots": [slot for _, _, slot in wanted],
        },
    )
    return {row.ordinal - 1: row.stock_id for row in rows}


async def lock_stock(tx: Tx, stock_ids: Sequence[str]) -> dict[str, int]:
    """Lock stock entries, in id order against deadlocks; what is left of each."""
    rows = await tx.execute(
        select(STOCK.c.stock_id, (STOCK.c.total - STOCK.c.reserved - STOCK.c.sold).label("left"))
        .where(among(STOCK.c.stock_id, stock_ids))
        .order_by(STOCK.c.stock_id)
        .with_for_update()
    )
    return {row.stock_id: row.left for row in rows}


async def reservations(tx: Tx, order_nos: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Reservations by order number, as they were written."""
    rows = await tx.execute(select(RESERVATIONS).where(among(RESERVATIONS.c.order_no, order_nos)))
    return {row["order_no"]: dict(row) for row in rows.mappings()}


async def insert_reservations(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record reservations whose stock is locked."""
    await tx.execute(insert(RESERVATIONS), list(rows))


async def move_counters(tx: Tx, moves: Mapping[str, tuple[int, int]]) -> None:
    """Add to (reserved, sold) of stock entries; the table's checks refuse overselling."""
    ids = sorted(moves)
    await tx.execute(
        _MOVE_COUNTERS,
        {
            "stock_ids": ids,
            "reserved": [moves[key][0] for key in ids],
            "sold": [moves[key][1] for key in ids],
        },
    )


async def change_reservation(tx: Tx, order_no: str, target: ReservationStatus) -> Row[Any] | None:
    """Guarded transition of a reservation; the row, or None when nothing changed."""
    changed = await tx.execute(
        update(RESERVATIONS)
        .where(
            RESERVATIONS.c.order_no == order_no,
            among(RESERVATIONS.c.status, RESERVATION.sources(target)),
        )
        .values(status=target)
        .returning(RESERVATIONS.c.stock_id, RESERVATIONS.c.quantity)
    )
    return changed.one_or_none()


async def claim_unconfirmed(tx: Tx, *, older_than: datetime, now: datetime, limit: int) -> Rows:
    """Held reservations nobody confirmed in time; each is claimed once per period."""
    stale = (
        select(RESERVATIONS.c.order_no)
        .where(
            RESERVATIONS.c.status == ReservationStatus.HELD,
            RESERVATIONS.c.reserved_at < older_than,
            or_(RESERVATIONS.c.asked_at.is_(None), RESERVATIONS.c.asked_at < older_than),
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    claimed = await tx.execute(
        update(RESERVATIONS)
        .where(RESERVATIONS.c.order_no.in_(stale))
        .values(asked_at=now)
        .returning(RESERVATIONS.c.order_no, RESERVATIONS.c.reserved_at)
    )
    return claimed.all()
