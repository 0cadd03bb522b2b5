"""SQL of orders, their tickets and entitlements."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Text,
    and_,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.common.db import Tx, among
from shanmen.orders.domain import (
    CLOSABLE_DEBITS,
    DEBIT,
    ORDER,
    OUTSTANDING_DEBITS,
    PARKED_DEBITS,
    DebitState,
    OrderStatus,
    Settlement,
    Usage,
)
from shanmen.orders.tables import ENTITLEMENTS, NEVER_PLACED, ORDERS, TICKETS, TIMELINE

Rows = Sequence[Row[Any]]

_LOCK_NUMBERS = text(
    "SELECT pg_advisory_xact_lock(hashtextextended(no, 1)) FROM unnest(:numbers) AS no ORDER BY no"
).bindparams(bindparam("numbers", type_=ARRAY(Text)))


async def lock_numbers(tx: Tx, order_nos: Sequence[str]) -> None:
    """Decide between writing an order and giving up on its number, until the transaction ends."""
    await tx.execute(_LOCK_NUMBERS, {"numbers": list(order_nos)})


async def given_up(tx: Tx, order_nos: Sequence[str]) -> set[str]:
    """Which of the numbers were given up on."""
    rows = await tx.execute(
        select(NEVER_PLACED.c.order_no).where(among(NEVER_PLACED.c.order_no, order_nos))
    )
    return set(rows.scalars())


async def give_up(tx: Tx, order_no: str) -> None:
    """Never let an order be written under this number."""
    await tx.execute(upsert(NEVER_PLACED).values(order_no=order_no).on_conflict_do_nothing())


async def insert_orders(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> dict[str, Row[Any]]:
    """Write orders; those whose distributor's number is taken are left out of the answer."""
    written = upsert(ORDERS).on_conflict_do_nothing(
        index_elements=["distributor_id", "distributor_order_no"]
    )
    return {row.order_no: row for row in await tx.execute(written.returning(ORDERS), list(rows))}


async def orders_by_business_key(
    tx: Tx, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Row[Any]]:
    """Orders by (distributor, its order number)."""
    # Two arrays rather than a list of pairs: one statement text for lists of any length.
    columns = [
        bindparam(None, list(column), type_=ARRAY(Text)) for column in zip(*keys, strict=True)
    ]
    wanted = func.unnest(*columns).table_valued("distributor", "number").render_derived()
    rows = await tx.execute(
        select(ORDERS).join(
            wanted,
            and_(
                ORDERS.c.distributor_id == wanted.c.distributor,
                ORDERS.c.distributor_order_no == wanted.c.number,
            ),
        )
    )
    return {(row.distributor_id, row.distributor_order_no): row for row in rows}


async def order(
    tx: Tx,
    order_no: str,
    *,
    distributor_id: str | None = None,
    reseller: str | None = None,
    lock: bool = False,
) -> Row[Any] | None:
    """One order, of one tenant if given; locked against every other change if asked."""
    wanted = select(ORDERS).where(ORDERS.c.order_no == order_no)
    if distributor_id is not None:
        wanted = wanted.where(ORDERS.c.distributor_id == distributor_id)
    if reseller is not None:
        wanted = wanted.where(ORDERS.c.reseller == reseller)
    if lock:
        wanted = wanted.with_for_update()
    return (await tx.execute(wanted)).one_or_none()


async def list_orders(
    tx: Tx, *, filters: Mapping[str, Any], after: str | None, limit: int
) -> Rows:
    """Orders, newest first, one more than `limit`. `placed_from`/`placed_until` bound the time."""
    wanted = select(ORDERS).order_by(ORDERS.c.order_no.desc()).limit(limit + 1)
    for name, value in filters.items():
        if value is None:
            continue
        if name == "placed_from":
            wanted = wanted.where(ORDERS.c.placed_at >= value)
        elif name == "placed_until":
            wanted = wanted.where(ORDERS.c.placed_at < value)
        else:
            wanted = wanted.where(ORDERS.c[name] == value)
    if after is not None:
        wanted = wanted.where(ORDERS.c.order_no < after)
    return (await tx.execute(wanted)).all()


async def change_status(
    tx: Tx, order_no: str, target: OrderStatus, now: datetime, **values: Any
) -> Row[Any] | None:
    """Guarded transition of an order; the changed row, or None when the table forbids it."""
    changed = await tx.execute(
        update(ORDERS)
        .where(ORDERS.c.order_no == order_no, among(ORDERS.c.status, ORDER.sources(target)))
        .values(status=target, version=ORDERS.c.version + 1, updated_at=now, **values)
        .returning(ORDERS)
    )
    return changed.one_or_none()


