"""Refunds, and the debits that no order could take."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.common.db import Tx, among
from shanmen.settlement.domain.statuses import REFUND, RefundPaymentStatus
from shanmen.settlement.queries.rows import ANYBODY, Record, Records, Tenant, of
from shanmen.settlement.tables import CLOSED_ORDERS, DEBITS, ORPHANED_DEBITS, REFUNDS


async def add_refund(tx: Tx, refund: Mapping[str, Any]) -> Record:
    """Add a refund. The database refuses a second live one, and more than was debited."""
    added = insert(REFUNDS).values(**refund, amount_fen=refund["part_fen"] + refund["fee_fen"])
    return (await tx.execute(added.returning(REFUNDS))).one()


async def refund(tx: Tx, refund_id: str, tenant: Tenant = ANYBODY) -> Record | None:
    """One refund, if it is the tenant's."""
    wanted = select(REFUNDS).where(REFUNDS.c.refund_id == refund_id, *of(REFUNDS, tenant))
    return (await tx.execute(wanted)).one_or_none()


async def lock_refund(tx: Tx, refund_id: str) -> Record | None:
    """One refund, which nobody else can change until this transaction ends."""
    wanted = select(REFUNDS).where(REFUNDS.c.refund_id == refund_id).with_for_update()
    return (await tx.execute(wanted)).one_or_none()


async def change_refund(
    tx: Tx,
    refund_id: str,
    target: RefundPaymentStatus,
    *,
    reason: str | None = None,
    finished_at: datetime | None = None,
) -> Record | None:
    """Move a refund to `target`; None if there is no such refund, or its status forbids it."""
    changed = (
        update(REFUNDS)
        .where(REFUNDS.c.refund_id == refund_id, among(REFUNDS.c.status, REFUND.sources(target)))
        .values(status=target, reason=reason, finished_at=finished_at)
        .returning(REFUNDS)
    )
    row: Record | None = (await tx.execute(changed)).one_or_none()
    return row


async def retire_refund(tx: Tx, refund_id: str) -> None:
    """Let another take the place of a refused refund. The database refuses that of any other."""
    await tx.execute(update(REFUNDS).where(REFUNDS.c.refund_id == refund_id).values(live=False))


async def page(
    tx: Tx,
    tenant: Tenant,
    *,
    order_no: str | None,
    status: RefundPaymentStatus | None,
    after: str | None,
    limit: int,
) -> Records:
    """Refunds of a tenant, newest first."""
    rows = select(REFUNDS).where(*of(REFUNDS, tenant))
    if order_no is not None:
        rows = rows.where(REFUNDS.c.order_no == order_no)
    if status is not None:
        rows = rows.where(REFUNDS.c.status == status)
    if after is not None:
        rows = rows.where(REFUNDS.c.refund_id < after)
    return (await tx.execute(rows.order_by(REFUNDS.c.refund_id.desc()).limit(limit + 1))).all()


# ── debits that no order could take, and those that never happened ──────────────────────────────


async def add_orphan(tx: Tx, debit: Mapping[str, Any]) -> bool:
    """Remember a debit that no order can take; False if it is known."""
    added = upsert(ORPHANED_DEBITS).values(**debit).on_conflict_do_nothing()
    return (await tx.execute(added.returning(ORPHANED_DEBITS.c.operation_id))).first() is not None


async def orphan_is_refunded(tx: Tx, operation_id: str) -> bool:
    """Whether an orphaned debit went back already."""
    wanted = select(ORPHANED_DEBITS.c.refunded_at).where(
        ORPHANED_DEBITS.c.operation_id == operation_id
    )
    return (await tx.execute(wanted)).scalar_one_or_none() is not None


async def mark_orphan_refunded(tx: Tx, operation_id: str, refunded_at: datetime) -> bool:
    """Record that an orphaned debit went back; False if it had, or there is none."""
    changed = (
        update(ORPHANED_DEBITS)
        .where(
            ORPHANED_DEBITS.c.operation_id == operation_id, ORPHANED_DEBITS.c.refunded_at.is_(None)
        )
        .values(refunded_at=refunded_at)
        .returning(ORPHANED_DEBITS.c.operation_id)
    )
    return (await tx.execute(changed)).first() is not None


async def close_order(tx: Tx, order_no: str, debit_operation_id: str) -> None:
    """Remember that an order ended unpaid, for news of its debit that comes late."""
    row = {"order_no": order_no, "debit_operation_id": debit_operation_id}
    await tx.execute(upsert(CLOSED_ORDERS).values(row).on_conflict_do_nothing())


async def lock_order(tx: Tx, order_no: str) -> None:
    """Keep others from telling how the order's debit ended, or that it is stuck, meanwhile."""
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(order_no, 0))))


async def debit_is_over(tx: Tx, order_no: str) -> bool:
    """Whether an order is paid, or closed unpaid."""
    paid = select(DEBITS.c.order_no).where(DEBITS.c.order_no == order_no)
    closed = select(CLOSED_ORDERS.c.order_no).where(CLOSED_ORDERS.c.order_no == order_no)
    return bool(await tx.scalar(select(paid.exists() | closed.exists())))


async def is_orphan(tx: Tx, operation_id: str) -> bool:
    """Whether a debit is one that no order could take."""
    wanted = select(ORPHANED_DEBITS.c.operation_id).where(
        ORPHANED_DEBITS.c.operation_id == operation_id
    )
    return (await tx.execute(wanted)).first() is not None


async def is_of_an_order(tx: Tx, operation_id: str) -> bool:
    """Whether a debit paid an order."""
    wanted = select(DEBITS.c.order_no).where(DEBITS.c.operation_id == operation_id)
    return (await tx.execute(wanted)).first() is not None
