"""The catalog service as one value."""

from pathlib import Path

from shanmen.catalog.api import PREFIXES, router
from shanmen.catalog.context import open_context
from shanmen.catalog.events import SUBSCRIPTIONS
from shanmen.catalog.jobs import JOBS
from shanmen.catalog.settings import CatalogSettings
from shanmen.catalog.tables import METADATA
from shanmen.common.service import Service
from shanmen.common.worker import main
from shanmen.contracts.catalog import ReservationUnconfirmed

SERVICE = Service(
    name="catalog",
    title="Shanmen catalog (票池)",
    settings=CatalogSettings,
    metadata=METADATA,
    migrations=Path(__file__).parent / "migrations",
    router=router,
    prefixes=PREFIXES,
    emits=(ReservationUnconfirmed,),
    subscriptions=SUBSCRIPTIONS,
    jobs=JOBS,
    open_context=open_context,
)

if __name__ == "__main__":
    main(SERVICE)
