"""What settlement does now and again."""

import asyncio

from shanmen.common.housekeeping import housekeeping
from shanmen.common.service import Job, every
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.usecases.accruing import refresh_accruals
from shanmen.settlement.usecases.auditing import anchor_ledger
from shanmen.settlement.usecases.daily_reconciliation import reconcile_days
from shanmen.settlement.usecases.liquidating import liquidate_ended
from shanmen.settlement.usecases.paying import pay_waiting


async def _pay_waiting(context: SettlementContext, stop: asyncio.Event) -> None:
    await every(context.pay_waiting_s, pay_waiting, name="pay waiting visits").run(context, stop)


async def _liquidate_ended(context: SettlementContext, stop: asyncio.Event) -> None:
    job = every(context.liquidate_every_s, liquidate_ended, name="liquidate ended products")
    await job.run(context, stop)


async def _refresh_accruals(context: SettlementContext, stop: asyncio.Event) -> None:
    job = every(context.accruals_every_s, refresh_accruals, name="refresh wealth accruals")
    await job.run(context, stop)


JOBS = (
    Job("pay waiting visits", _pay_waiting),
    Job("liquidate ended products", _liquidate_ended),
    Job("refresh wealth accruals", _refresh_accruals),
    every(300.0, reconcile_days, name="reconcile with the channels' bills"),
    every(3600.0, anchor_ledger, name="anchor the ledger in the audit trail"),
    housekeeping(),
)
