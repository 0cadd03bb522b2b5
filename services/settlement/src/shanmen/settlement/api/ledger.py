"""Routes for the ledger, for operators."""

from typing import Annotated

from fastapi import APIRouter, Query

from shanmen.common.errors import NotFound
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.settlement.api.callers import (
    Bookkeeper,
    Ctx,
    OptionalId,
    number_of_cursor,
    tenant_of,
)
from shanmen.settlement.queries import ledger
from shanmen.settlement.schemas import ledger as schemas

router = APIRouter()


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
    tenant_of(principal)
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
    tenant_of(principal)
    after = number_of_cursor(cursor)
    async with ctx.db.snapshot() as tx:
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
    tenant_of(principal)
    after = number_of_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        rows = await ledger.postings(tx, order_no=order_no, after=after, limit=limit)
        entries = await ledger.entries_of(tx, [row.posting_id for row in rows])
    items = schemas.posting_views(rows, entries)
    return page_of(items, [str(row.posting_id) for row in rows], limit)
