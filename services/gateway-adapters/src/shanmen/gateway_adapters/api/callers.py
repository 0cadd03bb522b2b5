"""What every route of the gateway is called with."""

from typing import Annotated

from fastapi import Depends, Request

from shanmen.common.auth import Principal, requires
from shanmen.common.errors import Forbidden
from shanmen.gateway_adapters.ports import GatewayContext


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
