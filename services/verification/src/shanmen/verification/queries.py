"""All SQL of verification.

Time is the transaction's: PostgreSQL's now(), and the `shift` by which a person has moved this
installation's time ahead of it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    Interval,
    Text,
    and_,
    bindparam,
    func,
    insert,
    literal,
    literal_column,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_or_skip

from shanmen.common.db import Tx, among
from shanmen.verification.domain import (
    USAGE,
    Admission,
    Judgement,
    Pass,
    RefusalCode,
    Scan,
    Usage,
)
from shanmen.verification.tables import PASSES, SCANS

_PASS_COLUMNS: Final = (
    PASSES.c.entitlement_id,
    PASSES.c.ticket_no,
    PASSES.c.order_no,
    PASSES.c.spot_id,
    PASSES.c.usage,
    PASSES.c.activated,
    PASSES.c.valid_from,
    PASSES.c.valid_until,
    PASSES.c.expires_at,
    PASSES.c.used_at,
    PASSES.c.used_scan_id,
    PASSES.c.used_device,
    PASSES.c.voided_at,
    PASSES.c.expired_at,
)


@dataclass(frozen=True)
class ScanFilter:
    """Which scans to list; None leaves a condition out. `since` ≤ scanned_at < `until`.

    `tenant_id` is the spot that asks, None for the platform; `spot_id` only ever narrows it.
    `after` is the (scanned_at, scan_id) of the last scan on the page before.
    """

    tenant_id: str | None
    limit: int
    spot_id: str | None = None
    verdict: str | None = None
    ticket_no: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: tuple[datetime, str] | None = None


async def read_passes(
    tx: Tx, ticket_nos: Collection[str], shift: timedelta
) -> tuple[datetime, dict[str, list[Pass]]]:
    """The time of this transaction, and the passes of these tickets by ticket number."""
    clock = select(_now(shift).label("at")).subquery("clock")
    ours = among(PASSES.c.ticket_no, sorted(set(ticket_nos)))
    # An outer join, so that the time comes back when no ticket is known.
    rows = await tx.execute(
        select(clock.c.at, *_PASS_COLUMNS)
        .select_from(clock.outerjoin(PASSES, ours))
        .order_by(PASSES.c.entitlement_id)
    )
    at: datetime | None = None
    passes: dict[str, list[Pass]] = {}
    for row in rows:
        at = row.at
        if row.entitlement_id is not None:
            passes.setdefault(row.ticket_no, []).append(_pass(row))
    assert at is not None  # noqa: S101 - the outer join always has a row
    return at, passes


async def open_passes(tx: Tx, passes: Sequence[Pass]) -> None:
    """Record passes; those that are there already stay as they are."""
    rows = [
        {
            "entitlement_id": held.entitlement_id,
            "ticket_no": held.ticket_no,
            "order_no": held.order_no,
            "spot_id": held.spot_id,
            "usage": held.usage,
            "activated": held.activated,
            "valid_from": held.valid_from,
            "valid_until": held.valid_until,
            "expires_at": held.expires_at,
        }
        for held in passes
    ]
    # Only the same entitlement is a repeat; a second pass of a ticket for one spot is an error.
    skipping = insert_or_skip(PASSES).on_conflict_do_nothing(index_elements=["entitlement_id"])
    await tx.execute(skipping, rows)


async def activate_passes(tx: Tx, order_no: str, ticket_no: str) -> bool:
    """Mark a ticket's passes activated; False when there are none."""
    ours = and_(PASSES.c.ticket_no == ticket_no, PASSES.c.order_no == order_no)
    await tx.execute(
        update(PASSES)
        .where(ours, ~PASSES.c.activated)
        .values(activated=True, version=PASSES.c.version + 1)
    )
    known = await tx.execute(select(PASSES.c.entitlement_id).where(ours).limit(1))
    return known.first() is not None


