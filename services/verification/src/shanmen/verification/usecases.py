"""What verification does: record scans, keep passes up to date, answer why."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shanmen.common.db import Tx
from shanmen.common.errors import NotFound, NotYet, Refusal
from shanmen.common.idempotency import Reply, recall, remember
from shanmen.common.ids import new_id
from shanmen.contracts.orders import TicketActivated, TicketsIssued
from shanmen.contracts.verification import (
    EntitlementExpired,
    EntitlementUsed,
    EntitlementVoided,
    VoidRequested,
)
from shanmen.verification import queries
from shanmen.verification.domain import Judgement, Pass, Scan, Usage, Verdict, judge
from shanmen.verification.ports import ScanCommand, VerificationContext
from shanmen.verification.qr import read_qr
from shanmen.verification.schemas import PassView, ScanView, TicketPasses

SWEEP_SIZE: Final = 500


@dataclass(frozen=True)
class _Attempt:
    """A scan that is being decided: its number, and what its code says."""

    scan_id: str
    command: ScanCommand
    code: str | Judgement


async def record_scans(
    ctx: VerificationContext, commands: Sequence[ScanCommand]
) -> list[Reply | Refusal]:
    """Decide and record scans: one transaction, and the same statements for one as for many.

    Each gets its ScanView as 201, admitted or not; or a Refusal of its idempotency key.
    """
    # Signatures first: a transaction, and whoever waits for its locks, should not wait for them.
    codes = [read_qr(command.qr, ctx.ticket_keys) for command in commands]
    async with ctx.db.transaction() as tx:
        earlier = await recall(tx, [command.claim for command in commands])
        attempts = [
            _Attempt(new_id("scn"), command, code)
            for command, code, known in zip(commands, codes, earlier, strict=True)
            if known is None
        ]
        scans = await _decide(tx, attempts, ctx.clock.shift) if attempts else []
        if scans:
            await queries.add_scans(tx, scans)
            await ctx.outbox.add(tx, [event for scan in scans for event in _told_by(scan)])
        replies = [Reply.of(201, ScanView.of(scan).model_dump(mode="json")) for scan in scans]
        await remember(
            tx, [(a.command.claim, reply) for a, reply in zip(attempts, replies, strict=True)]
        )
    fresh = iter(replies)
    return [next(fresh) if known is None else known for known in earlier]


async def _decide(tx: Tx, attempts: Sequence[_Attempt], shift: timedelta) -> list[Scan]:
    """Judge all, admit whom the guarded update lets in, and judge those again whom it does not."""
    tickets = [attempt.code for attempt in attempts if isinstance(attempt.code, str)]
    at, passes = await queries.read_passes(tx, tickets, shift)
    scans = [_judged(attempt, passes, at) for attempt in attempts]
    admitted = await _admit(tx, scans, shift)
    outrun = {scan.scan_id for scan in scans if _is_admissible(scan)} - admitted
    if not outrun:
        return scans
    # A statement of its own, after the update: it sees what was faster.
    _, passes = await queries.read_passes(tx, tickets, shift)
    again = [_judged(a, passes, at) if a.scan_id in outrun else None for a in attempts]
    for scan in again:
        if scan and _is_admissible(scan):
            raise RuntimeError(f"{scan.scan_id} was not admitted, and nothing speaks against it")
    return [later or scan for later, scan in zip(again, scans, strict=True)]


def _judged(attempt: _Attempt, passes: Mapping[str, Sequence[Pass]], at: datetime) -> Scan:
    command, ticket_no = attempt.command, None
    if isinstance(attempt.code, Judgement):
        judgement = attempt.code
    else:
        ticket_no = attempt.code
        judgement = judge(passes.get(ticket_no, ()), command.spot_id, at)
    return Scan(
        scan_id=attempt.scan_id,
        spot_id=command.spot_id,
        device=command.device,
        ticket_no=ticket_no,
        qr_sha256=hashlib.sha256(command.qr.encode()).hexdigest(),
        scanned_at=at,
        judgement=judgement,
    )


async def _admit(tx: Tx, scans: Sequence[Scan], shift: timedelta) -> set[str]:
    """Use up the passes of admissible scans; of several scans of one pass, the first asks."""
    asking: dict[str, Scan] = {}
    for scan in scans:
        if _is_admissible(scan) and scan.judgement.subject:
            asking.setdefault(scan.judgement.subject.entitlement_id, scan)
    if not asking:
        return set()
    return await queries.admit_passes(
        tx, [(key, scan.scan_id, scan.device) for key, scan in asking.items()], shift
    )


def _is_admissible(scan: Scan) -> bool:
    return scan.judgement.verdict is Verdict.ADMITTED


def _told_by(scan: Scan) -> list[EntitlementUsed]:
    subject = scan.judgement.subject
    if subject is None or not _is_admissible(scan):
        return []
    return [
        EntitlementUsed(
            entitlement_id=subject.entitlement_id,
            ticket_no=subject.ticket_no,
            order_no=subject.order_no,
            spot_id=subject.spot_id,
            used_at=scan.scanned_at,
            scan_id=scan.scan_id,
            device=scan.device,
        )
    ]


async def show_scan(ctx: VerificationContext, scan_id: str, tenant_id: str | None) -> ScanView:
    """One scan, for its spot or (None) the platform. Raises NotFound."""
    async with ctx.db.snapshot() as tx:
        scan = await queries.read_scan(tx, scan_id, tenant_id)
    if scan is None:
        raise NotFound("scan", scan_id)
    return ScanView.of(scan)


async def list_scans(ctx: VerificationContext, wanted: queries.ScanFilter) -> list[ScanView]:
    """Scans, newest first; one more than the limit when there are more."""
    async with ctx.db.snapshot() as tx:
        scans = await queries.list_scans(tx, wanted)
    return [ScanView.of(scan) for scan in scans]


async def show_passes(
    ctx: VerificationContext, ticket_no: str, tenant_id: str | None
) -> TicketPasses:
    """A ticket's passes that the tenant (None: the platform) may see. Raises NotFound."""
    async with ctx.db.snapshot() as tx:
        at, by_ticket = await queries.read_passes(tx, [ticket_no], ctx.clock.shift)
    visible = [
        PassView.of(held, judge([held], held.spot_id, at))
        for held in by_ticket.get(ticket_no, [])
        if tenant_id is None or held.spot_id == tenant_id
    ]
    if not visible:
        raise NotFound("ticket", ticket_no)
    return TicketPasses(ticket_no=ticket_no, passes=visible)


