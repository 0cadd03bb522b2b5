"""Entitlements that ended and wait for their money to come out of the wealth product."""

from datetime import datetime

from sqlalchemy import ColumnElement, case, exists, literal, literal_column, select, update

from shanmen.common.db import Tx, among
from shanmen.settlement.domain.statuses import Settlement
from shanmen.settlement.domain.wealth import HeldFor, WealthMoveKind, WealthMoveStatus
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.queries.settlements import PAYABLE_FEN
from shanmen.settlement.queries.wealth import product_end
from shanmen.settlement.tables import ENTITLEMENTS, WEALTH_MOVES

_AT = ENTITLEMENTS.c
_ENDED = select(ENTITLEMENTS, PAYABLE_FEN)
_IS_HELD = _AT.held_for.is_not(None)


async def ended(tx: Tx, entitlement_id: str) -> Record | None:
    """One entitlement, locked."""
    wanted = _ENDED.where(_AT.entitlement_id == entitlement_id)
    return (await tx.execute(wanted.with_for_update())).one_or_none()


async def ended_of_order(tx: Tx, order_no: str) -> Records:
    """An order's invested entitlements that were used, or lapsed and are to go back; locked."""
    wanted = (
        _ENDED.where(
            _AT.order_no == order_no,
            _AT.invests,
            _AT.used_at.is_not(None) | _AT.lapsed_at.is_not(None),
            _AT.status != Settlement.FORFEITED,
        )
        .order_by(_AT.entitlement_id)
        .with_for_update()
    )
    return (await tx.execute(wanted)).all()


async def held_for_liquidation(tx: Tx, product_id: str) -> Records:
    """What waits for a product's liquidation; locked."""
    wanted = (
        _ENDED.where(_AT.product_id == product_id, _AT.held_for == HeldFor.LIQUIDATION)
        .order_by(_AT.entitlement_id)
        .with_for_update()
    )
    return (await tx.execute(wanted)).all()


async def held_for_proceeds(tx: Tx, product_id: str, *, limit: int | None = None) -> Records:
    """What waits for a product's liquidation, or for a redemption that it makes up for; locked."""
    stuck = exists().where(
        WEALTH_MOVES.c.entitlement_id == _AT.entitlement_id,
        WEALTH_MOVES.c.kind == literal_column(f"'{WealthMoveKind.REDEEM}'"),
        WEALTH_MOVES.c.replaced_by.is_(None),
        among(WEALTH_MOVES.c.status, [WealthMoveStatus.PARKED, WealthMoveStatus.FAILED]),
    )
    wanted = (
        _ENDED.where(
            _IS_HELD,
            _AT.product_id == product_id,
            (_AT.held_for == HeldFor.LIQUIDATION) | ((_AT.held_for == HeldFor.REDEMPTION) & stuck),
        )
        .order_by(_AT.entitlement_id)
        .limit(limit)
        .with_for_update()
    )
    return (await tx.execute(wanted)).all()


async def held_in_vain(tx: Tx, now: datetime, *, after: str | None, limit: int) -> Records:
    """What waits for a liquidation that is over, or that does not come yet as the product's end
    has moved: `entitlement_id`, `order_no` and `product_id`, by the first."""
    subscription = WEALTH_MOVES.alias()
    liquidation = WEALTH_MOVES.alias()
    is_out = exists().where(
        subscription.c.order_no == _AT.order_no,
        subscription.c.kind == WealthMoveKind.SUBSCRIBE,
        subscription.c.replaced_by.is_(None),
        subscription.c.liquidated_by.is_not(None),
    )
    is_under_way = exists().where(
        liquidation.c.product_id == _AT.product_id,
        liquidation.c.kind == WealthMoveKind.LIQUIDATE,
        among(liquidation.c.status, [WealthMoveStatus.REQUESTED, WealthMoveStatus.PARKED]),
    )
    wanted = (
        select(_AT.entitlement_id, _AT.order_no, _AT.product_id)
        .where(
            _AT.held_for == HeldFor.LIQUIDATION,
            is_out | ((product_end(_AT.product_id) > now) & ~is_under_way),
            *([] if after is None else [_AT.entitlement_id > after]),
        )
        .order_by(_AT.entitlement_id)
        .limit(limit)
    )
    return (await tx.execute(wanted)).all()


async def hold(tx: Tx, entitlement_id: str, held_for: HeldFor) -> None:
    """Let an entitlement's payout or refund wait."""
    await tx.execute(
        update(ENTITLEMENTS)
        .where(_AT.entitlement_id == entitlement_id)
        .values(held_for=held_for, version=_AT.version + 1)
    )


async def release(tx: Tx, entitlement_id: str) -> None:
    """Let an entitlement's payout or refund wait no longer."""
    await tx.execute(
        update(ENTITLEMENTS)
        .where(_AT.entitlement_id == entitlement_id, _IS_HELD)
        .values(held_for=None, version=_AT.version + 1)
    )


async def fail_held_part(tx: Tx, entitlement_id: str, held_for: HeldFor, reason: str) -> Records:
    """Mark an entitlement that waits in vain so far; none if it waits for something else."""
    return await _fail(tx, reason, _AT.entitlement_id == entitlement_id, _AT.held_for == held_for)


async def fail_held_of_product(tx: Tx, product_id: str, reason: str) -> Records:
    """Mark all that waits for a product's liquidation in vain so far."""
    of_product = (_AT.product_id == product_id, _AT.held_for == HeldFor.LIQUIDATION)
    return await _fail(tx, reason, *of_product)


async def _fail(tx: Tx, reason: str, *conditions: ColumnElement[bool]) -> Records:
    failed = (
        update(ENTITLEMENTS)
        .where(_IS_HELD, *conditions)
        .values(
            status=case(
                (_AT.used_at.is_not(None), literal(Settlement.SETTLE_FAILED.value)),
                else_=literal(Settlement.REFUND_FAILED.value),
            ),
            reason=reason,
            version=_AT.version + 1,
        )
        .returning(_AT.entitlement_id, _AT.order_no, _AT.spot_id, _AT.used_at)
    )
    return (await tx.execute(failed)).all()
