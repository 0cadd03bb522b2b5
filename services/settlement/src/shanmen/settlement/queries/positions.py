"""What is invested for each product (理财持仓), and what the channel says about it."""

from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.common.db import Tx, among
from shanmen.settlement.domain.wealth import WealthMoveKind, WealthMoveStatus
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.queries.wealth import INVESTED_FEN, REDEEMED_FEN, product_end
from shanmen.settlement.tables import ACCRUALS, DEBITS, WEALTH_MOVES

_MOVE = WEALTH_MOVES.c
_LIQUIDATED_AT = func.max(
    case(
        (
            (_MOVE.kind == WealthMoveKind.LIQUIDATE) & (_MOVE.status == WealthMoveStatus.DONE),
            _MOVE.finished_at,
        )
    )
)


async def page(
    tx: Tx, *, product_id: str | None = None, after: str | None = None, limit: int
) -> Records:
    """Products that were ever invested in, by id: their sums, ends and accruals."""
    sums = select(
        _MOVE.product_id,
        INVESTED_FEN,
        REDEEMED_FEN,
        func.coalesce(func.sum(_MOVE.yield_fen), 0).label("realised_fen"),
        _LIQUIDATED_AT.label("liquidated_at"),
    )
    if product_id is not None:
        sums = sums.where(_MOVE.product_id == product_id)
    if after is not None:
        sums = sums.where(_MOVE.product_id > after)
    moved = sums.group_by(_MOVE.product_id).order_by(_MOVE.product_id).limit(limit + 1).subquery()
    name = (
        select(DEBITS.c.product_name)
        .where(DEBITS.c.product_id == moved.c.product_id)
        .order_by(DEBITS.c.paid_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = (
        select(
            moved,
            func.coalesce(name, "").label("product_name"),
            product_end(moved.c.product_id).label("ends_at"),
            ACCRUALS.c.accrued_fen,
            ACCRUALS.c.as_of.label("accrued_as_of"),
        )
        .outerjoin(ACCRUALS, ACCRUALS.c.product_id == moved.c.product_id)
        .order_by(moved.c.product_id)
    )
    return (await tx.execute(rows)).all()


async def position(tx: Tx, product_id: str) -> Record | None:
    """One product's."""
    rows = await page(tx, product_id=product_id, limit=1)
    return rows[0] if rows else None


async def move_counts(tx: Tx, product_ids: list[str]) -> Records:
    """How many moves of each product there are: `product_id`, `kind`, `status`, `moves`."""
    by = (_MOVE.product_id, _MOVE.kind, _MOVE.status)
    counts = (
        select(*by, func.count().label("moves"))
        .where(among(_MOVE.product_id, product_ids))
        .group_by(*by)
        .order_by(*by)
    )
    return (await tx.execute(counts)).all()


async def keep_accrual(
    tx: Tx, product_id: str, *, principal_fen: int, accrued_fen: int, as_of: datetime
) -> None:
    """Keep what the channel says about a product, unless something newer is known."""
    values = {"principal_fen": principal_fen, "accrued_fen": accrued_fen, "as_of": as_of}
    kept = upsert(ACCRUALS).values(product_id=product_id, **values)
    await tx.execute(
        kept.on_conflict_do_update(
            index_elements=[ACCRUALS.c.product_id], set_=values, where=ACCRUALS.c.as_of <= as_of
        )
    )
