"""Orders with the real catalog behind it: over HTTP to reserve, over events to give back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import select, update

from shanmen.catalog.domain import SCOPES
from shanmen.catalog.main import SERVICE as CATALOG
from shanmen.catalog.ports import CatalogContext
from shanmen.catalog.settings import CatalogSettings
from shanmen.catalog.tables import PRODUCTS, RESERVATIONS, STOCK
from shanmen.catalog.usecases.reservations import ask_about_unconfirmed
from shanmen.common.app import create_app
from shanmen.common.auth import Principal
from shanmen.common.broker.protocol import DONE
from shanmen.common.clock import ManualClock
from shanmen.common.events import Message
from shanmen.common.inbox import Inbox
from shanmen.common.outbox import Outbox, Relay
from shanmen.common.service import Service
from shanmen.common.testing.clients import running_of
from shanmen.common.testing.events import deliver
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.principals import FakeIntrospector, principal
from shanmen.orders.main import SERVICE as ORDERS
from shanmen.orders.ports import CatalogStock, OrdersContext, Stock
from shanmen.orders.tables import NEVER_PLACED
from shanmen.orders.usecases.closing import close_overdue

if TYPE_CHECKING:
    from services.orders.tests.conftest import FakeStock, OpenShop, Shop

CtxWith = Callable[[Stock], OrdersContext]


class LossyWire(httpx.AsyncBaseTransport):
    """Carries requests to an application; while `cut`, answers get lost on the way back."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.cut = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx."""
        answer = await self._inner.handle_async_request(request)
        if self.cut:
            raise httpx.ReadError("the connection was lost", request=request)
        return answer


class Post:
    """Takes events from both outboxes straight to both inboxes; nobody else listens."""

    def __init__(self, *services: tuple[Service[Any, Any], Any]) -> None:
        self._relays = [Relay(ctx.db, self) for _, ctx in services]  # type: ignore[arg-type]
        self._inboxes = [
            (subscription.queue.types, Inbox(ctx.db, subscription, ctx))
            for service, ctx in services
            for subscription in service.subscriptions
        ]

    async def publish(self, messages: Sequence[Message]) -> Sequence[Exception | None]:
        """See Transport."""
        for types, inbox in self._inboxes:
            for message in messages:
                if message.type in types:
                    assert await deliver(inbox, message) == [DONE]
        return [None] * len(messages)

    async def settle(self) -> None:
        """Carry until nothing is left."""
        while any([await relay.publish_batch() for relay in self._relays]):
            pass


@dataclass
class Town:
    """Both services, with one product of 50 seats on sale."""

    shop: "Shop"
    catalog: CatalogContext
    clock: ManualClock
    wire: LossyWire
    post: Post
    product_id: str

    async def stock(self) -> tuple[int, int, int]:
        """(total, reserved, sold)."""
        async with self.catalog.db.transaction() as tx:
            row = (await tx.execute(select(STOCK))).one()
        return row.total, row.reserved, row.sold

    async def reservations(self) -> Counter[str]:
        """How many reservations are how far."""
        async with self.catalog.db.transaction() as tx:
            return Counter((await tx.execute(select(RESERVATIONS.c.status))).scalars())

    def body(self, number: str, **given: Any) -> dict[str, Any]:
        """An order of one seat."""
        return self.shop.order_body(number, product_id=self.product_id, quantity=1) | given


async def onboard(catalog: httpx.AsyncClient) -> tuple[str, str]:
    """A spot with a product of 50 seats, and a distributor; returns product and distributor."""

    async def made(path: str, **body: Any) -> dict[str, Any]:
        answer = await catalog.post(path, json=body)
        assert answer.status_code == 201, answer.text
        view: dict[str, Any] = answer.json()
        return view

    spot = (await made("/v1/spots", name="黄山", settlement_fee_bps=100))["spot_id"]
    dealer = await made("/v1/distributors", name="好去处", transaction_fee_bps=60)
    distributor = dealer["distributor_id"]
    account = {"channel": "alipay", "account_no": "2088000000000001", "account_name": "公司"}
    await made("/v1/accounts", party_id=spot, role="receive", **account)
    await made("/v1/accounts", party_id=distributor, role="pay", agreement_no="1", **account)
    product = await made(
        "/v1/products",
        name="黄山一日票",
        unit_price_fen=12_345,
        spots=[{"spot_id": spot, "settle_fen": 8_000}],
        stock=[{"visit_date": "2026-11-05", "total": 50}],
        publish=True,
    )
    return product["product_id"], distributor


