"""Closing unpaid orders (交易关闭1): cancelled, or past their deadline.

While a debit may have happened, only the channel's certain answer closes an order: the wish is
kept on the order, and the gateway is asked to carry it out.
"""

from typing import Any

from sqlalchemy import Row

from shanmen.common.auth import Principal
from shanmen.common.db import Tx
from shanmen.common.doorbell import announce_waiting
from shanmen.contracts.gateway import CancelRequested
from shanmen.contracts.orders import OrderClosed
from shanmen.orders.domain import Notice, OrderStatus
from shanmen.orders.errors import AlreadyPaid, OrderIsClosed
from shanmen.orders.ports import OrdersContext
from shanmen.orders.queries import orders as queries
from shanmen.orders.usecases.paying import own_order, record
from shanmen.orders.usecases.telling import tell_distributor

SWEEP_LIMIT = 200


async def cancel_order(
    tx: Tx, ctx: OrdersContext, principal: Principal, order_no: str, *, will_wait: bool
) -> Row[Any]:
    """Cancel an order before payment, all its tickets at once; returns the order.

    It is closed at once and its stock goes back, or, with a debit outstanding, the channel is
    asked to cancel that first; asked again meanwhile, nothing new happens.
    Raises OrderIsClosed, AlreadyPaid.
    """
    order = await own_order(tx, principal, order_no, lock=True)
    if order.status in (OrderStatus.CLOSED_UNPAID, OrderStatus.CLOSED_REFUNDED):
        raise OrderIsClosed(f"{order_no} is closed already (交易关闭).")
    if order.status != OrderStatus.AWAITING_PAYMENT:
        raise AlreadyPaid(
            f"{order_no} is {order.status}; a paid order is refunded, not cancelled."
        )
    closed = await close_order(tx, ctx, order_no, reason="cancelled", actor=principal.owner)
    if closed is not None:
        return closed
    if will_wait:
        await announce_waiting(tx, order_no)
    wanted = await _want_cancel(tx, ctx, order_no, reason="cancelled", actor=principal.owner)
    return wanted or order


async def close_overdue(ctx: OrdersContext) -> int:
    """Close unpaid orders past their deadline; returns how many. Orders being paid are left."""
    async with ctx.db.transaction() as tx:
        overdue = await queries.claim_overdue(tx, ctx.clock.now(), SWEEP_LIMIT)
        for order_no in overdue:
            await close_order(tx, ctx, order_no, reason="deadline_passed", actor="orders")
    return len(overdue)


async def cancel_overdue(ctx: OrdersContext) -> int:
    """Have the parked debits of orders past their deadline cancelled; returns how many."""
    async with ctx.db.transaction() as tx:
        overdue = await queries.claim_overdue_parked(tx, ctx.clock.now(), SWEEP_LIMIT)
        for order_no in overdue:
            await _want_cancel(tx, ctx, order_no, reason="deadline_passed", actor="orders")
    return len(overdue)


async def close_order(
    tx: Tx, ctx: OrdersContext, order_no: str, *, reason: str, actor: str
) -> Row[Any] | None:
    """Close an order unless a debit of it is outstanding; the closed order, or None."""
    closed = await queries.close_if_unpaid(tx, order_no, ctx.clock.now())
    if closed is None:
        return None
    before = OrderStatus.AWAITING_PAYMENT
    await record(tx, ctx, closed, "order", before, cause=reason, actor=actor)
    event = OrderClosed(
        order_no=order_no, reason=reason, debit_operation_id=closed.debit_operation_id
    )
    await ctx.outbox.add(tx, [event])
    await tell_distributor(tx, ctx, Notice.ORDER_CLOSED, closed, reason=reason)
    return closed


async def _want_cancel(
    tx: Tx, ctx: OrdersContext, order_no: str, *, reason: str, actor: str
) -> Row[Any] | None:
    order = await queries.want_cancel(tx, order_no, reason, ctx.clock.now())
    if order is None:
        return None
    await record(tx, ctx, order, "cancel", None, after="requested", cause=reason, actor=actor)
    request = CancelRequested(operation_id=order.debit_operation_id, order_no=order_no)
    await ctx.outbox.add(tx, [request])
    return order
