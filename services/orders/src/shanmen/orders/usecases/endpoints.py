"""Where a distributor is told of its orders: its webhook endpoints, and replays to them."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Row

from shanmen.common.auth import Principal, PrincipalKind
from shanmen.common.db import Tx
from shanmen.common.errors import Forbidden, NotFound
from shanmen.common.ids import new_id
from shanmen.orders.errors import (
    EndpointDisabled,
    TooManyEndpoints,
    VersionChanged,
    VersionRequired,
)
from shanmen.orders.ports import OrdersContext
from shanmen.orders.ports.webhooks import new_secret
from shanmen.orders.queries import webhooks as queries
from shanmen.orders.usecases.notifying import endpoints_wanting, send

MOST_ENDPOINTS: Final = 10
OVERLAP: Final = timedelta(hours=24)
"""For this long after a rotation, the secret before it signs as well."""


def tenant(principal: Principal) -> str:
    """The distributor whose webhooks the principal may see: its own. Raises Forbidden."""
    if principal.kind is not PrincipalKind.DISTRIBUTOR or principal.party_id is None:
        raise Forbidden("Webhooks belong to distributors.")
    return principal.party_id


async def create_endpoint(
    tx: Tx,
    ctx: OrdersContext,
    distributor_id: str,
    *,
    url: str,
    types: Sequence[str],
    description: str,
) -> Row[Any]:
    """Add an endpoint at a URL that was checked. Raises TooManyEndpoints."""
    await queries.lock_endpoints(tx, distributor_id)
    if len(await queries.endpoints_of(tx, distributor_id)) >= MOST_ENDPOINTS:
        raise TooManyEndpoints(f"At most {MOST_ENDPOINTS} endpoints; delete one first.")
    now = ctx.clock.now()
    return await queries.insert_endpoint(
        tx,
        {
            "endpoint_id": new_id("whp"),
            "distributor_id": distributor_id,
            "url": url,
            "types": list(types),
            "description": description,
            "secret": new_secret(),
            "enabled": True,
            "created_at": now,
            "updated_at": now,
        },
    )


async def own_endpoint(
    tx: Tx, distributor_id: str, endpoint_id: str, *, lock: bool = False
) -> Row[Any]:
    """An endpoint of the distributor. Raises NotFound, for a foreign one as well."""
    endpoint = await queries.endpoint(tx, endpoint_id, distributor_id=distributor_id, lock=lock)
    if endpoint is None:
        raise NotFound("webhook endpoint", endpoint_id)
    return endpoint


async def change_endpoint(
    tx: Tx,
    ctx: OrdersContext,
    distributor_id: str,
    endpoint_id: str,
    *,
    if_match: str | None,
    changes: Mapping[str, Any],
) -> Row[Any]:
    """Change `url` (checked before), `types`, `description` or `enabled`.

    Enabled again, it is sent all that waited. Raises VersionRequired, VersionChanged, NotFound.
    """
    endpoint = await own_endpoint(tx, distributor_id, endpoint_id, lock=True)
    _match(endpoint, if_match)
    values = dict(changes)
    if "enabled" in values:
        reason = endpoint.disabled_reason or "by its distributor"
        values["disabled_reason"] = None if values["enabled"] else reason
    if not values:
        return endpoint
    return await queries.change_endpoint(tx, endpoint_id, ctx.clock.now(), values)


async def rotate_secret(
    tx: Tx, ctx: OrdersContext, distributor_id: str, endpoint_id: str
) -> Row[Any]:
    """Give an endpoint a new secret; the old one signs beside it for a day. Raises NotFound."""
    endpoint = await own_endpoint(tx, distributor_id, endpoint_id, lock=True)
    now = ctx.clock.now()
    values = {
        "secret": new_secret(),
        "former_secret": endpoint.secret,
        "former_secret_until": now + OVERLAP,
    }
    return await queries.change_endpoint(tx, endpoint_id, now, values)


async def delete_endpoint(
    tx: Tx, ctx: OrdersContext, distributor_id: str, endpoint_id: str
) -> None:
    """Delete an endpoint with its secrets; what it was sent can be looked up. Raises NotFound."""
    await own_endpoint(tx, distributor_id, endpoint_id, lock=True)
    now = ctx.clock.now()
    values = {
        "enabled": False,
        "disabled_reason": "deleted",
        "deleted_at": now,
        "secret": None,
        "former_secret": None,
        "former_secret_until": None,
    }
    await queries.change_endpoint(tx, endpoint_id, now, values)


async def replay_event(
    tx: Tx,
    ctx: OrdersContext,
    distributor_id: str,
    event_id: str,
    endpoint_id: str | None,
) -> Sequence[Row[Any]]:
    """Send a notice again, to one endpoint or to all that want its type; returns deliveries.

    It keeps its id. Where it is still on its way, the next attempt is made at once. Raises
    NotFound, EndpointDisabled.
    """
    event = await queries.event(tx, event_id, distributor_id=distributor_id)
    if event is None:
        raise NotFound("webhook event", event_id)
    if endpoint_id is None:
        wanting = await endpoints_wanting(tx, distributor_id, event.type)
    else:
        endpoint = await own_endpoint(tx, distributor_id, endpoint_id)
        if not endpoint.enabled:
            raise EndpointDisabled(f"{endpoint_id} is disabled; enable it first.")
        wanting = [endpoint_id]
    notice = {
        "event_id": event_id,
        "distributor_id": distributor_id,
        "order_no": event.order_no,
    }
    return await send(tx, ctx, notice, wanting)


def _match(endpoint: Row[Any], if_match: str | None) -> None:
    if if_match is None:
        raise VersionRequired("Send the ETag of what you read as If-Match.")
    tags = {tag.strip() for tag in if_match.split(",")}
    if not tags & {"*", f'"{endpoint.version}"'}:
        raise VersionChanged(
            f"{endpoint.endpoint_id} is at version {endpoint.version}; read it again."
        )
