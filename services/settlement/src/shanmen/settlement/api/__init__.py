"""Settlement's routes: what became of the money."""

from typing import Final

from fastapi import APIRouter

from shanmen.settlement.api import ledger, money, reconciliation, reports, wealth, work

PREFIXES: Final = (
    *("/v1/settlements", "/v1/payouts", "/v1/refunds", "/v1/ledger", "/v1/reports"),
    *("/v1/work-items", "/v1/manual-actions", "/v1/approvers", "/v1/top-ups", "/v1/audit"),
    *("/v1/wealth", "/v1/reconciliations", "/v1/breaks", "/v1/suspense"),
)
"""What settlement owns at the edge."""

# Routes rather than nested routers: whoever takes stock of a service's routes sees each of them.
router = APIRouter(
    routes=[
        *(*money.router.routes, *ledger.router.routes),
        *(*reports.router.routes, *work.router.routes),
        *(*wealth.router.routes, *reconciliation.router.routes),
    ],
)
