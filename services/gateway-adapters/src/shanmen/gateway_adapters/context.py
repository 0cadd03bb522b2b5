"""The gateway's ports, connected to the world."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from shanmen.common.auth import RemoteIntrospector
from shanmen.common.clock import Clock, SystemClock
from shanmen.common.db import Database
from shanmen.common.outbox import Outbox
from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.ports import CatalogAccounts, CatalogContacts, GatewayContext
from shanmen.gateway_adapters.providers.alipay.provider import AlipayProvider
from shanmen.gateway_adapters.providers.base import Provider
from shanmen.gateway_adapters.providers.huijinbao.provider import HuijinbaoProvider
from shanmen.gateway_adapters.providers.sms.base import SmsSender
from shanmen.gateway_adapters.providers.sms.http_sender import HttpSender
from shanmen.gateway_adapters.providers.sms.local_senders import ConsoleSender, FileSender
from shanmen.gateway_adapters.settings import GatewaySettings


def open_providers(settings: GatewaySettings) -> dict[Channel, Provider]:
    """The channels that are switched on. A channel goes by the true time."""
    providers: dict[Channel, Provider] = {}
    if settings.alipay is not None:
        providers[Channel.ALIPAY] = AlipayProvider(settings.alipay, SystemClock())
    if settings.huijinbao is not None:
        providers[Channel.HUIJINBAO] = HuijinbaoProvider(settings.huijinbao, SystemClock())
    return providers


def open_sms(settings: GatewaySettings, clock: Clock) -> SmsSender:
    """The SMS gateway, or what stands for one. A gateway goes by the true time."""
    if settings.sms is not None:
        return HttpSender(settings.sms, SystemClock())
    return FileSender(Path(settings.sms_file), clock) if settings.sms_file else ConsoleSender()


@asynccontextmanager
async def open_context(
    settings: GatewaySettings, database: Database, clock: Clock
) -> AsyncIterator[GatewayContext]:
    """Connect the gateway to catalog, to the channels and to its SMS gateway."""
    token = settings.service_token.get_secret_value()
    providers = open_providers(settings)
    sms = open_sms(settings, clock)
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
                contacts=CatalogContacts(client, token),
                sms=sms,
                providers=providers,
                settings=settings,
            )
        finally:
            for provider in providers.values():
                await provider.aclose()
            await sms.aclose()
