"""A maker and a keeper on one transport: the shortest way an event can go."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from shanmen.common.broker.protocol import Ladder
from shanmen.common.db import Database
from shanmen.common.service import Running, Service
from shanmen.common.testing.clients import background, running_of
from shanmen.common.testing.events import QUICK, WatchedTransport, drain, outbox_size, settled
from shanmen.common.testing.fixtures import OpenDatabase, OpenTransport
from shanmen.common.testing.toys.keeper import (
    KEEPER,
    THINGS_QUEUE,
    Behaviour,
    KeeperContext,
    behave,
    kept_numbers,
)
from shanmen.common.testing.toys.maker import MAKER, MakerContext, make_thing


@dataclass(frozen=True)
class Pair:
    """Both services, not running until `running` or `drain` lets them."""

    maker: Running[Any]
    keeper: Running[Any]
    transport: WatchedTransport

    @property
    def maker_db(self) -> Database:
        """The maker's database."""
        database: Database = self.maker.context.db
        return database

    @property
    def keeper_db(self) -> Database:
        """The keeper's database."""
        database: Database = self.keeper.context.db
        return database

    async def make(self, *numbers: int) -> list[str]:
        """Make things in one transaction; returns what they are called."""
        async with self.maker_db.transaction() as tx:
            return [await make_thing(tx, number) for number in numbers]

    async def kept(self) -> list[int]:
        """The numbers of the things kept, one entry per effect, sorted."""
        return await kept_numbers(self.keeper_db)

    async def waiting(self) -> int:
        """How many events wait in the maker's outbox."""
        return await outbox_size(self.maker_db)

    def running(self) -> AbstractAsyncContextManager[Any]:
        """Relay and consumer around a block."""
        return background(self.maker, self.keeper)

    async def settled(self, *, within_s: float = 10.0) -> None:
        """Wait, while they run, until nothing is on its way."""
        await settled(self.maker, self.keeper, within_s=within_s)

    async def drain(self, *, within_s: float = 10.0) -> None:
        """Let them run until nothing is on its way."""
        await drain(self.maker, self.keeper, within_s=within_s)

    async def parked(self) -> Sequence[tuple[str, str]]:
        """(event id, reason) of each of the keeper's dead letters."""
        letters = await self.transport.dead_letters(THINGS_QUEUE)
        return [(letter.id, letter.reason) for letter in letters]


async def open_pair(
    open_transport: OpenTransport,
    open_database: OpenDatabase,
    *,
    behaviour: Behaviour = behave,
    keeper: Service[Any, Any] = KEEPER,
    ladder: Ladder = QUICK,
) -> Pair:
    """A pair with databases of its own; `behaviour` runs in the keeper before each effect."""
    transport = await open_transport(MAKER, keeper, ladder=ladder)
    maker_context = MakerContext(await open_database(MAKER))
    keeper_context = KeeperContext(await open_database(KEEPER), behaviour)
    return Pair(
        maker=running_of(MAKER, maker_context, transport),
        keeper=running_of(keeper, keeper_context, transport),
        transport=transport,
    )
