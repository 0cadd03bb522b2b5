"""What settlement does now and again."""

import asyncio

from shanmen.common.housekeeping import housekeeping
from shanmen.common.service import Job, every
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.usecases.auditing import anchor_ledger
from shanmen.settlement.usecases.paying import pay_waiting


async def _pay_waiting(context: SettlementContext, stop: asyncio.Event) -> None:
    await every(context.pay_waiting_s, pay_waiting, name="pay waiting visits").run(context, stop)


JOBS = (
    Job("pay waiting visits", _pay_waiting),
    every(3600.0, anchor_ledger, name="anchor the ledger in the audit trail"),
    housekeeping(),
)
