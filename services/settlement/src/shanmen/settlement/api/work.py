"""Routes for operators: what is stuck, what people do about it, who approves, and the trail."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from shanmen.common import audit
from shanmen.common.auth import Principal, requires
from shanmen.common.db import Tx
from shanmen.common.errors import Invalid, NotFound
from shanmen.common.http.calls import Call, changes, send_reply
from shanmen.common.idempotency import Reply, once
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.settlement.api.callers import (
    Ctx,
    OptionalId,
    Reader,
    number_of_cursor,
    tenant_of,
)
from shanmen.settlement.domain.work import ActionStatus, ManualAction, WorkKind, WorkStatus
from shanmen.settlement.errors import NoPerson
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import actions, work
from shanmen.settlement.queries.rows import Record
from shanmen.settlement.queries.work import WorkFilter
from shanmen.settlement.schemas import work as schemas
from shanmen.settlement.usecases import acting, approving

router = APIRouter()

# What a person may do about money is never answered from memory: a token that was revoked a
# moment ago moves nothing.
Actor = Annotated[Call, Depends(changes("money:write", fresh=True))]
Approver = Annotated[Call, Depends(changes("money:approve", fresh=True))]
Granter = Annotated[Call, Depends(changes("approvers:write", fresh=True))]
Auditor = Annotated[Principal, Depends(requires("audit:read"))]
PathId = Annotated[str, Path(max_length=64)]
PathPerson = Annotated[str, Path(max_length=200)]

WAITS: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": schemas.ActionView, "description": "It waits for another person."}
}


# ── the list ────────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/work-items")
async def list_work_items(
    ctx: Ctx,
    principal: Reader,
    *,
    status: Annotated[WorkStatus, Query(description="处理状态")] = WorkStatus.OPEN,
    kind: WorkKind | None = None,
    channel: OptionalId = None,
    order_no: OptionalId = None,
    spot_id: OptionalId = None,
    distributor_id: OptionalId = None,
    amount_from_fen: Annotated[int | None, Query(ge=0, le=10**15)] = None,
    oldest_first: bool = False,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[schemas.WorkItemView]:
    """What waits for a person (待人工处理), newest first unless told otherwise."""
    tenant_of(principal)
    wanted = WorkFilter(
        status=status,
        kind=kind,
        channel=channel,
        order_no=order_no,
        spot_id=spot_id,
        distributor_id=distributor_id,
        amount_from_fen=amount_from_fen,
    )
    after = decode_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        rows = await work.page(tx, wanted, oldest_first=oldest_first, after=after, limit=limit)
    items = [schemas.work_item_view(row) for row in rows]
    return page_of(items, [row.item_id for row in rows], limit)


@router.get("/v1/work-items/summary")
async def summarize_work_items(ctx: Ctx, principal: Reader) -> schemas.WorkSummaries:
    """How much waits, by kind."""
    tenant_of(principal)
    async with ctx.db.snapshot() as tx:
        return schemas.work_summaries(await work.summary(tx))


@router.get("/v1/work-items/{item_id}")
async def get_work_item(item_id: PathId, ctx: Ctx, principal: Reader) -> schemas.WorkItemDetail:
    """One item, with all that people did about it."""
    tenant_of(principal)
    async with ctx.db.snapshot() as tx:
        row = await work.item(tx, item_id)
        if row is None:
            raise NotFound("work item", item_id)
        history = await actions.of_item(tx, item_id)
    return schemas.work_item_detail(row, history)


# ── what people do ──────────────────────────────────────────────────────────────────────────────


@router.post("/v1/work-items/{item_id}/retry", response_model=schemas.ActionView, responses=WAITS)
async def retry(item_id: PathId, body: schemas.Explanation, ctx: Ctx, call: Actor) -> Response:
    """Go on with the same operation under its own number (人工重试)."""
    return await _propose(ctx, call, item_id, ManualAction.RETRY, body.note)


@router.post("/v1/work-items/{item_id}/remit", response_model=schemas.ActionView, responses=WAITS)
async def remit(item_id: PathId, body: schemas.Explanation, ctx: Ctx, call: Actor) -> Response:
    """Pay the spot (人工汇款): a refused payout is replaced by one to its present account."""
    return await _propose(ctx, call, item_id, ManualAction.REMIT, body.note)


@router.post("/v1/work-items/{item_id}/refund", response_model=schemas.ActionView, responses=WAITS)
async def refund(item_id: PathId, body: schemas.Explanation, ctx: Ctx, call: Actor) -> Response:
    """Refund the distributor (人工退款): a refused refund is replaced by a new one."""
    return await _propose(ctx, call, item_id, ManualAction.REFUND, body.note)


@router.post(
    "/v1/work-items/{item_id}/settle-outside",
    response_model=schemas.ActionView,
    responses=WAITS,
)
async def settle_outside(
    item_id: PathId, body: schemas.Explanation, ctx: Ctx, call: Actor
) -> Response:
    """Declare that it was paid outside of the platform (线下结清); only what was refused."""
    return await _propose(ctx, call, item_id, ManualAction.SETTLE_OUTSIDE, body.note)


@router.post(
    "/v1/work-items/{item_id}/release", response_model=schemas.ActionView, responses=WAITS
)
async def release(item_id: PathId, body: schemas.Explanation, ctx: Ctx, call: Actor) -> Response:
    """Pay or refund what waits for invested money (放行); that comes out later, or at the end."""
    return await _propose(ctx, call, item_id, ManualAction.RELEASE, body.note)


@router.post("/v1/work-items/{item_id}/adjust", response_model=schemas.ActionView, responses=WAITS)
async def adjust(item_id: PathId, body: schemas.Explanation, ctx: Ctx, call: Actor) -> Response:
    """Book what the channel's bill says against suspense (调账)."""
    return await _propose(ctx, call, item_id, ManualAction.ADJUST, body.note)


