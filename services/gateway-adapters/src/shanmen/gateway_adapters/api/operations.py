"""Routes of operations: for operators to look, for channels to notify."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime
from sqlalchemy import Row
from starlette.responses import Response

from shanmen.common.errors import NotFound
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.gateway_adapters.api.callers import Ctx, Operator
from shanmen.gateway_adapters.domain.messages import MessageStatus
from shanmen.gateway_adapters.domain.operations import Channel, OperationKind, OperationStatus
from shanmen.gateway_adapters.errors import ChannelUnavailable
from shanmen.gateway_adapters.providers.base import BalanceUnavailable
from shanmen.gateway_adapters.queries import circuits, messages, notifications, operations
from shanmen.gateway_adapters.schemas import (
    AttemptView,
    Balances,
    BalanceView,
    CircuitView,
    MessageView,
    NotificationView,
    OperationDetail,
    OperationView,
)
from shanmen.gateway_adapters.usecases.notifying import take_notification

router = APIRouter()


@router.get("/v1/operations")
async def list_operations(
    *,
    ctx: Ctx,
    _: Operator,
    kind: OperationKind | None = None,
    status: OperationStatus | None = None,
    channel: Channel | None = None,
    business_ref: Annotated[str | None, Query(max_length=64)] = None,
    original_operation_id: Annotated[str | None, Query(max_length=64)] = None,
    parked_since: Annotated[
        AwareDatetime | None, Query(description="only those parked at this moment or later")
    ] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[OperationView]:
    """Operations with the channels, newest first."""
    filters = {
        "kind": kind,
        "status": status,
        "channel": channel,
        "business_ref": business_ref,
        "original_operation_id": original_operation_id,
    }
    async with ctx.db.transaction() as tx:
        rows = await operations.list_operations(
            tx,
            filters=filters,
            parked_since=parked_since,
            after=decode_cursor(cursor),
            limit=limit,
        )
    views = [OperationView.model_validate(row, from_attributes=True) for row in rows]
    return page_of(views, [view.operation_id for view in views], limit)


@router.get("/v1/operations/{operation_id}")
async def get_operation(operation_id: str, ctx: Ctx, _: Operator) -> OperationDetail:
    """One operation with every attempt."""
    async with ctx.db.transaction() as tx:
        row = await operations.operation(tx, operation_id)
        attempts = await operations.attempts(tx, [operation_id])
    if row is None:
        raise NotFound("operation", operation_id)
    return OperationDetail(
        **OperationView.model_validate(row, from_attributes=True).model_dump(),
        attempts=[
            AttemptView.model_validate(attempt, from_attributes=True)
            for attempt in attempts[operation_id]
        ],
    )


@router.get("/v1/balances")
async def get_balances(ctx: Ctx, _: Operator) -> Balances:
    """The platform's own balances, asked of the channels now."""
    items = []
    for provider in ctx.providers.values():
        try:
            balance = await provider.balance()
        except BalanceUnavailable as error:
            raise ChannelUnavailable(f"{provider.channel} gave no verified balance.") from error
        items.append(BalanceView.model_validate(balance, from_attributes=True))
    return Balances(items=items)


@router.get("/v1/circuits")
async def list_circuits(ctx: Ctx, _: Operator) -> list[CircuitView]:
    """Which channels that are switched on do not answer, and when they are called next."""
    async with ctx.db.transaction() as tx:
        known = await circuits.circuits(tx)
    return [_circuit_view(channel, known.get(channel)) for channel in ctx.providers]


def _circuit_view(channel: Channel, row: Row[Any] | None) -> CircuitView:
    if row is None or row.opened_at is None:
        return CircuitView(
            channel=channel, open=False, opened_at=None, next_probe_at=None, failures=0
        )
    return CircuitView(
        channel=channel,
        open=True,
        opened_at=row.opened_at,
        next_probe_at=row.next_probe_at,
        failures=row.failures,
    )


@router.get("/v1/notifications")
async def list_notifications(
    ctx: Ctx, _: Operator, believed: bool | None = None, limit: Limit = 50
) -> list[NotificationView]:
    """The latest channel notifications; those not believed are alerts."""
    async with ctx.db.transaction() as tx:
        rows = await notifications.notifications(tx, believed=believed, limit=limit)
    return [NotificationView.model_validate(row, from_attributes=True) for row in rows]


@router.get("/v1/messages")
async def list_messages(
    *,
    ctx: Ctx,
    _: Operator,
    status: MessageStatus | None = None,
    template: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[MessageView]:
    """Text messages (短信), newest first."""
    filters = {"status": status, "template": template}
    async with ctx.db.transaction() as tx:
        rows = await messages.list_messages(
            tx, filters=filters, after=decode_cursor(cursor), limit=limit
        )
    views = [MessageView.model_validate(row, from_attributes=True) for row in rows]
    return page_of(views, [view.sms_id for view in views], limit)


@router.post("/notify/{channel}", openapi_extra={"security": []})
async def notify(channel: Channel, request: Request, ctx: Ctx) -> Response:
    """For channels only: authenticated by the channel's signature, and only ever a hint."""
    acknowledgement = await take_notification(ctx, channel, await request.body())
    return Response(acknowledgement, media_type="text/plain")
