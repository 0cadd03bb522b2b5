"""The gateway's ports, connected to the world."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from shanmen.common.auth import RemoteIntrospector
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.outbox import Outbox
from shanmen.gateway_adapters.domain import Channel
from shanmen.gateway_adapters.ports import CatalogAccounts, GatewayContext
from shanmen.gateway_adapters.providers.alipay.provider import AlipayProvider
from shanmen.gateway_adapters.providers.base import Provider
from shanmen.gateway_adapters.settings import GatewaySettings


def open_providers(settings: GatewaySettings, clock: Clock) -> dict[Channel, Provider]:
    """The channels that are switched on."""
    providers: dict[Channel, Provider] = {}
    if settings.alipay is not None:
        providers[Channel.ALIPAY] = AlipayProvider(settings.alipay, clock)
    return providers


@asynccontextmanager
async def open_context(
    settings: GatewaySettings, database: Database, clock: Clock
) -> AsyncIterator[GatewayContext]:
    """Connect the gateway to catalog and to the channels."""
    token = settings.service_token.get_secret_value()
    providers = open_providers(settings, clock)
    async with httpx.AsyncClient(
        base_url=settings.catalog_url, timeout=10, trust_env=False
    ) as client:
        try:
            yield GatewayContext(
                db=database,
                tokens=RemoteIntrospector(client, token),
                clock=clock,
                outbox=Outbox("gateway"),
                accounts=CatalogAccounts(client, token),
                providers=providers,
                settings=settings,
            )
        finally:
            for provider in providers.values():
                await provider.aclose()
