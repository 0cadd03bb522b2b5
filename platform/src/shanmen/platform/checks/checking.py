"""Checking a whole installation: wait until it is quiet, then look at every invariant."""

import time
from collections.abc import Sequence
from typing import Final

from shanmen.platform.checks import (
    admission,
    channel,
    control,
    debits,
    events,
    ledger,
    orders,
    products,
    stock,
    wealth,
    work,
)
from shanmen.platform.checks.findings import Report
from shanmen.platform.checks.invariants import Invariant
from shanmen.platform.checks.quiet import dead_letters, wait_until_quiet
from shanmen.platform.checks.view import open_view
from shanmen.platform.installation import Installation

_GROUPS: Final = "MSKEAPT"
"""Money, statuses, stock and admission (K), events, audit, privacy, tenants."""


def _place(invariant: Invariant) -> tuple[int, int]:
    return _GROUPS.index(invariant.id[0]), int(invariant.id[1:])


_ALL: Final = (
    *ledger.INVARIANTS,
    *channel.INVARIANTS,
    *wealth.INVARIANTS,
    *products.INVARIANTS,
    *debits.INVARIANTS,
    *orders.INVARIANTS,
    *work.INVARIANTS,
    *stock.INVARIANTS,
    *admission.INVARIANTS,
    *events.INVARIANTS,
    *control.INVARIANTS,
)
INVARIANTS: Final[Sequence[Invariant]] = sorted(_ALL, key=_place)
"""Every invariant, in the order of the ids."""


async def check_installation(
    installation: Installation, *, quiet_within_s: float = 30.0
) -> Report:
    """Whether every invariant holds in this installation, which is only read.

    What is still on its way after `quiet_within_s` is a finding of S5. Raises OSError,
    asyncpg.PostgresError, httpx.HTTPError when the books cannot be read.
    """
    began = time.monotonic()
    restless = await wait_until_quiet(installation, within_s=quiet_within_s)
    letters = await dead_letters(installation)
    async with open_view(installation, restless=restless, dead_letters=letters) as view:
        findings = [await invariant.check(view) for invariant in INVARIANTS]
    return Report(installation.mode, time.monotonic() - began, findings)
