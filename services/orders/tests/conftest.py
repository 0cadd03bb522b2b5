"""An orders service on a database of its own, a stock that obeys the test, and callers."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import Table, select, text

from shanmen.common.app import create_app
from shanmen.common.batching import Batcher
from shanmen.common.broker.protocol import Fate, Verdict
from shanmen.common.clock import ManualClock
from shanmen.common.db import Database
from shanmen.common.doorbell import Doorbell
from shanmen.common.errors import Refusal, Unavailable
from shanmen.common.events import Event, Message
from shanmen.common.inbox import Inbox
from shanmen.common.outbox import OUTBOX, Outbox
from shanmen.common.testing.clients import running_of, settings_for
from shanmen.common.testing.events import deliver, eventually
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.principals import FakeIntrospector, principal
from shanmen.contracts.catalog import (
    Offer,
    ProductKind,
    RealNameRule,
    ReservationRefused,
    ReservationResult,
    ReserveStock,
    SpotTerms,
)
from shanmen.contracts.gateway import OperationFailed, OperationStuck, OperationSucceeded
from shanmen.contracts.orders import OrderClosed
from shanmen.contracts.settlement import EntitlementSettled, SettleFailed
from shanmen.contracts.terms import AccountRef, RefundRule
from shanmen.contracts.verification import EntitlementUsed
from shanmen.orders.commands import Placement, PlaceOrder
from shanmen.orders.errors import UnsafeUrl
from shanmen.orders.events import SUBSCRIPTIONS
from shanmen.orders.main import SERVICE
from shanmen.orders.ports import OrdersContext, Stock
from shanmen.orders.ports.webhooks import Answer, Parcel
from shanmen.orders.qr import TicketSigner
from shanmen.orders.tables import ENTITLEMENTS, ORDERS
from shanmen.orders.usecases.placing import place_orders

NOON: Final = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
DAY: Final = date(2026, 11, 5)
SEED: Final = base64.b64encode(bytes(range(32))).decode()
SELLING: Final = ("orders:read", "orders:write", "tickets:read")
SECRETS: Final[Mapping[str, Any]] = {
    "service_token": "shs_orders",
    "ticket_key_id": "2026a",
    "ticket_signing_key": SEED,
}

Bearer = Callable[..., dict[str, str]]
OpenShop = Callable[["OrdersContext", "FakeStock"], Awaitable["Shop"]]


@dataclass
class FakeStock:
    """Catalog's stock without catalog: as much as there is, at the price of the moment.

    `terms_of` is what a spot's terms have of their own.
    `refusal` is answered to every order, `down` to every call; `loses_answers` sets the stock
    aside and says nothing. While `held_up` is not set, calls wait after stock was set aside.
    """

    left: int = 10_000
    price_fen: int = 10_000
    fee_fen: int = 60
    payment_timeout_s: int = 1800
    spots: tuple[str, ...] = ("spt_1",)
    terms_of: dict[str, dict[str, Any]] = field(default_factory=dict)
    real_name: RealNameRule = RealNameRule.NONE
    refund_rule: RefundRule = field(default_factory=RefundRule)
    payer: str = "acc_payer"
    refusal: ReservationRefused | None = None
    down: bool = False
    loses_answers: bool = False
    calls: int = 0
    taken: list[ReserveStock] = field(default_factory=list)
    held_up: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.held_up.set()

    async def reserve(self, commands: Sequence[ReserveStock]) -> Sequence[ReservationResult]:
        """See Stock."""
        self.calls += 1
        if self.down:
            raise Unavailable("Stock cannot be reserved at the moment; try again.")
        results = [self._result(command) for command in commands]
        await self.held_up.wait()
        if self.loses_answers:
            raise Unavailable("Stock cannot be reserved at the moment; try again.")
        return results

    def _result(self, command: ReserveStock) -> ReservationResult:
        refused = self.refusal
        if refused is None and command.quantity > self.left:
            refused = ReservationRefused(status=409, code="sold_out", detail="None left (售罄).")
        if refused is not None:
            return ReservationResult(order_no=command.order_no, refused=refused)
        self.left -= command.quantity
        self.taken.append(command)
        return ReservationResult(order_no=command.order_no, offer=self._offer(command))

    def _offer(self, command: ReserveStock) -> Offer:
        account = AccountRef(account_id="acc_spot", channel="alipay")
        return Offer(
            product_id=command.product_id,
            product_version=1,
            product_name="黄山一日票",
            kind=ProductKind.SINGLE if len(self.spots) == 1 else ProductKind.COMBINED,
            visit_date=command.visit_date,
            slot=command.slot,
            quantity=command.quantity,
            unit_price_fen=self.price_fen,
            fee_fen=self.fee_fen,
            valid_from=DAY,
            valid_until=DAY,
            spots=tuple(
                SpotTerms.model_validate(
                    {
                        "spot_id": spot_id,
                        "spot_name": "黄山",
                        "time_zone": "Asia/Shanghai",
                        "settle_fen": 8_000,
                        "settlement_fee_fen": 80,
                        "part_fen": self.price_fen // len(self.spots),
                        "offline_grace_s": 3600,
                        "receive_account": account,
                        **self.terms_of.get(spot_id, {}),
                    }
                )
                for spot_id in self.spots
            ),
            pay_account=AccountRef(account_id=self.payer, channel="alipay"),
            refund_rule=self.refund_rule,
            real_name=self.real_name,
            invests=False,
            payment_timeout_s=self.payment_timeout_s,
        )


class FakeCourier:
    """Endpoints without a network: takes every parcel until told otherwise.

    `answers` are given in turn per URL, the last one again and again; `unsafe` are URLs that
    may not be called. While `held_up` is not set, parcels wait after they were taken.
    """

    def __init__(self) -> None:
        self.parcels: list[Parcel] = []
        self.answers: dict[str, list[Answer]] = {}
        self.unsafe: set[str] = set()
        self.held_up = asyncio.Event()
        self.held_up.set()

    async def check(self, url: str) -> None:
        """See Courier."""
        if url in self.unsafe:
            raise UnsafeUrl("not on the public internet")

    async def deliver(self, parcel: Parcel) -> Answer:
        """See Courier."""
        self.parcels.append(parcel)
        await self.held_up.wait()
        answers = self.answers.get(parcel.url, [Answer(204, "HTTP 204")])
        return answers.pop(0) if len(answers) > 1 else answers[0]


def context_of(
    database: Database, tokens: FakeIntrospector, clock: ManualClock, stock: Stock
) -> OrdersContext:
    """Orders' ports, as one process holds them."""

    async def run(commands: Sequence[PlaceOrder]) -> Sequence[Placement | Refusal]:
        return await place_orders(context, commands)

    context = OrdersContext(
        db=database,
        tokens=tokens,
        clock=clock,
        outbox=Outbox("orders"),
        stock=stock,
        signer=TicketSigner.from_seed("2026a", SEED),
        doorbell=Doorbell(database.url),
        courier=FakeCourier(),
        settings=settings_for(SERVICE, database.url, **SECRETS),
        placements=Batcher(run),
    )
    return context


