"""Opens settlement's ports."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx

from shanmen.common.auth import RemoteIntrospector
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.outbox import Outbox
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.ports.bills import GatewayBills
from shanmen.settlement.ports.positions import GatewayPositions
from shanmen.settlement.ports.receivers import CatalogReceivers
from shanmen.settlement.settings import SettlementSettings

CATALOG_TIMEOUT_S = 5.0
GATEWAY_TIMEOUT_S = 30.0
"""It asks a channel in turn."""


@asynccontextmanager
async def open_context(
    settings: SettlementSettings, database: Database, clock: Clock
) -> AsyncIterator[SettlementContext]:
    """Settlement asks catalog about tokens, and where spots are paid now; the gateway about
    invested money."""
    async with (
        httpx.AsyncClient(
            base_url=settings.catalog_url, timeout=CATALOG_TIMEOUT_S, trust_env=False
        ) as client,
        httpx.AsyncClient(
            base_url=settings.gateway_url, timeout=GATEWAY_TIMEOUT_S, trust_env=False
        ) as gateway,
    ):
        yield SettlementContext(
            db=database,
            tokens=RemoteIntrospector(client, settings.service_token.get_secret_value()),
            clock=clock,
            outbox=Outbox("settlement"),
            payout_minimum_fen=settings.payout_minimum_fen,
            pay_waiting_s=settings.pay_waiting_s,
            four_eyes_above_fen=settings.four_eyes_above_fen,
            receivers=CatalogReceivers(client, settings.service_token.get_secret_value()),
            positions=GatewayPositions(gateway, settings.service_token.get_secret_value()),
            liquidate_every_s=settings.liquidate_every_s,
            accruals_every_s=settings.accruals_every_s,
            bills=GatewayBills(gateway, settings.service_token.get_secret_value()),
            reconcile_at=settings.reconcile_at,
            reconcile_edge=timedelta(seconds=settings.reconcile_edge_s),
        )
