"""The toy service that makes things, over HTTP, and tells of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field, SecretStr
from sqlalchemy import Column, Integer, Table, Text, UniqueConstraint, insert, select
from starlette.responses import Response

from shanmen.common.auth import Introspector, Principal, PrincipalKind, requires
from shanmen.common.clock import Clock
from shanmen.common.db import Database, Tx, build_metadata
from shanmen.common.errors import NotFound
from shanmen.common.http.calls import Call, changes, send_reply
from shanmen.common.idempotency import Reply, once
from shanmen.common.ids import new_id
from shanmen.common.migrate import with_common_tables
from shanmen.common.outbox import Outbox
from shanmen.common.pagination import CursorText, Limit, Page, decode_cursor, page_of
from shanmen.common.service import Service
from shanmen.common.settings import ServiceSettings
from shanmen.common.testing.principals import FakeIntrospector
from shanmen.common.testing.toys.events import ThingHappened, ThingLost
from shanmen.common.worker import main

METADATA = with_common_tables(build_metadata())
MIGRATIONS = Path(__file__).parent / "migrations"
READ, WRITE = "things:read", "things:write"

THINGS = Table(
    "things",
    METADATA,
    Column("thing_no", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("number", Integer, nullable=False),
    # Looked at when the transaction commits, so that a COMMIT can be made to fail.
    UniqueConstraint("number", deferrable=True, initially="DEFERRED"),
)

OUTBOX = Outbox("toymaker")


class MakerSettings(ServiceSettings):
    """Settings of the maker; `token` is accepted from an operator who may do everything."""

    token: SecretStr = SecretStr("")


@dataclass(frozen=True)
class MakerContext:
    """The maker's ports."""

    db: Database
    tokens: Introspector = field(default_factory=FakeIntrospector)


class NewThing(BaseModel, extra="forbid"):
    """What is asked for."""

    number: int = Field(ge=1, le=1_000_000)
    note: str = Field(default="", max_length=500_000)


class Thing(BaseModel):
    """What was made."""

    thing_no: str
    number: int


async def make_thing(tx: Tx, number: int, *, owner: str = "nobody") -> str:
    """Make a thing, and tell of it in the same transaction; returns its number."""
    thing_no = new_id("thg")
    await tx.execute(insert(THINGS).values(thing_no=thing_no, owner=owner, number=number))
    await OUTBOX.add(tx, [ThingHappened(thing_no=thing_no, number=number)])
    return thing_no


router = APIRouter(prefix="/v1")


@router.post("/things", status_code=201)
async def post_thing(
    request: Request, thing: NewThing, call: Annotated[Call, Depends(changes(WRITE))]
) -> Response:
    """Make a thing."""

    async def effect(tx: Tx) -> Reply:
        thing_no = await make_thing(tx, thing.number, owner=call.principal.owner)
        return Reply.of(201, {"thing_no": thing_no, "number": thing.number})

    return send_reply(await once(request.app.state.context.db, call.claim, effect))


@router.get("/things")
async def get_things(
    request: Request,
    who: Annotated[Principal, Depends(requires(READ))],
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[Thing]:
    """The caller's things, in the order in which they were made."""
    wanted = select(THINGS).where(THINGS.c.owner == who.owner).order_by(THINGS.c.thing_no)
    after = decode_cursor(cursor)
    if after is not None:
        wanted = wanted.where(THINGS.c.thing_no > after)
    async with request.app.state.context.db.snapshot() as tx:
        rows = (await tx.execute(wanted.limit(limit + 1))).all()
    things = [Thing(thing_no=row.thing_no, number=row.number) for row in rows]
    return page_of(things, [thing.thing_no for thing in things], limit)


@router.get("/things/{thing_no}")
async def get_thing(
    request: Request, thing_no: str, who: Annotated[Principal, Depends(requires(READ))]
) -> Thing:
    """One of the caller's things."""
    wanted = select(THINGS).where(THINGS.c.thing_no == thing_no, THINGS.c.owner == who.owner)
    async with request.app.state.context.db.transaction() as tx:
        row = (await tx.execute(wanted)).one_or_none()
    if row is None:
        raise NotFound("thing", thing_no)
    return Thing(thing_no=row.thing_no, number=row.number)


@router.get("/slow")
async def get_slow(seconds: Annotated[float, Query(ge=0, le=10)]) -> dict[str, float]:
    """Answer after a while."""
    await asyncio.sleep(seconds)
    return {"seconds": seconds}


@router.get("/broken")
async def get_broken() -> None:
    """Fail in a way that nobody thought of."""
    raise RuntimeError("the inside of the machine")


@asynccontextmanager
async def open_context(
    settings: MakerSettings, database: Database, _: Clock
) -> AsyncIterator[MakerContext]:
    """The maker's ports, of its settings."""
    tokens = FakeIntrospector()
    if settings.token.get_secret_value():
        operator = Principal(
            kind=PrincipalKind.OPERATOR, credential_id="crd", scopes=frozenset({READ, WRITE})
        )
        tokens.accept(settings.token.get_secret_value(), operator)
    yield MakerContext(database, tokens)


MAKER: Service[Any, MakerSettings] = Service(
    name="toymaker",
    title="Toy maker",
    settings=MakerSettings,
    metadata=METADATA,
    migrations=MIGRATIONS,
    router=router,
    prefixes=("/v1/things",),
    emits=(ThingHappened, ThingLost),
    subscriptions=(),
    jobs=(),
    open_context=open_context,
)

if __name__ == "__main__":
    main(MAKER)
