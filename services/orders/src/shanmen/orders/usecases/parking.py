"""Debits that wait for what time alone does not bring: a top-up (余额不足), or a person."""

from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Row

from shanmen.common.db import Tx
from shanmen.common.doorbell import ring
from shanmen.common.events import Event
from shanmen.common.ids import new_id
from shanmen.common.money import to_yuan
from shanmen.contracts.catalog import Offer
from shanmen.contracts.gateway import OperationStuck, SmsRequested
from shanmen.contracts.orders import DebitParked
from shanmen.orders.domain import DebitState, Notice
from shanmen.orders.ports import OrdersContext
from shanmen.orders.queries import debits
from shanmen.orders.queries import orders as queries
from shanmen.orders.usecases.paying import record
from shanmen.orders.usecases.telling import tell_distributor

FUNDS: Final = "funds"

_PEOPLES_TIME: Final = ZoneInfo("Asia/Shanghai")


async def note_parking(tx: Tx, ctx: OrdersContext, event: OperationStuck) -> None:
    """The debit waits, and whoever can help is told. One that has ended meanwhile does not."""
    order = await debits.order_of_debit(tx, event.operation_id)
    if order is None or order.debit_operation_id != event.operation_id:
        return
    is_short = event.outcome == FUNDS
    state = DebitState.SHORT_OF_FUNDS if is_short else DebitState.STUCK
    parked = await queries.change_debit(
        tx,
        order.order_no,
        state,
        ctx.clock.now(),
        debit_reason=event.reason,
        short_since=event.since if is_short else None,
    )
    if parked is not None:
        before, cause = order.debit_state, event.reason
        await record(tx, ctx, parked, "debit", before, cause=cause, actor="gateway")
        await ring(tx, [order.order_no])
    elif order.debit_state != state:
        return
    if is_short:
        await _tell_shortage(tx, ctx, parked or order, order.debit_state, event)
    elif await debits.note_told_stuck(tx, event.operation_id, event.since):
        if parked is None:
            await queries.reword_stuck(tx, order.order_no, event.reason, ctx.clock.now())
        await ctx.outbox.add(tx, [_debit_parked(order, event)])


async def _tell_shortage(
    tx: Tx, ctx: OrdersContext, order: Row[Any], before: str, event: OperationStuck
) -> None:
    """Tell of an order's shortage once, and send one text message for all orders of an account.

    An order that is being cancelled needs no top-up. One that waited for a person says at least
    to the operators that it waits for money now.
    """
    if order.cancel_requested_at is not None:
        return
    account = Offer.model_validate(order.offer).pay_account
    shortage_id, is_new = await debits.open_shortage(
        tx,
        {
            "shortage_id": new_id("sht"),
            "distributor_id": order.distributor_id,
            "account_id": account.account_id,
            "channel": account.channel,
            "began_at": event.since,
        },
    )
    is_first = await debits.note_told_short(tx, event.operation_id, shortage_id)
    told: list[Event] = []
    if is_first or before == DebitState.STUCK:
        told.append(_debit_parked(order, event))
    if is_new:
        told.append(_text_message(order, shortage_id))
    await ctx.outbox.add(tx, told)
    if is_first:
        await tell_distributor(tx, ctx, Notice.ORDER_PAYMENT_SHORT, order)


def _debit_parked(order: Row[Any], event: OperationStuck) -> DebitParked:
    return DebitParked(
        order_no=order.order_no,
        distributor_id=order.distributor_id,
        operation_id=event.operation_id,
        channel=event.channel,
        amount_fen=order.price_fen + order.fee_fen,
        outcome=event.outcome,
        reason=event.reason,
        since=event.since,
    )


def _text_message(order: Row[Any], shortage_id: str) -> SmsRequested:
    deadline = order.payment_deadline.astimezone(_PEOPLES_TIME)
    return SmsRequested(
        sms_id=shortage_id,
        recipient=order.distributor_id,
        template="payment_short",
        params={
            "order_no": order.order_no,
            "amount_yuan": to_yuan(order.price_fen + order.fee_fen),
            "deadline": f"{deadline:%Y-%m-%d %H:%M}",
        },
    )
