"""A catalog on a database of its own, with short ways to fill it and to look into it."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import Table, select

from shanmen.catalog.domain import SCOPES, AccountRole, ProductStatus
from shanmen.catalog.events import SUBSCRIPTIONS
from shanmen.catalog.main import SERVICE
from shanmen.catalog.ports import CatalogContext
from shanmen.catalog.queries import pool as queries
from shanmen.catalog.schemas import (
    CombinedTerms,
    ConsentAnswer,
    NewAccount,
    NewDistributor,
    NewProduct,
    NewSpot,
)
from shanmen.catalog.tables import RESERVATIONS, STOCK
from shanmen.catalog.usecases import consents, parties, publishing
from shanmen.catalog.usecases.reservations import reserve_stock
from shanmen.common.broker.protocol import Delivery, Fate
from shanmen.common.clock import ManualClock
from shanmen.common.db import Database
from shanmen.common.events import Event
from shanmen.common.inbox import Inbox
from shanmen.common.outbox import OUTBOX, Outbox
from shanmen.common.testing.clients import api_client, settings_for
from shanmen.common.testing.events import message_of
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.principals import FakeIntrospector, principal
from shanmen.contracts.catalog import Offer, ReservationResult, ReserveStock
from shanmen.contracts.orders import OrderClosed, OrderPlaced, TicketsIssued
from shanmen.contracts.terms import RefundRule

NOON: Final = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
"""Noon in Shanghai."""
DAY: Final = date(2026, 11, 5)
OPERATOR: Final = principal("operator")

Bearer = Callable[..., dict[str, str]]


class Market:
    """A catalog in which things are for sale.

    Unless told otherwise a product costs 10000 fen, of which its spot is owed 8000, and is sold
    for `DAY` with 50 in stock.
    """

    def __init__(self, ctx: CatalogContext, clock: ManualClock) -> None:
        self.ctx = ctx
        self.clock = clock
        self.inboxes = [Inbox(ctx.db, subscription, ctx) for subscription in SUBSCRIPTIONS]

    # filling it

    async def spot(self, *, with_account: bool = True, **given: Any) -> str:
        """A spot, by default with an account that it is paid to."""
        async with self.ctx.db.transaction() as tx:
            view = await parties.onboard_spot(tx, NewSpot(**{"name": "黄山", **given}))
        if with_account:
            await self.account(view.spot_id, AccountRole.RECEIVE)
        return view.spot_id

    async def distributor(self, *, with_account: bool = True, **given: Any) -> str:
        """A distributor, by default with an account that is debited."""
        async with self.ctx.db.transaction() as tx:
            body = NewDistributor(**{"name": "好去处", **given})
            view = await parties.onboard_distributor(tx, body)
        if with_account:
            await self.account(view.distributor_id, AccountRole.PAY)
        return view.distributor_id

    async def account(
        self, party_id: str, role: AccountRole, account_no: str = "2088000000000001"
    ) -> str:
        """A settlement account, now its party's default."""
        body = NewAccount(
            party_id=party_id,
            role=role,
            channel="alipay",
            account_no=account_no,
            account_name="某某公司",
            agreement_no="20260001" if role is AccountRole.PAY else None,
        )
        async with self.ctx.db.transaction() as tx:
            return (await parties.register_account(tx, self.ctx, OPERATOR, body)).account_id

    async def product(
        self, spot_id: str | None = None, *, total: int | None = 50, **given: Any
    ) -> str:
        """A product on sale; `total` is its stock on `DAY`, None for no calendar entry."""
        if "spots" not in given:
            spot_id = spot_id or await self.spot()
            given["spots"] = [{"spot_id": spot_id, "settle_fen": 8_000}]
        stock = [] if total is None else [{"visit_date": DAY, "total": total}]
        body: dict[str, Any] = {
            "name": "黄山一日票",
            "unit_price_fen": 10_000,
            "stock": stock,
            "publish": True,
        }
        async with self.ctx.db.transaction() as tx:
            made = NewProduct.model_validate({**body, **given})
            return (await publishing.create_product(tx, OPERATOR, made)).product_id

    async def combined(
        self, prices_fen: Mapping[str, int], *, sold: bool = True, **given: Any
    ) -> str:
        """A combined product of these spots, each owed its price; accepted by all and on sale."""
        spots = [{"spot_id": spot, "settle_fen": fen} for spot, fen in prices_fen.items()]
        usual = {"name": "黄山西递联票", "kind": "combined", "spots": spots, "publish": False}
        product_id = await self.product(**{**usual, **given})
        if sold:
            for spot in prices_fen:
                await self.answer(product_id, spot, "accept", version=1)
            await self.change_status(product_id, ProductStatus.PUBLISHED)
        return product_id

    async def answer(self, product_id: str, spot_id: str, answer: str, **given: Any) -> None:
        """A spot's answer to being part of a combined product."""
        body = ConsentAnswer.model_validate({"answer": answer, **given})
        async with self.ctx.db.transaction() as tx:
            spot = principal("spot", spot_id)
            await consents.answer_consent(tx, self.ctx, spot, product_id, body)

    async def change_status(self, product_id: str, target: ProductStatus) -> None:
        """The platform publishes or withdraws a product."""
        async with self.ctx.db.transaction() as tx:
            await publishing.change_status(tx, OPERATOR, product_id, target)

    async def change_terms(self, product_id: str, **terms: Any) -> int:
        """The platform changes a combined product; returns the version with the new terms."""
        body = CombinedTerms.model_validate(terms)
        async with self.ctx.db.transaction() as tx:
            view = await publishing.change_terms(tx, OPERATOR, product_id, body)
        return view.terms_version

    # what orders tells of it

    def placed(self, order_no: str) -> OrderPlaced:
        """The order exists."""
        return OrderPlaced(order_no=order_no, distributor_id="dst_1", product_id="prd_1")

    def issued(self, order_no: str) -> TicketsIssued:
        """The order's tickets have numbers."""
        return TicketsIssued(
            order_no=order_no,
            distributor_id="dst_1",
            product_id="prd_1",
            issued_at=NOON,
            refund_rule=RefundRule(),
            tickets=(),
        )

    def closed(self, order_no: str, reason: str = "cancelled") -> OrderClosed:
        """The order ended unpaid."""
        return OrderClosed(order_no=order_no, reason=reason)

    # selling from it

    async def reserve(self, *commands: ReserveStock) -> tuple[ReservationResult, ...]:
        """Set stock aside for these orders at once."""
        return await reserve_stock(self.ctx, commands)

    async def offer(self, command: ReserveStock) -> Offer:
        """The offer that the command must get."""
        (result,) = await self.reserve(command)
        assert result.offer is not None, result.refused
        return result.offer

    async def refusal(self, command: ReserveStock) -> tuple[int, str, str | None]:
        """Status, code and field of the refusal that the command must get."""
        (result,) = await self.reserve(command)
        assert result.refused is not None, result.offer
        return result.refused.status, result.refused.code, result.refused.field

    async def tell(self, *events: Event) -> None:
        """Let events arrive, in batches as large as their queues ask for; all must be accepted."""
        for inbox, subscription in zip(self.inboxes, SUBSCRIPTIONS, strict=True):
            fitting = [event for event in events if event.TYPE in subscription.handlers]
            for start in range(0, len(fitting), subscription.queue.batch):
                batch = fitting[start : start + subscription.queue.batch]
                verdicts = await inbox.handle([Delivery(message_of(event), 0) for event in batch])
                assert {verdict.fate for verdict in verdicts} == {Fate.DONE}, verdicts

    # looking into it

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        """All rows of a table in order of its primary key."""
        async with self.ctx.db.transaction() as tx:
            found = await tx.execute(select(table).order_by(*table.primary_key.columns))
            return [dict(row) for row in found.mappings()]

    async def counters(self, product_id: str) -> list[tuple[int, int, int]]:
        """(total, reserved, sold) of a product's calendar entries in order of date."""
        async with self.ctx.db.transaction() as tx:
            rows = await queries.calendar(tx, product_id, first=None, last=None, limit=400)
        return [(row.total, row.reserved, row.sold) for row in rows]

    async def statuses(self) -> dict[str, str]:
        """What became of every reservation, by order number."""
        return {row["order_no"]: row["status"] for row in await self.rows(RESERVATIONS)}

    async def recounted(self) -> dict[str, tuple[int, int]]:
        """(reserved, sold) of every stock entry, counted anew from the reservations."""
        counted = {row["stock_id"]: (0, 0) for row in await self.rows(STOCK)}
        for row in await self.rows(RESERVATIONS):
            reserved, sold = counted[row["stock_id"]]
            if row["status"] in ("held", "confirmed"):
                reserved += row["quantity"]
            if row["status"] == "sold":
                sold += row["quantity"]
            counted[row["stock_id"]] = (reserved, sold)
        return counted

    async def check_books(self) -> None:
        """The counters are what the reservations add up to, and nothing is oversold."""
        stock = await self.rows(STOCK)
        for row in stock:
            assert 0 <= row["reserved"] + row["sold"] <= row["total"], row
        kept = {row["stock_id"]: (row["reserved"], row["sold"]) for row in stock}
        assert kept == await self.recounted()

    async def sent(self, event_type: type[Event]) -> list[dict[str, Any]]:
        """The payloads of the events of a type that were recorded, in order."""
        rows = await self.rows(OUTBOX)
        return [row["data"] for row in rows if row["type"] == event_type.TYPE]


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    """Catalog's database, empty."""
    return await open_database(SERVICE)