class Shop:
    """A distributor's view of orders over HTTP, and what happens to its orders meanwhile.

    The caller is distributor `dst_1` unless told otherwise; an order is for two tickets of
    product `prd_1` on `DAY`.
    """

    def __init__(
        self, ctx: OrdersContext, stock: FakeStock, client: httpx.AsyncClient, seller: Any
    ) -> None:
        self.ctx = ctx
        self.stock = stock
        self.client = client
        self.seller: dict[str, str] = seller
        self.inbox = Inbox(ctx.db, SUBSCRIPTIONS[0], ctx)

    # calls

    async def post(
        self, path: str, body: Any = None, *, by: dict[str, str] | None = None, **headers: str
    ) -> httpx.Response:
        """POST; `Idempotency_Key=…` and `Prefer=…` become headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, json=body, headers=(by or self.seller) | named)

    async def get(
        self, path: str, *, by: dict[str, str] | None = None, **params: Any
    ) -> httpx.Response:
        """GET."""
        return await self.client.get(path, params=params, headers=by or self.seller)

    def order_body(self, number: str = "A-1", **given: Any) -> dict[str, Any]:
        """What is posted to place an order."""
        usual = {
            "distributor_order_no": number,
            "product_id": "prd_1",
            "visit_date": DAY.isoformat(),
            "quantity": 2,
        }
        return {**usual, **given}

    async def place(self, number: str = "A-1", **given: Any) -> dict[str, Any]:
        """Place an order, which must succeed; returns its view."""
        answer = await self.post("/v1/orders", self.order_body(number, **given))
        assert answer.status_code in {201, 202}, answer.text
        view: dict[str, Any] = answer.json()
        return view

    async def pay(self, order_no: str) -> str:
        """Instruct payment, which must be on its way then; returns the operation."""
        answer = await self.post(f"/v1/orders/{order_no}/pay")
        assert answer.status_code == 202, answer.text
        return str(answer.json()["payment"]["operation_id"])

    async def issued(self, number: str = "A-1", **given: Any) -> dict[str, Any]:
        """An order that was placed, paid and issued."""
        order_no = (await self.place(number, **given))["order_no"]
        await self.told(self.succeeded(await self.pay(order_no)))
        return await self.view(order_no)

    async def view(self, order_no: str) -> dict[str, Any]:
        """The order as its distributor sees it."""
        answer = await self.get(f"/v1/orders/{order_no}")
        assert answer.status_code == 200, answer.text
        view: dict[str, Any] = answer.json()
        return view

    # what others tell

    def succeeded(self, operation_id: str, **given: Any) -> OperationSucceeded:
        """The debit happened."""
        usual = {
            "kind": "debit",
            "channel": "alipay",
            "amount_fen": 20_060,
            "channel_ref": "2026110122001",
            "finished_at": NOON,
        }
        return OperationSucceeded(operation_id=operation_id, **{**usual, **given})

    def failed(self, operation_id: str, reason: str = "agreement ended") -> OperationFailed:
        """The debit will never happen under this number."""
        return OperationFailed(
            operation_id=operation_id,
            kind="debit",
            channel="alipay",
            code="AGREEMENT_NOT_EXIST",
            reason=reason,
            finished_at=NOON,
        )

    def stuck(
        self, operation_id: str, outcome: str = "funds", reason: str = "balance too low"
    ) -> OperationStuck:
        """The debit waits."""
        return OperationStuck(
            operation_id=operation_id,
            kind="debit",
            channel="alipay",
            outcome=outcome,
            code="BUYER_BALANCE_NOT_ENOUGH",
            reason=reason,
            since=NOON,
        )

    def used(self, order_no: str, entitlement_id: str) -> EntitlementUsed:
        """A visitor was admitted."""
        return EntitlementUsed(
            entitlement_id=entitlement_id,
            ticket_no="tkt",
            order_no=order_no,
            spot_id="spt_1",
            used_at=NOON,
            scan_id="scn_1",
            device="gate 1",
        )

    def settled(self, order_no: str, entitlement_id: str) -> EntitlementSettled:
        """The spot was paid for a visit."""
        return EntitlementSettled(
            entitlement_id=entitlement_id,
            order_no=order_no,
            spot_id="spt_1",
            payout_id="pay_1",
            paid_fen=7_920,
            settled_at=NOON,
        )

    def settle_failed(self, order_no: str, entitlement_id: str) -> SettleFailed:
        """The spot could not be paid yet."""
        return SettleFailed(
            entitlement_id=entitlement_id,
            order_no=order_no,
            spot_id="spt_1",
            reason="platform balance too low",
            failed_at=NOON,
        )

    async def tell(self, *events: Event | Message) -> Sequence[Verdict]:
        """Let events arrive as one batch; returns the verdicts."""
        return await deliver(self.inbox, *events)

    async def told(self, *events: Event | Message) -> None:
        """Let events arrive one by one, all of which must be accepted."""
        for event in events:
            (verdict,) = await self.tell(event)
            assert verdict.fate is Fate.DONE, verdict.reason

    # what came of it

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        """All rows of a table in order of its primary key."""
        async with self.ctx.db.transaction() as tx:
            found = await tx.execute(select(table).order_by(*table.primary_key.columns))
            return [dict(row) for row in found.mappings()]

    async def statuses(self) -> dict[str, str]:
        """The status of every order, by its number."""
        return {row["order_no"]: row["status"] for row in await self.rows(ORDERS)}

    async def entitlements(self, order_no: str) -> list[str]:
        """The entitlements of an order, in order."""
        rows = await self.rows(ENTITLEMENTS)
        return [row["entitlement_id"] for row in rows if row["order_no"] == order_no]

    async def sent(self, event_type: type[Event]) -> list[dict[str, Any]]:
        """The payloads of the events of a type that were recorded, in order."""
        rows = await self.rows(OUTBOX)
        return [row["data"] for row in rows if row["type"] == event_type.TYPE]

    async def held(self) -> list[str]:
        """Order numbers whose stock was set aside and not told to be given back, sorted."""
        given_back = [event["order_no"] for event in await self.sent(OrderClosed)]
        assert len(given_back) == len(set(given_back)), "stock was given back twice"
        return sorted({command.order_no for command in self.stock.taken} - set(given_back))


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    """Orders' database, empty."""
    return await open_database(SERVICE)


