"""`/admin` of the Alipay simulator: what all channels have, and apps, trades and payouts."""

from typing import Final

from starlette.routing import Route

from shanmen.simulators import admin
from shanmen.simulators.alipay import enrolment, views
from shanmen.simulators.alipay.faults import CALL_KINDS
from shanmen.simulators.alipay.methods.table import METHODS
from shanmen.simulators.fault_orders import Catalogue

CATALOGUE: Final = Catalogue(CALL_KINDS, METHODS)


def routes() -> list[Route]:
    """All routes of the admin API."""
    put_agreement = admin.putter(enrolment.put_agreement, "agreements", "agreement_no")
    return admin.routes_of(
        [
            *admin.common_rows(CATALOGUE),
            ("POST", "/accounts", admin.putter(enrolment.put_account, "accounts", "account_no")),
            ("POST", "/agreements", put_agreement),
            ("GET", "/apps", admin.lister("apps")),
            ("POST", "/apps", admin.putter(enrolment.put_app, "apps", "app_id")),
            ("GET", "/apps/{key}", admin.reader("apps", "app_id")),
            ("GET", "/trades", admin.lister("trades")),
            ("GET", "/trades/{key}", admin.finder(views.trade)),
            ("GET", "/transfers", admin.lister("transfers")),
            ("GET", "/transfers/{key}", admin.finder(views.transfer)),
        ]
    )