async def change_debit(
    tx: Tx, order_no: str, target: DebitState, now: datetime, **values: Any
) -> Row[Any] | None:
    """Guarded transition of an order's debit; None when the table forbids it."""
    # Since when it is short is true of the state that is entered, or of none.
    changes = {"debit_state": target, "short_since": None, "updated_at": now, **values}
    changed = await tx.execute(
        update(ORDERS)
        .where(ORDERS.c.order_no == order_no, among(ORDERS.c.debit_state, DEBIT.sources(target)))
        .values(version=ORDERS.c.version + 1, **changes)
        .returning(ORDERS)
    )
    return changed.one_or_none()


async def reword_stuck(tx: Tx, order_no: str, reason: str, now: datetime) -> None:
    """A debit that was stuck before is stuck again, for this reason now."""
    await tx.execute(
        update(ORDERS)
        .where(ORDERS.c.order_no == order_no, ORDERS.c.debit_state == DebitState.STUCK)
        .values(debit_reason=reason, version=ORDERS.c.version + 1, updated_at=now)
    )


async def want_cancel(tx: Tx, order_no: str, reason: str, now: datetime) -> Row[Any] | None:
    """Note that an order is to be closed through the channel; None unless that is news."""
    wanted = await tx.execute(
        update(ORDERS)
        .where(
            ORDERS.c.order_no == order_no,
            among(ORDERS.c.status, ORDER.sources(OrderStatus.CLOSED_UNPAID)),
            among(ORDERS.c.debit_state, OUTSTANDING_DEBITS),
            ORDERS.c.cancel_requested_at.is_(None),
        )
        .values(
            cancel_reason=reason,
            cancel_requested_at=now,
            version=ORDERS.c.version + 1,
            updated_at=now,
        )
        .returning(ORDERS)
    )
    return wanted.one_or_none()


async def close_if_unpaid(tx: Tx, order_no: str, now: datetime) -> Row[Any] | None:
    """交易关闭1, only while no debit can have happened; the closed order."""
    closed = await tx.execute(
        update(ORDERS)
        .where(
            ORDERS.c.order_no == order_no,
            among(ORDERS.c.status, ORDER.sources(OrderStatus.CLOSED_UNPAID)),
            among(ORDERS.c.debit_state, CLOSABLE_DEBITS),
        )
        .values(status=OrderStatus.CLOSED_UNPAID, version=ORDERS.c.version + 1, updated_at=now)
        .returning(ORDERS)
    )
    return closed.one_or_none()


async def claim_overdue(tx: Tx, now: datetime, limit: int) -> list[str]:
    """Unpaid orders past their deadline, locked; those somebody works on are left for later."""
    return await _claim(tx, ORDERS.c.debit_state.in_(sorted(CLOSABLE_DEBITS)), now, limit)


async def claim_overdue_parked(tx: Tx, now: datetime, limit: int) -> list[str]:
    """The same of orders whose debit is parked, and that nobody asked to cancel."""
    is_parked = ORDERS.c.debit_state.in_(sorted(PARKED_DEBITS))
    return await _claim(tx, is_parked & ORDERS.c.cancel_requested_at.is_(None), now, limit)