@pytest.fixture
async def town(
    *,
    open_database: OpenDatabase,
    open_shop: "OpenShop",
    ctx_with: CtxWith,
    stock: "FakeStock",
    tokens: FakeIntrospector,
    clock: ManualClock,
) -> AsyncIterator[Town]:
    """Both services, one process each."""
    database = await open_database(CATALOG)
    settings = CatalogSettings(database_url=database.url)
    catalog = CatalogContext(database, tokens, clock, Outbox("catalog"), settings)
    wire = LossyWire(create_app(CATALOG, running_of(CATALOG, catalog)))
    operator = tokens.issue(principal("operator", scopes=SCOPES["operator"]))
    orders_own = tokens.issue(principal("service", scopes=["stock:reserve"]))
    async with httpx.AsyncClient(transport=wire, base_url="http://catalog") as client:
        client.headers["Authorization"] = f"Bearer {operator}"
        product_id, distributor = await onboard(client)
        ctx = ctx_with(CatalogStock(client, orders_own))
        shop = await open_shop(ctx, stock)
        seller = principal("distributor", distributor, scopes=SCOPES["distributor"])
        shop.seller = {"Authorization": f"Bearer {tokens.issue(seller)}"}
        yield Town(shop, catalog, clock, wire, Post((CATALOG, catalog), (ORDERS, ctx)), product_id)


async def test_an_orders_stock_is_held_confirmed_and_sold(town: Town) -> None:
    answer = await town.shop.post("/v1/orders", town.body("A-1", quantity=3))
    assert answer.status_code == 201, answer.text
    view = answer.json()
    # 37035 fen and 60 bps of it, half a fen up: 222.21
    assert (view["price_fen"], view["fee_fen"], view["amount_fen"]) == (37_035, 222, 37_257)
    assert await town.reservations() == {"held": 1}
    await town.post.settle()
    assert (await town.reservations(), await town.stock()) == ({"confirmed": 1}, (50, 3, 0))
    operation = await town.shop.pay(view["order_no"])
    await town.shop.told(town.shop.succeeded(operation))
    await town.post.settle()
    assert (await town.reservations(), await town.stock()) == ({"sold": 1}, (50, 0, 3))


async def test_a_price_that_changes_changes_no_order(town: Town) -> None:
    before = (await town.shop.post("/v1/orders", town.body("A-1"))).json()
    async with town.catalog.db.transaction() as tx:
        await tx.execute(update(PRODUCTS).values(unit_price_fen=20_000))
    after = (await town.shop.post("/v1/orders", town.body("A-2"))).json()
    assert (before["unit_price_fen"], after["unit_price_fen"]) == (12_345, 20_000)
    assert (await town.shop.view(before["order_no"]))["unit_price_fen"] == 12_345
    again = await town.shop.post("/v1/orders", town.body("A-1"))
    assert (again.status_code, again.json()) == (200, before)


@dataclass
class Combination:
    """A combined product, its spots, and their way to answer whether they are part of it."""

    product_id: str
    spots: list[str]
    answered: Callable[[str, str], Awaitable[None]]