@pytest.fixture
def clock() -> ManualClock:
    """Noon of 1 November 2026 in Shanghai, until it is moved."""
    return ManualClock(NOON)


@pytest.fixture
def stock() -> FakeStock:
    """A stock that obeys the test."""
    return FakeStock()


@pytest.fixture
def ctx_with(
    database: Database, tokens: FakeIntrospector, clock: ManualClock
) -> Callable[[Stock], OrdersContext]:
    """`ctx_with(stock)`: orders' ports on a database of its own, with another stock."""
    return lambda stock: context_of(database, tokens, clock, stock)


@pytest.fixture
def ctx(ctx_with: Callable[[Stock], OrdersContext], stock: FakeStock) -> OrdersContext:
    """Orders' ports on a database of its own."""
    return ctx_with(stock)


@pytest.fixture
async def second_ctx(
    ctx: OrdersContext, tokens: FakeIntrospector, clock: ManualClock, stock: FakeStock
) -> AsyncIterator[OrdersContext]:
    """The same service as another process would hold it: an engine of its own, the same data."""
    database = Database(ctx.db.url)
    yield context_of(database, tokens, clock, stock)
    await database.close()


@pytest.fixture
def bearer(tokens: FakeIntrospector) -> Bearer:
    """`bearer("distributor", "dst_1", scopes=…, reseller=…)`: a new credential's headers."""

    def headers(
        kind: str,
        party_id: str | None = None,
        *,
        scopes: Iterable[str] = SELLING,
        reseller: str | None = None,
    ) -> dict[str, str]:
        who = principal(kind, party_id, scopes=scopes, reseller=reseller)
        return {"Authorization": f"Bearer {tokens.issue(who)}"}

    return headers


