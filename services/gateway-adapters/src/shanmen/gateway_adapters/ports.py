"""What the gateway's routes, handlers and jobs are given, and what it needs from outside."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from shanmen.common.auth import Introspector
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.errors import NotFound, Unavailable
from shanmen.common.outbox import Outbox
from shanmen.contracts.catalog import AccountDetails, ContactDetails
from shanmen.contracts.terms import Wire
from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.providers.base import Counterparty, Provider
from shanmen.gateway_adapters.providers.sms.base import SmsSender
from shanmen.gateway_adapters.settings import GatewaySettings

W = TypeVar("W", bound=Wire)


class Accounts(Protocol):
    """Settlement accounts in full, by reference."""

    async def counterparty(self, account_id: str) -> Counterparty:
        """The account's number, name and agreement. Raises Unavailable, or NotFound."""


class Contacts(Protocol):
    """How parties are reached."""

    async def phone(self, party_id: str) -> str | None:
        """The party's phone number, if it has one. Raises Unavailable, or NotFound."""


@dataclass(frozen=True)
class GatewayContext:
    """The gateway's ports. `work_arrived` wakes the operator loop of this process."""

    db: Database
    tokens: Introspector
    clock: Clock
    outbox: Outbox
    accounts: Accounts
    contacts: Contacts
    sms: SmsSender
    providers: Mapping[Channel, Provider]
    settings: GatewaySettings
    work_arrived: asyncio.Event = field(default_factory=asyncio.Event)


class CatalogAccounts:
    """Accounts from catalog's internal API. An account never changes, so it is asked for once."""

    def __init__(self, client: httpx.AsyncClient, service_token: str) -> None:
        self._catalog = _Catalog(client, service_token)
        self._known: dict[str, Counterparty] = {}

    async def counterparty(self, account_id: str) -> Counterparty:
        """See Accounts."""
        if account_id not in self._known:
            self._known[account_id] = await self._ask(account_id)
        return self._known[account_id]

    async def _ask(self, account_id: str) -> Counterparty:
        details = await self._catalog.get("accounts", account_id, AccountDetails)
        return Counterparty(
            account_no=details.account_no,
            account_name=details.account_name,
            agreement_no=details.agreement_no,
        )


class CatalogContacts:
    """Contacts from catalog's internal API; a phone number may change, so none is kept."""

    def __init__(self, client: httpx.AsyncClient, service_token: str) -> None:
        self._catalog = _Catalog(client, service_token)

    async def phone(self, party_id: str) -> str | None:
        """See Contacts."""
        return (await self._catalog.get("contacts", party_id, ContactDetails)).phone


class _Catalog:
    """Catalog's internal API. What it answers is personal: no error may quote it."""

    def __init__(self, client: httpx.AsyncClient, service_token: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {service_token}"}

    async def get(self, collection: str, key: str, details: type[W]) -> W:
        """One thing in full. Raises NotFound, or Unavailable for anything but an answer."""
        path = f"/internal/{collection}/{quote(key, safe='')}"
        no_answer = Unavailable(f"Catalog gave no answer from {collection}.")
        try:
            answer = await self._client.get(path, headers=self._headers)
            if answer.status_code == httpx.codes.NOT_FOUND:
                raise NotFound(collection.removesuffix("s"), key)
            answer.raise_for_status()
            return details.model_validate_json(answer.content)
        except httpx.HTTPError as error:
            raise no_answer from error
        except ValidationError:
            raise no_answer from None  # its text has the values in it
