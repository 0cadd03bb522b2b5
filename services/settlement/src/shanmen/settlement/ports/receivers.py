"""Where spots are paid now, out of catalog."""

import logging
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from shanmen.common.errors import NotFound, Unavailable
from shanmen.common.telemetry import current_trace
from shanmen.contracts.catalog import ReceiverDetails
from shanmen.contracts.terms import AccountRef

log = logging.getLogger(__name__)


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
