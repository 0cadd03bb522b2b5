"""The events that settlement acts on, and those that it tells."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from shanmen.common.db import Tx
from shanmen.common.events import Event
from shanmen.common.inbox import Subscription, subscribe
from shanmen.contracts import gateway, settlement
from shanmen.contracts.gateway import OperationFailed, OperationStuck, OperationSucceeded
from shanmen.contracts.orders import (
    DebitOrphaned,
    DebitParked,
    OrderClosed,
    OrderPaid,
    TicketsIssued,
)
from shanmen.contracts.verification import (
    EntitlementExpired,
    EntitlementUsed,
    EntitlementVoided,
)
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.usecases import (
    booking,
    debits,
    investing,
    lapsing,
    liquidating,
    paying,
    redeeming,
    refunding,
)

Effect = Callable[[Tx, Any, SettlementContext], Awaitable[None]]


async def on_order_paid(tx: Tx, event: OrderPaid, ctx: SettlementContext) -> None:
    """支付成功: book the debit, and invest it if it is to be."""
    await debits.book_debit(tx, event, ctx)


async def on_order_closed(tx: Tx, event: OrderClosed, ctx: SettlementContext) -> None:
    """交易关闭1: nothing is stuck any more."""
    await debits.end_unpaid(tx, event, ctx)


async def on_debit_parked(tx: Tx, event: DebitParked, ctx: SettlementContext) -> None:
    """An order's debit waits for a top-up or a person: put it on the work list."""
    await debits.list_parked_debit(tx, event, ctx)


async def on_debit_orphaned(tx: Tx, event: DebitOrphaned, ctx: SettlementContext) -> None:
    """A debit that no order can take: book it, and refund all of it."""
    await debits.take_on_orphan(tx, event, ctx)


async def on_tickets_issued(tx: Tx, event: TicketsIssued, _: SettlementContext) -> None:
    """出票成功: keep the entitlements' prices and receivers."""
    await booking.take_on_entitlements(tx, event)


async def on_entitlement_used(tx: Tx, event: EntitlementUsed, ctx: SettlementContext) -> None:
    """已使用: book the admission, and pay the spot."""
    await booking.settle_visit(tx, event, ctx)


async def on_entitlement_voided(tx: Tx, event: EntitlementVoided, ctx: SettlementContext) -> None:
    """Refunded before a visit: give its part back."""
    await lapsing.refund_voided(tx, event, ctx)


async def on_entitlement_expired(
    tx: Tx, event: EntitlementExpired, ctx: SettlementContext
) -> None:
    """已过期: give its part back, or keep it."""
    await lapsing.end_expired(tx, event, ctx)


SUCCEEDED: Final[Mapping[str, Effect]] = {
    "payout": paying.settle_payout,
    "refund": refunding.settle_refund,
    "subscribe": investing.settle_subscription,
    "redeem": redeeming.settle_redemption,
    "liquidate": liquidating.settle_liquidation,
}
STUCK: Final[Mapping[str, Effect]] = {
    "payout": paying.park_payout,
    "refund": refunding.park_refund,
    "subscribe": investing.park_subscription,
    "redeem": redeeming.park_redemption,
    "liquidate": liquidating.park_liquidation,
}
FAILED: Final[Mapping[str, Effect]] = {
    "payout": paying.fail_payout,
    "refund": refunding.fail_refund,
    "subscribe": investing.fail_subscription,
    "redeem": redeeming.fail_redemption,
    "liquidate": liquidating.fail_liquidation,
}
"""What the gateway's news mean, by kind of operation; debits are orders' business."""


async def on_operation_succeeded(
    tx: Tx, event: OperationSucceeded, ctx: SettlementContext
) -> None:
    """The money of a payout, refund or move of invested money has moved."""
    if event.kind in SUCCEEDED:
        await SUCCEEDED[event.kind](tx, event, ctx)


async def on_operation_stuck(tx: Tx, event: OperationStuck, ctx: SettlementContext) -> None:
    """A payout, refund or move of invested money waits for a person."""
    if event.kind in STUCK:
        await STUCK[event.kind](tx, event, ctx)


async def on_operation_failed(tx: Tx, event: OperationFailed, ctx: SettlementContext) -> None:
    """A payout, refund or move of invested money was refused for good."""
    if event.kind in FAILED:
        await FAILED[event.kind](tx, event, ctx)


EMITS: Final[tuple[type[Event], ...]] = (
    *(gateway.PayoutRequested, gateway.RefundRequested),
    *(gateway.WealthSubscribeRequested, gateway.WealthRedeemRequested),
    gateway.WealthLiquidateRequested,
    *(gateway.ResumeRequested, gateway.SmsRequested),
    *(settlement.EntitlementSettled, settlement.SettleFailed),
    *(settlement.EntitlementRefunded, settlement.RefundFailed, settlement.EntitlementForfeited),
)
"""What settlement asks of the gateway, and tells of the money of entitlements."""

SUBSCRIPTIONS: tuple[Subscription[SettlementContext], ...] = (
    subscribe(
        "settlement.events",
        {
            OrderPaid: on_order_paid,
            OrderClosed: on_order_closed,
            DebitParked: on_debit_parked,
            DebitOrphaned: on_debit_orphaned,
            TicketsIssued: on_tickets_issued,
            EntitlementUsed: on_entitlement_used,
            EntitlementVoided: on_entitlement_voided,
            EntitlementExpired: on_entitlement_expired,
            OperationSucceeded: on_operation_succeeded,
            OperationStuck: on_operation_stuck,
            OperationFailed: on_operation_failed,
        },
    ),
)