async def count_passes(tx: Tx, order_no: str, entitlement_ids: Collection[str]) -> int:
    """How many of these entitlements of an order there are."""
    ours = (among(PASSES.c.entitlement_id, entitlement_ids), PASSES.c.order_no == order_no)
    return (await tx.execute(select(func.count()).select_from(PASSES).where(*ours))).scalar_one()


async def admit_passes(
    tx: Tx, admissions: Sequence[tuple[str, str, str]], shift: timedelta
) -> set[str]:
    """Use passes up; takes (entitlement id, scan id, device), each entitlement once.

    Returns the scan ids that admit. This statement alone decides: of any number of scans, over
    all gates and processes, one at most gets its pass.
    """
    wanted = (
        func.unnest(
            *(
                bindparam(None, list(values), type_=ARRAY(Text), unique=True)
                for values in zip(*admissions, strict=True)
            )
        )
        .table_valued("entitlement_id", "scan_id", "device", name="wanted")
        .render_derived()
    )
    admissible = and_(
        among(PASSES.c.usage, USAGE.sources(Usage.USED)),
        PASSES.c.activated,
        _now(shift) >= PASSES.c.valid_from,
        _now(shift) < PASSES.c.valid_until,
    )
    locked = _locked(among(PASSES.c.entitlement_id, [row[0] for row in admissions]), admissible)
    admitted = await tx.execute(
        update(PASSES)
        .where(
            PASSES.c.entitlement_id == locked.c.entitlement_id,
            PASSES.c.entitlement_id == wanted.c.entitlement_id,
            admissible,
        )
        .values(
            usage=Usage.USED,
            used_at=_now(shift),
            used_scan_id=wanted.c.scan_id,
            used_device=wanted.c.device,
            version=PASSES.c.version + 1,
        )
        .returning(PASSES.c.used_scan_id)
    )
    return set(admitted.scalars())


async def void_passes(
    tx: Tx, order_no: str, entitlement_ids: Collection[str], shift: timedelta
) -> list[Pass]:
    """Make passes of an order unusable; returns those that this call voided."""
    voidable = among(PASSES.c.usage, USAGE.sources(Usage.VOIDED))
    ours = and_(
        among(PASSES.c.entitlement_id, sorted(set(entitlement_ids))),
        PASSES.c.order_no == order_no,
    )
    locked = _locked(ours, voidable)
    voided = await tx.execute(
        update(PASSES)
        .where(PASSES.c.entitlement_id == locked.c.entitlement_id, voidable)
        .values(usage=Usage.VOIDED, voided_at=_now(shift), version=PASSES.c.version + 1)
        .returning(*_PASS_COLUMNS)
    )
    return [_pass(row) for row in voided]


