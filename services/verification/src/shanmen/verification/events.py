"""What verification does when orders tells something."""

from collections.abc import Mapping
from typing import Final

from shanmen.common.db import Tx
from shanmen.common.events import Event
from shanmen.common.inbox import Handler, subscribe
from shanmen.contracts.orders import TicketActivated, TicketsIssued
from shanmen.contracts.verification import VoidRequested
from shanmen.verification import usecases
from shanmen.verification.ports import VerificationContext


async def on_tickets_issued(tx: Tx, event: TicketsIssued, _: VerificationContext) -> None:
    """出票成功: the tickets can be scanned from now on."""
    await usecases.open_passes(tx, event)


async def on_ticket_activated(tx: Tx, event: TicketActivated, _: VerificationContext) -> None:
    """激活: the ticket has its visitor and may be used."""
    await usecases.activate_ticket(tx, event)


async def on_void_requested(tx: Tx, event: VoidRequested, ctx: VerificationContext) -> None:
    """Before a refund: no gate admits these entitlements any more."""
    await usecases.void_entitlements(tx, event, ctx)


HANDLERS: Final[Mapping[type[Event], Handler[VerificationContext]]] = {
    TicketsIssued: on_tickets_issued,
    TicketActivated: on_ticket_activated,
    VoidRequested: on_void_requested,
}

SUBSCRIPTIONS: Final = (subscribe("verification.events", HANDLERS),)
