"""What is invested, out of the gateway."""

import logging
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from shanmen.common.errors import Unavailable
from shanmen.common.telemetry import current_trace
from shanmen.contracts.bills import WealthPosition

log = logging.getLogger(__name__)


class GatewayPositions:
    """What the channel says is invested; see shanmen.settlement.ports.Positions."""

    def __init__(self, client: httpx.AsyncClient, service_token: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {service_token}"}

    async def position(self, product_id: str) -> WealthPosition:
        """See Positions."""
        headers = {**self._headers, **current_trace()}
        try:
            answer = await self._client.get(
                f"/internal/wealth/{quote(product_id, safe='')}", headers=headers
            )
            answer.raise_for_status()
            position = WealthPosition.model_validate_json(answer.content)
        except (httpx.HTTPError, ValidationError) as error:
            log.warning("no answer about a position", extra={"reason": type(error).__name__})
            raise Unavailable("The gateway cannot tell the position at the moment.") from error
        if position.product_id != product_id or min(_amounts(position)) < 0:
            raise Unavailable("The gateway told another position than it was asked for.")
        return position


def _amounts(position: WealthPosition) -> tuple[int, int]:
    return position.principal_fen, position.accrued_fen
