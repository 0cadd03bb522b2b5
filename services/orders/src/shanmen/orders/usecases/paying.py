"""Paying: one debit per order, asked for as often as it takes, under one number."""

from typing import Any

from sqlalchemy import Row

from shanmen.common.auth import Principal, PrincipalKind
from shanmen.common.db import Tx
from shanmen.common.doorbell import announce_waiting, ring
from shanmen.common.errors import Malformed, NotFound
from shanmen.common.ids import new_id
from shanmen.contracts.catalog import Offer
from shanmen.contracts.gateway import (
    DebitRequested,
    OperationFailed,
    OperationStuck,
    OperationSucceeded,
)
from shanmen.contracts.orders import OrderPaid
from shanmen.orders import queries
from shanmen.orders.domain import DebitState, OrderStatus
from shanmen.orders.errors import OrderIsClosed, PaymentDeadlinePassed
from shanmen.orders.ports import OrdersContext
from shanmen.orders.usecases.issuing import issue_tickets

SELLERS = (PrincipalKind.DISTRIBUTOR, PrincipalKind.RESELLER)


async def pay_order(
    tx: Tx, ctx: OrdersContext, principal: Principal, order_no: str, *, will_wait: bool
) -> Row[Any]:
    """Instruct payment (支付, 申请出票); returns the order.

    While a debit is on its way this changes nothing, and after it succeeded neither; one that
    waits for funds is resumed under its own number; one that was refused for certain is replaced.
    Raises OrderIsClosed, PaymentDeadlinePassed.
    """
    order = await own_order(tx, principal, order_no, lock=True)
    if order.status in (OrderStatus.CLOSED_UNPAID, OrderStatus.CLOSED_REFUNDED):
        raise OrderIsClosed(f"{order_no} is closed (交易关闭); place a new order.")
    if order.status != OrderStatus.AWAITING_PAYMENT:
        return order
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
    changed = await queries.change_debit(
        tx,
        order.order_no,
        DebitState.REQUESTED,
        ctx.clock.now(),
        debit_operation_id=operation_id,
        debit_reason=None,
    )
    if changed is None:
        return order
    cause = "asked for again after a top-up" if resumed else "pay instructed"
    await record(tx, ctx, changed, "debit", order.debit_state, cause=cause, actor=actor)
    await ctx.outbox.add(tx, [debit_request(changed)])
    return changed


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


async def take_payment(tx: Tx, ctx: OrdersContext, event: OperationSucceeded) -> None:
    """支付成功, and 出票成功 in the same transaction: no order stays paid without its tickets.

    Money that came for an order that cannot take it is for a person. Raises Malformed.
    """
    order = await queries.order_of_debit(tx, event.operation_id)
    if order is None:
        raise Malformed(f"debit {event.operation_id} succeeded, and no order waits for it")
    if order.debit_state == DebitState.SUCCEEDED:
        return
    now = ctx.clock.now()
    debited = await queries.change_debit(
        tx, order.order_no, DebitState.SUCCEEDED, now, debit_reason=None
    )
    paid = debited and await queries.change_status(tx, order.order_no, OrderStatus.PAID, now)
    if debited is None or paid is None:
        raise Malformed(
            f"debit {event.operation_id} of {order.order_no} succeeded while the order was "
            f"{order.status} and its debit {order.debit_state}"
        )
    await record(tx, ctx, debited, "debit", order.debit_state, cause="channel", actor="gateway")
    await record(tx, ctx, paid, "order", order.status, cause="debit succeeded", actor="gateway")
    offer = Offer.model_validate(order.offer)
    await ctx.outbox.add(
        tx,
        [
            OrderPaid(
                order_no=order.order_no,
                distributor_id=order.distributor_id,
                product_id=order.product_id,
                operation_id=event.operation_id,
                account=offer.pay_account,
                price_fen=order.price_fen,
                fee_fen=order.fee_fen,
                paid_at=event.finished_at,
            )
        ],
    )
    await issue_tickets(tx, ctx, paid)
    await ring(tx, [order.order_no])


async def note_refusal(tx: Tx, ctx: OrdersContext, event: OperationFailed) -> None:
    """The channel will never debit under this number: the order may be paid anew, or closed."""
    await _note(tx, ctx, event.operation_id, DebitState.REFUSED, event.reason)


async def note_stuck(tx: Tx, ctx: OrdersContext, event: OperationStuck) -> None:
    """The debit waits: for the distributor's top-up (余额不足), or for a person."""
    state = DebitState.SHORT_OF_FUNDS if event.outcome == "funds" else DebitState.STUCK
    await _note(tx, ctx, event.operation_id, state, event.reason)


async def _note(
    tx: Tx, ctx: OrdersContext, operation_id: str, state: DebitState, reason: str
) -> None:
    order = await queries.order_of_debit(tx, operation_id)
    if order is None:
        return
    changed = await queries.change_debit(
        tx, order.order_no, state, ctx.clock.now(), debit_reason=reason
    )
    if changed is not None:
        await record(tx, ctx, changed, "debit", order.debit_state, cause=reason, actor="gateway")
        await ring(tx, [order.order_no])


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
    before: str,
    *,
    cause: str,
    actor: str,
) -> None:
    """Append a change of an order (as it is now) to its timeline."""
    await queries.add_timeline(
        tx,
        [
            {
                "order_no": order.order_no,
                "at": ctx.clock.now(),
                "kind": kind,
                "before": before,
                "after": order.status if kind == "order" else order.debit_state,
                "cause": cause,
                "actor": actor,
            }
        ],
    )
