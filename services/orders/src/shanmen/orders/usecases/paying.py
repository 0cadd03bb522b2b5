"""Paying: one debit per order, asked for as often as it takes, under one number."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row

from shanmen.common.auth import Principal, PrincipalKind
from shanmen.common.db import Tx
from shanmen.common.doorbell import announce_waiting
from shanmen.common.errors import NotFound
from shanmen.common.ids import new_id
from shanmen.contracts.catalog import Offer
from shanmen.contracts.gateway import DebitRequested
from shanmen.orders.domain import DebitState, OrderStatus
from shanmen.orders.errors import CancelInProgress, OrderIsClosed, PaymentDeadlinePassed
from shanmen.orders.ports import OrdersContext
from shanmen.orders.queries import debits
from shanmen.orders.queries import orders as queries

SELLERS = (PrincipalKind.DISTRIBUTOR, PrincipalKind.RESELLER)


async def pay_order(
    tx: Tx, ctx: OrdersContext, principal: Principal, order_no: str, *, will_wait: bool
) -> Row[Any]:
    """Instruct payment (支付, 申请出票); returns the order.

    While a debit is on its way this changes nothing, and after it succeeded neither; one that
    waits for funds is resumed under its own number; one that was refused for certain is replaced.
    Raises OrderIsClosed, CancelInProgress, PaymentDeadlinePassed.
    """
    order = await own_order(tx, principal, order_no, lock=True)
    if order.status in (OrderStatus.CLOSED_UNPAID, OrderStatus.CLOSED_REFUNDED):
        raise OrderIsClosed(f"{order_no} is closed (交易关闭); place a new order.")
    if order.status != OrderStatus.AWAITING_PAYMENT:
        return order
    if order.cancel_requested_at is not None:
        raise CancelInProgress(f"{order_no} is being cancelled; it may still turn out paid.")
    if will_wait:
        await announce_waiting(tx, order_no)
    if order.debit_state in (DebitState.REQUESTED, DebitState.STUCK):
        return order
    if order.payment_deadline <= ctx.clock.now():
        raise PaymentDeadlinePassed(f"{order_no} had to be paid by {order.payment_deadline}.")
    return await _request(tx, ctx, order, actor=principal.owner)


async def _request(tx: Tx, ctx: OrdersContext, order: Row[Any], *, actor: str) -> Row[Any]:
    resumed = order.debit_state == DebitState.SHORT_OF_FUNDS
    operation_id = order.debit_operation_id if resumed else new_id("deb")
    now = ctx.clock.now()
    changed = await queries.change_debit(
        tx,
        order.order_no,
        DebitState.REQUESTED,
        now,
        debit_operation_id=operation_id,
        debit_reason=None,
    )
    if changed is None:
        return order
    if not resumed:
        await debits.insert_debits(tx, [debit_row(changed, now)])
    cause = "asked for again after a top-up" if resumed else "pay instructed"
    await record(tx, ctx, changed, "debit", order.debit_state, cause=cause, actor=actor)
    await ctx.outbox.add(tx, [debit_request(changed)])
    return changed


def debit_row(order: Row[Any], now: datetime) -> dict[str, Any]:
    """What is kept of an order's debit under its present number."""
    return {
        "operation_id": order.debit_operation_id,
        "order_no": order.order_no,
        "asked_at": now,
    }


def debit_request(order: Row[Any]) -> DebitRequested:
    """The command that debits an order's distributor: settlement price and transaction fee."""
    offer = Offer.model_validate(order.offer)
    return DebitRequested(
        operation_id=order.debit_operation_id,
        order_no=order.order_no,
        account=offer.pay_account,
        amount_fen=order.price_fen + order.fee_fen,
        description=f"{offer.product_name} x{order.quantity}",
    )


async def own_order(
    tx: Tx, principal: Principal, order_no: str, *, lock: bool = False
) -> Row[Any]:
    """An order that the principal may see. Raises NotFound, for a foreign one as well."""
    order = await queries.order(
        tx,
        order_no,
        distributor_id=None if principal.is_operator else str(principal.party_id),
        reseller=principal.reseller,
        lock=lock,
    )
    if order is None:
        raise NotFound("order", order_no)
    return order


async def record(
    tx: Tx,
    ctx: OrdersContext,
    order: Row[Any],
    kind: str,
    before: str | None,
    *,
    cause: str,
    actor: str,
    after: str | None = None,
) -> None:
    """Append a change of an order (as it is now, but for what `after` says) to its timeline."""
    await queries.add_timeline(
        tx,
        [
            {
                "order_no": order.order_no,
                "at": ctx.clock.now(),
                "kind": kind,
                "before": before,
                "after": after or (order.status if kind == "order" else order.debit_state),
                "cause": cause,
                "actor": actor,
            }
        ],
    )
