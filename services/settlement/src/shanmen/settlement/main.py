"""The settlement service."""

from pathlib import Path

from shanmen.common.service import Service
from shanmen.common.worker import main
from shanmen.settlement.api import PREFIXES, router
from shanmen.settlement.context import open_context
from shanmen.settlement.events import EMITS, SUBSCRIPTIONS
from shanmen.settlement.jobs import JOBS
from shanmen.settlement.settings import SettlementSettings
from shanmen.settlement.tables import METADATA

SERVICE = Service(
    name="settlement",
    title="Shanmen settlement",
    settings=SettlementSettings,
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
