"""What the channel says of a debit for certain: it succeeded, or it never will."""

from typing import Any

from sqlalchemy import Row

from shanmen.common.db import Tx
from shanmen.common.doorbell import ring
from shanmen.common.errors import Malformed
from shanmen.contracts.catalog import Offer
from shanmen.contracts.gateway import OperationFailed, OperationSucceeded
from shanmen.contracts.orders import DebitOrphaned, OrderPaid
from shanmen.orders.domain import (
    DebitState,
    DebitSuccess,
    ImpossibleFacts,
    Notice,
    OrderStatus,
    debit_success,
)
from shanmen.orders.ports import OrdersContext
from shanmen.orders.queries import debits
from shanmen.orders.queries import orders as queries
from shanmen.orders.usecases.closing import close_order
from shanmen.orders.usecases.issuing import issue_tickets
from shanmen.orders.usecases.paying import record
from shanmen.orders.usecases.telling import tell_distributor


async def take_payment(tx: Tx, ctx: OrdersContext, event: OperationSucceeded) -> None:
    """A debit succeeded: the order is paid and issued, or the money is sent back.

    Raises Malformed for a number that no order ever used: that money is for a person. Raises
    ImpossibleFacts.
    """
    order = await debits.order_of_debit(tx, event.operation_id)
    if order is None:
        raise Malformed(f"debit {event.operation_id} succeeded, and no order ever asked for it")
    meaning = debit_success(
        OrderStatus(order.status),
        DebitState(order.debit_state),
        is_current=order.debit_operation_id == event.operation_id,
    )
    if meaning is DebitSuccess.REPEATS:
        return
    offer = Offer.model_validate(order.offer)
    await debits.end_shortage(tx, offer.pay_account.account_id, ctx.clock.now())
    if meaning is DebitSuccess.PAYS:
        await _pay(tx, ctx, order, offer, event)
    else:
        await _send_back(tx, ctx, order, offer, event)


async def _pay(
    tx: Tx, ctx: OrdersContext, order: Row[Any], offer: Offer, event: OperationSucceeded
) -> None:
    """支付成功, and 出票成功 in the same transaction: no order stays paid without its tickets."""
    now = ctx.clock.now()
    debited = await queries.change_debit(
        tx, order.order_no, DebitState.SUCCEEDED, now, debit_reason=None
    )
    paid = debited and await queries.change_status(tx, order.order_no, OrderStatus.PAID, now)
    if debited is None or paid is None:
        raise ImpossibleFacts(f"{order.order_no} cannot take debit {event.operation_id}")
    await record(tx, ctx, debited, "debit", order.debit_state, cause="channel", actor="gateway")
    if order.cancel_requested_at is not None:
        cause = "the debit had succeeded before it could be cancelled"
        lost = "too_late"
        await record(
            tx, ctx, paid, "cancel", "requested", after=lost, cause=cause, actor="gateway"
        )
    await record(tx, ctx, paid, "order", order.status, cause="debit succeeded", actor="gateway")
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
                product_name=offer.product_name,
                kind=offer.kind,
                invests=offer.invests,
            )
        ],
    )
    issued = await issue_tickets(tx, ctx, paid)
    await tell_distributor(tx, ctx, Notice.ORDER_ISSUED, issued)
    await ring(tx, [order.order_no])


async def _send_back(
    tx: Tx, ctx: OrdersContext, order: Row[Any], offer: Offer, event: OperationSucceeded
) -> None:
    """Money that no order can take goes back in full, once; the order stays as it is."""
    if not await debits.orphan(tx, event.operation_id, ctx.clock.now()):
        return
    cause = f"{event.operation_id} succeeded after it was refused; refunded in full"
    before = DebitState.REFUSED
    await record(tx, ctx, order, "debit", before, after="orphaned", cause=cause, actor="gateway")
    await ctx.outbox.add(
        tx,
        [
            DebitOrphaned(
                order_no=order.order_no,
                distributor_id=order.distributor_id,
                operation_id=event.operation_id,
                account=offer.pay_account,
                amount_fen=order.price_fen + order.fee_fen,
                debited_at=event.finished_at,
            )
        ],
    )


async def note_refusal(tx: Tx, ctx: OrdersContext, event: OperationFailed) -> None:
    """The channel will never debit under this number: the order may be paid anew, or closed.

    An order that waited for this to be closed is closed now.
    """
    order = await debits.order_of_debit(tx, event.operation_id)
    if order is None or order.debit_operation_id != event.operation_id:
        return
    refused = await queries.change_debit(
        tx, order.order_no, DebitState.REFUSED, ctx.clock.now(), debit_reason=event.reason
    )
    if refused is None:
        return
    before, cause = order.debit_state, event.reason
    await record(tx, ctx, refused, "debit", before, cause=cause, actor="gateway")
    if refused.cancel_reason is not None:
        reason = refused.cancel_reason
        await close_order(tx, ctx, order.order_no, reason=reason, actor="gateway")
    await ring(tx, [order.order_no])
