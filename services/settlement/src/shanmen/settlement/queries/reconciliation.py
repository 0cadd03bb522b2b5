"""Reconciliation: the ledger's side of it, runs, and breaks."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Text, and_, cast, func, insert, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on

from shanmen.common.db import Database, Tx, among
from shanmen.settlement.domain.ledger import PostingKind, cash
from shanmen.settlement.domain.reconciliation import (
    OF_THE_OWNER,
    PAYOUT,
    REFUND,
    BreakClass,
    BreakStatus,
    Explained,
    Fact,
    china_day,
)
from shanmen.settlement.domain.work import (
    MANUAL_ACTION,
    ActionStatus,
    Direction,
    WorkFamily,
    WorkStatus,
)
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.tables import (
    BREAKS,
    ENTRIES,
    MANUAL_ACTIONS,
    POSTINGS,
    RECONCILIATIONS,
    REFUNDS,
    WORK_ITEMS,
)

_TRY_LOCK = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))")
_ROWS_AT_ONCE: Final = 5000

_OPEN = BREAKS.c.status == BreakStatus.OPEN
_NAME = func.substr(POSTINGS.c.key, func.strpos(POSTINGS.c.key, ":") + 1)
_CORRECTION = POSTINGS.alias("correction")
_IS_CORRECTED = (
    select(_CORRECTION.c.key)
    .where(_CORRECTION.c.key == literal("correction:").concat(cast(POSTINGS.c.posting_id, Text)))
    .exists()
)
_FACTS = (
    select(
        *(POSTINGS.c.key, POSTINGS.c.kind, POSTINGS.c.order_no, ENTRIES.c.occurred_at),
        (ENTRIES.c.debit_fen - ENTRIES.c.credit_fen).label("moved_fen"),
        _NAME.label("name"),
        REFUNDS.c.original_operation_id,
        MANUAL_ACTIONS.c.subject_id.label("reference"),
    )
    .join(POSTINGS, POSTINGS.c.posting_id == ENTRIES.c.posting_id)
    .outerjoin(
        REFUNDS,
        and_(
            among(POSTINGS.c.kind, (PostingKind.REFUND, PostingKind.UNEXPLAINED)),
            REFUNDS.c.refund_id == _NAME,
        ),
    )
    .outerjoin(
        MANUAL_ACTIONS,
        and_(among(POSTINGS.c.kind, OF_THE_OWNER), MANUAL_ACTIONS.c.action_id == _NAME),
    )
    # What a person adjusted or undid is not looked for in a bill of that day.
    .where(
        ~among(POSTINGS.c.kind, (PostingKind.ADJUSTMENT, PostingKind.CORRECTION)),
        ~and_(among(POSTINGS.c.kind, OF_THE_OWNER), _IS_CORRECTED),
    )
)


@dataclass(frozen=True)
class BreakFilter:
    """Which breaks are wanted; None wants any. `run_id` wants what that run found first."""

    channel: str | None = None
    break_class: BreakClass | None = None
    status: BreakStatus | None = None
    bill_date: date | None = None
    number: str | None = None
    run_id: str | None = None


@dataclass(frozen=True)
class DayState:
    """A day of a channel: its last run, None if it is missing, and how many breaks are open."""

    channel: str
    day: date
    run: Record | None
    open_breaks: int


@asynccontextmanager
async def held(db: Database, name: str) -> AsyncIterator[bool]:
    """Hold a lock of this name over several transactions; yields whether it could be had."""
    async with db.engine.connect() as connection:
        tx = await connection.execution_options(isolation_level="AUTOCOMMIT")
        if not await tx.scalar(_TRY_LOCK, {"name": name}):
            yield False
            return
        try:
            yield True
        finally:
            try:
                await tx.execute(_UNLOCK, {"name": name})
            except BaseException:
                await tx.invalidate()  # the lock goes with its connection
                raise


# ── the ledger's side ───────────────────────────────────────────────────────────────────────────


async def first_day(tx: Tx, channel: str) -> date | None:
    """The day of the first money at a channel; None before."""
    first = select(func.min(ENTRIES.c.occurred_at)).where(ENTRIES.c.account == cash(channel))
    at: datetime | None = await tx.scalar(first)
    return None if at is None else china_day(at)


async def facts(tx: Tx, channel: str, start: datetime, end: datetime) -> AsyncIterator[Fact]:
    """What moved at a channel from an instant until before another."""
    rows = await tx.stream(
        _FACTS.where(
            ENTRIES.c.account == cash(channel),
            ENTRIES.c.occurred_at >= start,
            ENTRIES.c.occurred_at < end,
        ),
        execution_options={"yield_per": _ROWS_AT_ONCE},
    )
    async for row in rows:
        kind = row.kind
        if kind == PostingKind.UNEXPLAINED:
            kind = REFUND if row.original_operation_id is not None else PAYOUT
        number = row.reference or row.name
        yield Fact(
            key=row.key,
            kind=kind,
            number=number,
            root=row.original_operation_id or number,
            direction=(Direction.IN if row.moved_fen > 0 else Direction.OUT).value,
            amount_fen=abs(row.moved_fen),
            at=row.occurred_at,
            day=china_day(row.occurred_at),
            order_no=row.order_no,
        )


# ── runs ────────────────────────────────────────────────────────────────────────────────────────


async def add_run(tx: Tx, values: Mapping[str, Any]) -> None:
    """Keep a run."""
    await tx.execute(insert(RECONCILIATIONS).values(**values))


async def run(tx: Tx, run_id: str) -> Record | None:
    """One run."""
    wanted = select(RECONCILIATIONS).where(RECONCILIATIONS.c.run_id == run_id)
    return (await tx.execute(wanted)).one_or_none()


async def runs(
    tx: Tx,
    *,
    channel: str | None,
    first: date | None,
    last: date | None,
    after: str | None,
    limit: int,
) -> Records:
    """Runs, newest first."""
    rows = select(RECONCILIATIONS).order_by(RECONCILIATIONS.c.run_id.desc()).limit(limit + 1)
    if channel is not None:
        rows = rows.where(RECONCILIATIONS.c.channel == channel)
    if first is not None:
        rows = rows.where(RECONCILIATIONS.c.bill_date >= first)
    if last is not None:
        rows = rows.where(RECONCILIATIONS.c.bill_date <= last)
    if after is not None:
        rows = rows.where(RECONCILIATIONS.c.run_id < after)
    return (await tx.execute(rows)).all()


async def last_runs(tx: Tx, channel: str, first: date, last: date) -> dict[date, Record]:
    """The last run of each of these days that has one."""
    rows = (
        select(RECONCILIATIONS)
        .ext(distinct_on(RECONCILIATIONS.c.bill_date))
        .where(
            RECONCILIATIONS.c.channel == channel,
            RECONCILIATIONS.c.bill_date.between(first, last),
        )
        .order_by(RECONCILIATIONS.c.bill_date, RECONCILIATIONS.c.run_id.desc())
    )
    return {row.bill_date: row for row in (await tx.execute(rows)).all()}


# ── breaks ──────────────────────────────────────────────────────────────────────────────────────


async def explained(tx: Tx, channel: str, days: Collection[date]) -> list[Explained]:
    """What people dealt with in the bills of these days."""
    rows = select(BREAKS).where(
        BREAKS.c.channel == channel,
        among(BREAKS.c.bill_date, days),
        among(BREAKS.c.resolved_how, ("adjusted", "accepted")),
    )
    return [
        Explained(
            *(bill_type, number, row.direction, row.ours_fen, row.theirs_fen),
            *(row.theirs_at or row.ours_at, row.bill_date),
        )
        for row in (await tx.execute(rows)).all()
        for bill_type, number, _ in row.places
    ]


async def open_breaks(tx: Tx, channel: str, days: Collection[date], *, lock: bool) -> Records:
    """Open breaks of these days; locked, none of them is adjusted meanwhile."""
    rows = select(BREAKS).where(
        BREAKS.c.channel == channel, among(BREAKS.c.bill_date, days), _OPEN
    )
    ordered = rows.order_by(BREAKS.c.break_id)
    return (await tx.execute(ordered.with_for_update() if lock else ordered)).all()


async def open_counts(tx: Tx, channel: str, first: date, last: date) -> dict[date, int]:
    """How many breaks of each of these days are open."""
    rows = (
        select(BREAKS.c.bill_date, func.count())
        .where(BREAKS.c.channel == channel, BREAKS.c.bill_date.between(first, last), _OPEN)
        .group_by(BREAKS.c.bill_date)
    )
    return {day: number for day, number in (await tx.execute(rows)).all()}  # noqa: C416 - typed


async def add_breaks(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Open breaks."""
    if rows:
        await tx.execute(insert(BREAKS), rows)


