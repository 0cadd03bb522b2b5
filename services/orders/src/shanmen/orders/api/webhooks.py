"""Routes of webhooks: endpoints, notices, deliveries. All are a distributor's own."""

from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Header, Path, Query
from pydantic import BaseModel
from sqlalchemy import Row
from starlette.responses import Response

from shanmen.common.auth import Principal, requires
from shanmen.common.db import Tx
from shanmen.common.http.calls import Call, changes, send_reply
from shanmen.common.idempotency import Reply, once
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.orders.api.orders import Ctx
from shanmen.orders.domain import DeliveryStatus, Notice
from shanmen.orders.queries import deliveries
from shanmen.orders.queries import webhooks as queries
from shanmen.orders.schemas import (
    ID_SHAPE,
    NewWebhookEndpoint,
    WebhookDeliveries,
    WebhookDeliveryView,
    WebhookEndpointChange,
    WebhookEndpointView,
    WebhookEndpointWithSecret,
    WebhookEventView,
    WebhookReplay,
)
from shanmen.orders.usecases.endpoints import (
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    own_endpoint,
    replay_event,
    rotate_secret,
    tenant,
)

router = APIRouter()

View = TypeVar("View", bound=BaseModel)

Reader = Annotated[Principal, Depends(requires("webhooks:read"))]
Writer = Annotated[Principal, Depends(requires("webhooks:write"))]
Caller = Annotated[Call, Depends(changes("webhooks:write"))]
EndpointId = Annotated[str, Path(pattern=ID_SHAPE)]
EventId = Annotated[str, Path(pattern=ID_SHAPE)]
OneOf = Annotated[str | None, Query(pattern=ID_SHAPE)]
IfMatch = Annotated[str | None, Header(max_length=200, description="The ETag of what was read.")]


@router.post("/v1/webhook-endpoints", status_code=201, response_model=WebhookEndpointWithSecret)
async def create_webhook_endpoint(body: NewWebhookEndpoint, ctx: Ctx, call: Caller) -> Response:
    """Add an endpoint, at most ten. The secret that signs what it is sent is shown this once."""
    distributor_id = tenant(call.principal)
    await ctx.courier.check(body.url)

    async def effect(tx: Tx) -> Reply:
        endpoint = await create_endpoint(
            *(tx, ctx, distributor_id),
            url=body.url,
            types=body.types,
            description=body.description,
        )
        return _reply(201, WebhookEndpointWithSecret, endpoint)

    return send_reply(await once(ctx.db, call.claim, effect))


@router.get("/v1/webhook-endpoints")
async def list_webhook_endpoints(ctx: Ctx, principal: Reader) -> Page[WebhookEndpointView]:
    """Your endpoints, newest first; there are never more than one page of them."""
    async with ctx.db.transaction() as tx:
        rows = await queries.endpoints_of(tx, tenant(principal))
    return Page(items=[_view(WebhookEndpointView, row) for row in rows])


@router.get("/v1/webhook-endpoints/{endpoint_id}")
async def get_webhook_endpoint(
    endpoint_id: EndpointId, ctx: Ctx, principal: Reader, response: Response
) -> WebhookEndpointView:
    """One endpoint; its `ETag` is what a change of it is sent with."""
    async with ctx.db.transaction() as tx:
        endpoint = await own_endpoint(tx, tenant(principal), endpoint_id)
    return _tagged(response, endpoint)


@router.patch("/v1/webhook-endpoints/{endpoint_id}")
async def change_webhook_endpoint(
    *,
    endpoint_id: EndpointId,
    body: WebhookEndpointChange,
    ctx: Ctx,
    principal: Writer,
    response: Response,
    if_match: IfMatch = None,
) -> WebhookEndpointView:
    """Change an endpoint, disable it or enable it again; needs `If-Match`."""
    distributor_id = tenant(principal)
    wanted = body.model_dump(exclude_unset=True)
    if "url" in wanted:
        await ctx.courier.check(body.url)
    async with ctx.db.transaction() as tx:
        endpoint = await change_endpoint(
            tx, ctx, distributor_id, endpoint_id, if_match=if_match, changes=wanted
        )
    return _tagged(response, endpoint)


