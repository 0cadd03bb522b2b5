"""Following what verification and settlement tell, and drawing the order's conclusion."""

from datetime import datetime

from shanmen.common.db import Tx
from shanmen.common.errors import NotYet
from shanmen.orders import queries
from shanmen.orders.domain import OrderStatus, Settlement, Usage, outcome
from shanmen.orders.ports import OrdersContext
from shanmen.orders.usecases.paying import record
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
    await _lock(tx, order_no)
    if await queries.project_usage(tx, entitlement_id, usage, at):
        await _conclude(tx, ctx, order_no)


async def follow_settlement(
    tx: Tx,
    ctx: OrdersContext,
    *,
    order_no: str,
    entitlement_id: str,
    settlement: Settlement,
    reason: str | None = None,
) -> None:
    """An entitlement's money went somewhere, or could not."""
    await _lock(tx, order_no)
    if await queries.project_settlement(tx, entitlement_id, settlement, reason):
        await _conclude(tx, ctx, order_no)


async def _lock(tx: Tx, order_no: str) -> None:
    """One conclusion at a time: two last entitlements must not both see the other as open."""
    if await queries.order(tx, order_no, lock=True) is None:
        raise NotYet(f"no order {order_no}")


async def _conclude(tx: Tx, ctx: OrdersContext, order_no: str) -> None:
    entitlements = await queries.entitlements(tx, [order_no])
    concluded = outcome([facts_of(row) for row in entitlements])
    if concluded is None:
        return
    changed = await queries.change_status(tx, order_no, concluded, ctx.clock.now())
    if changed is not None:
        cause = "every entitlement is concluded"
        before = OrderStatus.ISSUED
        await record(tx, ctx, changed, "order", before, cause=cause, actor="orders")
