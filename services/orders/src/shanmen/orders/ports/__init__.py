"""What orders' routes, handlers and jobs are given, and what they need from outside."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import httpx
from pydantic import ValidationError

from shanmen.common.auth import Introspector
from shanmen.common.batching import Batcher
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.doorbell import Doorbell
from shanmen.common.errors import Unavailable
from shanmen.common.outbox import Outbox
from shanmen.common.telemetry import current_trace
from shanmen.contracts.catalog import (
    ReservationResult,
    ReservationResults,
    ReserveStock,
    ReserveStockBatch,
)
from shanmen.orders.commands import Placement, PlaceOrder
from shanmen.orders.ports.webhooks import Courier
from shanmen.orders.qr import TicketSigner
from shanmen.orders.settings import OrdersSettings

log = logging.getLogger(__name__)


class Stock(Protocol):
    """Catalog's stock, as orders sees it."""

    async def reserve(self, commands: Sequence[ReserveStock]) -> Sequence[ReservationResult]:
        """Set stock aside; one result per command, in order. Raises Unavailable."""


@dataclass(frozen=True)
class OrdersContext:
    """Orders' ports."""

    db: Database
    tokens: Introspector
    clock: Clock
    outbox: Outbox
    stock: Stock
    signer: TicketSigner
    doorbell: Doorbell
    courier: Courier
    settings: OrdersSettings
    placements: Batcher[PlaceOrder, Placement]


class CatalogStock:
    """Reserves through catalog's internal API."""

    def __init__(self, client: httpx.AsyncClient, service_token: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {service_token}"}

    async def reserve(self, commands: Sequence[ReserveStock]) -> Sequence[ReservationResult]:
        """See Stock. An answer that is lost leaves a reservation that catalog asks about."""
        body = ReserveStockBatch(items=tuple(commands)).model_dump_json()
        headers = {**self._headers, **current_trace(), "Content-Type": "application/json"}
        try:
            answer = await self._client.post(
                "/internal/reservations", content=body, headers=headers
            )
            answer.raise_for_status()
            return ReservationResults.model_validate_json(answer.content).items
        except (httpx.HTTPError, ValidationError) as error:
            log.warning("no answer about stock", extra={"reason": _reason(error)})
            raise Unavailable("Stock cannot be reserved at the moment; try again.") from error


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"catalog answered {error.response.status_code}"
    return type(error).__name__
