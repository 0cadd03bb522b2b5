"""What orders tells, and what it hears: of debits, visits, settlement, lost reservations."""

from collections.abc import Mapping

from shanmen.common.db import Tx
from shanmen.common.events import Event
from shanmen.common.inbox import Handler, subscribe
from shanmen.contracts import gateway, settlement, verification
from shanmen.contracts.catalog import ReservationUnconfirmed
from shanmen.contracts.orders import (
    DebitOrphaned,
    DebitParked,
    OrderClosed,
    OrderPaid,
    OrderPlaced,
    TicketsIssued,
)
from shanmen.orders.domain import Settlement, Usage
from shanmen.orders.ports import OrdersContext
from shanmen.orders.usecases import debiting, following, parking, placing

EMITS = (
    *(OrderPlaced, OrderClosed, OrderPaid, TicketsIssued, DebitParked, DebitOrphaned),
    *(gateway.DebitRequested, gateway.CancelRequested, gateway.SmsRequested),
    verification.VoidRequested,
)

DEBIT = "debit"


async def on_operation_succeeded(
    tx: Tx, event: gateway.OperationSucceeded, ctx: OrdersContext
) -> None:
    """A debit succeeded: the order is paid, and issued, or the money goes back."""
    if event.kind == DEBIT:
        await debiting.take_payment(tx, ctx, event)


async def on_operation_failed(tx: Tx, event: gateway.OperationFailed, ctx: OrdersContext) -> None:
    """A debit is certain never to happen."""
    if event.kind == DEBIT:
        await debiting.note_refusal(tx, ctx, event)


async def on_operation_stuck(tx: Tx, event: gateway.OperationStuck, ctx: OrdersContext) -> None:
    """A debit waits for money or for a person."""
    if event.kind == DEBIT:
        await parking.note_parking(tx, ctx, event)


async def on_used(tx: Tx, event: verification.EntitlementUsed, ctx: OrdersContext) -> None:
    """A visitor was admitted."""
    await following.follow_usage(
        tx,
        ctx,
        order_no=event.order_no,
        entitlement_id=event.entitlement_id,
        usage=Usage.USED,
        at=event.used_at,
    )


async def on_expired(tx: Tx, event: verification.EntitlementExpired, ctx: OrdersContext) -> None:
    """Validity and grace passed without a visit."""
    await following.follow_usage(
        tx, ctx, order_no=event.order_no, entitlement_id=event.entitlement_id, usage=Usage.EXPIRED
    )


async def on_voided(tx: Tx, event: verification.EntitlementVoided, ctx: OrdersContext) -> None:
    """Made unusable before any visit."""
    await following.follow_usage(
        tx, ctx, order_no=event.order_no, entitlement_id=event.entitlement_id, usage=Usage.VOIDED
    )


async def on_settled(tx: Tx, event: settlement.EntitlementSettled, ctx: OrdersContext) -> None:
    """The spot was paid."""
    await following.follow_settlement(
        tx,
        ctx,
        order_no=event.order_no,
        entitlement_id=event.entitlement_id,
        settlement=Settlement.SETTLED,
    )


async def on_settle_failed(tx: Tx, event: settlement.SettleFailed, ctx: OrdersContext) -> None:
    """The spot could not be paid yet."""
    await following.follow_settlement(
        tx,
        ctx,
        order_no=event.order_no,
        entitlement_id=event.entitlement_id,
        settlement=Settlement.SETTLE_FAILED,
        reason=event.reason,
    )


async def on_refunded(tx: Tx, event: settlement.EntitlementRefunded, ctx: OrdersContext) -> None:
    """The part went back the way it came."""
    await following.follow_settlement(
        tx,
        ctx,
        order_no=event.order_no,
        entitlement_id=event.entitlement_id,
        settlement=Settlement.REFUNDED,
        refunded_fen=event.refunded_fen,
    )


async def on_refund_failed(tx: Tx, event: settlement.RefundFailed, ctx: OrdersContext) -> None:
    """The part could not go back yet."""
    await following.follow_settlement(
        tx,
        ctx,
        order_no=event.order_no,
        entitlement_id=event.entitlement_id,
        settlement=Settlement.REFUND_FAILED,
        reason=event.reason,
    )


async def on_forfeited(tx: Tx, event: settlement.EntitlementForfeited, ctx: OrdersContext) -> None:
    """The product refunds nothing on expiry."""
    await following.follow_settlement(
        tx,
        ctx,
        order_no=event.order_no,
        entitlement_id=event.entitlement_id,
        settlement=Settlement.FORFEITED,
    )


async def on_reservation_unconfirmed(
    tx: Tx, event: ReservationUnconfirmed, ctx: OrdersContext
) -> None:
    """Catalog asks whether an order exists."""
    await placing.give_up_number(tx, ctx, event.order_no)


HANDLERS: Mapping[type[Event], Handler[OrdersContext]] = {
    gateway.OperationSucceeded: on_operation_succeeded,
    gateway.OperationFailed: on_operation_failed,
    gateway.OperationStuck: on_operation_stuck,
    verification.EntitlementUsed: on_used,
    verification.EntitlementExpired: on_expired,
    verification.EntitlementVoided: on_voided,
    settlement.EntitlementSettled: on_settled,
    settlement.SettleFailed: on_settle_failed,
    settlement.EntitlementRefunded: on_refunded,
    settlement.RefundFailed: on_refund_failed,
    settlement.EntitlementForfeited: on_forfeited,
    ReservationUnconfirmed: on_reservation_unconfirmed,
}

SUBSCRIPTIONS = (subscribe("orders.events", HANDLERS),)
