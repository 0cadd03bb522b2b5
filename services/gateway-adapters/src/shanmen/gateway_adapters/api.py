"""The gateway's routes: for operators to look, for channels to notify."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from shanmen.common.auth import Principal, requires
from shanmen.common.errors import Forbidden, NotFound
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.gateway_adapters import queries
from shanmen.gateway_adapters.domain import Channel, OperationKind, OperationStatus
from shanmen.gateway_adapters.errors import ChannelUnavailable
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.providers.base import BalanceUnavailable
from shanmen.gateway_adapters.schemas import (
    AttemptView,
    Balances,
    BalanceView,
    NotificationView,
    OperationDetail,
    OperationView,
)
from shanmen.gateway_adapters.usecases.notifying import take_notification

router = APIRouter()


async def context(request: Request) -> GatewayContext:
    """The service's ports."""
    found: GatewayContext = request.app.state.context
    return found


def operator(caller: Annotated[Principal, Depends(requires("operations:read"))]) -> Principal:
    """A caller of the platform's own: operations are every tenant's. Raises Forbidden."""
    if caller.party_id is not None:
        raise Forbidden("Operations are for the platform's operators.")
    return caller


Ctx = Annotated[GatewayContext, Depends(context)]
Operator = Annotated[Principal, Depends(operator)]


@router.get("/v1/operations")
async def list_operations(
    *,
    ctx: Ctx,
    _: Operator,
    kind: OperationKind | None = None,
    status: OperationStatus | None = None,
    channel: Channel | None = None,
    business_ref: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[OperationView]:
    """Operations with the channels, newest first."""
    filters = {"kind": kind, "status": status, "channel": channel, "business_ref": business_ref}
    async with ctx.db.transaction() as tx:
        rows = await queries.list_operations(
            tx, filters=filters, after=decode_cursor(cursor), limit=limit
        )
    views = [OperationView.model_validate(row, from_attributes=True) for row in rows]
    return page_of(views, [view.operation_id for view in views], limit)


@router.get("/v1/operations/{operation_id}")
async def get_operation(operation_id: str, ctx: Ctx, _: Operator) -> OperationDetail:
    """One operation with every attempt."""
    async with ctx.db.transaction() as tx:
        row = await queries.operation(tx, operation_id)
        attempts = await queries.attempts(tx, [operation_id])
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


@router.get("/v1/notifications")
async def list_notifications(
    ctx: Ctx, _: Operator, believed: bool | None = None, limit: Limit = 50
) -> list[NotificationView]:
    """The latest channel notifications; those not believed are alerts."""
    async with ctx.db.transaction() as tx:
        rows = await queries.notifications(tx, believed=believed, limit=limit)
    return [NotificationView.model_validate(row, from_attributes=True) for row in rows]


@router.post("/notify/{channel}", openapi_extra={"security": []})
async def notify(channel: Channel, request: Request, ctx: Ctx) -> Response:
    """For channels only: authenticated by the channel's signature, and only ever a hint."""
    acknowledgement = await take_notification(ctx, channel, await request.body())
    return Response(acknowledgement, media_type="text/plain")
