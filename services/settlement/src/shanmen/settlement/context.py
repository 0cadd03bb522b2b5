"""Opens settlement's ports."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from shanmen.common.auth import RemoteIntrospector
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.outbox import Outbox
from shanmen.settlement.ports import CatalogReceivers, SettlementContext
from shanmen.settlement.settings import SettlementSettings

CATALOG_TIMEOUT_S = 5.0


@asynccontextmanager
async def open_context(
    settings: SettlementSettings, database: Database, clock: Clock
) -> AsyncIterator[SettlementContext]:
    """Settlement asks catalog about tokens, and where spots are paid now."""
    async with httpx.AsyncClient(
        base_url=settings.catalog_url, timeout=CATALOG_TIMEOUT_S, trust_env=False
    ) as client:
        yield SettlementContext(
            db=database,
            tokens=RemoteIntrospector(client, settings.service_token.get_secret_value()),
            clock=clock,
            outbox=Outbox("settlement"),
            payout_minimum_fen=settings.payout_minimum_fen,
            pay_waiting_s=settings.pay_waiting_s,
            four_eyes_above_fen=settings.four_eyes_above_fen,
            receivers=CatalogReceivers(client, settings.service_token.get_secret_value()),
        )
