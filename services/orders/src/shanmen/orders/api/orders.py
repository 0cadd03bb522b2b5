"""Routes of orders and tickets."""

import logging
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AwareDatetime
from starlette.responses import Response

from shanmen.common.auth import Principal, PrincipalKind, requires
from shanmen.common.db import DATABASE_ERRORS, Tx
from shanmen.common.errors import Forbidden, Invalid, NotFound
from shanmen.common.http.calls import Call, Prefer, changes, send_reply, wait_seconds
from shanmen.common.idempotency import Reply, amend, once
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.common.waiting import first_of
from shanmen.orders.commands import PlaceOrder
from shanmen.orders.domain import OUTSTANDING_DEBITS, DebitState, OrderStatus
from shanmen.orders.ports import OrdersContext
from shanmen.orders.queries import orders as queries
from shanmen.orders.schemas import (
    ID_SHAPE,
    TEXT_SHAPE,
    NewOrder,
    NewRefund,
    OrderView,
    TicketView,
    Timeline,
    TimelineEntry,
)
from shanmen.orders.usecases.closing import cancel_order
from shanmen.orders.usecases.paying import SELLERS, own_order, pay_order
from shanmen.orders.usecases.refunding import refund_entitlements
from shanmen.orders.views import show_orders, show_ticket

log = logging.getLogger(__name__)

router = APIRouter()


async def context(request: Request) -> OrdersContext:
    """The service's ports."""
    found: OrdersContext = request.app.state.context
    return found


Ctx = Annotated[OrdersContext, Depends(context)]
Reader = Annotated[Principal, Depends(requires("orders:read"))]
Seller = Annotated[Call, Depends(changes("orders:write"))]
Number = Annotated[str, Path(pattern=ID_SHAPE)]


@router.post("/v1/orders", status_code=201, response_model=OrderView)
async def place_order(body: NewOrder, ctx: Ctx, call: Seller, prefer: Prefer = None) -> Response:
    """Place an order (下单): 201; with `pay`, 202 until it is issued, or 200 within `Prefer`.

    The same order under the same `distributor_order_no` is given again with 200.
    """
    principal = call.principal
    if principal.kind not in SELLERS:
        raise Forbidden("Orders are placed by distributors and their resellers.")
    reseller = body.reseller
    if principal.kind is PrincipalKind.RESELLER:
        if reseller not in (None, principal.reseller):
            raise Invalid("You cannot order for another reseller.", field="body.reseller")
        reseller = principal.reseller
    seconds = wait_seconds(prefer) if body.pay else 0
    placement = await ctx.placements.submit(
        PlaceOrder(
            principal=principal,
            claim=call.claim,
            distributor_order_no=body.distributor_order_no,
            product_id=body.product_id,
            visit_date=body.visit_date,
            slot=body.slot,
            quantity=body.quantity,
            reseller=reseller,
            reseller_order_no=body.reseller_order_no,
            pay=body.pay,
            will_wait=seconds > 0,
        )
    )
    reply = placement.reply
    if seconds and placement.is_new:
        order_no = placement.order_no
        reply = await _after_waiting(
            ctx, call, order_no, reply, within_s=seconds, is_open=_being_paid
        )
    return send_reply(_located(reply, placement.order_no))


@router.post("/v1/orders/{order_no}/pay", response_model=OrderView)
async def pay(order_no: Number, ctx: Ctx, call: Seller, prefer: Prefer = None) -> Response:
    """Instruct payment (支付): 202 while the debit is on its way, 200 once it is decided."""
    seconds = wait_seconds(prefer)

    async def effect(tx: Tx) -> Reply:
        order = await pay_order(tx, ctx, call.principal, order_no, will_wait=seconds > 0)
        (view,) = await show_orders(tx, [order], with_qr=call.principal.kind in SELLERS)
        return _reply(view, _being_paid)

    reply = await once(ctx.db, call.claim, effect)
    if reply.status == 202 and seconds and "Idempotency-Replayed" not in reply.headers:
        reply = await _after_waiting(
            ctx, call, order_no, reply, within_s=seconds, is_open=_being_paid
        )
    return send_reply(_located(reply, order_no))


@router.post("/v1/orders/{order_no}/cancel", response_model=OrderView)
async def cancel(order_no: Number, ctx: Ctx, call: Seller, prefer: Prefer = None) -> Response:
    """Cancel an unpaid order (取消订单), all its tickets at once: 200 once that is decided.

    202 while a debit may have happened: the channel is asked to cancel it. Its certain answer
    closes the order; if the debit had succeeded before, the order is paid and issued instead.
    """
    seconds = wait_seconds(prefer)

    async def effect(tx: Tx) -> Reply:
        order = await cancel_order(tx, ctx, call.principal, order_no, will_wait=seconds > 0)
        (view,) = await show_orders(tx, [order], with_qr=False)
        return _reply(view, _being_cancelled)

    reply = await once(ctx.db, call.claim, effect)
    if reply.status == 202 and seconds and "Idempotency-Replayed" not in reply.headers:
        reply = await _after_waiting(
            ctx, call, order_no, reply, within_s=seconds, is_open=_being_cancelled
        )
    return send_reply(_located(reply, order_no))


