"""The toy service that hears of things and keeps a row for each: an effect that can be counted."""

import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter
from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Integer,
    Table,
    Text,
    func,
    insert,
    select,
    text,
)

from shanmen.common.auth import Introspector
from shanmen.common.clock import Clock
from shanmen.common.db import Database, Tx, build_metadata
from shanmen.common.inbox import subscribe
from shanmen.common.migrate import with_common_tables
from shanmen.common.service import Service
from shanmen.common.settings import ServiceSettings
from shanmen.common.testing.principals import FakeIntrospector
from shanmen.common.testing.toys.events import ThingHappened
from shanmen.common.testing.toys.maker import MIGRATIONS
from shanmen.common.worker import main

log = logging.getLogger(__name__)

METADATA = with_common_tables(build_metadata())

EFFECTS = Table(
    "effects",
    METADATA,
    # No unique thing_no: only the inbox keeps an effect from happening twice.
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("thing_no", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("transaction_id", BigInteger, nullable=False, server_default=text("txid_current()")),
)

Behaviour = Callable[[Tx, ThingHappened], Awaitable[None]]


async def behave(_tx: Tx, _event: ThingHappened) -> None:
    """Do nothing unusual."""


class KeeperSettings(ServiceSettings):
    """Settings of the keeper; the thing with the `deadly_number` kills its process."""

    deadly_number: int = -1


@dataclass(frozen=True)
class KeeperContext:
    """The keeper's ports; `behaviour` runs inside the transaction, before the effect."""

    db: Database
    behaviour: Behaviour = behave
    tokens: Introspector = field(default_factory=FakeIntrospector)


async def keep_thing(tx: Tx, event: ThingHappened, context: KeeperContext) -> None:
    """Write the effect of one event."""
    await context.behaviour(tx, event)
    await tx.execute(insert(EFFECTS).values(thing_no=event.thing_no, number=event.number))
    log.info("thing kept", extra={"thing_no": event.thing_no})


async def kept_numbers(database: Database) -> list[int]:
    """The numbers of all things kept, one entry per effect, sorted."""
    async with database.transaction() as tx:
        return list(await tx.scalars(select(EFFECTS.c.number).order_by(EFFECTS.c.number)))


async def count_transactions(database: Database) -> int:
    """How many transactions it took to keep what is kept."""
    async with database.transaction() as tx:
        count = func.count(EFFECTS.c.transaction_id.distinct())
        return int(await tx.scalar(select(count)) or 0)


@asynccontextmanager
async def open_context(
    settings: KeeperSettings, database: Database, _: Clock
) -> AsyncIterator[KeeperContext]:
    """The keeper's ports, of its settings."""

    async def die_of_it(_tx: Tx, event: ThingHappened) -> None:
        if event.number == settings.deadly_number:
            os.kill(os.getpid(), signal.SIGKILL)

    yield KeeperContext(database, die_of_it)


THINGS_QUEUE = "toykeeper.things"

KEEPER: Service[Any, KeeperSettings] = Service(
    name="toykeeper",
    title="Toy keeper",
    settings=KeeperSettings,
    metadata=METADATA,
    migrations=MIGRATIONS,
    router=APIRouter(),
    prefixes=(),
    emits=(),
    subscriptions=(subscribe(THINGS_QUEUE, {ThingHappened: keep_thing}),),
    jobs=(),
    open_context=open_context,
)

if __name__ == "__main__":
    main(KEEPER)