@router.post("/v1/work-items/{item_id}/resolve", response_model=schemas.ActionView)
async def resolve(item_id: PathId, body: schemas.Explanation, ctx: Ctx, call: Actor) -> Response:
    """Close an item behind which nothing is stuck any more (关闭)."""
    return await _propose(ctx, call, item_id, ManualAction.RESOLVE, body.note)


@router.post("/v1/top-ups", response_model=schemas.ActionView, responses=WAITS)
async def record_top_up(body: schemas.TopUpRequest, ctx: Ctx, call: Actor) -> Response:
    """Record money that the owner moved into or out of a channel account (充值/提取)."""
    if body.channel not in ctx.payout_minimum_fen:
        known = ", ".join(sorted(ctx.payout_minimum_fen))
        raise Invalid(f"There is no such channel; use one of {known}.", field="channel")
    top_up = acting.TopUp(**body.model_dump(), person=person_of(call))
    return await answer_action(ctx, call, lambda tx: acting.record_top_up(tx, ctx, top_up))


# ── approvals ───────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/manual-actions")
async def list_actions(
    ctx: Ctx,
    principal: Reader,
    *,
    status: Annotated[ActionStatus | None, Query(description="审批状态")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[schemas.ActionView]:
    """What people did about money or want to do, newest first."""
    tenant_of(principal)
    after = decode_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        rows = await actions.page(tx, status=status, after=after, limit=limit)
    items = [schemas.action_view(row) for row in rows]
    return page_of(items, [row.action_id for row in rows], limit)


@router.post("/v1/manual-actions/{action_id}/approve", response_model=schemas.ActionView)
async def approve(action_id: PathId, body: schemas.Approval, ctx: Ctx, call: Approver) -> Response:
    """Approve what another person asked for (审批通过), which carries it out."""
    person = person_of(call)
    await approving.require_same_receiver(ctx, action_id)

    async def decide(tx: Tx) -> Record:
        return await approving.approve(
            tx, ctx, action_id, person=person, amount_fen=body.amount_fen
        )

    return await answer_action(ctx, call, decide)


@router.post("/v1/manual-actions/{action_id}/reject", response_model=schemas.ActionView)
async def reject(
    action_id: PathId, body: schemas.Explanation, ctx: Ctx, call: Approver
) -> Response:
    """Say no to what another person asked for (驳回)."""
    person = person_of(call)
    return await answer_action(
        ctx,
        call,
        lambda tx: approving.reject(tx, ctx, action_id, person=person, text=body.note),
    )


@router.post("/v1/manual-actions/{action_id}/withdraw", response_model=schemas.ActionView)
async def withdraw(
    action_id: PathId, body: schemas.Explanation, ctx: Ctx, call: Actor
) -> Response:
    """Take back what one asked for oneself (撤回)."""
    person = person_of(call)
    return await answer_action(
        ctx,
        call,
        lambda tx: approving.withdraw(tx, ctx, action_id, person=person, text=body.note),
    )


@router.get("/v1/approvers")
async def list_approvers(
    ctx: Ctx, principal: Reader, *, limit: Limit = 50, cursor: CursorText = None
) -> Page[schemas.GrantView]:
    """Who may approve (审批人) and who might once, newest grant first."""
    tenant_of(principal)
    after = decode_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        rows = await actions.approvers_page(tx, after=after, limit=limit)
    items = [schemas.grant_view(row) for row in rows]
    return page_of(items, [row.grant_id for row in rows], limit)


@router.post("/v1/approvers", status_code=201, response_model=schemas.GrantView)
async def grant_approval(body: schemas.Grant, ctx: Ctx, call: Granter) -> Response:
    """Let another person approve from now on."""
    by = person_of(call)

    async def effect(tx: Tx) -> Reply:
        row = await approving.grant_approval(tx, ctx.clock, person=body.person, by=by)
        return Reply.of(201, schemas.grant_view(row).model_dump(mode="json"))

    return send_reply(await once(ctx.db, call.claim, effect))


@router.delete("/v1/approvers/{person}", response_model=schemas.GrantView)
async def revoke_approval(person: PathPerson, ctx: Ctx, call: Granter) -> Response:
    """Take the right to approve from a person."""
    by = person_of(call)

    async def effect(tx: Tx) -> Reply:
        row = await approving.revoke_approval(tx, ctx, person=person, by=by)
        return Reply.of(200, schemas.grant_view(row).model_dump(mode="json"))

    return send_reply(await once(ctx.db, call.claim, effect))


# ── the trail ───────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/audit")
async def list_audit(
    ctx: Ctx, principal: Auditor, *, limit: Limit = 50, cursor: CursorText = None
) -> Page[schemas.AuditRow]:
    """The audit trail, newest first."""
    tenant_of(principal)
    before = number_of_cursor(cursor)
    async with ctx.db.snapshot() as tx:
        rows = await audit.page(tx, before=before, limit=limit)
    items = [schemas.AuditRow.model_validate(row, from_attributes=True) for row in rows]
    return page_of(items, [str(row.seq) for row in rows], limit)


@router.get("/v1/audit/head")
async def get_audit_head(ctx: Ctx, principal: Auditor) -> schemas.AuditHead:
    """The end of the audit trail, to be noted elsewhere."""
    tenant_of(principal)
    async with ctx.db.snapshot() as tx:
        head = await audit.head(tx)
    return schemas.AuditHead(seq=head.seq, hash=head.hash)


async def _propose(
    ctx: SettlementContext, call: Call, item_id: str, action: ManualAction, note: str
) -> Response:
    person = person_of(call)
    receiver = await acting.receiver_of(ctx, item_id, action)
    wish = acting.Wish(item_id, action, person, note, receiver)
    return await answer_action(ctx, call, lambda tx: acting.propose(tx, ctx, wish))


async def answer_action(
    ctx: SettlementContext, call: Call, change: Callable[[Tx], Awaitable[Record]]
) -> Response:
    """Have a person's action done, or kept for approval, and answer which."""

    async def effect(tx: Tx) -> Reply:
        view = schemas.action_view(await change(tx))
        waits = view.status is ActionStatus.WAITING
        return Reply.of(202 if waits else 200, view.model_dump(mode="json"))

    return send_reply(await once(ctx.db, call.claim, effect))


def person_of(call: Call) -> str:
    """Who is behind an operator's token. Raises NotForThisCaller, NoPerson."""
    tenant_of(call.principal)
    if not call.principal.person:
        raise NoPerson("This token does not name a person; have one issued that does.")
    return call.principal.person
