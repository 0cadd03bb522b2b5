"""Catalog's ports, connected to the world."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shanmen.catalog.ports import CatalogContext, OwnTokens
from shanmen.catalog.settings import CatalogSettings
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.outbox import Outbox


@asynccontextmanager
async def open_context(
    settings: CatalogSettings, database: Database, clock: Clock
) -> AsyncIterator[CatalogContext]:
    """Catalog needs nothing but its database."""
    tokens = OwnTokens(database, clock, settings.service_token_hashes)
    yield CatalogContext(database, tokens, clock, Outbox("catalog"), settings)
