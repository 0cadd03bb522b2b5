"""Catalog's SQL."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    Integer,
    Row,
    Select,
    Text,
    bindparam,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.catalog.domain import PRODUCT, RESERVATION, ProductStatus, ReservationStatus
from shanmen.catalog.tables import (
    ACCOUNTS,
    CREDENTIALS,
    PARTIES,
    PERSONS,
    PRODUCT_SPOTS,
    PRODUCTS,
    RESERVATIONS,
    STOCK,
)
from shanmen.common.db import Tx, among

Rows = Sequence[Row[Any]]

# ── parties, accounts, credentials ──────────────────────────────────────────────────────────────


async def insert_party(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    """Add a spot or a distributor."""
    return (await tx.execute(insert(PARTIES).values(values).returning(PARTIES))).one()


async def party(
    tx: Tx, party_id: str, kind: str | None = None, *, lock: bool = False
) -> Row[Any] | None:
    """One party, of one kind if given; locked against others who ask for it locked."""
    wanted = select(PARTIES).where(PARTIES.c.party_id == party_id)
    if kind is not None:
        wanted = wanted.where(PARTIES.c.kind == kind)
    if lock:
        wanted = wanted.with_for_update(key_share=True)
    return (await tx.execute(wanted)).one_or_none()


async def parties(tx: Tx, kind: str, *, only: str | None, after: str | None, limit: int) -> Rows:
    """Parties of a kind in order of id, one more than `limit`."""
    wanted = select(PARTIES).where(PARTIES.c.kind == kind).order_by(PARTIES.c.party_id)
    if only is not None:
        wanted = wanted.where(PARTIES.c.party_id == only)
    return (await tx.execute(_page(wanted, PARTIES.c.party_id, after, limit))).all()


async def clear_default_account(tx: Tx, party_id: str, role: str) -> None:
    """Make room for a new default account of a role."""
    await tx.execute(
        update(ACCOUNTS)
        .where(ACCOUNTS.c.party_id == party_id, ACCOUNTS.c.role == role, ACCOUNTS.c.is_default)
        .values(is_default=False)
    )


async def insert_account(tx: Tx, values: Mapping[str, Any]) -> Row[Any] | None:
    """Add an account; None when the party has this very account already."""
    added = upsert(ACCOUNTS).values(values)
    added = added.on_conflict_do_nothing(constraint="accounts_same_twice")
    return (await tx.execute(added.returning(ACCOUNTS))).one_or_none()


async def account(tx: Tx, account_id: str) -> Row[Any] | None:
    """One account."""
    wanted = select(ACCOUNTS).where(ACCOUNTS.c.account_id == account_id)
    return (await tx.execute(wanted)).one_or_none()


async def accounts(tx: Tx, *, party_id: str | None, after: str | None, limit: int) -> Rows:
    """Accounts in order of id, of one party if given, one more than `limit`."""
    wanted = select(ACCOUNTS).order_by(ACCOUNTS.c.account_id)
    if party_id is not None:
        wanted = wanted.where(ACCOUNTS.c.party_id == party_id)
    return (await tx.execute(_page(wanted, ACCOUNTS.c.account_id, after, limit))).all()


async def default_accounts(tx: Tx, party_ids: Sequence[str], role: str) -> dict[str, Row[Any]]:
    """The default account of a role, by party."""
    rows = await tx.execute(
        select(ACCOUNTS).where(
            among(ACCOUNTS.c.party_id, party_ids), ACCOUNTS.c.role == role, ACCOUNTS.c.is_default
        )
    )
    return {row.party_id: row for row in rows}


async def add_person(tx: Tx, person: str) -> bool:
    """Remember a holder of operators' tokens; False when they are remembered already.

    Who adds the same person at the same time waits for the other.
    """
    added = upsert(PERSONS).values(person=person).on_conflict_do_nothing()
    return (await tx.execute(added)).rowcount == 1


async def insert_credential(tx: Tx, values: Mapping[str, Any]) -> Row[Any]:
    """Add a credential; only the token's hash is stored."""
    return (await tx.execute(insert(CREDENTIALS).values(values).returning(CREDENTIALS))).one()


async def live_credential(tx: Tx, token_hash: str, now: datetime) -> Row[Any] | None:
    """The credential of a token, unless it is revoked or expired."""
    wanted = select(CREDENTIALS).where(
        CREDENTIALS.c.token_hash == token_hash,
        CREDENTIALS.c.revoked_at.is_(None),
        or_(CREDENTIALS.c.expires_at.is_(None), CREDENTIALS.c.expires_at > now),
    )
    return (await tx.execute(wanted)).one_or_none()


