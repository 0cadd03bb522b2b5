"""Routes for the ledger, for operators."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from shanmen.common.db import Database
from shanmen.common.errors import Invalid, NotFound
from shanmen.common.http.calls import Call, changes
from shanmen.common.pagination import (
    CursorText,
    Limit,
    Page,
    decode_cursor,
    encode_cursor,
    page_of,
)
from shanmen.settlement.api.callers import (
    Bookkeeper,
    Ctx,
    Instant,
    OptionalId,
    is_usual,
    number_of_cursor,
    tenant_of,
)
from shanmen.settlement.api.downloads import AS_CSV, Form, TableForm, stream_csv
from shanmen.settlement.api.work import WAITS, answer_action, person_of
from shanmen.settlement.domain.ledger import account_kind
from shanmen.settlement.queries import ledger
from shanmen.settlement.queries.ledger import Cut, Place
from shanmen.settlement.schemas import ledger as schemas
from shanmen.settlement.schemas.work import ActionView
from shanmen.settlement.usecases import acting, bookkeeping
from shanmen.settlement.usecases.bookkeeping import AccountPeriod
from shanmen.settlement.views import ledger as views
from shanmen.settlement.views.delimited import MARK, header_line, row_line

router = APIRouter()

_PLACE: Final = re.compile(r"(\S+\+00:00) (\d{1,18})", re.ASCII)

Corrector = Annotated[Call, Depends(changes("money:write", fresh=True))]
RecordedBy = Annotated[
    Instant | None,
    Query(
        description="As it was recorded by then, at least 10 minutes ago: the same question is "
        "given the same answer for ever. Facts that were told late are left out."
    ),
]


@router.get("/v1/ledger/accounts", response_model=schemas.TrialBalance, responses=AS_CSV)
async def list_accounts(
    ctx: Ctx,
    principal: Bookkeeper,
    form: TableForm,
    *,
    prefix: Annotated[str, Query(max_length=64, examples=["cash:"])] = "",
    include_zero: Annotated[
        bool, Query(description="Also the `custody:` accounts of orders that are worked off.")
    ] = False,
    at: Annotated[
        Instant | None,
        Query(description="What had occurred by then, that instant included."),
    ] = None,
    recorded_by: RecordedBy = None,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> schemas.TrialBalance | Response:
    """The trial balance (试算平衡表), now or at any past time: totals of the whole ledger, and
    accounts by code with their balances. CSV has all accounts at once."""
    tenant_of(principal)
    after = decode_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        cut = await bookkeeping.cut_at(tx, at, recorded_by)
        if form is Form.CSV:
            text = _trial_balance_csv(ctx.db, cut, prefix=prefix, include_zero=include_zero)
            return stream_csv("trial-balance", text)
        totals = await ledger.totals(tx, cut)
        rows = await ledger.account_sums(
            tx, cut, prefix=prefix, include_zero=include_zero, after=after, limit=limit
        )
    accounts = [schemas.account_balance(row) for row in rows]
    page = page_of(accounts, [row.account for row in rows], limit)
    return schemas.trial_balance(totals, page, at=at, recorded_by=recorded_by)


@router.get("/v1/ledger/accounts/{account}/entries")
async def list_entries(
    account: str, ctx: Ctx, principal: Bookkeeper, *, limit: Limit = 50, cursor: CursorText = None
) -> Page[schemas.AccountEntryView]:
    """An account's entries, newest first. An account exists once something was posted to it."""
    tenant_of(principal)
    after = _place_of_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        rows = await ledger.account_entries(tx, account, after=after, limit=limit)
    if not rows and after is None:
        raise NotFound("account", account)
    items = [schemas.account_entry(row) for row in rows]
    keys = [_cursor_key(Place(row.occurred_at, row.posting_id)) for row in rows]
    return page_of(items, keys, limit)


