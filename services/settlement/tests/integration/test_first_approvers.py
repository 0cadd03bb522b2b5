"""Two persons are enough for four eyes: the installation itself makes them approvers."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shanmen.common.audit import head
from shanmen.common.db import Database
from shanmen.settlement.bootstrap import INSTALLATION, grant_approvers
from shanmen.settlement.errors import ApproverAlready
from shanmen.settlement.main import SERVICE
from shanmen.settlement.queries import actions


async def test_a_command_grants_the_first_approvers_and_notes_it(
    fresh_database: Callable[[Any], Awaitable[str]],
) -> None:
    url = await fresh_database(SERVICE)
    await grant_approvers(url, ["张三", "李四"])
    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as tx:
            grants = await actions.approvers_page(tx, after=None, limit=10)
            assert {(row.person, row.granted_by) for row in grants} == {
                ("张三", INSTALLATION),
                ("李四", INSTALLATION),
            }
            assert (await head(tx)).seq == 2
    finally:
        await database.close()
    with pytest.raises(ApproverAlready):
        await grant_approvers(url, ["李四"])
