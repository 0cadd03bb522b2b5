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
)
from shanmen.gateway_adapters.domain.operations import OperationKind
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
        account=event.account,
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
        account=event.account,
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
        account=event.account,
        amount_fen=event.amount_fen,
        description=event.description,
        business_ref=event.order_no,
        original_operation_id=event.original_operation_id,
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
    CancelRequested: on_cancel_requested,
    ResumeRequested: on_resume_requested,
    SmsRequested: on_sms_requested,
}

SUBSCRIPTIONS = (subscribe("gateway.events", HANDLERS),)
