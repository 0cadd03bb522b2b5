"""Settlement's routes: what became of the money."""

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime

from shanmen.common.auth import Principal, PrincipalKind, requires
from shanmen.common.errors import Invalid, NotFound
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.settlement import schemas
from shanmen.settlement.domain.statuses import (
    PayoutStatus,
    Settlement,
)
from shanmen.settlement.errors import NotForThisCaller
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import ledger, payouts, settlements
from shanmen.settlement.queries.rows import ANYBODY, Tenant
from shanmen.settlement.queries.settlements import SettlementFilter

router = APIRouter()

_TENANT_COLUMNS: Final[Mapping[PrincipalKind, str]] = {
    PrincipalKind.SPOT: "spot_id",
    PrincipalKind.DISTRIBUTOR: "distributor_id",
}


async def context(request: Request) -> SettlementContext:
    """The service's ports."""
    found: SettlementContext = request.app.state.context
    return found


Ctx = Annotated[SettlementContext, Depends(context)]
Reader = Annotated[Principal, Depends(requires("settlement:read"))]
Bookkeeper = Annotated[Principal, Depends(requires("ledger:read"))]
OptionalId = Annotated[str | None, Query(max_length=64)]


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
) -> Page[schemas.SettlementView]:
    """The money of entitlements, newest first: a spot's and a distributor's own."""
    tenant = _tenant_of(principal, PrincipalKind.SPOT, PrincipalKind.DISTRIBUTOR)
    wanted = SettlementFilter(order_no, spot_id, status, used_from, used_to)
    after = decode_cursor(cursor)
    async with ctx.db.transaction() as tx:
        rows = await settlements.page(tx, tenant, wanted, after=after, limit=limit)
    items = [schemas.settlement_view(row, principal) for row in rows]
    return page_of(items, [row.entitlement_id for row in rows], limit)


@router.get("/v1/settlements/{entitlement_id}")
async def get_settlement(
    entitlement_id: str, ctx: Ctx, principal: Reader
) -> schemas.SettlementView:
    """The money of one entitlement."""
    tenant = _tenant_of(principal, PrincipalKind.SPOT, PrincipalKind.DISTRIBUTOR)
    async with ctx.db.transaction() as tx:
        row = await settlements.entitlement(tx, entitlement_id, tenant)
    if row is None:
        raise NotFound("settlement", entitlement_id)
    return schemas.settlement_view(row, principal)


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
) -> Page[schemas.PayoutView]:
    """Payouts (打款), newest first: a spot's own."""
    tenant = _tenant_of(principal, PrincipalKind.SPOT)
    after = decode_cursor(cursor)
    async with ctx.db.transaction() as tx:
        rows = await payouts.page(
            tx, tenant, spot_id=spot_id, status=status, after=after, limit=limit
        )
    items = [schemas.payout_view(row) for row in rows]
    return page_of(items, [row.payout_id for row in rows], limit)


@router.get("/v1/payouts/{payout_id}")
async def get_payout(payout_id: str, ctx: Ctx, principal: Reader) -> schemas.PayoutDetail:
    """One payout, with all that it pays."""
    tenant = _tenant_of(principal, PrincipalKind.SPOT)
    async with ctx.db.transaction() as tx:
        row = await payouts.payout(tx, payout_id, tenant)
        if row is None:
            raise NotFound("payout", payout_id)
        lines = await payouts.lines_of(tx, payout_id)
    return schemas.payout_detail(row, lines)


# ── the ledger, for operators ───────────────────────────────────────────────────────────────────


@router.get("/v1/ledger/accounts")
async def list_accounts(
    ctx: Ctx,
    principal: Bookkeeper,
    *,
    prefix: Annotated[str, Query(max_length=64, examples=["cash:"])] = "",
    include_zero: Annotated[
        bool, Query(description="Also the `custody:` accounts of orders that are worked off.")
    ] = False,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> schemas.TrialBalance:
    """The trial balance: totals of the whole ledger, and accounts by code with their balances."""
    _tenant_of(principal)
    after = decode_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        totals = await ledger.totals(tx)
        rows = await ledger.account_sums(
            tx, prefix=prefix, include_zero=include_zero, after=after, limit=limit
        )
    accounts = [schemas.account_balance(row) for row in rows]
    return schemas.trial_balance(totals, page_of(accounts, [row.account for row in rows], limit))


@router.get("/v1/ledger/accounts/{account}/entries")
async def list_entries(
    account: str, ctx: Ctx, principal: Bookkeeper, *, limit: Limit = 50, cursor: CursorText = None
) -> Page[schemas.AccountEntryView]:
    """An account's entries, newest first. An account exists once something was posted to it."""
    _tenant_of(principal)
    after = _posting_cursor(cursor)
    async with ctx.db.transaction() as tx:
        rows = await ledger.account_entries(tx, account, after=after, limit=limit)
    if not rows and after is None:
        raise NotFound("account", account)
    items = [schemas.account_entry(row) for row in rows]
    return page_of(items, [str(row.posting_id) for row in rows], limit)


@router.get("/v1/ledger/postings")
async def list_postings(
    ctx: Ctx,
    principal: Bookkeeper,
    *,
    order_no: OptionalId = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[schemas.PostingView]:
    """Postings with their entries, newest first.

    A payout that pays visits of several orders belongs to none of them.
    """
    _tenant_of(principal)
    after = _posting_cursor(cursor)
    async with ctx.db.transaction() as tx:
        rows = await ledger.postings(tx, order_no=order_no, after=after, limit=limit)
        entries = await ledger.entries_of(tx, [row.posting_id for row in rows])
    items = schemas.posting_views(rows, entries)
    return page_of(items, [str(row.posting_id) for row in rows], limit)


def _tenant_of(principal: Principal, *kinds: PrincipalKind) -> Tenant:
    """Whose rows a caller may see: anybody's for an operator, else its own.

    Raises NotForThisCaller for anybody but an operator and parties of these kinds.
    """
    if principal.is_operator:
        return ANYBODY
    if principal.kind not in kinds or principal.party_id is None:
        raise NotForThisCaller(f"This is not for a token of kind {principal.kind}.")
    return {_TENANT_COLUMNS[principal.kind]: principal.party_id}


def _posting_cursor(cursor: str | None) -> int | None:
    key = decode_cursor(cursor)
    if key is None:
        return None
    if not (key.isascii() and key.isdecimal() and len(key) < 19):  # a bigint, as we made it
        raise Invalid("Not a cursor; use `next_cursor` of the page before.", field="cursor")
    return int(key)
