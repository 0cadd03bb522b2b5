"""Orders' ports, connected to the world."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx

from shanmen.common.auth import RemoteIntrospector
from shanmen.common.batching import Batcher
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.doorbell import Doorbell
from shanmen.common.errors import Refusal
from shanmen.common.outbox import Outbox
from shanmen.orders.commands import Placement, PlaceOrder
from shanmen.orders.ports import CatalogStock, OrdersContext
from shanmen.orders.ports.addresses import UrlRules
from shanmen.orders.ports.webhooks import open_courier
from shanmen.orders.qr import TicketSigner
from shanmen.orders.settings import OrdersSettings
from shanmen.orders.usecases.placing import place_orders


@asynccontextmanager
async def open_context(
    settings: OrdersSettings, database: Database, clock: Clock
) -> AsyncIterator[OrdersContext]:
    """Connect orders to catalog."""
    token = settings.service_token.get_secret_value()
    signer = TicketSigner.from_seed(
        settings.ticket_key_id, settings.ticket_signing_key.get_secret_value()
    )
    async with (
        httpx.AsyncClient(base_url=settings.catalog_url, timeout=10, trust_env=False) as client,
        open_courier(url_rules(settings), timeout_s=settings.webhook_timeout_s) as courier,
    ):

        async def run(commands: Sequence[PlaceOrder]) -> Sequence[Placement | Refusal]:
            return await place_orders(context, commands)

        context = OrdersContext(
            db=database,
            tokens=RemoteIntrospector(client, token),
            clock=clock,
            outbox=Outbox("orders"),
            stock=CatalogStock(client, token),
            signer=signer,
            doorbell=Doorbell(database.url),
            courier=courier,
            settings=settings,
            # One list at a time: waiting for its turn is what makes the next list long.
            placements=Batcher(run, in_flight=1),
        )
        yield context
        await context.placements.drain()


def url_rules(settings: OrdersSettings) -> UrlRules:
    """Where webhooks may go."""
    return UrlRules(
        ports=settings.webhook_ports,
        allow_high_ports=settings.webhook_allow_high_ports,
        allow_http=settings.webhook_allow_http,
        allow_private=settings.webhook_allow_private,
    )
