"""What the gateway is asked to do."""

from collections.abc import Mapping

from shanmen.common.db import Tx
from shanmen.common.events import Event
from shanmen.common.inbox import Handler, subscribe
from shanmen.contracts.gateway import (
    CancelRequested,
    DebitRequested,
    PayoutRequested,
    RefundRequested,
    ResumeRequested,
    SmsRequested,
    WealthLiquidateRequested,
    WealthRedeemRequested,
    WealthSubscribeRequested,
)
from shanmen.gateway_adapters.domain.operations import Channel, OperationKind
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.usecases.messaging import request_message
from shanmen.gateway_adapters.usecases.requesting import (
    OperationRequest,
    cancel_operation,
    request_operation,
    resume_operation,
)


async def on_debit_requested(tx: Tx, event: DebitRequested, ctx: GatewayContext) -> None:
    """Debit a distributor."""
    request = OperationRequest(
        operation_id=event.operation_id,
        kind=OperationKind.DEBIT,
        channel=event.account.channel,
        account_id=event.account.account_id,
        amount_fen=event.amount_fen,
        description=event.description,
        business_ref=event.order_no,
    )
    await request_operation(tx, ctx, request)


async def on_payout_requested(tx: Tx, event: PayoutRequested, ctx: GatewayContext) -> None:
    """Pay a spot."""
    request = OperationRequest(
        operation_id=event.operation_id,
        kind=OperationKind.PAYOUT,
        channel=event.account.channel,
        account_id=event.account.account_id,
        amount_fen=event.amount_fen,
        description=event.description,
        business_ref=event.spot_id,
    )
    await request_operation(tx, ctx, request)


async def on_refund_requested(tx: Tx, event: RefundRequested, ctx: GatewayContext) -> None:
    """Give part of a debit back."""
    request = OperationRequest(
        operation_id=event.operation_id,
        kind=OperationKind.REFUND,
        channel=event.account.channel,
        account_id=event.account.account_id,
        amount_fen=event.amount_fen,
        description=event.description,
        business_ref=event.order_no,
        original_operation_id=event.original_operation_id,
    )
    await request_operation(tx, ctx, request)


async def on_wealth_subscribe_requested(
    tx: Tx, event: WealthSubscribeRequested, ctx: GatewayContext
) -> None:
    """Invest money of a product."""
    await _request_wealth(tx, ctx, event, OperationKind.SUBSCRIBE, event.amount_fen)


async def on_wealth_redeem_requested(
    tx: Tx, event: WealthRedeemRequested, ctx: GatewayContext
) -> None:
    """Take part of a product's money out again."""
    await _request_wealth(tx, ctx, event, OperationKind.REDEEM, event.amount_fen)


async def on_wealth_liquidate_requested(
    tx: Tx, event: WealthLiquidateRequested, ctx: GatewayContext
) -> None:
    """Take out all that is left of a product's money, with its yield."""
    await _request_wealth(tx, ctx, event, OperationKind.LIQUIDATE, 0)


async def _request_wealth(
    tx: Tx,
    ctx: GatewayContext,
    event: WealthSubscribeRequested | WealthRedeemRequested | WealthLiquidateRequested,
    kind: OperationKind,
    amount_fen: int,
) -> None:
    request = OperationRequest(
        operation_id=event.operation_id,
        kind=kind,
        channel=Channel.HUIJINBAO,
        account_id=None,
        amount_fen=amount_fen,
        description=event.description,
        business_ref=event.product_id,
    )
    await request_operation(tx, ctx, request)


async def on_cancel_requested(tx: Tx, event: CancelRequested, ctx: GatewayContext) -> None:
    """Make a debit never happen, or undo it."""
    await cancel_operation(tx, ctx, event.operation_id)


async def on_resume_requested(tx: Tx, event: ResumeRequested, ctx: GatewayContext) -> None:
    """Let a parked operation go on."""
    await resume_operation(tx, ctx, event.operation_id)


async def on_sms_requested(tx: Tx, event: SmsRequested, ctx: GatewayContext) -> None:
    """Send a text message."""
    await request_message(tx, ctx, event)


HANDLERS: Mapping[type[Event], Handler[GatewayContext]] = {
    DebitRequested: on_debit_requested,
    PayoutRequested: on_payout_requested,
    RefundRequested: on_refund_requested,
    WealthSubscribeRequested: on_wealth_subscribe_requested,
    WealthRedeemRequested: on_wealth_redeem_requested,
    WealthLiquidateRequested: on_wealth_liquidate_requested,
    CancelRequested: on_cancel_requested,
    ResumeRequested: on_resume_requested,
    SmsRequested: on_sms_requested,
}

SUBSCRIPTIONS = (subscribe("gateway.events", HANDLERS),)