@pytest.fixture
def clock() -> ManualClock:
    """Noon of 1 November 2026 in Shanghai, until it is moved."""
    return ManualClock(NOON)


@pytest.fixture
def ctx(database: Database, tokens: FakeIntrospector, clock: ManualClock) -> CatalogContext:
    """Catalog's ports; tokens are the test's own."""
    return CatalogContext(
        db=database,
        tokens=tokens,
        clock=clock,
        outbox=Outbox("catalog"),
        settings=settings_for(SERVICE, database.url),
    )


@pytest.fixture
def market(ctx: CatalogContext, clock: ManualClock) -> Market:
    """A catalog in which nothing is for sale yet."""
    return Market(ctx, clock)


@pytest.fixture
def wanted() -> Callable[..., ReserveStock]:
    """`wanted("ord_1", distributor, product, quantity=…)`: the command that sets stock aside."""

    def command(order_no: str, distributor_id: str, product_id: str, **given: Any) -> ReserveStock:
        usual = {"visit_date": DAY, "slot": None, "quantity": 1}
        return ReserveStock(
            order_no=order_no,
            distributor_id=distributor_id,
            product_id=product_id,
            **{**usual, **given},
        )

    return command


@pytest.fixture
async def client(ctx: CatalogContext) -> AsyncIterator[httpx.AsyncClient]:
    """Catalog's HTTP face; each call brings its own token."""
    async with api_client(SERVICE, ctx) as http:
        yield http


@pytest.fixture
def bearer(tokens: FakeIntrospector) -> Bearer:
    """`bearer("spot", spot_id, scopes=…)`: the headers of a new credential.

    Without scopes it has all that its kind can have.
    """

    def headers(
        kind: str,
        party_id: str | None = None,
        *,
        scopes: Iterable[str] | None = None,
        reseller: str | None = None,
        person: str | None = None,
    ) -> dict[str, str]:
        given: Sequence[str] = sorted(SCOPES.get(kind, ()) if scopes is None else scopes)
        who = principal(kind, party_id, scopes=given, reseller=reseller, person=person)
        token = tokens.issue(who)
        return {"Authorization": f"Bearer {token}"}

    return headers
