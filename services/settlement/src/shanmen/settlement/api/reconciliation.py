"""Routes for reconciliation (对账): runs, days, breaks, and suspense; for operators."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from shanmen.common.db import Database, Tx
from shanmen.common.errors import Invalid, NotFound
from shanmen.common.http.calls import Call, changes, send_reply
from shanmen.common.idempotency import Reply, answered, once
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.settlement.api.callers import Bookkeeper, Ctx, OptionalId, tenant_of
from shanmen.settlement.api.downloads import AS_CSV, Form, TableForm, stream_csv
from shanmen.settlement.api.work import WAITS, Actor, answer_action, person_of
from shanmen.settlement.domain.reconciliation import DAY, BreakClass, BreakStatus, china_day
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import reconciliation, suspense
from shanmen.settlement.queries.reconciliation import BreakFilter
from shanmen.settlement.schemas import reconciliation as schemas
from shanmen.settlement.schemas.work import ActionView
from shanmen.settlement.usecases import acting, daily_reconciliation, reconciling
from shanmen.settlement.views import reconciliation as views
from shanmen.settlement.views.delimited import MARK, header_line, row_line

router = APIRouter()

# A run changes nothing about money: who may write may start one, whether or not just revoked.
Starter = Annotated[Call, Depends(changes("money:write"))]
Channel = Annotated[str | None, Query(max_length=32)]
OptionalDay = Annotated[date | None, Query(description="Beijing time.")]
First = Annotated[date | None, Query(alias="from", description="First day, Beijing time.")]
Last = Annotated[date | None, Query(alias="to", description="Last day, included.")]
PathId = Annotated[str, Path(max_length=64)]
PathKey = Annotated[str, Path(max_length=100)]

_MOST_DAYS: Final = 366
_ROWS_AT_ONCE: Final = 1000


@router.post("/v1/reconciliations", status_code=201, response_model=schemas.RunReport)
async def reconcile(body: schemas.ReconciliationRequest, ctx: Ctx, call: Starter) -> Response:
    """Compare a day of a channel with its bill. 201 for a run that is kept, 200 for a dry run.

    It may be repeated: what was found before is not opened again, and what is not found any more
    is resolved. The answer takes as long as the channel takes to give the bill.
    """
    earlier = await answered(ctx.db, call.claim)
    if earlier is not None:
        return send_reply(earlier)
    wish = reconciling.Wish(body.channel, body.bill_date, person_of(call), body.refetch)
    async with reconciling.gathered(ctx, wish) as found:
        if body.dry_run:
            async with ctx.db.snapshot() as snapshot:
                compared = await reconciling.compare(snapshot, found)
            report = schemas.run_report(compared, dry_run=True)
            return send_reply(Reply.of(200, report.model_dump(mode="json")))

        async def effect(tx: Tx) -> Reply:
            report = schemas.run_report(await reconciling.reconcile(tx, ctx, found), dry_run=False)
            return Reply.of(201, report.model_dump(mode="json"))

        return send_reply(await once(ctx.db, call.claim, effect))


@router.get("/v1/reconciliations")
async def list_runs(
    ctx: Ctx,
    principal: Bookkeeper,
    *,
    channel: Channel = None,
    first: First = None,
    last: Last = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[schemas.RunView]:
    """Runs, newest first."""
    tenant_of(principal)
    after = decode_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        rows = await reconciliation.runs(
            tx, channel=channel, first=first, last=last, after=after, limit=limit
        )
    return page_of([schemas.run_view(row) for row in rows], [row.run_id for row in rows], limit)


@router.get("/v1/reconciliations/days")
async def list_days(
    ctx: Ctx,
    principal: Bookkeeper,
    *,
    channel: Annotated[str, Query(max_length=32)],
    first: First = None,
    last: Last = None,
) -> schemas.Days:
    """The days of a channel, those among them that were never compared; the last 31 by default."""
    tenant_of(principal)
    _require_channel(ctx, channel)
    end = last or china_day(ctx.clock.now())
    start = first or end - 30 * DAY
    if not 0 <= (end - start).days < _MOST_DAYS:
        raise Invalid(f"Ask for one day or more, and {_MOST_DAYS} at most.", field="from")
    async with ctx.db.snapshot() as tx:
        states = await daily_reconciliation.read_days(tx, ctx, channel, start, end)
    return schemas.day_views(states)


@router.get("/v1/reconciliations/{run_id}")
async def get_run(run_id: PathId, ctx: Ctx, principal: Bookkeeper) -> schemas.RunView:
    """One run; its breaks are listed under `/v1/breaks?run_id=`."""
    tenant_of(principal)
    async with ctx.db.snapshot() as tx:
        row = await reconciliation.run(tx, run_id)
    if row is None:
        raise NotFound("reconciliation", run_id)
    return schemas.run_view(row)


@router.get("/v1/breaks", response_model=Page[schemas.BreakView], responses=AS_CSV)
async def list_breaks(
    ctx: Ctx,
    principal: Bookkeeper,
    form: TableForm,
    *,
    channel: Channel = None,
    break_class: Annotated[BreakClass | None, Query(alias="class")] = None,
    status: BreakStatus | None = None,
    bill_date: OptionalDay = None,
    number: OptionalId = None,
    run_id: OptionalId = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[schemas.BreakView] | Response:
    """Breaks (对账差异), newest first; CSV has all of them at once."""
    tenant_of(principal)
    after = decode_cursor(cursor)
    wanted = BreakFilter(channel, break_class, status, bill_date, number, run_id)
    if form is Form.CSV:
        return stream_csv("breaks", _breaks_csv(ctx.db, wanted))
    async with ctx.db.snapshot() as tx:
        rows = await reconciliation.breaks(tx, wanted, after=after, limit=limit)
    return page_of(
        [schemas.break_view(row) for row in rows], [row.break_id for row in rows], limit
    )


@router.get("/v1/breaks/{break_id}")
async def get_break(break_id: PathId, ctx: Ctx, principal: Bookkeeper) -> schemas.BreakView:
    """One break, with what to do next."""
    tenant_of(principal)
    async with ctx.db.snapshot() as tx:
        row = await reconciliation.one_break(tx, break_id)
    if row is None:
        raise NotFound("break", break_id)
    return schemas.break_view(row)


@router.get("/v1/suspense")
async def list_suspense(ctx: Ctx, principal: Bookkeeper) -> schemas.Suspense:
    """What is in suspense (待查) and has to be explained."""
    tenant_of(principal)
    async with ctx.db.snapshot() as tx:
        return schemas.suspense_view(await suspense.open_items(tx))


@router.post("/v1/suspense/{key}/clearings", response_model=ActionView, responses=WAITS)
async def clear_suspense(
    key: PathKey, body: schemas.ClearingRequest, ctx: Ctx, call: Actor
) -> Response:
    """Move what a posting left in suspense to where it belongs (销账), once."""
    person = person_of(call)
    return await answer_action(
        ctx,
        call,
        lambda tx: acting.ask_for_clearing(
            tx, ctx, key, to=body.to, person=person, text=body.note
        ),
    )


def _require_channel(ctx: SettlementContext, channel: str) -> None:
    if channel not in ctx.payout_minimum_fen:
        known = ", ".join(sorted(ctx.payout_minimum_fen))
        raise Invalid(f"There is no such channel; use one of {known}.", field="channel")


async def _breaks_csv(db: Database, wanted: BreakFilter) -> AsyncIterator[str]:
    yield MARK + header_line(views.BREAKS)
    after: str | None = None
    async with db.snapshot() as tx:
        while True:
            rows = await reconciliation.breaks(tx, wanted, after=after, limit=_ROWS_AT_ONCE)
            page = rows[:_ROWS_AT_ONCE]
            yield "".join(
                row_line(views.BREAKS, views.break_row(schemas.break_view(row))) for row in page
            )
            if len(rows) <= _ROWS_AT_ONCE:
                return
            after = page[-1].break_id
