"""An event may come before what it builds on: then it is retried, and has left no trace."""

import base64
from collections.abc import Callable
from typing import Any, Final

import pytest
from sqlalchemy import func, select

from shanmen.common.broker.protocol import Fate
from shanmen.common.clock import SystemClock
from shanmen.common.events import Event
from shanmen.common.inbox import INBOX, Inbox
from shanmen.common.outbox import OUTBOX
from shanmen.common.service import Service
from shanmen.common.testing.clients import settings_for
from shanmen.common.testing.events import deliver
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.contracts.gateway import OperationEvent
from shanmen.platform.services import SERVICES

EARLY: Final = {
    "orders": {
        "settlement.entitlement_forfeited.v1",
        "settlement.entitlement_refunded.v1",
        "settlement.entitlement_settled.v1",
        "settlement.refund_failed.v1",
        "settlement.settle_failed.v1",
        "verification.entitlement_expired.v1",
        "verification.entitlement_used.v1",
        "verification.entitlement_voided.v1",
    },
    "settlement": {
        "gateway.operation_failed.v1",
        "gateway.operation_stuck.v1",
        "gateway.operation_succeeded.v1",
        "verification.entitlement_expired.v1",
        "verification.entitlement_used.v1",
        "verification.entitlement_voided.v1",
    },
    "gateway-adapters": {"gateway.cancel_requested.v1", "gateway.resume_requested.v1"},
    "verification": {"orders.ticket_activated.v1", "verification.void_requested.v1"},
}
"""Events that build on another event's effect, by consumer.

All others begin something, ask something, or answer what their consumer had committed before:
a debit's order and a reservation are there before anybody else can speak of them.
"""

INEXPLICABLE: Final = {"orders": {"gateway.operation_succeeded.v1"}}
"""Money moved that nobody asked for: no waiting explains it, a person has to."""

KINDS: Final = {"orders": "debit", "settlement": "payout"}
"""Of the operations that each service asks for."""

HEARD: Final = [
    (service, subscription, event)
    for service in SERVICES
    for subscription in service.subscriptions
    for event in subscription.events.values()
]


@pytest.mark.parametrize(
    ("service", "subscription", "event"),
    HEARD,
    ids=[f"{service.name} hears {event.TYPE}" for service, _, event in HEARD],
)
async def test_out_of_the_blue(
    service: Service[Any, Any],
    subscription: Any,
    event: type[Event],
    example: Callable[..., Event],
    open_database: OpenDatabase,
) -> None:
    database = await open_database(service)
    told = example(event, **_of_its_own_kind(service, event))
    settings = settings_for(service, database.url, **_SECRETS)
    async with service.open_context(settings, database, SystemClock()) as context:
        (verdict,) = await deliver(Inbox(database, subscription, context), told)
    assert verdict.fate is _expected(service, event), verdict
    if verdict.fate is Fate.DONE:
        return
    if verdict.fate is Fate.RETRY:
        assert verdict.reason.startswith("not yet"), "raise NotYet, which is nobody's error"
    async with database.transaction() as tx:
        for table in (INBOX, OUTBOX):
            assert await tx.scalar(select(func.count()).select_from(table)) == 0


def test_the_tables_name_events_that_are_heard() -> None:
    heard = {(service.name, event.TYPE) for service, _, event in HEARD}
    for table in (EARLY, INEXPLICABLE):
        assert {(name, event) for name, events in table.items() for event in events} <= heard


def _expected(service: Service[Any, Any], event: type[Event]) -> Fate:
    if event.TYPE in EARLY.get(service.name, ()):
        return Fate.RETRY
    return Fate.DEAD if event.TYPE in INEXPLICABLE.get(service.name, ()) else Fate.DONE


def _of_its_own_kind(service: Service[Any, Any], event: type[Event]) -> dict[str, str]:
    is_about_an_operation = issubclass(event, OperationEvent) and "kind" in event.model_fields
    return {"kind": KINDS[service.name]} if is_about_an_operation else {}


_KEY: Final = base64.b64encode(bytes(32)).decode()
_SECRETS: Final[dict[str, Any]] = {
    "service_token": "of the test",
    "ticket_key_id": "k1",
    "ticket_signing_key": _KEY,
    "ticket_public_keys": {"k1": _KEY},
}
"""What services will not open without; each takes what is its own."""
