"""What verification's tests start from: a context, tickets that were issued, gates that scan."""

import base64
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select, text

from shanmen.common.app import create_app
from shanmen.common.broker.protocol import DONE
from shanmen.common.clock import ShiftedClock
from shanmen.common.db import Database
from shanmen.common.inbox import Inbox
from shanmen.common.outbox import OUTBOX
from shanmen.common.testing.clients import running_of
from shanmen.common.testing.events import deliver
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.principals import FakeIntrospector, principal
from shanmen.contracts.orders import IssuedEntitlement, IssuedTicket, TicketsIssued
from shanmen.contracts.terms import AccountRef, RefundRule
from shanmen.verification.context import assemble
from shanmen.verification.events import SUBSCRIPTIONS
from shanmen.verification.main import SERVICE
from shanmen.verification.ports import VerificationContext

KEY_ID = "2026a"
DAY = timedelta(days=1)


@pytest.fixture(scope="session")
def ticket_key() -> Ed25519PrivateKey:
    """The key that signs tickets, known to the service as `2026a`."""
    return Ed25519PrivateKey.generate()


@pytest.fixture(scope="session")
def sign(ticket_key: Ed25519PrivateKey) -> Callable[..., str]:
    """`sign(ticket_no, key_id=…, key=…)`: the code of a ticket."""

    def signed(
        ticket_no: str, *, key_id: str = KEY_ID, key: Ed25519PrivateKey = ticket_key
    ) -> str:
        text = f"SM1.{key_id}.{ticket_no}"
        signature = base64.urlsafe_b64encode(key.sign(text.encode())).rstrip(b"=").decode()
        return f"{text}.{signature}"

    return signed


@pytest.fixture
def shift_file(tmp_path: Path) -> Path:
    """Moves the time of all processes, as soon as somebody writes it."""
    return tmp_path / "clock"


@pytest.fixture
async def ctx(
    open_database: OpenDatabase,
    tokens: FakeIntrospector,
    shift_file: Path,
    ticket_key: Ed25519PrivateKey,
) -> VerificationContext:
    """The service's ports on a database of its own."""
    keys = {KEY_ID: ticket_key.public_key()}
    return assemble(await open_database(SERVICE), tokens, ShiftedClock(shift_file), keys)


@pytest.fixture
async def second_ctx(
    ctx: VerificationContext, tokens: FakeIntrospector, shift_file: Path
) -> AsyncIterator[VerificationContext]:
    """The same service as another process would hold it: an engine of its own, the same data."""
    database = Database(ctx.db.url)
    yield assemble(database, tokens, ShiftedClock(shift_file), ctx.ticket_keys)
    await database.close()


@pytest.fixture
def inbox(ctx: VerificationContext) -> Inbox[VerificationContext]:
    """Where events of orders arrive."""
    return Inbox(ctx.db, SUBSCRIPTIONS[0], ctx)


@pytest.fixture
def issued() -> Callable[..., TicketsIssued]:
    """`issued("tkt_1", …, spots=(…), …)`: the event of an order with these tickets.

    Entitlement ids are `<ticket>@<spot>`; by default valid from yesterday to tomorrow.
    `terms_of` is what a spot's entitlements have of their own.
    """
    orders = itertools.count(1)

    def event(
        *ticket_nos: str,
        spots: Sequence[str] = ("spt_a",),
        activated: bool = True,
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        expires_at: datetime | None = None,
        order_no: str | None = None,
        terms_of: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> TicketsIssued:
        now = datetime.now(UTC)
        account = AccountRef(account_id="acc_1", channel="alipay")
        end = valid_until or now + DAY
        tickets = [
            IssuedTicket(
                ticket_no=ticket_no,
                activated=activated,
                entitlements=tuple(
                    IssuedEntitlement.model_validate(
                        {
                            "entitlement_id": f"{ticket_no}@{spot}",
                            "spot_id": spot,
                            "part_fen": 10_000,
                            "settle_fen": 8_000,
                            "settlement_fee_fen": 80,
                            "receive_account": account,
                            "valid_from": valid_from or now - DAY,
                            "valid_until": end,
                            "expires_at": expires_at or end,
                            **(terms_of or {}).get(spot, {}),
                        }
                    )
                    for spot in spots
                ),
            )
            for ticket_no in ticket_nos
        ]
        return TicketsIssued(
            order_no=order_no or f"ord_{next(orders)}",
            distributor_id="dst_1",
            product_id="prd_1",
            issued_at=now,
            refund_rule=RefundRule(),
            tickets=tuple(tickets),
        )

    return event


@pytest.fixture
def issue(
    inbox: Inbox[VerificationContext], issued: Callable[..., TicketsIssued]
) -> Callable[..., Awaitable[TicketsIssued]]:
    """The same, and it has arrived."""

    async def arrive(*ticket_nos: str, **how: Any) -> TicketsIssued:
        event = issued(*ticket_nos, **how)
        assert await deliver(inbox, event) == [DONE]
        return event

    return arrive


@pytest.fixture
def required_settings(ticket_key: Ed25519PrivateKey) -> dict[str, Any]:
    """The settings that have no default."""
    public_key = base64.b64encode(ticket_key.public_key().public_bytes_raw()).decode()
    return {"service_token": "shm_test", "ticket_public_keys": {KEY_ID: public_key}}


@pytest.fixture
async def client(
    ctx: VerificationContext, required_settings: dict[str, Any]
) -> AsyncIterator[httpx.AsyncClient]:
    """The service's HTTP face; each call brings its own token."""
    running = running_of(SERVICE, ctx, **required_settings)
    transport = httpx.ASGITransport(create_app(SERVICE, running), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield http


@pytest.fixture
def bearer(tokens: FakeIntrospector) -> Callable[..., dict[str, str]]:
    """`bearer("device", "spt_a", scopes=…)`: the headers of a new credential."""

    def headers(
        kind: str,
        party_id: str | None = None,
        scopes: Sequence[str] = ("scans:read", "scans:write"),
    ) -> dict[str, str]:
        token = tokens.issue(principal(kind, party_id, scopes=scopes))
        return {"Authorization": f"Bearer {token}"}

    return headers


@pytest.fixture
def told() -> Callable[[VerificationContext], Awaitable[list[tuple[str, dict[str, Any]]]]]:
    """`told(ctx)`: type and payload of the events that the service has recorded, in order."""

    async def events(ctx: VerificationContext) -> list[tuple[str, dict[str, Any]]]:
        async with ctx.db.transaction() as tx:
            rows = await tx.execute(select(OUTBOX.c.type, OUTBOX.c.data).order_by(OUTBOX.c.id))
            return [(row.type, row.data) for row in rows]

    return events


@pytest.fixture
def lock_is_awaited() -> Callable[[VerificationContext], Awaitable[bool]]:
    """`lock_is_awaited(ctx)`: whether a statement in the database waits for another's lock."""
    waiting = text(
        "SELECT count(*) > 0 FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )

    async def awaited(ctx: VerificationContext) -> bool:
        async with ctx.db.transaction() as tx:
            return bool(await tx.scalar(waiting))

    return awaited