async def add_items(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put new breaks on the work list."""
    if rows:
        await tx.execute(insert(WORK_ITEMS), rows)


async def see_again(tx: Tx, break_id: str, values: Mapping[str, Any]) -> None:
    """Bring an open break up to date."""
    await tx.execute(update(BREAKS).where(BREAKS.c.break_id == break_id, _OPEN).values(**values))


async def see_all_again(tx: Tx, break_ids: Collection[str], run_id: str) -> None:
    """Note that a run found these again, just as they were."""
    await tx.execute(
        update(BREAKS).where(among(BREAKS.c.break_id, break_ids)).values(last_seen_run=run_id)
    )


async def bring_item_up_to_date(tx: Tx, values: Mapping[str, Any], *, at: datetime) -> None:
    """Bring a break's open work item up to date: what was asked for before is outdated."""
    await tx.execute(
        update(WORK_ITEMS)
        .where(
            WORK_ITEMS.c.family == values["family"],
            WORK_ITEMS.c.subject_id == values["subject_id"],
            WORK_ITEMS.c.status == WorkStatus.OPEN,
        )
        .values(**values, updated_at=at, version=WORK_ITEMS.c.version + 1)
    )


async def resolve_break(
    tx: Tx, break_id: str, *, how: str, by: str, at: datetime
) -> Record | None:
    """Close an open break; None if it is not open."""
    resolved = (
        update(BREAKS)
        .where(BREAKS.c.break_id == break_id, _OPEN)
        .values(status=BreakStatus.RESOLVED, resolved_how=how, resolved_by=by, resolved_at=at)
        .returning(BREAKS)
    )
    return (await tx.execute(resolved)).one_or_none()


async def explain_breaks(tx: Tx, break_ids: Collection[str], *, run_id: str, at: datetime) -> None:
    """Close breaks that a run did not find any more, their items, and what waits about these."""
    await tx.execute(
        update(BREAKS)
        .where(among(BREAKS.c.break_id, break_ids), _OPEN)
        .values(
            status=BreakStatus.RESOLVED,
            resolved_how="explained",
            resolved_by=run_id,
            resolved_at=at,
        )
    )
    closed = await tx.scalars(
        update(WORK_ITEMS)
        .where(
            WORK_ITEMS.c.family == WorkFamily.BREAK,
            among(WORK_ITEMS.c.subject_id, break_ids),
            WORK_ITEMS.c.status == WorkStatus.OPEN,
        )
        .values(
            status=WorkStatus.RESOLVED,
            resolution=f"explained by run {run_id}",
            resolved_at=at,
            updated_at=at,
            version=WORK_ITEMS.c.version + 1,
        )
        .returning(WORK_ITEMS.c.item_id)
    )
    sources = MANUAL_ACTION.sources(ActionStatus.LAPSED)
    await tx.execute(
        update(MANUAL_ACTIONS)
        .where(
            among(MANUAL_ACTIONS.c.item_id, closed.all()),
            among(MANUAL_ACTIONS.c.status, sources),
        )
        .values(status=ActionStatus.LAPSED, decided_at=at)
    )


async def one_break(tx: Tx, break_id: str) -> Record | None:
    """One break, with its work item if it has an open one."""
    return (await tx.execute(_breaks().where(BREAKS.c.break_id == break_id))).one_or_none()


async def breaks(tx: Tx, wanted: BreakFilter, *, after: str | None, limit: int) -> Records:
    """Breaks, newest first."""
    exact = {
        "channel": wanted.channel,
        "break_class": wanted.break_class,
        "status": wanted.status,
        "bill_date": wanted.bill_date,
        "number": wanted.number,
    }
    rows = _breaks().where(
        *(BREAKS.c[name] == value for name, value in exact.items() if value is not None)
    )
    if wanted.run_id is not None:
        seen = (BREAKS.c.first_seen_run, BREAKS.c.last_seen_run)
        rows = rows.where(or_(*(column == wanted.run_id for column in seen)))
    if after is not None:
        rows = rows.where(BREAKS.c.break_id < after)
    return (await tx.execute(rows.order_by(BREAKS.c.break_id.desc()).limit(limit + 1))).all()


def _breaks() -> Any:
    return select(BREAKS, WORK_ITEMS.c.item_id).outerjoin(
        WORK_ITEMS,
        and_(
            WORK_ITEMS.c.family == WorkFamily.BREAK,
            WORK_ITEMS.c.subject_id == BREAKS.c.break_id,
            WORK_ITEMS.c.status == WorkStatus.OPEN,
        ),
    )