@router.get(
    "/v1/ledger/accounts/{account}/statement",
    response_model=schemas.StatementView,
    responses=AS_CSV,
)
async def get_statement(
    account: str,
    ctx: Ctx,
    principal: Bookkeeper,
    form: TableForm,
    *,
    start: Annotated[Instant, Query(alias="from", description="At this instant or later.")],
    end: Annotated[Instant, Query(alias="to", description="Before this instant.")],
    recorded_by: RecordedBy = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> schemas.StatementView | Response:
    """An account's statement for a period (分户账), oldest entry first.

    With the opening balance, the balance after each entry, and the closing balance. CSV has all
    entries at once.
    """
    tenant_of(principal)
    after = _place_of_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        number = await bookkeeping.number_by(tx, recorded_by)
        wanted = AccountPeriod(account, start, end, number)
        page = await bookkeeping.read_statement(tx, wanted, after=after, limit=limit)
    if form is Form.CSV:
        return stream_csv(f"statement-{account}", _statement_csv(ctx.db, wanted))
    lines = page.lines[:limit]
    more = len(page.lines) > limit
    return schemas.StatementView(
        account=account,
        kind=account_kind(account),
        start=start,
        end=end,
        recorded_by=recorded_by,
        opening_fen=page.opening_fen,
        closing_fen=page.closing_fen,
        items=schemas.statement_lines((line.entry, line.balance_fen) for line in lines),
        next_cursor=encode_cursor(_cursor_key(lines[-1].place)) if more else None,
    )


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


@router.post("/v1/ledger/corrections", response_model=ActionView, responses=WAITS)
async def correct_posting(body: schemas.CorrectionRequest, ctx: Ctx, call: Corrector) -> Response:
    """Undo a posting that was entered wrongly (冲正), by another to the contrary.

    This changes the ledger and nothing else. So only what rests on a person's word alone can be
    corrected: the owner's money in and out. A posting is corrected once.
    """
    person = person_of(call)
    return await answer_action(
        ctx,
        call,
        lambda tx: acting.ask_for_correction(
            tx, ctx, body.posting_key, person=person, reason=body.reason
        ),
    )


async def _trial_balance_csv(
    db: Database, cut: Cut, *, prefix: str, include_zero: bool
) -> AsyncIterator[str]:
    """One state from the first line to the totals, which are those of the whole ledger."""
    yield MARK + header_line(views.TRIAL_BALANCE)
    async with db.snapshot() as tx:
        pages = bookkeeping.read_whole_trial_balance(
            tx, cut, prefix=prefix, include_zero=include_zero
        )
        async for rows in pages:
            yield "".join(row_line(views.TRIAL_BALANCE, views.account_row(row)) for row in rows)
        totals = await ledger.totals(tx, cut)
    yield row_line(views.TRIAL_BALANCE, views.totals_row(totals))


async def _statement_csv(db: Database, wanted: AccountPeriod) -> AsyncIterator[str]:
    """One state from the opening to the closing balance: without that it is not all of it."""
    yield MARK + header_line(views.STATEMENT)
    opened, closing_fen = False, 0
    async with db.snapshot() as tx:
        async for page in bookkeeping.read_whole_statement(tx, wanted):
            if not opened:
                first = views.boundary_row("期初余额", wanted.start, page.opening_fen)
                yield row_line(views.STATEMENT, first)
            opened, closing_fen = True, page.closing_fen
            rows = (views.entry_row(line.entry, line.balance_fen) for line in page.lines)
            yield "".join(row_line(views.STATEMENT, row) for row in rows)
    last = views.boundary_row("期末余额", wanted.end, closing_fen)
    yield row_line(views.STATEMENT, last)


def _cursor_key(place: Place) -> str:
    return f"{place.occurred_at.astimezone(UTC).isoformat()} {place.posting_id}"


def _place_of_cursor(cursor: str | None) -> Place | None:
    """Where the page before ended. Raises Invalid."""
    key = decode_cursor(cursor)
    if key is None:
        return None
    matched = _PLACE.fullmatch(key)
    try:
        occurred_at = datetime.fromisoformat(matched[1]) if matched else None
    except ValueError:
        occurred_at = None
    if matched is None or occurred_at is None or not is_usual(occurred_at):
        raise Invalid("Not a cursor; use `next_cursor` of the page before.", field="cursor")
    return Place(occurred_at, int(matched[2]))
