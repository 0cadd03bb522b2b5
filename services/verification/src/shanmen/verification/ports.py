"""What verification works with: its context, and what a gate asks for."""

from dataclasses import dataclass

from shanmen.common.auth import Introspector
from shanmen.common.batching import Batcher
from shanmen.common.clock import Clock
from shanmen.common.db import Database
from shanmen.common.idempotency import Claim, Reply
from shanmen.common.outbox import Outbox
from shanmen.verification.qr import TicketKeys


@dataclass(frozen=True)
class ScanCommand:
    """A gate has read a code: where, on which device, and what it says."""

    spot_id: str
    device: str
    qr: str
    claim: Claim | None = None


@dataclass(frozen=True)
class VerificationContext:
    """The ports of the service in one process.

    Several gates and the expiry sweep have to agree on the time, so the database's decides. Of
    `clock` they take only how far a person has moved this installation's time ahead of it.
    """

    db: Database
    tokens: Introspector
    clock: Clock
    outbox: Outbox
    ticket_keys: TicketKeys
    scan_queue: Batcher[ScanCommand, Reply]
    """Gathers the scans of concurrent requests for `usecases.record_scans`."""
    expiry_sweep_s: float
    """Seconds between two looks for passes whose time is over."""
