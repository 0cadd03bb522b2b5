"""What the gateway's routes, handlers and jobs are given, and what it needs from outside."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from shanmen.common.auth import Introspector
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.errors import NotFound, Unavailable
from shanmen.common.outbox import Outbox
from shanmen.contracts.catalog import AccountDetails
from shanmen.gateway_adapters.domain import Channel
from shanmen.gateway_adapters.providers.base import Counterparty, Provider
from shanmen.gateway_adapters.settings import GatewaySettings


class Accounts(Protocol):
    """Settlement accounts in full, by reference."""

    async def counterparty(self, account_id: str) -> Counterparty:
        """The account's number, name and agreement. Raises Unavailable, or NotFound."""


@dataclass(frozen=True)
class GatewayContext:
    """The gateway's ports. `work_arrived` wakes the operator loop of this process."""

    db: Database
    tokens: Introspector
    clock: Clock
    outbox: Outbox
    accounts: Accounts
    providers: Mapping[Channel, Provider]
    settings: GatewaySettings
    work_arrived: asyncio.Event = field(default_factory=asyncio.Event)


class CatalogAccounts:
    """Accounts from catalog's internal API. An account never changes, so it is asked for once."""

    def __init__(self, client: httpx.AsyncClient, service_token: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {service_token}"}
        self._known: dict[str, Counterparty] = {}

    async def counterparty(self, account_id: str) -> Counterparty:
        """See Accounts."""
        if account_id not in self._known:
            self._known[account_id] = await self._ask(account_id)
        return self._known[account_id]

    async def _ask(self, account_id: str) -> Counterparty:
        path = f"/internal/accounts/{quote(account_id, safe='')}"
        try:
            answer = await self._client.get(path, headers=self._headers)
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise NotFound("account", account_id)
            answer.raise_for_status()
            details = AccountDetails.model_validate_json(answer.content)
        except (httpx.HTTPError, ValidationError) as error:
            raise Unavailable("The account cannot be looked up at the moment.") from error
        return Counterparty(
            account_no=details.account_no,
            account_name=details.account_name,
            agreement_no=details.agreement_no,
        )
