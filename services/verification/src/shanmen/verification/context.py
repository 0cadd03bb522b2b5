"""Opens the service's ports in one process."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx

from shanmen.common.auth import Introspector, RemoteIntrospector
from shanmen.common.batching import Batcher
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.errors import Refusal
from shanmen.common.idempotency import Reply
from shanmen.common.outbox import Outbox
from shanmen.verification.ports import ScanCommand, VerificationContext
from shanmen.verification.qr import TicketKeys, load_ticket_keys
from shanmen.verification.settings import EXPIRY_SWEEP_S, VerificationSettings
from shanmen.verification.usecases import record_scans


def assemble(
    database: Database,
    tokens: Introspector,
    clock: Clock,
    ticket_keys: TicketKeys,
    *,
    expiry_sweep_s: float = EXPIRY_SWEEP_S,
) -> VerificationContext:
    """A context around these ports."""

    async def record(commands: Sequence[ScanCommand]) -> Sequence[Reply | Refusal]:
        return await record_scans(context, commands)

    context = VerificationContext(
        db=database,
        tokens=tokens,
        clock=clock,
        outbox=Outbox("verification"),
        ticket_keys=ticket_keys,
        # One list at a time: waiting for its turn is what makes the next list long.
        scan_queue=Batcher(record, in_flight=1),
        expiry_sweep_s=expiry_sweep_s,
    )
    return context


@asynccontextmanager
async def open_context(
    settings: VerificationSettings, database: Database, clock: Clock
) -> AsyncIterator[VerificationContext]:
    """The context as settings describe it; scans in hand are finished before it closes."""
    async with httpx.AsyncClient(
        base_url=settings.catalog_url, timeout=5, trust_env=False
    ) as client:
        context = assemble(
            database,
            RemoteIntrospector(client, settings.service_token.get_secret_value()),
            clock,
            load_ticket_keys(settings.ticket_public_keys),
            expiry_sweep_s=settings.expiry_sweep_s,
        )
        try:
            yield context
        finally:
            await context.scan_queue.drain()
