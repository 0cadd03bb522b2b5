"""The verification service as one value, and its processes."""

from pathlib import Path

from shanmen.common.service import Service
from shanmen.common.worker import main
from shanmen.contracts.verification import EntitlementExpired, EntitlementUsed, EntitlementVoided
from shanmen.verification.api import router
from shanmen.verification.context import open_context
from shanmen.verification.events import SUBSCRIPTIONS
from shanmen.verification.jobs import JOBS
from shanmen.verification.settings import VerificationSettings
from shanmen.verification.tables import METADATA

SERVICE = Service(
    name="verification",
    title="Shanmen verification",
    settings=VerificationSettings,
    metadata=METADATA,
    migrations=Path(__file__).parent / "migrations",
    router=router,
    prefixes=("/v1/scans", "/v1/passes"),
    emits=(EntitlementUsed, EntitlementExpired, EntitlementVoided),
    subscriptions=SUBSCRIPTIONS,
    jobs=JOBS,
    open_context=open_context,
)

if __name__ == "__main__":
    main(SERVICE)