async def expire_passes(tx: Tx, limit: int, shift: timedelta) -> list[Pass]:
    """Expire up to `limit` unused passes whose time is over; returns them.

    Passes that a gate or another sweep holds right now are left for the next time.
    """
    due = (
        select(PASSES.c.entitlement_id)
        # Written out rather than bound: the planner then knows the partial index of due passes.
        .where(PASSES.c.usage == literal_column("'unused'"), PASSES.c.expires_at <= _now(shift))
        .order_by(PASSES.c.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
        .cte("due")
    )
    expired = await tx.execute(
        update(PASSES)
        .where(
            PASSES.c.entitlement_id == due.c.entitlement_id,
            among(PASSES.c.usage, USAGE.sources(Usage.EXPIRED)),
        )
        .values(usage=Usage.EXPIRED, expired_at=_now(shift), version=PASSES.c.version + 1)
        .returning(*_PASS_COLUMNS)
    )
    return [_pass(row) for row in expired]


async def add_scans(tx: Tx, scans: Sequence[Scan]) -> None:
    """Record scans with their answers."""
    rows = [
        {
            "scan_id": scan.scan_id,
            "spot_id": scan.spot_id,
            "device": scan.device,
            "entitlement_id": subject.entitlement_id if subject else None,
            "ticket_no": scan.ticket_no,
            "verdict": scan.judgement.verdict,
            "code": scan.judgement.code,
            "detail": scan.judgement.detail,
            "scanned_at": scan.scanned_at,
            "qr_sha256": scan.qr_sha256,
        }
        for scan in scans
        for subject in [scan.judgement.subject]
    ]
    await tx.execute(insert(SCANS), rows)


async def read_scan(tx: Tx, scan_id: str, tenant_id: str | None) -> Scan | None:
    """One scan that the tenant may see."""
    found = await tx.execute(
        _SCANS_WITH_PASSES.where(SCANS.c.scan_id == scan_id, _of_tenant(tenant_id))
    )
    row = found.one_or_none()
    return None if row is None else _scan(row)


async def list_scans(tx: Tx, wanted: ScanFilter) -> list[Scan]:
    """Scans, newest first; one more than the limit when there are more."""
    conditions = [_of_tenant(wanted.tenant_id)]
    if wanted.spot_id is not None:
        conditions.append(SCANS.c.spot_id == wanted.spot_id)
    if wanted.verdict is not None:
        conditions.append(SCANS.c.verdict == wanted.verdict)
    if wanted.ticket_no is not None:
        conditions.append(SCANS.c.ticket_no == wanted.ticket_no)
    if wanted.since is not None:
        conditions.append(SCANS.c.scanned_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(SCANS.c.scanned_at < wanted.until)
    if wanted.after is not None:
        at, scan_id = wanted.after
        position = tuple_(SCANS.c.scanned_at, SCANS.c.scan_id)
        conditions.append(position < tuple_(literal(at, SCANS.c.scanned_at.type), scan_id))
    rows = await tx.execute(
        _SCANS_WITH_PASSES.where(*conditions)
        .order_by(SCANS.c.scanned_at.desc(), SCANS.c.scan_id.desc())
        .limit(wanted.limit + 1)
    )
    return [_scan(row) for row in rows]


_SCANS_WITH_PASSES: Final = select(
    SCANS.c.scan_id,
    SCANS.c.spot_id.label("scanned_spot_id"),
    SCANS.c.device,
    SCANS.c.ticket_no.label("scanned_ticket_no"),
    SCANS.c.code,
    SCANS.c.detail,
    SCANS.c.scanned_at,
    SCANS.c.qr_sha256,
    *_PASS_COLUMNS,
).select_from(SCANS.outerjoin(PASSES, PASSES.c.entitlement_id == SCANS.c.entitlement_id))


def _now(shift: timedelta) -> ColumnElement[datetime]:
    return func.now() + literal(shift, Interval())


def _locked(*conditions: ColumnElement[bool]) -> CTE:
    """Passes under lock, taken in id order, so that lists that overlap do not deadlock."""
    return (
        select(PASSES.c.entitlement_id)
        .where(*conditions)
        .order_by(PASSES.c.entitlement_id)
        .with_for_update(key_share=True)
        .cte("locked")
    )


def _of_tenant(tenant_id: str | None) -> ColumnElement[bool]:
    return true() if tenant_id is None else SCANS.c.spot_id == tenant_id


def _pass(row: Any) -> Pass:
    admission = None
    if row.used_at is not None:
        admission = Admission(row.used_scan_id, row.used_at, row.used_device)
    return Pass(
        entitlement_id=row.entitlement_id,
        ticket_no=row.ticket_no,
        order_no=row.order_no,
        spot_id=row.spot_id,
        usage=Usage(row.usage),
        activated=row.activated,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        expires_at=row.expires_at,
        admission=admission,
        voided_at=row.voided_at,
        expired_at=row.expired_at,
    )


def _scan(row: Any) -> Scan:
    return Scan(
        scan_id=row.scan_id,
        spot_id=row.scanned_spot_id,
        device=row.device,
        ticket_no=row.scanned_ticket_no,
        qr_sha256=row.qr_sha256,
        scanned_at=row.scanned_at,
        judgement=Judgement(
            code=None if row.code is None else RefusalCode(row.code),
            detail=row.detail,
            subject=None if row.entitlement_id is None else _pass(row),
        ),
    )
