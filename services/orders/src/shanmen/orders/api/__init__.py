"""Orders' routes."""

from typing import Final

from fastapi import APIRouter

from shanmen.orders.api import orders, webhooks

PREFIXES: Final = (
    *("/v1/orders", "/v1/tickets"),
    *("/v1/webhook-endpoints", "/v1/webhook-events", "/v1/webhook-deliveries"),
)

# Routes rather than nested routers: whoever takes stock of a service's routes sees each of them.
router = APIRouter(routes=[*orders.router.routes, *webhooks.router.routes])
