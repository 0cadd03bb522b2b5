"""`shanmen audit`: whether the trail of what people did is whole, and its head to note down."""

import re
from typing import Final

from shanmen.common.audit import Fault, Head, head
from shanmen.common.db import Database
from shanmen.platform.running import running_installation
from shanmen.platform.servers.errors import ServerError
from shanmen.settlement.usecases.auditing import verify_audit

OWNER: Final = "settlement"
"""The service whose people's actions are on record."""
_HEAD: Final = re.compile(r"(?P<seq>[0-9]{1,18}):(?P<hash>[0-9a-f]{64})")


async def verify_trail(noted: str | None) -> tuple[Head, Fault | None]:
    """The head of the trail, and the first row that does not fit, if there is one.

    `noted` is a head that was written down earlier, as `seq:hash`: the trail must still contain
    it. Raises ServerError.
    """
    expected = None if noted is None else _read_head(noted)
    database_url = running_installation().database_url(OWNER)
    database = Database(database_url, pool_size=2)
    try:
        async with database.snapshot() as tx:
            end = await head(tx)
    finally:
        await database.close()
    return end, await verify_audit(database_url, expected)


def _read_head(text: str) -> Head:
    match = _HEAD.fullmatch(text.strip())
    if match is None:
        raise ServerError(
            f"{text!r} is no head of the audit trail. Give it as it was shown: the number of a "
            "row, a colon, and its hash."
        )
    return Head(int(match["seq"]), match["hash"])
