"""The tidying that every service does of the event layer's own tables."""

from typing import Any

from shanmen.common.idempotency import forget_expired
from shanmen.common.inbox import forget_old
from shanmen.common.service import Context, Job, every

HOUR_S = 3600.0


async def tidy(context: Context) -> None:
    """Forget idempotency keys and inbox rows that nobody can ask for any more."""
    async with context.db.transaction() as tx:
        await forget_expired(tx)
        await forget_old(tx)


def housekeeping() -> Job[Any]:
    """The hourly job."""
    return every(HOUR_S, tidy, name="housekeeping")
