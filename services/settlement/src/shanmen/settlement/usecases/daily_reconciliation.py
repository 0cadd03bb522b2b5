"""The daily reconciliation: yesterday, and what could not be reconciled in the days before."""

import logging
from datetime import date
from typing import Final

from shanmen.common.db import Tx
from shanmen.common.errors import Refusal
from shanmen.settlement.domain.reconciliation import BILL_TYPES, DAY, china_day
from shanmen.settlement.domain.reports import BUSINESS_ZONE
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import reconciliation
from shanmen.settlement.queries.reconciliation import DayState
from shanmen.settlement.usecases.reconciling import SCHEDULE, Wish, gathered, reconcile

log = logging.getLogger(__name__)

DAYS_BACK: Final = 7

_LOCK: Final = "daily reconciliation"


async def reconcile_days(ctx: SettlementContext) -> int:
    """Reconcile what is due, by one process at a time; returns how many days it was.

    A bill that is not there yet, or cannot be read, is tried again next time.
    """
    now = ctx.clock.now().astimezone(BUSINESS_ZONE)
    if now.time() < ctx.reconcile_at:
        return 0
    async with reconciliation.held(ctx.db, _LOCK) as is_mine:
        return await _reconcile_due(ctx) if is_mine else 0


async def read_days(
    tx: Tx, ctx: SettlementContext, channel: str, first: date, last: date
) -> list[DayState]:
    """The state of each day, newest first, from the first money on to yesterday."""
    yesterday = china_day(ctx.clock.now()) - DAY
    began = await reconciliation.first_day(tx, channel) or yesterday
    first, last = max(first, min(began, yesterday)), min(last, yesterday)
    if first > last:
        return []
    runs = await reconciliation.last_runs(tx, channel, first, last)
    open_breaks = await reconciliation.open_counts(tx, channel, first, last)
    days = [last - number * DAY for number in range((last - first).days + 1)]
    return [DayState(channel, day, runs.get(day), open_breaks.get(day, 0)) for day in days]


async def _reconcile_due(ctx: SettlementContext) -> int:
    done = 0
    yesterday = china_day(ctx.clock.now()) - DAY
    for channel in sorted(BILL_TYPES.keys() & ctx.payout_minimum_fen.keys()):
        async with ctx.db.snapshot() as tx:
            states = await read_days(
                tx, ctx, channel, yesterday - (DAYS_BACK - 1) * DAY, yesterday
            )
        for state in reversed(states):
            if state.run is None:
                done += await _reconcile_one(ctx, channel, state.day)
    return done


async def _reconcile_one(ctx: SettlementContext, channel: str, day: date) -> bool:
    try:
        async with (
            gathered(ctx, Wish(channel, day, SCHEDULE)) as found,
            ctx.db.transaction() as tx,
        ):
            compared = await reconcile(tx, ctx, found)
    except Refusal as refusal:
        known = {"channel": channel, "bill_date": str(day), "reason": refusal.detail}
        log.warning("a day could not be reconciled, tried again later", extra=known)
        return False
    breaks = len(compared.findings.differences)
    log.info("reconciled", extra={"channel": channel, "bill_date": str(day), "breaks": breaks})
    return True