@router.delete("/v1/webhook-endpoints/{endpoint_id}", status_code=204)
async def delete_webhook_endpoint(endpoint_id: EndpointId, ctx: Ctx, principal: Writer) -> None:
    """Delete an endpoint. What it has not taken yet is given up."""
    async with ctx.db.transaction() as tx:
        await delete_endpoint(tx, ctx, tenant(principal), endpoint_id)


@router.post(
    "/v1/webhook-endpoints/{endpoint_id}/rotate-secret", response_model=WebhookEndpointWithSecret
)
async def rotate_webhook_secret(endpoint_id: EndpointId, ctx: Ctx, call: Caller) -> Response:
    """Give an endpoint a new secret, shown this once. The old one signs as well for 24 hours."""
    distributor_id = tenant(call.principal)

    async def effect(tx: Tx) -> Reply:
        endpoint = await rotate_secret(tx, ctx, distributor_id, endpoint_id)
        return _reply(200, WebhookEndpointWithSecret, endpoint)

    return send_reply(await once(ctx.db, call.claim, effect))


@router.get("/v1/webhook-events")
async def list_webhook_events(
    *,
    ctx: Ctx,
    principal: Reader,
    order_no: OneOf = None,
    type: Notice | None = None,  # noqa: A002 - the field's name
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[WebhookEventView]:
    """What you were told, newest first, whether or not an endpoint took it."""
    filters = {"distributor_id": tenant(principal), "order_no": order_no, "type": type}
    async with ctx.db.transaction() as tx:
        rows = await queries.list_events(
            tx, filters=filters, after=decode_cursor(cursor), limit=limit
        )
    views = [_view(WebhookEventView, row) for row in rows]
    return page_of(views, [view.event_id for view in views], limit)


@router.post(
    "/v1/webhook-events/{event_id}/replay", status_code=202, response_model=WebhookDeliveries
)
async def replay_webhook_event(
    event_id: EventId, body: WebhookReplay, ctx: Ctx, call: Caller
) -> Response:
    """Send a notice again under its id, to one endpoint or to all that want its type."""
    distributor_id = tenant(call.principal)

    async def effect(tx: Tx) -> Reply:
        rows = await replay_event(tx, ctx, distributor_id, event_id, body.endpoint_id)
        views = WebhookDeliveries(items=[_view(WebhookDeliveryView, row) for row in rows])
        return Reply.of(202, views.model_dump(mode="json"))

    return send_reply(await once(ctx.db, call.claim, effect))


@router.get("/v1/webhook-deliveries")
async def list_webhook_deliveries(
    *,
    ctx: Ctx,
    principal: Reader,
    endpoint_id: OneOf = None,
    event_id: OneOf = None,
    order_no: OneOf = None,
    status: DeliveryStatus | None = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[WebhookDeliveryView]:
    """What your endpoints were sent, newest first, with how it went."""
    filters = {
        "distributor_id": tenant(principal),
        "endpoint_id": endpoint_id,
        "event_id": event_id,
        "order_no": order_no,
        "status": status,
    }
    async with ctx.db.transaction() as tx:
        rows = await deliveries.list_deliveries(
            tx, filters=filters, after=decode_cursor(cursor), limit=limit
        )
    views = [_view(WebhookDeliveryView, row) for row in rows]
    return page_of(views, [view.delivery_id for view in views], limit)


def _view(model: type[View], row: Row[Any]) -> View:
    return model.model_validate(row, from_attributes=True)


def _tagged(response: Response, endpoint: Row[Any]) -> WebhookEndpointView:
    response.headers["ETag"] = f'"{endpoint.version}"'
    return _view(WebhookEndpointView, endpoint)


def _reply(status: int, model: type[BaseModel], row: Row[Any]) -> Reply:
    return Reply.of(status, _view(model, row).model_dump(mode="json"))
