"""What settlement does now and again."""

from shanmen.common import idempotency, inbox
from shanmen.common.service import every
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.usecases.paying import pay_waiting


async def forget(ctx: SettlementContext) -> None:
    """Delete idempotency keys and inbox rows that nobody can repeat any more."""
    async with ctx.db.transaction() as tx:
        await idempotency.forget_expired(tx)
        await inbox.forget_old(tx)


JOBS = (
    every(60.0, pay_waiting, name="pay waiting visits"),
    every(3600.0, forget, name="forget what is past repeating"),
)
