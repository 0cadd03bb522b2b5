"""Closing unpaid orders (交易关闭1): cancelled, or past their deadline."""

from typing import Any

from sqlalchemy import Row

from shanmen.common.auth import Principal
from shanmen.common.db import Tx
from shanmen.contracts.orders import OrderClosed
from shanmen.orders import queries
from shanmen.orders.domain import OrderStatus
from shanmen.orders.errors import AlreadyPaid, OrderIsClosed, PaymentInProgress
from shanmen.orders.ports import OrdersContext
from shanmen.orders.usecases.paying import own_order, record

SWEEP_LIMIT = 200


async def cancel_order(
    tx: Tx, ctx: OrdersContext, principal: Principal, order_no: str
) -> Row[Any]:
    """Cancel an order before payment, all its tickets at once; its stock goes back.

    Raises OrderIsClosed, AlreadyPaid, PaymentInProgress.
    """
    order = await own_order(tx, principal, order_no, lock=True)
    if order.status in (OrderStatus.CLOSED_UNPAID, OrderStatus.CLOSED_REFUNDED):
        raise OrderIsClosed(f"{order_no} is closed already (交易关闭).")
    if order.status != OrderStatus.AWAITING_PAYMENT:
        raise AlreadyPaid(
            f"{order_no} is {order.status}; a paid order is refunded, not cancelled."
        )
    if not await _close(tx, ctx, order_no, reason="cancelled", actor=principal.owner):
        raise PaymentInProgress(
            f"A debit of {order_no} is {order.debit_state}; it may still succeed."
        )
    return await own_order(tx, principal, order_no)


async def close_overdue(ctx: OrdersContext) -> int:
    """Close unpaid orders past their deadline; returns how many. Orders being paid are left."""
    closed = 0
    async with ctx.db.transaction() as tx:
        for order_no in await queries.claim_overdue(tx, ctx.clock.now(), SWEEP_LIMIT):
            closed += await _close(tx, ctx, order_no, reason="deadline_passed", actor="orders")
    return closed


async def _close(tx: Tx, ctx: OrdersContext, order_no: str, *, reason: str, actor: str) -> bool:
    if not await queries.close_if_unpaid(tx, order_no, ctx.clock.now()):
        return False
    order = await queries.order(tx, order_no)
    if order is not None:
        before = OrderStatus.AWAITING_PAYMENT
        await record(tx, ctx, order, "order", before, cause=reason, actor=actor)
    await ctx.outbox.add(tx, [OrderClosed(order_no=order_no, reason=reason)])
    return True
