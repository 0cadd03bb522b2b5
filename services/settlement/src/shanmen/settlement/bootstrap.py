"""The first approvers by command: `python -m shanmen.settlement.bootstrap PERSON …`."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from shanmen.common.clock import SystemClock
from shanmen.common.db import Database
from shanmen.settlement.settings import SettlementSettings
from shanmen.settlement.usecases.approving import grant_approval

INSTALLATION: Final = "installation"
"""Who grants: not a person, so that two persons are enough to approve for each other."""


async def grant_approvers(database_url: str, persons: Sequence[str]) -> None:
    """Let these persons approve, straight in the database; those who may already are refused.

    Raises ApproverAlready.
    """
    database = Database(database_url, pool_size=1)
    try:
        async with database.transaction() as tx:
            for person in persons:
                await grant_approval(tx, SystemClock(), person=person, by=INSTALLATION)
    finally:
        await database.close()


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("Name the persons who may approve, as their tokens name them.")
    url = SettlementSettings().database_url.get_secret_value()
    asyncio.run(grant_approvers(url, sys.argv[1:]))
