"""What verification does by itself, now and again."""

import asyncio
from typing import Final

from shanmen.common.housekeeping import housekeeping
from shanmen.common.service import Job, every
from shanmen.verification.ports import VerificationContext
from shanmen.verification.usecases import expire_passes


async def _sweep(context: VerificationContext, stop: asyncio.Event) -> None:
    await every(context.expiry_sweep_s, expire_passes, name="expire passes").run(context, stop)


JOBS: Final = (Job("expire passes", _sweep), housekeeping())
