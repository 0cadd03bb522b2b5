"""Routes for invested money (理财), for operators."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from shanmen.common.auth import Principal, requires
from shanmen.common.errors import NotFound
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.settlement.api.callers import Ctx, OptionalId, tenant_of
from shanmen.settlement.domain.wealth import WealthMoveKind, WealthMoveStatus
from shanmen.settlement.queries import positions, wealth
from shanmen.settlement.queries.wealth import MoveFilter
from shanmen.settlement.schemas.wealth import (
    WealthMoveView,
    WealthPositionView,
    move_view,
    position_views,
)

router = APIRouter()

Reader = Annotated[Principal, Depends(requires("reports:read", "ledger:read"))]


@router.get("/v1/wealth/positions")
async def list_positions(
    ctx: Ctx, principal: Reader, *, limit: Limit = 50, cursor: CursorText = None
) -> Page[WealthPositionView]:
    """What is invested for each product (理财持仓), by product."""
    tenant_of(principal)
    after = decode_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        rows = await positions.page(tx, after=after, limit=limit)
        counts = await positions.move_counts(tx, [row.product_id for row in rows])
    return page_of(position_views(rows, counts), [row.product_id for row in rows], limit)


@router.get("/v1/wealth/positions/{product_id}")
async def get_position(product_id: str, ctx: Ctx, principal: Reader) -> WealthPositionView:
    """What is invested for one product."""
    tenant_of(principal)
    async with ctx.db.snapshot() as tx:
        row = await positions.position(tx, product_id)
        if row is None:
            raise NotFound("wealth position", product_id)
        counts = await positions.move_counts(tx, [product_id])
    (view,) = position_views([row], counts)
    return view


@router.get("/v1/wealth/moves")
async def list_moves(
    ctx: Ctx,
    principal: Reader,
    *,
    product_id: OptionalId = None,
    order_no: OptionalId = None,
    kind: Annotated[
        WealthMoveKind | None, Query(description="subscribe 申购, redeem 赎回, liquidate 清算")
    ] = None,
    status: Annotated[WealthMoveStatus | None, Query(description="How far they are.")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[WealthMoveView]:
    """Subscriptions, redemptions and liquidations, newest first of each kind."""
    tenant_of(principal)
    wanted = MoveFilter(product_id, order_no, kind, status)
    after = decode_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        rows = await wealth.page(tx, wanted, after=after, limit=limit)
    return page_of([move_view(row) for row in rows], [row.move_id for row in rows], limit)


@router.get("/v1/wealth/moves/{move_id}")
async def get_move(move_id: str, ctx: Ctx, principal: Reader) -> WealthMoveView:
    """One move of invested money."""
    tenant_of(principal)
    async with ctx.db.snapshot() as tx:
        row = await wealth.move(tx, move_id)
    if row is None:
        raise NotFound("wealth move", move_id)
    return move_view(row)
