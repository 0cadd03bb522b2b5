"""Routes for the money of entitlements, payouts to spots, and refunds to distributors."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from shanmen.common.auth import PrincipalKind
from shanmen.common.errors import NotFound
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.settlement.api.callers import Ctx, OptionalId, Reader, tenant_of
from shanmen.settlement.domain.statuses import PayoutStatus, RefundPaymentStatus, Settlement
from shanmen.settlement.queries import payouts, refunds, settlements
from shanmen.settlement.queries.settlements import SettlementFilter
from shanmen.settlement.schemas import money

router = APIRouter()

# ── settlements ─────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/settlements")
async def list_settlements(
    ctx: Ctx,
    principal: Reader,
    *,
    order_no: OptionalId = None,
    spot_id: OptionalId = None,
    status: Annotated[Settlement | None, Query(description="结算状态")] = None,
    used_from: Annotated[
        AwareDatetime | None, Query(alias="from", description="Visited at this instant or later.")
    ] = None,
    used_to: Annotated[
        AwareDatetime | None, Query(alias="to", description="Visited before this instant.")
    ] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[money.SettlementView]:
    """The money of entitlements, newest first: a spot's and a distributor's own."""
    tenant = tenant_of(principal, PrincipalKind.SPOT, PrincipalKind.DISTRIBUTOR)
    wanted = SettlementFilter(order_no, spot_id, status, used_from, used_to)
    after = decode_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        rows = await settlements.page(tx, tenant, wanted, after=after, limit=limit)
    items = [money.settlement_view(row, principal) for row in rows]
    return page_of(items, [row.entitlement_id for row in rows], limit)


@router.get("/v1/settlements/{entitlement_id}")
async def get_settlement(entitlement_id: str, ctx: Ctx, principal: Reader) -> money.SettlementView:
    """The money of one entitlement."""
    tenant = tenant_of(principal, PrincipalKind.SPOT, PrincipalKind.DISTRIBUTOR)
    async with ctx.db.snapshot() as tx:
        row = await settlements.entitlement(tx, entitlement_id, tenant)
    if row is None:
        raise NotFound("settlement", entitlement_id)
    return money.settlement_view(row, principal)


# ── payouts ─────────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/payouts")
async def list_payouts(
    ctx: Ctx,
    principal: Reader,
    *,
    spot_id: OptionalId = None,
    status: Annotated[PayoutStatus | None, Query(description="打款状态")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[money.PayoutView]:
    """Payouts (打款), newest first: a spot's own."""
    tenant = tenant_of(principal, PrincipalKind.SPOT)
    after = decode_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        rows = await payouts.page(
            tx, tenant, spot_id=spot_id, status=status, after=after, limit=limit
        )
    items = [money.payout_view(row) for row in rows]
    return page_of(items, [row.payout_id for row in rows], limit)


@router.get("/v1/payouts/{payout_id}")
async def get_payout(payout_id: str, ctx: Ctx, principal: Reader) -> money.PayoutDetail:
    """One payout, with all that it pays."""
    tenant = tenant_of(principal, PrincipalKind.SPOT)
    async with ctx.db.snapshot() as tx:
        row = await payouts.payout(tx, payout_id, tenant)
        if row is None:
            raise NotFound("payout", payout_id)
        lines = await payouts.lines_of(tx, payout_id)
    return money.payout_detail(row, lines)


# ── refunds ─────────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/refunds")
async def list_refunds(
    ctx: Ctx,
    principal: Reader,
    *,
    order_no: OptionalId = None,
    status: Annotated[RefundPaymentStatus | None, Query(description="退款单状态")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[money.RefundView]:
    """Refunds (退款), newest first: a distributor's own."""
    tenant = tenant_of(principal, PrincipalKind.DISTRIBUTOR)
    after = decode_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        rows = await refunds.page(
            tx, tenant, order_no=order_no, status=status, after=after, limit=limit
        )
    items = [money.refund_view(row) for row in rows]
    return page_of(items, [row.refund_id for row in rows], limit)


@router.get("/v1/refunds/{refund_id}")
async def get_refund(refund_id: str, ctx: Ctx, principal: Reader) -> money.RefundView:
    """One refund."""
    tenant = tenant_of(principal, PrincipalKind.DISTRIBUTOR)
    async with ctx.db.snapshot() as tx:
        row = await refunds.refund(tx, refund_id, tenant)
    if row is None:
        raise NotFound("refund", refund_id)
    return money.refund_view(row)