async def revoke_credential(
    tx: Tx, credential_id: str, *, party_id: str | None, now: datetime
) -> Row[Any] | None:
    """Revoke a credential (of one party if given); None when there is no such live one."""
    revoked = update(CREDENTIALS).where(
        CREDENTIALS.c.credential_id == credential_id, CREDENTIALS.c.revoked_at.is_(None)
    )
    if party_id is not None:
        revoked = revoked.where(CREDENTIALS.c.party_id == party_id)
    row = await tx.execute(revoked.values(revoked_at=now).returning(CREDENTIALS))
    return row.one_or_none()


async def credentials(tx: Tx, *, party_id: str | None, after: str | None, limit: int) -> Rows:
    """Credentials in order of id, of one party if given, one more than `limit`."""
    wanted = select(CREDENTIALS).order_by(CREDENTIALS.c.credential_id)
    if party_id is not None:
        wanted = wanted.where(CREDENTIALS.c.party_id == party_id)
    return (await tx.execute(_page(wanted, CREDENTIALS.c.credential_id, after, limit))).all()


# ── products and their calendar ─────────────────────────────────────────────────────────────────


async def insert_product(
    tx: Tx, values: Mapping[str, Any], spots: Sequence[Mapping[str, Any]]
) -> None:
    """Add a product with its spots."""
    await tx.execute(insert(PRODUCTS).values(values))
    await tx.execute(insert(PRODUCT_SPOTS), list(spots))


async def products(
    tx: Tx,
    *,
    status: str | None,
    spot_id: str | None,
    after: str | None,
    limit: int,
) -> Rows:
    """Products in order of id, filtered, one more than `limit`."""
    wanted = select(PRODUCTS).order_by(PRODUCTS.c.product_id)
    if status is not None:
        wanted = wanted.where(PRODUCTS.c.status == status)
    if spot_id is not None:
        wanted = wanted.where(PRODUCTS.c.product_id.in_(_products_of(spot_id)))
    return (await tx.execute(_page(wanted, PRODUCTS.c.product_id, after, limit))).all()


async def products_by_id(tx: Tx, product_ids: Sequence[str]) -> dict[str, Row[Any]]:
    """Products by id."""
    rows = await tx.execute(select(PRODUCTS).where(among(PRODUCTS.c.product_id, product_ids)))
    return {row.product_id: row for row in rows}


async def spots_of_products(tx: Tx, product_ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """Each product's spots in order, with their terms."""
    rows = await tx.execute(
        select(
            PRODUCT_SPOTS,
            PARTIES.c.name.label("spot_name"),
            PARTIES.c.time_zone,
            PARTIES.c.fee_bps,
            PARTIES.c.offline_grace_s,
        )
        .join(PARTIES, PARTIES.c.party_id == PRODUCT_SPOTS.c.spot_id)
        .where(among(PRODUCT_SPOTS.c.product_id, product_ids))
        .order_by(PRODUCT_SPOTS.c.product_id, PRODUCT_SPOTS.c.position)
    )
    spots: dict[str, list[Row[Any]]] = {}
    for row in rows:
        spots.setdefault(row.product_id, []).append(row)
    return spots


async def distributors_by_id(tx: Tx, party_ids: Sequence[str]) -> dict[str, Row[Any]]:
    """Distributors by id."""
    rows = await tx.execute(
        select(PARTIES).where(
            among(PARTIES.c.party_id, party_ids), PARTIES.c.kind == "distributor"
        )
    )
    return {row.party_id: row for row in rows}


async def change_product_status(tx: Tx, product_id: str, target: ProductStatus) -> bool:
    """Guarded transition of a product; False when its status does not allow it."""
    changed = await tx.execute(
        update(PRODUCTS)
        .where(
            PRODUCTS.c.product_id == product_id,
            among(PRODUCTS.c.status, PRODUCT.sources(target)),
        )
        .values(status=target, version=PRODUCTS.c.version + 1)
    )
    return changed.rowcount == 1


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


# ── reservations ────────────────────────────────────────────────────────────────────────────────

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


def _products_of(spot_id: str) -> Select[Any]:
    return select(PRODUCT_SPOTS.c.product_id).where(PRODUCT_SPOTS.c.spot_id == spot_id)


def _page(wanted: Select[Any], key: Any, after: str | None, limit: int) -> Select[Any]:
    return (wanted if after is None else wanted.where(key > after)).limit(limit + 1)
