"""The five services, and which paths each owns at the edge."""

from collections.abc import Mapping
from typing import Any, Final

from shanmen.catalog.main import SERVICE as CATALOG
from shanmen.common.broker.protocol import Queue
from shanmen.common.service import Service
from shanmen.gateway_adapters.main import SERVICE as GATEWAY
from shanmen.orders.main import SERVICE as ORDERS
from shanmen.settlement.main import SERVICE as SETTLEMENT
from shanmen.verification.main import SERVICE as VERIFICATION

SERVICES: Final[tuple[Service[Any, Any], ...]] = (
    CATALOG,
    ORDERS,
    SETTLEMENT,
    VERIFICATION,
    GATEWAY,
)

MODULES: Final[Mapping[str, str]] = {
    service.name: f"shanmen.{service.name.replace('-', '_')}.main" for service in SERVICES
}
"""What `python -m` starts a process of each service with."""


def all_queues() -> list[Queue]:
    """Every queue of every service."""
    return [subscription.queue for service in SERVICES for subscription in service.subscriptions]
