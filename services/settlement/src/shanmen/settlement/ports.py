"""What settlement's routes, handlers and jobs are given."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from shanmen.common.auth import Introspector
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.errors import NotFound, Unavailable
from shanmen.common.outbox import Outbox
from shanmen.common.telemetry import current_trace
from shanmen.contracts.catalog import ReceiverDetails
from shanmen.contracts.terms import AccountRef

log = logging.getLogger(__name__)


class Receivers(Protocol):
    """Knows where spots are paid now (收款账户)."""

    async def current(self, spot_id: str) -> AccountRef:
        """A spot's receive account. Raises NotFound without one, Unavailable when nobody knows."""


@dataclass(frozen=True)
class SettlementContext:
    """Settlement's ports.

    `payout_minimum_fen` is the least that each channel pays out at once; every `pay_waiting_s`
    what waited for more is looked at. Above `four_eyes_above_fen` a person's action needs another
    person's approval.
    """

    db: Database
    tokens: Introspector
    clock: Clock
    outbox: Outbox
    payout_minimum_fen: Mapping[str, int]
    pay_waiting_s: float
    four_eyes_above_fen: int
    receivers: Receivers


class CatalogReceivers:
    """Asks catalog's internal API."""

    def __init__(self, client: httpx.AsyncClient, service_token: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {service_token}"}

    async def current(self, spot_id: str) -> AccountRef:
        """See Receivers."""
        headers = {**self._headers, **current_trace()}
        try:
            answer = await self._client.get(
                f"/internal/receivers/{quote(spot_id, safe='')}", headers=headers
            )
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise NotFound("receive account of spot", spot_id)
            answer.raise_for_status()
            return ReceiverDetails.model_validate_json(answer.content).account
        except (httpx.HTTPError, ValidationError) as error:
            log.warning("no answer about a receiver", extra={"reason": type(error).__name__})
            raise Unavailable(
                "Catalog cannot tell the spot's receive account at the moment; try again."
            ) from error
