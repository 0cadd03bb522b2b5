"""The gateway-adapters service as one value."""

from pathlib import Path

from shanmen.common.service import Service
from shanmen.common.worker import main
from shanmen.contracts.gateway import OperationFailed, OperationStuck, OperationSucceeded
from shanmen.gateway_adapters.api import PREFIXES, router
from shanmen.gateway_adapters.context import open_context
from shanmen.gateway_adapters.events import SUBSCRIPTIONS
from shanmen.gateway_adapters.jobs import JOBS
from shanmen.gateway_adapters.settings import GatewaySettings
from shanmen.gateway_adapters.tables import METADATA

SERVICE = Service(
    name="gateway-adapters",
    title="Shanmen gateway adapters (清结算通道)",
    settings=GatewaySettings,
    metadata=METADATA,
    migrations=Path(__file__).parent / "migrations",
    router=router,
    prefixes=PREFIXES,
    emits=(OperationSucceeded, OperationFailed, OperationStuck),
    subscriptions=SUBSCRIPTIONS,
    jobs=JOBS,
    open_context=open_context,
)

if __name__ == "__main__":
    main(SERVICE)
