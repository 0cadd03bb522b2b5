"""The orders service as one value."""

from pathlib import Path

from shanmen.common.service import Service
from shanmen.common.worker import main
from shanmen.orders.api import PREFIXES, router
from shanmen.orders.context import open_context
from shanmen.orders.events import EMITS, SUBSCRIPTIONS
from shanmen.orders.jobs import JOBS
from shanmen.orders.settings import OrdersSettings
from shanmen.orders.tables import METADATA

SERVICE = Service(
    name="orders",
    title="Shanmen orders (订单)",
    settings=OrdersSettings,
    metadata=METADATA,
    migrations=Path(__file__).parent / "migrations",
    router=router,
    prefixes=PREFIXES,
    emits=EMITS,
    subscriptions=SUBSCRIPTIONS,
    jobs=JOBS,
    open_context=open_context,
)

if __name__ == "__main__":
    main(SERVICE)