async def open_passes(tx: Tx, issued: TicketsIssued) -> None:
    """Give every entitlement of an issued order its pass."""
    passes = [
        Pass(
            entitlement_id=entitlement.entitlement_id,
            ticket_no=ticket.ticket_no,
            order_no=issued.order_no,
            spot_id=entitlement.spot_id,
            usage=Usage.UNUSED,
            activated=ticket.activated,
            valid_from=entitlement.valid_from,
            valid_until=entitlement.valid_until,
            expires_at=entitlement.expires_at,
        )
        for ticket in issued.tickets
        for entitlement in ticket.entitlements
    ]
    if passes:
        await queries.open_passes(tx, passes)


async def activate_ticket(tx: Tx, activated: TicketActivated) -> None:
    """Let a ticket be used, now that its visitor is known. Raises NotYet before it was issued."""
    if not await queries.activate_passes(tx, activated.order_no, activated.ticket_no):
        raise NotYet(f"ticket {activated.ticket_no} has no pass")


async def void_entitlements(tx: Tx, requested: VoidRequested, ctx: VerificationContext) -> None:
    """Make those entitlements unusable that are still unused, and tell which they were.

    Raises NotYet while any of them has no pass.
    """
    wanted = set(requested.entitlement_ids)
    if await queries.count_passes(tx, requested.order_no, wanted) < len(wanted):
        raise NotYet(f"order {requested.order_no} has entitlements without a pass")
    voided = await queries.void_passes(tx, requested.order_no, wanted, ctx.clock.shift)
    events = [
        EntitlementVoided(
            entitlement_id=held.entitlement_id,
            ticket_no=held.ticket_no,
            order_no=held.order_no,
            spot_id=held.spot_id,
            voided_at=held.voided_at,
        )
        for held in voided
        if held.voided_at is not None
    ]
    await ctx.outbox.add(tx, events)


async def expire_passes(ctx: VerificationContext, *, at_once: int = SWEEP_SIZE) -> int:
    """Expire the unused passes whose time is over, a bounded batch per transaction.

    Returns how many. Passes in other hands at the moment are left for the next call.
    """
    total = 0
    while True:
        async with ctx.db.transaction() as tx:
            expired = await queries.expire_passes(tx, at_once, ctx.clock.shift)
            events = [
                EntitlementExpired(
                    entitlement_id=held.entitlement_id,
                    ticket_no=held.ticket_no,
                    order_no=held.order_no,
                    spot_id=held.spot_id,
                    expired_at=held.expired_at,
                )
                for held in expired
                if held.expired_at is not None
            ]
            await ctx.outbox.add(tx, events)
        total += len(expired)
        if len(expired) < at_once:
            return total
