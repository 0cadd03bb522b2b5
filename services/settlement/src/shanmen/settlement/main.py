"""The settlement service."""

from pathlib import Path

from shanmen.common.service import Service
from shanmen.common.worker import main
from shanmen.contracts import gateway, settlement
from shanmen.settlement.api import router
from shanmen.settlement.context import open_context
from shanmen.settlement.events import SUBSCRIPTIONS
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
    prefixes=("/v1/settlements", "/v1/payouts", "/v1/ledger"),
    emits=(gateway.PayoutRequested, settlement.EntitlementSettled, settlement.SettleFailed),
    subscriptions=SUBSCRIPTIONS,
    jobs=JOBS,
    open_context=open_context,
)

if __name__ == "__main__":
    main(SERVICE)