@pytest.fixture
async def open_shop(bearer: Bearer) -> AsyncIterator[OpenShop]:
    """`await open_shop(ctx, stock)`: the shop of one process."""
    async with AsyncExitStack() as stack:

        async def opened(ctx: OrdersContext, stock: FakeStock) -> Shop:
            app = create_app(SERVICE, running_of(SERVICE, ctx, **SECRETS))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60)
            await stack.enter_async_context(client)
            return Shop(ctx, stock, client, bearer("distributor", "dst_1"))

        yield opened


@pytest.fixture
async def shop(open_shop: OpenShop, ctx: OrdersContext, stock: FakeStock) -> Shop:
    """A shop in which nothing was ordered yet."""
    return await open_shop(ctx, stock)


@pytest.fixture
async def second_shop(open_shop: OpenShop, second_ctx: OrdersContext, stock: FakeStock) -> Shop:
    """The same shop through another process."""
    return await open_shop(second_ctx, stock)


@pytest.fixture
async def listening(ctx: OrdersContext) -> AsyncIterator[None]:
    """The doorbell's listener, connected."""
    stop = asyncio.Event()
    running = asyncio.create_task(ctx.doorbell.run(stop))

    async def connected() -> bool:
        async with ctx.db.transaction() as tx:
            listeners = await tx.scalar(
                text(
                    "SELECT count(*) FROM pg_stat_activity "
                    "WHERE query LIKE 'LISTEN%' AND datname = current_database()"
                )
            )
        return bool(listeners)

    await eventually(connected)
    yield
    stop.set()
    await running


@pytest.fixture
def ahead(ctx: OrdersContext) -> Callable[..., OrdersContext]:
    """`ahead(by)`: the same process, with a clock that is ahead."""

    def skewed(by: Any) -> OrdersContext:
        later = ManualClock(ctx.clock.now())
        later.advance(by)
        return replace(ctx, clock=later)

    return skewed
