"""The work list: items, and shortages of channel accounts."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, exists, func, literal_column, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from shanmen.common.db import Tx
from shanmen.settlement.domain.reconciliation import BreakStatus
from shanmen.settlement.domain.statuses import PayoutStatus, RefundPaymentStatus, Settlement
from shanmen.settlement.domain.wealth import HeldFor, WealthMoveStatus
from shanmen.settlement.domain.work import Stuck, WorkFamily, WorkKind, WorkStatus
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.tables import (
    BREAKS,
    CLOSED_ORDERS,
    DEBITS,
    ENTITLEMENTS,
    ORPHANED_DEBITS,
    PAYOUT_LINES,
    PAYOUTS,
    REFUNDS,
    SHORTAGES,
    WEALTH_MOVES,
    WORK_ITEMS,
)

_OPEN = WORK_ITEMS.c.status == literal_column(f"'{WorkStatus.OPEN}'")
"""Spelled out: a parameter would hide the partial unique index from a generic plan."""


_IS_UNPAID = exists().where(
    PAYOUT_LINES.c.payout_id == PAYOUTS.c.payout_id,
    PAYOUT_LINES.c.live,
    ENTITLEMENTS.c.entitlement_id == PAYOUT_LINES.c.entitlement_id,
    ENTITLEMENTS.c.status != Settlement.SETTLED,
)
_WENT_BACK = or_(
    exists().where(
        ENTITLEMENTS.c.entitlement_id == REFUNDS.c.entitlement_id,
        ENTITLEMENTS.c.status == Settlement.REFUNDED,
    ),
    exists().where(
        REFUNDS.c.entitlement_id.is_(None),
        ORPHANED_DEBITS.c.operation_id == REFUNDS.c.original_operation_id,
        ORPHANED_DEBITS.c.refunded_at.is_not(None),
    ),
)
_IS_REFUSED = WEALTH_MOVES.c.status == WealthMoveStatus.FAILED
_IS_OVER = (WEALTH_MOVES.c.status == WealthMoveStatus.DONE) | (
    _IS_REFUSED & WEALTH_MOVES.c.replaced_by.is_not(None)
)
_PART_WAITS = exists().where(
    ENTITLEMENTS.c.entitlement_id == WEALTH_MOVES.c.entitlement_id,
    ENTITLEMENTS.c.held_for == HeldFor.REDEMPTION,
)
_PRODUCT_WAITS = exists().where(
    ENTITLEMENTS.c.product_id == WEALTH_MOVES.c.product_id,
    ENTITLEMENTS.c.held_for == HeldFor.LIQUIDATION,
)
_ENDED: Final[Mapping[str, Callable[[str], ColumnElement[bool]]]] = {
    WorkFamily.DEBIT: lambda order_no: or_(
        exists().where(DEBITS.c.order_no == order_no),
        exists().where(CLOSED_ORDERS.c.order_no == order_no),
    ),
    WorkFamily.PAYOUT: lambda payout_id: exists().where(
        PAYOUTS.c.payout_id == payout_id,
        (PAYOUTS.c.status == PayoutStatus.PAID)
        | ((PAYOUTS.c.status == PayoutStatus.FAILED) & ~_IS_UNPAID),
    ),
    WorkFamily.REFUND: lambda refund_id: exists().where(
        REFUNDS.c.refund_id == refund_id,
        (REFUNDS.c.status == RefundPaymentStatus.REFUNDED)
        | ((REFUNDS.c.status == RefundPaymentStatus.FAILED) & (~REFUNDS.c.live | _WENT_BACK)),
    ),
    WorkFamily.SUBSCRIBE: lambda move_id: exists().where(
        WEALTH_MOVES.c.move_id == move_id,
        WEALTH_MOVES.c.status.in_([WealthMoveStatus.DONE, WealthMoveStatus.FAILED]),
    ),
    WorkFamily.REDEEM: lambda move_id: exists().where(
        WEALTH_MOVES.c.move_id == move_id, _IS_OVER | (_IS_REFUSED & ~_PART_WAITS)
    ),
    WorkFamily.LIQUIDATE: lambda move_id: exists().where(
        WEALTH_MOVES.c.move_id == move_id, _IS_OVER | (_IS_REFUSED & ~_PRODUCT_WAITS)
    ),
    WorkFamily.BREAK: lambda break_id: exists().where(
        BREAKS.c.break_id == break_id,
        (BREAKS.c.status == BreakStatus.RESOLVED) | (BREAKS.c.cash_effect_fen == 0),
    ),
}
"""That a debit, payout or refund has ended: it went through, another took its place, or it was
refused and settled outside. A move of invested money has ended, too, when it was refused and
nothing waits for it: what is invested comes out at the product's end. A break that lacks nothing
in the ledger's cash is a person's to accept."""


@dataclass(frozen=True)
class WorkFilter:
    """Which items are wanted; None wants any."""

    status: WorkStatus | None = None
    kind: WorkKind | None = None
    channel: str | None = None
    order_no: str | None = None
    spot_id: str | None = None
    distributor_id: str | None = None
    amount_from_fen: int | None = None


async def put(tx: Tx, item_id: str, stuck: Stuck, now: datetime) -> tuple[str, bool]:
    """Open an item, or bring the open one of the same thing up to date.

    Returns the item's id, and whether it is new or is of another kind than it was before.
    """
    values = asdict(stuck)
    before = (
        select(WORK_ITEMS.c.kind)
        .where(
            WORK_ITEMS.c.family == stuck.family, WORK_ITEMS.c.subject_id == stuck.subject_id, _OPEN
        )
        .with_for_update()
    )
    known_kind = await tx.scalar(before)
    put_it = (
        insert(WORK_ITEMS)
        .values(item_id=item_id, opened_at=now, updated_at=now, **values)
        .on_conflict_do_update(
            index_elements=[WORK_ITEMS.c.family, WORK_ITEMS.c.subject_id],
            index_where=_OPEN,
            set_={**values, "updated_at": now, "version": WORK_ITEMS.c.version + 1},
        )
        .returning(WORK_ITEMS.c.item_id)
    )
    return str(await tx.scalar(put_it)), known_kind != stuck.kind


async def close(
    tx: Tx, family: WorkFamily, subject_id: str, *, resolution: str, at: datetime
) -> str | None:
    """Close the open item of a thing, which ended by itself; its id, None if it has none."""
    closed = (
        update(WORK_ITEMS)
        .where(WORK_ITEMS.c.family == family, WORK_ITEMS.c.subject_id == subject_id, _OPEN)
        .values(
            status=WorkStatus.RESOLVED,
            resolution=resolution,
            resolved_at=at,
            updated_at=at,
            version=WORK_ITEMS.c.version + 1,
        )
        .returning(WORK_ITEMS.c.item_id)
    )
    item_id: str | None = await tx.scalar(closed)
    return item_id


async def resolve(
    tx: Tx, item_id: str, *, resolution: str, person: str, note: str, at: datetime
) -> Record | None:
    """Close an item by hand; None if it is not open."""
    resolved = (
        update(WORK_ITEMS)
        .where(WORK_ITEMS.c.item_id == item_id, _OPEN)
        .values(
            status=WorkStatus.RESOLVED,
            resolution=resolution,
            resolved_at=at,
            resolved_by=person,
            note=note,
            updated_at=at,
            version=WORK_ITEMS.c.version + 1,
        )
        .returning(WORK_ITEMS)
    )
    return (await tx.execute(resolved)).one_or_none()


async def has_ended(tx: Tx, family: WorkFamily, subject_id: str) -> bool:
    """Whether nothing is stuck any more behind an item about this thing."""
    return bool(await tx.scalar(select(_ENDED[family](subject_id))))


async def item(tx: Tx, item_id: str, *, lock: bool = False) -> Record | None:
    """One item, locked if wanted: it then neither closes nor changes in this transaction."""
    wanted = select(WORK_ITEMS).where(WORK_ITEMS.c.item_id == item_id)
    return (await tx.execute(wanted.with_for_update() if lock else wanted)).one_or_none()


async def page(
    tx: Tx, wanted: WorkFilter, *, oldest_first: bool, after: str | None, limit: int
) -> Records:
    """Items by the time at which they were opened."""
    key = WORK_ITEMS.c.item_id
    exact = {
        "status": wanted.status,
        "kind": wanted.kind,
        "channel": wanted.channel,
        "order_no": wanted.order_no,
        "spot_id": wanted.spot_id,
        "distributor_id": wanted.distributor_id,
    }
    rows = select(WORK_ITEMS).where(
        *(WORK_ITEMS.c[name] == value for name, value in exact.items() if value is not None)
    )
    if wanted.amount_from_fen is not None:
        rows = rows.where(WORK_ITEMS.c.amount_fen >= wanted.amount_from_fen)
    if after is not None:
        rows = rows.where(key > after if oldest_first else key < after)
    order = key.asc() if oldest_first else key.desc()
    return (await tx.execute(rows.order_by(order).limit(limit + 1))).all()


async def summary(tx: Tx) -> Records:
    """Open items by kind: `items`, `amount_fen`, and `oldest_since`."""
    rows = (
        select(
            WORK_ITEMS.c.kind,
            func.count().label("items"),
            func.sum(WORK_ITEMS.c.amount_fen).label("amount_fen"),
            func.min(WORK_ITEMS.c.since).label("oldest_since"),
        )
        .where(_OPEN)
        .group_by(WORK_ITEMS.c.kind)
        .order_by(WORK_ITEMS.c.kind)
    )
    return (await tx.execute(rows)).all()


async def begin_shortage(tx: Tx, shortage_id: str, channel: str, at: datetime) -> bool:
    """Note that a channel account is short of money; whether that is news."""
    begun = (
        insert(SHORTAGES)
        .values(shortage_id=shortage_id, channel=channel, began_at=at)
        .on_conflict_do_nothing(
            index_elements=[SHORTAGES.c.channel], index_where=SHORTAGES.c.ended_at.is_(None)
        )
        .returning(SHORTAGES.c.shortage_id)
    )
    return await tx.scalar(begun) is not None


async def end_shortage(tx: Tx, channel: str, at: datetime) -> None:
    """Note that a channel account has money again, if it was short."""
    await tx.execute(
        update(SHORTAGES)
        .where(SHORTAGES.c.channel == channel, SHORTAGES.c.ended_at.is_(None))
        .values(ended_at=at)
    )