@pytest.fixture
async def combined(town: Town, tokens: FakeIntrospector) -> AsyncIterator[Combination]:
    """A combined product of two spots, on sale at the same catalog."""
    operator = principal("operator", scopes=SCOPES["operator"])
    async with httpx.AsyncClient(transport=town.wire, base_url="http://catalog") as client:

        async def made(caller: Principal, path: str, **body: Any) -> dict[str, Any]:
            headers = {"Authorization": f"Bearer {tokens.issue(caller)}"}
            answer = await client.post(path, json=body, headers=headers)
            assert answer.is_success, answer.text
            view: dict[str, Any] = answer.json()
            return view

        spots = [
            (await made(operator, "/v1/spots", name=name, settlement_fee_bps=100))["spot_id"]
            for name in ("黄山", "西递")
        ]
        for number, spot in enumerate(spots):
            account = {"channel": "huijinbao", "account_no": f"620000{number}"}
            await made(
                operator,
                "/v1/accounts",
                **{"party_id": spot, "role": "receive", "account_name": "公司", **account},
            )
        product = await made(
            operator,
            "/v1/products",
            name="黄山西递联票",
            kind="combined",
            unit_price_fen=10_000,
            spots=[
                {"spot_id": spot, "settle_fen": fen}
                for spot, fen in zip(spots, (5_000, 4_000), strict=True)
            ],
            stock=[{"visit_date": "2026-11-05", "total": 50}],
        )
        path = f"/v1/products/{product['product_id']}"

        async def answered(spot: str, answer: str) -> None:
            caller = principal("spot", spot, scopes=SCOPES["spot"])
            await made(caller, f"{path}/consents", answer=answer, version=product["version"])

        for spot in spots:
            await answered(spot, "accept")
        await made(operator, f"{path}/publish")
        yield Combination(product["product_id"], spots, answered)


async def test_a_combined_ticket_is_reserved_paid_and_issued_for_each_of_its_spots(
    town: Town, combined: Combination
) -> None:
    body = town.body("A-1", product_id=combined.product_id, quantity=3)
    placed = (await town.shop.post("/v1/orders", body)).json()
    assert (placed["kind"], placed["price_fen"], placed["fee_fen"]) == ("combined", 30_000, 180)
    await combined.answered(combined.spots[1], "withdraw")  # of future sales only
    operation = await town.shop.pay(placed["order_no"])
    await town.shop.told(town.shop.succeeded(operation, amount_fen=30_180))
    await town.post.settle()
    view = await town.shop.view(placed["order_no"])
    assert (view["status"], len(view["tickets"])) == ("issued", 3)
    for ticket in view["tickets"]:
        assert [(s["spot_id"], s["spot_name"], s["part_fen"]) for s in ticket["spots"]] == [
            (combined.spots[0], "黄山", 5_556),
            (combined.spots[1], "西递", 4_444),
        ]
    async with town.catalog.db.transaction() as tx:
        rows = await tx.execute(select(STOCK).where(STOCK.c.product_id == combined.product_id))
        row = rows.one()
    assert (row.total, row.reserved, row.sold) == (50, 0, 3)


