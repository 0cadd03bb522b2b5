"""What was debited for orders, and the money of their entitlements."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import eq, ge, lt
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, case, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.common.db import Tx, among
from shanmen.settlement.domain.statuses import (
    SETTLEMENT,
    Settlement,
)
from shanmen.settlement.queries.rows import ANYBODY, Record, Records, Tenant, of
from shanmen.settlement.tables import DEBITS, ENTITLEMENTS, REFUNDS

PAYABLE_FEN: Final = (ENTITLEMENTS.c.settle_fen - ENTITLEMENTS.c.settlement_fee_fen).label(
    "payable_fen"
)
"""What the spot is paid for a visit."""

_WITH_REFUND: Final = select(
    ENTITLEMENTS,
    PAYABLE_FEN,
    REFUNDS.c.refund_id,
    case((ENTITLEMENTS.c.status == Settlement.REFUNDED, REFUNDS.c.amount_fen)).label(
        "refunded_fen"
    ),
).outerjoin(REFUNDS, (REFUNDS.c.entitlement_id == ENTITLEMENTS.c.entitlement_id) & REFUNDS.c.live)

Compare: TypeAlias = Callable[[Any, Any], ColumnElement[bool]]


async def add_debit(tx: Tx, debit: Mapping[str, Any]) -> bool:
    """Remember what was debited for an order; False if a debit of this order is known."""
    added = upsert(DEBITS).values(**debit).on_conflict_do_nothing(index_elements=["order_no"])
    return (await tx.execute(added.returning(DEBITS.c.order_no))).first() is not None


async def debit(tx: Tx, order_no: str) -> Record | None:
    """What an order's distributor was debited."""
    return (await tx.execute(select(DEBITS).where(DEBITS.c.order_no == order_no))).one_or_none()


async def add_entitlements(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add entitlements; those that are known are left alone."""
    ordered = sorted(rows, key=lambda row: str(row["entitlement_id"]))
    await tx.execute(upsert(ENTITLEMENTS).on_conflict_do_nothing(), ordered)


async def entitlement(tx: Tx, entitlement_id: str, tenant: Tenant = ANYBODY) -> Record | None:
    """One entitlement with its refund, if it is the tenant's."""
    wanted = _WITH_REFUND.where(
        ENTITLEMENTS.c.entitlement_id == entitlement_id, *of(ENTITLEMENTS, tenant)
    )
    return (await tx.execute(wanted)).one_or_none()


async def mark_used(tx: Tx, entitlement_id: str, used_at: datetime) -> Record | None:
    """Record the visit; None if there is no such entitlement, or it is used or given back."""
    changed = (
        update(ENTITLEMENTS)
        .where(
            ENTITLEMENTS.c.entitlement_id == entitlement_id,
            ENTITLEMENTS.c.used_at.is_(None),
            ENTITLEMENTS.c.lapsed_at.is_(None),
            ENTITLEMENTS.c.status == Settlement.PENDING,
        )
        .values(used_at=used_at, version=ENTITLEMENTS.c.version + 1)
        .returning(ENTITLEMENTS, PAYABLE_FEN)
    )
    row: Record | None = (await tx.execute(changed)).one_or_none()
    return row


async def mark_lapsed(tx: Tx, entitlement_id: str, lapsed_at: datetime) -> Record | None:
    """Record that it never will be used; None if there is no such entitlement, or it is used, or
    lapsed before."""
    changed = (
        update(ENTITLEMENTS)
        .where(
            ENTITLEMENTS.c.entitlement_id == entitlement_id,
            ENTITLEMENTS.c.used_at.is_(None),
            ENTITLEMENTS.c.lapsed_at.is_(None),
        )
        .values(lapsed_at=lapsed_at, version=ENTITLEMENTS.c.version + 1)
        .returning(ENTITLEMENTS)
    )
    row: Record | None = (await tx.execute(changed)).one_or_none()
    return row


async def parts_of(tx: Tx, order_no: str) -> Mapping[str, int]:
    """The parts that an order's price was split into, by entitlement."""
    wanted = select(ENTITLEMENTS.c.entitlement_id, ENTITLEMENTS.c.part_fen).where(
        ENTITLEMENTS.c.order_no == order_no
    )
    return {row.entitlement_id: row.part_fen for row in await tx.execute(wanted)}


async def give_back(
    tx: Tx, entitlement_id: str, target: Settlement, *, reason: str | None = None
) -> Record | None:
    """Move a lapsed entitlement to where its money went, or to why it did not; None if its status
    forbids that. A refund may fail again, for another reason."""
    again = {target} & {Settlement.REFUND_FAILED}
    changed = (
        update(ENTITLEMENTS)
        .where(
            ENTITLEMENTS.c.entitlement_id == entitlement_id,
            ENTITLEMENTS.c.lapsed_at.is_not(None),
            among(ENTITLEMENTS.c.status, SETTLEMENT.sources(target) | again),
        )
        .values(status=target, reason=reason, version=ENTITLEMENTS.c.version + 1)
        .returning(ENTITLEMENTS)
    )
    row: Record | None = (await tx.execute(changed)).one_or_none()
    return row


async def is_refunded(tx: Tx, entitlement_id: str) -> bool:
    """Whether the part of an entitlement went back."""
    wanted = select(ENTITLEMENTS.c.status).where(ENTITLEMENTS.c.entitlement_id == entitlement_id)
    return (await tx.execute(wanted)).scalar_one_or_none() == Settlement.REFUNDED


async def settle_unpaid(tx: Tx, entitlement_id: str, settled_at: datetime) -> None:
    """Settle an entitlement of which nothing is due to the spot."""
    await tx.execute(
        update(ENTITLEMENTS)
        .where(
            ENTITLEMENTS.c.entitlement_id == entitlement_id,
            among(ENTITLEMENTS.c.status, SETTLEMENT.sources(Settlement.SETTLED)),
            PAYABLE_FEN == 0,
        )
        .values(
            status=Settlement.SETTLED,
            settled_at=settled_at,
            version=ENTITLEMENTS.c.version + 1,
        )
    )


@dataclass(frozen=True)
class SettlementFilter:
    """Which entitlements to list; None does not filter. `used_to` is exclusive."""

    order_no: str | None = None
    spot_id: str | None = None
    status: Settlement | None = None
    used_from: datetime | None = None
    used_to: datetime | None = None


async def page(
    tx: Tx, tenant: Tenant, wanted: SettlementFilter, *, after: str | None, limit: int
) -> Records:
    """Entitlements of a tenant, with their refunds."""
    at = ENTITLEMENTS.c
    filters: Iterable[tuple[ColumnElement[Any], Compare, Any]] = (
        (at.order_no, eq, wanted.order_no),
        (at.spot_id, eq, wanted.spot_id),
        (at.status, eq, wanted.status),
        (at.used_at, ge, wanted.used_from),
        (at.used_at, lt, wanted.used_to),
        (at.entitlement_id, lt, after),
    )
    conditions = (compare(column, it) for column, compare, it in filters if it is not None)
    rows = (
        _WITH_REFUND.where(*of(ENTITLEMENTS, tenant), *conditions)
        .order_by(at.entitlement_id.desc())
        .limit(limit + 1)
    )
    return (await tx.execute(rows)).all()
