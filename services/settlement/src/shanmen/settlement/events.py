"""The events that settlement acts on."""

from typing import Final

from shanmen.common.db import Tx
from shanmen.common.inbox import Subscription, subscribe
from shanmen.contracts.gateway import OperationFailed, OperationStuck, OperationSucceeded
from shanmen.contracts.orders import OrderPaid, TicketsIssued
from shanmen.contracts.verification import EntitlementUsed
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.usecases import booking, paying

PAYOUT: Final = "payout"
"""The kind of operation that settlement asks the gateway for."""


async def on_order_paid(tx: Tx, event: OrderPaid, _: SettlementContext) -> None:
    """支付成功: book the debit."""
    await booking.book_debit(tx, event)


async def on_tickets_issued(tx: Tx, event: TicketsIssued, _: SettlementContext) -> None:
    """出票成功: keep the entitlements' prices and receivers."""
    await booking.take_on_entitlements(tx, event)


async def on_entitlement_used(tx: Tx, event: EntitlementUsed, ctx: SettlementContext) -> None:
    """已使用: book the admission, and pay the spot."""
    await booking.settle_visit(tx, event, ctx)


async def on_operation_succeeded(
    tx: Tx, event: OperationSucceeded, ctx: SettlementContext
) -> None:
    """A payout's money has moved; other operations are orders' business."""
    if event.kind == PAYOUT:
        await paying.settle_payout(tx, event, ctx)


async def on_operation_stuck(tx: Tx, event: OperationStuck, ctx: SettlementContext) -> None:
    """A payout waits for a person."""
    if event.kind == PAYOUT:
        await paying.park_payout(tx, event, ctx)


async def on_operation_failed(tx: Tx, event: OperationFailed, ctx: SettlementContext) -> None:
    """A payout was refused for good."""
    if event.kind == PAYOUT:
        await paying.fail_payout(tx, event, ctx)


SUBSCRIPTIONS: tuple[Subscription[SettlementContext], ...] = (
    subscribe(
        "settlement.events",
        {
            OrderPaid: on_order_paid,
            TicketsIssued: on_tickets_issued,
            EntitlementUsed: on_entitlement_used,
            OperationSucceeded: on_operation_succeeded,
            OperationStuck: on_operation_stuck,
            OperationFailed: on_operation_failed,
        },
    ),
)
