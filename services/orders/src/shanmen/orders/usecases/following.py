"""Following what verification and settlement tell, and drawing the order's conclusion."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row

from shanmen.common.db import Tx
from shanmen.common.errors import NotYet
from shanmen.orders.domain import (
    ORDER,
    Notice,
    OrderStatus,
    Settlement,
    Usage,
    outcome,
    spot_status,
)
from shanmen.orders.ports import OrdersContext
from shanmen.orders.queries import orders as queries
from shanmen.orders.usecases.paying import record
from shanmen.orders.usecases.telling import (
    OF_CONCLUSION,
    OF_SETTLEMENT,
    OF_USAGE,
    tell_distributor,
)
from shanmen.orders.views import facts_of


async def follow_usage(
    tx: Tx,
    ctx: OrdersContext,
    *,
    order_no: str,
    entitlement_id: str,
    usage: Usage,
    at: datetime | None = None,
) -> None:
    """An entitlement was used, has expired or was voided."""
    order = await _lock(tx, order_no)
    if await queries.project_usage(tx, entitlement_id, usage, at):
        await _conclude(tx, ctx, order, entitlement_id, OF_USAGE.get(usage))


async def follow_settlement(
    tx: Tx,
    ctx: OrdersContext,
    *,
    order_no: str,
    entitlement_id: str,
    settlement: Settlement,
    reason: str | None = None,
    refunded_fen: int | None = None,
) -> None:
    """An entitlement's money went somewhere, or could not. `refunded_fen` is part and fee share.

    No money leaves for an unused entitlement: verification's event is on its way then.
    """
    order = await _lock(tx, order_no)
    if not await queries.is_concluded(tx, entitlement_id):
        raise NotYet(f"{entitlement_id} is neither used nor over")
    if await queries.project_settlement(
        tx, entitlement_id, settlement, reason=reason, refunded_fen=refunded_fen
    ):
        await _conclude(tx, ctx, order, entitlement_id, OF_SETTLEMENT.get(settlement))


async def _lock(tx: Tx, order_no: str) -> Row[Any]:
    """One conclusion at a time: two last entitlements must not both see the other as open."""
    order = await queries.order(tx, order_no, lock=True)
    if order is None:
        raise NotYet(f"no order {order_no}")
    return order


async def _conclude(
    tx: Tx, ctx: OrdersContext, order: Row[Any], entitlement_id: str, notice: Notice | None
) -> None:
    """Draw the order's conclusion. Raises ImpossibleFacts, and keeps them out of the tables.

    Most events conclude nothing, so the whole order is read only when nothing in it is unused.
    """
    changed_one = await queries.entitlement(tx, entitlement_id)
    spot_status(facts_of(changed_one))
    if notice is not None:
        await tell_distributor(tx, ctx, notice, order, changed_one)
    if changed_one.order_has_unused or ORDER.is_terminal(OrderStatus(order.status)):
        return
    entitlements = await queries.entitlements(tx, [order.order_no])
    concluded = outcome([facts_of(row) for row in entitlements])
    if concluded is None:
        return
    changed = await queries.change_status(tx, order.order_no, concluded, ctx.clock.now())
    if changed is not None:
        cause = "every entitlement is concluded"
        before = OrderStatus.ISSUED
        await record(tx, ctx, changed, "order", before, cause=cause, actor="orders")
        await tell_distributor(tx, ctx, OF_CONCLUSION[concluded], changed)