async def test_what_a_spot_withdrew_from_is_not_ordered_any_more(
    town: Town, combined: Combination
) -> None:
    await combined.answered(combined.spots[0], "withdraw")
    body = town.body("A-1", product_id=combined.product_id)
    refused = await town.shop.post("/v1/orders", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_withdrawn")
    assert "黄山" in refused.json()["detail"]
    assert await town.reservations() == {}
    await combined.answered(combined.spots[0], "accept")
    assert (await town.shop.post("/v1/orders", body)).status_code == 201


async def test_two_hundred_buyers_of_fifty_seats(town: Town) -> None:
    answers = await asyncio.gather(
        *(town.shop.post("/v1/orders", town.body(f"A-{n}")) for n in range(200))
    )
    counted = Counter((answer.status_code, answer.json().get("code")) for answer in answers)
    assert counted == {(201, None): 50, (409, "sold_out"): 150}
    await town.post.settle()
    assert (await town.reservations(), await town.stock()) == ({"confirmed": 50}, (50, 50, 0))


async def test_sixty_times_the_same_order_hold_one_seat(town: Town) -> None:
    answers = await asyncio.gather(
        *(
            town.shop.post("/v1/orders", town.body("A-1"), Idempotency_Key=f"k{n % 20}")
            for n in range(60)
        )
    )
    assert {answer.status_code for answer in answers} <= {200, 201, 409, 503}
    await town.post.settle()
    held = await town.reservations()
    assert (held["confirmed"], held["held"], await town.stock()) == (1, 0, (50, 1, 0))


@pytest.mark.parametrize("end", ["cancelled", "overdue"])
async def test_an_order_that_ends_unpaid_gives_its_stock_back_once(end: str, town: Town) -> None:
    order_no = (await town.shop.post("/v1/orders", town.body("A-1"))).json()["order_no"]
    await town.post.settle()
    if end == "cancelled":
        await town.shop.post(f"/v1/orders/{order_no}/cancel")
    else:
        town.clock.advance(timedelta(hours=1))
        await close_overdue(town.shop.ctx)
    await town.post.settle()
    assert (await town.reservations(), await town.stock()) == ({"released": 1}, (50, 0, 0))


REFUSALS: list[tuple[dict[str, Any], int, str, str | None]] = [
    ({"product_id": "prd_none"}, 404, "not_found", None),
    ({"quantity": 0}, 422, "quantity_out_of_range", "body.quantity"),
    ({"quantity": 51}, 422, "quantity_out_of_range", "body.quantity"),
    ({"quantity": 10**20}, 422, "quantity_out_of_range", "body.quantity"),
    ({"visit_date": "2026-10-31"}, 422, "past_date", "body.visit_date"),
    ({"visit_date": "2026-11-06"}, 422, "no_stock_entry", "body.visit_date"),
    ({"visit_date": "9999-12-31"}, 422, "no_stock_entry", "body.visit_date"),
    ({"visit_date": None}, 422, "visit_date_unfit", "body.visit_date"),
    ({"slot": "上午"}, 422, "no_stock_entry", "body.visit_date"),
]


async def test_catalogs_refusals_reach_the_distributor(town: Town) -> None:
    for change, status, code, field in REFUSALS:
        answer = await town.shop.post("/v1/orders", town.body("A-1") | change)
        problem = answer.json()
        named = problem["errors"][0]["field"] if "errors" in problem else None
        assert (change, answer.status_code, problem["code"], named) == (
            change,
            status,
            code,
            field,
        )
    sold_out = [await town.shop.post("/v1/orders", town.body(f"B-{n}", quantity=50)) for n in "12"]
    assert [answer.status_code for answer in sold_out] == [201, 409]
    assert sold_out[1].json()["code"] == "sold_out"
    assert await town.stock() == (50, 50, 0)


async def test_a_lost_answer_is_cleared_up_between_the_two(town: Town) -> None:
    town.wire.cut = True
    lost = await town.shop.post("/v1/orders", town.body("A-1"))
    assert (lost.status_code, lost.json()["code"]) == (503, "unavailable")
    assert lost.headers["retry-after"] == "1"
    town.wire.cut = False
    placed = await town.shop.post("/v1/orders", town.body("A-1"))
    assert placed.status_code == 201
    assert await town.stock() == (50, 2, 0)

    town.clock.advance(timedelta(minutes=6))
    await ask_about_unconfirmed(town.catalog)
    await town.post.settle()

    assert await town.reservations() == {"released": 1, "confirmed": 1}
    assert await town.stock() == (50, 1, 0)
    assert len(await town.shop.rows(NEVER_PLACED)) == 1


UNANSWERED: list[httpx.Response | Exception] = [
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("too slow"),
    httpx.Response(500, json={}),
    httpx.Response(401, json={}),
    httpx.Response(200, json={"items": "what?"}),
]


async def test_catalog_away_is_a_503_and_nothing_is_left(
    ctx_with: CtxWith, open_shop: "OpenShop", stock: "FakeStock", caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter(UNANSWERED)

    def handle(_: httpx.Request) -> httpx.Response:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    wire = httpx.MockTransport(handle)
    async with httpx.AsyncClient(transport=wire, base_url="http://catalog") as client:
        shop = await open_shop(ctx_with(CatalogStock(client, "shs_orders")), stock)
        for _ in UNANSWERED:
            refused = await shop.post("/v1/orders", shop.order_body())
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert await shop.statuses() == {}
    reasons = [getattr(record, "reason", None) for record in caplog.records]
    assert [reason for reason in reasons if reason] == [
        "ConnectError",
        "ReadTimeout",
        "catalog answered 500",
        "catalog answered 401",
        "ValidationError",
    ]
    assert "shs_orders" not in caplog.text
