"""Reconciliation (对账): compares a day of a channel with its bill, and keeps track of breaks.

The bills are fetched first, outside of any transaction. One transaction then reads the ledger,
compares, and writes the run with its breaks and their work items: all of it or nothing.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final

from shanmen.common.db import Tx
from shanmen.common.errors import Conflict, Invalid, Unavailable
from shanmen.common.ids import new_id
from shanmen.common.money import to_yuan
from shanmen.contracts.gateway import SmsRequested
from shanmen.settlement.domain.ledger import cash
from shanmen.settlement.domain.matching import Matcher
from shanmen.settlement.domain.reconciliation import (
    BILL_TYPES,
    DAY,
    Bill,
    BreakClass,
    Comparison,
    Difference,
    Fact,
    Findings,
    Line,
    Window,
    cash_effect_fen,
    china_day,
    places_of,
    reason_of,
)
from shanmen.settlement.domain.work import Direction, WorkFamily
from shanmen.settlement.errors import ReconciliationRunning
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import reconciliation
from shanmen.settlement.queries.rows import Record

log = logging.getLogger(__name__)

SCHEDULE: Final = "schedule"
"""Who starts the daily runs."""

LONGEST_S: Final = 120.0
"""A run by hand is given up after this: its caller waits."""

TEMPLATE: Final = "reconciliation_breaks"


@dataclass(frozen=True)
class Wish:
    """Which day of which channel is to be compared, and by whom it is asked for."""

    channel: str
    day: date
    by: str
    refetch: bool = False


@dataclass(frozen=True)
class Gathered:
    """The bills that a run needs: of the day all rows, of those around it the ones that matter."""

    wish: Wish
    started_at: datetime
    window: Window
    bill: Bill
    around: Sequence[Line]


async def require_possible(ctx: SettlementContext, channel: str, day: date) -> None:
    """That there can be a bill of that day. Raises Invalid."""
    if channel not in BILL_TYPES or channel not in ctx.payout_minimum_fen:
        known = ", ".join(sorted(ctx.payout_minimum_fen))
        raise Invalid(f"There is no such channel; use one of {known}.", field="channel")
    yesterday = china_day(ctx.clock.now()) - DAY
    if day > yesterday:
        raise Invalid(
            f"A day has a bill once it is over (Beijing time); use {yesterday} or an earlier one.",
            field="bill_date",
        )
    async with ctx.db.snapshot() as tx:
        first = await reconciliation.first_day(tx, channel)
    if day < min(first or yesterday, yesterday) - DAY:
        told = "nothing has moved there yet" if first is None else f"money moved first on {first}"
        raise Invalid(f"The platform was not at {channel} on that day: {told}.", field="bill_date")


@asynccontextmanager
async def gathered(ctx: SettlementContext, wish: Wish) -> AsyncIterator[Gathered]:
    """Fetch the bills of a day, and keep others from comparing it until the block ends.

    Raises Invalid, Unavailable, ReconciliationRunning, and what the gateway refuses.
    """
    await require_possible(ctx, wish.channel, wish.day)
    async with reconciliation.held(ctx.db, f"reconcile {wish.channel} {wish.day}") as is_mine:
        if not is_mine:
            raise ReconciliationRunning(
                f"{wish.channel} of {wish.day} is being reconciled; look at its run in a minute."
            )
        try:
            async with asyncio.timeout(LONGEST_S):
                found = await _gather(ctx, wish)
        except TimeoutError as error:
            raise Unavailable("The bill takes too long to come; try again later.") from error
        yield found


async def compare(tx: Tx, found: Gathered) -> Comparison:
    """Compare without keeping anything."""
    wish, window = found.wish, found.window
    days = [wish.day - DAY, wish.day, wish.day + DAY]
    explained = await reconciliation.explained(tx, wish.channel, days)
    facts = await _facts(tx, found)
    matcher = Matcher(wish.channel, window)
    # Seconds of work for a long bill: others are answered meanwhile.
    findings = await asyncio.to_thread(
        matcher.match, facts, [*found.bill.lines, *found.around], explained
    )
    counts = dict.fromkeys(BreakClass, 0)
    for each in findings.differences:
        counts[each.break_class] += 1
    run = {
        "run_id": None,
        "channel": wish.channel,
        "bill_date": wish.day,
        "started_by": wish.by,
        "started_at": found.started_at,
        "finished_at": found.started_at,
        "has_previous": window.has_previous,
        "has_next": window.has_next,
        "files": await asyncio.to_thread(_files, found, facts),
        "matched": findings.matched,
        "waiting": len(findings.waiting),
        "missing_here": counts[BreakClass.MISSING_HERE],
        "missing_there": counts[BreakClass.MISSING_THERE],
        "amount_differs": counts[BreakClass.AMOUNT],
        "status_differs": counts[BreakClass.STATUS],
        "opened": 0,
        "resolved": 0,
    }
    return Comparison(run, findings)


async def reconcile(tx: Tx, ctx: SettlementContext, found: Gathered) -> Comparison:
    """Compare and keep the run; open new breaks, close those that it does not find any more."""
    wish = found.wish
    days = [wish.day - DAY, wish.day, wish.day + DAY]
    known = await reconciliation.open_breaks(tx, wish.channel, days, lock=True)
    compared = await compare(tx, found)
    findings = compared.findings
    by_identity = {_identity(row): row for row in known}
    fresh = [each for each in findings.differences if each.identity not in by_identity]
    seen = {each.identity: each for each in findings.differences if each.identity in by_identity}
    gone = [row for row in known if _identity(row) not in seen and _is_over(row, found, findings)]
    now = ctx.clock.now()
    run = {
        **compared.run,
        "run_id": new_id("rec"),
        "finished_at": max(now, found.started_at),
        "opened": len(fresh),
        "resolved": len(gone),
    }
    await reconciliation.add_run(tx, run)
    await _open(tx, ctx, run, fresh)
    await _see_again(tx, run, [(by_identity[key], each) for key, each in seen.items()])
    if gone:
        ids = [row.break_id for row in gone]
        await reconciliation.explain_breaks(tx, ids, run_id=str(run["run_id"]), at=now)
    return Comparison(run, findings)


# ── gathering ───────────────────────────────────────────────────────────────────────────────────


async def _gather(ctx: SettlementContext, wish: Wish) -> Gathered:
    started_at = ctx.clock.now()
    bill = await ctx.bills.bill(wish.channel, wish.day, refetch=wish.refetch)
    lacking = set(BILL_TYPES[wish.channel]) - {file.bill_type for file in bill.files}
    if lacking:
        raise Unavailable(f"The gateway has no {', '.join(sorted(lacking))} bill of {wish.day}.")
    window = Window(wish.day, ctx.reconcile_edge, has_previous=True, has_next=True)
    numbers = _numbers_of(bill.lines)
    async with ctx.db.snapshot() as tx:
        start = window.start - window.edge
        async for fact in reconciliation.facts(tx, wish.channel, start, window.end):
            numbers |= {fact.number, fact.root}
    before = await _around(ctx, wish, wish.day - DAY, frozenset(numbers))
    after = await _around(ctx, wish, wish.day + DAY, frozenset(numbers))
    window = Window(wish.day, window.edge, before is not None, after is not None)
    return Gathered(wish, started_at, window, bill, [*(before or ()), *(after or ())])


async def _around(
    ctx: SettlementContext, wish: Wish, day: date, numbers: frozenset[str]
) -> Sequence[Line] | None:
    """The rows that matter of a bill next to the day; None if there is none (yet)."""
    if day >= china_day(ctx.clock.now()):
        return None
    try:
        return (await ctx.bills.bill(wish.channel, day, refetch=False, only=numbers)).lines
    except (Conflict, Invalid) as refusal:
        log.info("no bill next to it", extra={"bill_date": str(day), "reason": refusal.detail})
        return None


def _numbers_of(lines: Sequence[Line]) -> set[str]:
    numbers: set[str] = set()
    for line in lines:
        numbers |= {line.number, line.root, line.channel_ref}
    return numbers


# ── comparing ───────────────────────────────────────────────────────────────────────────────────


async def _facts(tx: Tx, found: Gathered) -> list[Fact]:
    """Of the day and the end of the one before all, besides those under the numbers of both."""
    window, channel = found.window, found.wish.channel
    start = window.start - window.edge
    facts = [fact async for fact in reconciliation.facts(tx, channel, start, window.end)]
    numbers = _numbers_of(found.bill.lines)
    for fact in facts:
        numbers |= {fact.number, fact.root}
    for first, last in ((window.start - DAY, start), (window.end, window.end + DAY)):
        around = reconciliation.facts(tx, channel, first, last)
        facts += [fact async for fact in around if fact.number in numbers or fact.root in numbers]
    return facts


def _files(found: Gathered, facts: Sequence[Fact]) -> list[dict[str, Any]]:
    """Each bill's file with its sums, and those of the ledger's facts of the day in it."""
    sums: dict[tuple[str, str], int] = {}
    for fact in facts:
        if fact.day == found.wish.day:
            for bill_type, _ in places_of(found.wish.channel, fact):
                place = bill_type, fact.direction
                sums[place] = sums.get(place, 0) + fact.amount_fen
    return [
        {
            "bill_type": file.bill_type,
            "sha256": file.sha256,
            "rows": file.rows,
            "theirs_in_fen": file.sum_in_fen,
            "theirs_out_fen": file.sum_out_fen,
            "ours_in_fen": sums.get((file.bill_type, Direction.IN.value), 0),
            "ours_out_fen": sums.get((file.bill_type, Direction.OUT.value), 0),
        }
        for file in found.bill.files
    ]


# ── breaks ──────────────────────────────────────────────────────────────────────────────────────


def _identity(row: Record) -> tuple[Any, ...]:
    return (
        *(row.bill_date, row.number, row.channel_ref, row.direction),
        *(row.break_class, row.ordinal),
    )


def _is_over(row: Record, found: Gathered, findings: Findings) -> bool:
    """Whether an open break that a run did not find is no more: of the day itself always, of the
    days around it if what it is about was found."""
    if row.bill_date == found.wish.day:
        return not any(fact.key == row.fact for fact in findings.waiting)
    rows = {(row.bill_date, bill_type, line) for bill_type, _, line in row.places if line}
    if row.fact is not None and not rows:
        return row.fact in findings.settled_facts
    return bool(rows) and rows <= findings.settled_rows


def _columns(run: Mapping[str, Any], each: Difference) -> dict[str, Any]:
    values = {name: value for name, value in asdict(each).items() if name != "places"}
    return {
        **values,
        "break_class": each.break_class.value,
        "places": [list(place) for place in each.places],
        "channel": run["channel"],
        "cash_effect_fen": cash_effect_fen(
            run["channel"], each.direction, each.ours_fen, each.theirs_fen, each.places
        ),
        "last_seen_run": run["run_id"],
    }


async def _open(
    tx: Tx, ctx: SettlementContext, run: Mapping[str, Any], fresh: Sequence[Difference]
) -> None:
    """Open new breaks, each with a work item; operators are told once of all."""
    if not fresh:
        return
    now = ctx.clock.now()
    ids = [new_id("brk") for _ in fresh]
    opened = {"first_seen_run": run["run_id"], "opened_at": now}
    await reconciliation.add_breaks(
        tx,
        [
            {**_columns(run, each), **opened, "break_id": break_id}
            for break_id, each in zip(ids, fresh, strict=True)
        ],
    )
    times = {"opened_at": now, "updated_at": now}
    await reconciliation.add_items(
        tx,
        [
            {**_item(run, break_id, each), **times, "item_id": new_id("wrk")}
            for break_id, each in zip(ids, fresh, strict=True)
        ],
    )
    params = {
        "channel": run["channel"],
        "bill_date": str(run["bill_date"]),
        "breaks": str(len(fresh)),
        "amount_yuan": to_yuan(sum(each.amount_fen for each in fresh)),
    }
    told = SmsRequested(
        sms_id=f"sms_{run['run_id']}",
        recipient=SmsRequested.OPERATIONS,
        template=TEMPLATE,
        params=params,
    )
    await ctx.outbox.add(tx, [told])


async def _see_again(
    tx: Tx, run: Mapping[str, Any], known: Sequence[tuple[Record, Difference]]
) -> None:
    changed = [
        (row, each)
        for row, each in known
        if (row.ours_fen, row.theirs_fen) != (each.ours_fen, each.theirs_fen)
        or row.places != [list(place) for place in each.places]
    ]
    for row, each in changed:
        await reconciliation.see_again(tx, row.break_id, _columns(run, each))
        await reconciliation.bring_item_up_to_date(
            tx, _item(run, row.break_id, each), at=run["finished_at"]
        )
    await reconciliation.see_all_again(tx, [row.break_id for row, _ in known], run["run_id"])


def _item(run: Mapping[str, Any], break_id: str, each: Difference) -> dict[str, Any]:
    return {
        "family": WorkFamily.BREAK.value,
        "kind": each.break_class.work_kind.value,
        "subject_id": break_id,
        "operation_id": each.number,
        "reason": reason_of(each),
        "code": each.break_class.value,
        "since": each.theirs_at or each.ours_at,
        "amount_fen": each.amount_fen,
        "channel": run["channel"],
        "account_id": cash(run["channel"]),
        "order_no": each.order_no,
    }