async def _claim(tx: Tx, which: ColumnElement[bool], now: datetime, limit: int) -> list[str]:
    rows = await tx.execute(
        select(ORDERS.c.order_no)
        .where(
            ORDERS.c.status == OrderStatus.AWAITING_PAYMENT,
            which,
            ORDERS.c.payment_deadline <= now,
        )
        .order_by(ORDERS.c.payment_deadline)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(rows.scalars())


async def add_timeline(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append to the order timeline."""
    if rows:
        await tx.execute(insert(TIMELINE), list(rows))


async def timeline(tx: Tx, order_no: str) -> Rows:
    """An order's timeline from its beginning."""
    wanted = select(TIMELINE).where(TIMELINE.c.order_no == order_no).order_by(TIMELINE.c.id)
    return (await tx.execute(wanted)).all()


async def insert_tickets(
    tx: Tx, tickets: Sequence[Mapping[str, Any]], entitlements: Sequence[Mapping[str, Any]]
) -> None:
    """Write the tickets of an order with their entitlements."""
    await tx.execute(insert(TICKETS), list(tickets))
    await tx.execute(insert(ENTITLEMENTS), list(entitlements))


async def tickets(tx: Tx, order_nos: Sequence[str]) -> Rows:
    """Tickets of orders, in order."""
    wanted = select(TICKETS).where(among(TICKETS.c.order_no, order_nos))
    return (await tx.execute(wanted.order_by(TICKETS.c.order_no, TICKETS.c.position))).all()


async def ticket(tx: Tx, ticket_no: str) -> Row[Any] | None:
    """One ticket."""
    wanted = select(TICKETS).where(TICKETS.c.ticket_no == ticket_no)
    return (await tx.execute(wanted)).one_or_none()


async def entitlements(tx: Tx, order_nos: Sequence[str]) -> Rows:
    """Entitlements of orders, with whether their ticket is activated."""
    return await _entitlements(tx, among(ENTITLEMENTS.c.order_no, order_nos))


async def entitlements_of_ticket(tx: Tx, ticket_no: str) -> Rows:
    """Entitlements of one ticket, with whether it is activated."""
    return await _entitlements(tx, ENTITLEMENTS.c.ticket_no == ticket_no)


async def _entitlements(tx: Tx, which: ColumnElement[bool]) -> Rows:
    wanted = (
        select(ENTITLEMENTS, TICKETS.c.activated)
        .join(TICKETS, TICKETS.c.ticket_no == ENTITLEMENTS.c.ticket_no)
        .where(which)
        .order_by(ENTITLEMENTS.c.entitlement_id)
    )
    return (await tx.execute(wanted)).all()


async def entitlement(tx: Tx, entitlement_id: str) -> Row[Any]:
    """One entitlement, with `activated` of its ticket and `order_has_unused` of its order."""
    other = ENTITLEMENTS.alias("other")
    unused = (
        select(other.c.entitlement_id)
        .where(other.c.order_no == ENTITLEMENTS.c.order_no, other.c.usage == Usage.UNUSED)
        .exists()
    )
    wanted = (
        select(ENTITLEMENTS, TICKETS.c.activated, unused.label("order_has_unused"))
        .join(TICKETS, TICKETS.c.ticket_no == ENTITLEMENTS.c.ticket_no)
        .where(ENTITLEMENTS.c.entitlement_id == entitlement_id)
    )
    return (await tx.execute(wanted)).one()


async def is_concluded(tx: Tx, entitlement_id: str) -> bool:
    """Whether an entitlement is known and no longer unused."""
    wanted = select(ENTITLEMENTS.c.usage).where(ENTITLEMENTS.c.entitlement_id == entitlement_id)
    return await tx.scalar(wanted) not in (None, Usage.UNUSED)


async def project_usage(
    tx: Tx, entitlement_id: str, usage: Usage, at: datetime | None = None
) -> bool:
    """Copy verification's fact; it is final, so only an unused entitlement changes."""
    changed = await tx.execute(
        update(ENTITLEMENTS)
        .where(
            ENTITLEMENTS.c.entitlement_id == entitlement_id, ENTITLEMENTS.c.usage == Usage.UNUSED
        )
        .values(usage=usage, used_at=at)
    )
    return changed.rowcount == 1


async def project_settlement(
    tx: Tx,
    entitlement_id: str,
    settlement: Settlement,
    *,
    reason: str | None,
    refunded_fen: int | None,
) -> bool:
    """Copy settlement's fact; a late failure never covers what is final."""
    final = (Settlement.SETTLED, Settlement.REFUNDED, Settlement.FORFEITED)
    changed = await tx.execute(
        update(ENTITLEMENTS)
        .where(
            ENTITLEMENTS.c.entitlement_id == entitlement_id,
            ENTITLEMENTS.c.settlement.not_in(final),
        )
        .values(settlement=settlement, settlement_reason=reason, refunded_fen=refunded_fen)
    )
    return changed.rowcount == 1


async def want_refund(tx: Tx, entitlement_ids: Sequence[str], now: datetime) -> list[str]:
    """Note that unused entitlements are to be refunded; returns those of which that is news."""
    wanted = await tx.execute(
        update(ENTITLEMENTS)
        .where(
            among(ENTITLEMENTS.c.entitlement_id, entitlement_ids),
            ENTITLEMENTS.c.usage == Usage.UNUSED,
            ENTITLEMENTS.c.refund_requested_at.is_(None),
        )
        .values(refund_requested_at=now)
        .returning(ENTITLEMENTS.c.entitlement_id)
    )
    return sorted(wanted.scalars())
