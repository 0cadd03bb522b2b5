"""The gateway's routes."""

from typing import Final

from fastapi import APIRouter

from shanmen.gateway_adapters.api import bills, internal, operations

PREFIXES: Final = (
    *("/v1/operations", "/v1/balances", "/v1/notifications", "/v1/circuits", "/v1/messages"),
    *("/v1/bills", "/notify"),
)
"""What the gateway owns at the edge."""

# Routes rather than nested routers: whoever takes stock of a service's routes sees each of them.
router = APIRouter(
    routes=[*operations.router.routes, *bills.router.routes, *internal.router.routes],
)