@router.post("/v1/orders/{order_no}/refund", status_code=202, response_model=OrderView)
async def refund(
    order_no: Number, ctx: Ctx, call: Seller, body: NewRefund | None = None
) -> Response:
    """Refund unused entitlements before the visit (游玩前退款), where the product allows it.

    Gates are told first: a visitor who comes before that is admitted, and nothing is refunded.
    """

    async def effect(tx: Tx) -> Reply:
        wish = body or NewRefund()
        order = await refund_entitlements(tx, ctx, call.principal, order_no, wish)
        (view,) = await show_orders(tx, [order], with_qr=True)
        return Reply.of(202, view.model_dump(mode="json"))

    return send_reply(_located(await once(ctx.db, call.claim, effect), order_no))


@router.get("/v1/orders")
async def list_orders(
    *,
    ctx: Ctx,
    principal: Reader,
    status: OrderStatus | None = None,
    debit_state: DebitState | None = None,
    distributor_order_no: Annotated[str | None, Query(pattern=ID_SHAPE)] = None,
    reseller: Annotated[str | None, Query(max_length=100, pattern=TEXT_SHAPE)] = None,
    product_id: Annotated[str | None, Query(pattern=ID_SHAPE)] = None,
    placed_from: AwareDatetime | None = None,
    placed_until: Annotated[AwareDatetime | None, Query(description="exclusive")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[OrderView]:
    """Orders, newest first: your own; all for an operator."""
    filters = {
        "distributor_id": None if principal.is_operator else str(principal.party_id),
        "reseller": principal.reseller or reseller,
        "status": status,
        "debit_state": debit_state,
        "distributor_order_no": distributor_order_no,
        "product_id": product_id,
        "placed_from": placed_from,
        "placed_until": placed_until,
    }
    async with ctx.db.snapshot() as tx:
        rows = await queries.list_orders(
            tx, filters=filters, after=decode_cursor(cursor), limit=limit
        )
        views = await show_orders(tx, rows, with_qr=principal.kind in SELLERS)
    return page_of(views, [view.order_no for view in views], limit)


@router.get("/v1/orders/{order_no}")
async def get_order(order_no: Number, ctx: Ctx, principal: Reader) -> OrderView:
    """One order, with its tickets."""
    async with ctx.db.snapshot() as tx:
        return await _shown(tx, principal, order_no)


@router.get("/v1/orders/{order_no}/timeline")
async def get_timeline(order_no: Number, ctx: Ctx, principal: Reader) -> Timeline:
    """Everything that happened to an order, with its time, cause and actor."""
    async with ctx.db.snapshot() as tx:
        await own_order(tx, principal, order_no)
        rows = await queries.timeline(tx, order_no)
    entries = [TimelineEntry.model_validate(row, from_attributes=True) for row in rows]
    return Timeline(order_no=order_no, entries=entries)


@router.get("/v1/tickets/{ticket_no}")
async def get_ticket(
    ticket_no: Number, ctx: Ctx, principal: Annotated[Principal, Depends(requires("tickets:read"))]
) -> TicketView:
    """One ticket (票) by its number (票务编号)."""
    async with ctx.db.snapshot() as tx:
        ticket = await queries.ticket(tx, ticket_no)
        if ticket is None:
            raise NotFound("ticket", ticket_no)
        try:
            await own_order(tx, principal, ticket.order_no)
        except NotFound:
            raise NotFound("ticket", ticket_no) from None
        entitlements = await queries.entitlements_of_ticket(tx, ticket_no)
    return show_ticket(ticket, entitlements, with_qr=principal.kind in SELLERS)


async def _after_waiting(
    ctx: OrdersContext,
    call: Call,
    order_no: str,
    accepted: Reply,
    *,
    within_s: int,
    is_open: Callable[[OrderView], bool],
) -> Reply:
    """Wait for the outcome of a debit, and make it the call's answer for any repeat.

    What was accepted stands: if the outcome cannot be read now, the answer is `accepted`.
    """
    try:
        async with ctx.doorbell.watching(order_no) as bell:
            view = await _look(ctx, call.principal, order_no)
            if is_open(view):
                await first_of(bell, within_s=within_s)
                view = await _look(ctx, call.principal, order_no)
        reply = _reply(view, is_open)
        async with ctx.db.transaction() as tx:
            await amend(tx, call.claim, reply)
    except DATABASE_ERRORS:
        log.warning("outcome not read in time, answered as accepted")
        return accepted
    return reply


async def _look(ctx: OrdersContext, principal: Principal, order_no: str) -> OrderView:
    async with ctx.db.snapshot() as tx:
        return await _shown(tx, principal, order_no)


async def _shown(tx: Tx, principal: Principal, order_no: str) -> OrderView:
    order = await own_order(tx, principal, order_no)
    (view,) = await show_orders(tx, [order], with_qr=principal.kind in SELLERS)
    return view


def _being_paid(view: OrderView) -> bool:
    return (
        view.status is OrderStatus.AWAITING_PAYMENT and view.payment.state is DebitState.REQUESTED
    )


def _being_cancelled(view: OrderView) -> bool:
    return (
        view.status is OrderStatus.AWAITING_PAYMENT
        and view.payment.state in OUTSTANDING_DEBITS
        and view.cancel_requested_at is not None
    )


def _reply(view: OrderView, is_open: Callable[[OrderView], bool]) -> Reply:
    return Reply.of(202 if is_open(view) else 200, view.model_dump(mode="json"))


def _located(reply: Reply, order_no: str) -> Reply:
    """A 202 says where to look."""
    if reply.status != 202 or not order_no:
        return reply
    return Reply(reply.status, reply.body, {**reply.headers, "Location": f"/v1/orders/{order_no}"})
