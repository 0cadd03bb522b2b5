"""Delivering: in order, again and again, by nobody's leave but the endpoint's own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from sqlalchemy import select, update

from shanmen.common.clock import ManualClock
from shanmen.common.testing.events import eventually
from shanmen.orders.ports import OrdersContext
from shanmen.orders.ports.addresses import UrlRules
from shanmen.orders.ports.webhooks import Answer, open_courier
from shanmen.orders.queries import deliveries
from shanmen.orders.queries import webhooks as queries
from shanmen.orders.tables import WEBHOOK_DELIVERIES, WEBHOOK_ENDPOINTS, WEBHOOK_EVENTS
from shanmen.orders.usecases.delivering import Dispatcher, tidy_webhooks
from shanmen.orders.usecases.endpoints import (
    create_endpoint,
    delete_endpoint,
    replay_event,
    rotate_secret,
)
from shanmen.orders.usecases.notifying import notify_distributor

if TYPE_CHECKING:
    from services.orders.tests.conftest import FakeCourier, Shop
    from services.orders.tests.integration.conftest import OpenReceiver, Receiver

LOCAL: Final = UrlRules(allow_high_ports=True, allow_http=True, allow_private=True)
URL: Final = "https://tickets.example.com/hook"
OTHER: Final = "https://other.example.com/hook"
TAKEN, BROKEN = Answer(204, "HTTP 204"), Answer(500, "HTTP 500")
DAY: Final = timedelta(days=1)


class Desk:
    """Orders of one distributor, and what it is told of them."""

    def __init__(self, ctx: OrdersContext, shop: "Shop", clock: ManualClock) -> None:
        self.ctx = replace(ctx, settings=ctx.settings.model_copy(update={"webhook_poll_s": 0.02}))
        self.shop = shop
        self.clock = clock

    async def endpoint(self, url: str = URL, types: tuple[str, ...] = ()) -> Any:
        """A new endpoint's row."""
        async with self.ctx.db.transaction() as tx:
            return await create_endpoint(
                tx, self.ctx, "dst_1", url=url, types=types, description=""
            )

    async def notify(self, order_no: str, *told: str, event_type: str = "order.issued") -> None:
        """One notice per text, each in a transaction of its own."""
        for text in told:
            async with self.ctx.db.transaction() as tx:
                await notify_distributor(
                    *(tx, self.ctx),
                    distributor_id="dst_1",
                    order_no=order_no,
                    event_type=event_type,
                    data={"text": text},
                )

    async def rows(self) -> list[dict[str, Any]]:
        """Deliveries in the order in which they were written."""
        async with self.ctx.db.transaction() as tx:
            found = await tx.execute(
                select(WEBHOOK_DELIVERIES).order_by(WEBHOOK_DELIVERIES.c.position)
            )
            return [dict(row) for row in found.mappings()]

    async def statuses(self) -> list[str]:
        """Their statuses."""
        return [row["status"] for row in await self.rows()]

    @asynccontextmanager
    async def running(self, ctx: OrdersContext | None = None) -> AsyncIterator[None]:
        """A dispatcher around a block; it finishes what is under way at the end."""
        stop = asyncio.Event()
        task = asyncio.create_task(Dispatcher(ctx or self.ctx).run(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def until(self, *statuses: str, ctx: OrdersContext | None = None) -> None:
        """Dispatch until the deliveries have these statuses."""
        async with self.running(ctx):

            async def are_as_wanted() -> bool:
                return await self.statuses() == list(statuses)

            await eventually(are_as_wanted)

    async def attempted(self, times: int) -> None:
        """Dispatch until so many attempts have been answered and recorded."""
        async with self.running():

            async def are_made() -> bool:
                rows = await self.rows()
                none_claimed = all(row["claimed_until"] is None for row in rows)
                return none_claimed and sum(row["attempts"] for row in rows) == times

            await eventually(are_made)


@pytest.fixture
async def desk(ctx: OrdersContext, shop: "Shop", clock: ManualClock) -> Desk:
    """A desk without endpoints."""
    return Desk(ctx, shop, clock)


@pytest.fixture
async def order_no(shop: "Shop") -> str:
    """An order."""
    return str((await shop.place())["order_no"])


@pytest.fixture
def courier(desk: Desk) -> "FakeCourier":
    """The courier that the desk gives its parcels to."""
    return cast("FakeCourier", desk.ctx.courier)


def told(courier: "FakeCourier", url: str = URL) -> list[str]:
    """The texts that were sent to an endpoint, in order."""
    return [_text(parcel.body) for parcel in courier.parcels if parcel.url == url]


def _text(body: bytes) -> str:
    return body.decode().partition('"text":"')[2].partition('"')[0]


async def test_a_notice_arrives_and_proves_where_it_is_from(
    desk: Desk, order_no: str, receiver: "Receiver"
) -> None:
    endpoint = await desk.endpoint(receiver.url)
    await desk.notify(order_no, "一", "二")
    async with open_courier(LOCAL, timeout_s=5) as courier:
        await desk.until(*("delivered", "delivered"), ctx=replace(desk.ctx, courier=courier))
    notices = [request.verified(endpoint.secret) for request in receiver.requests]
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert [notice.pop("id") for notice in notices] == ids
    (first, second) = await desk.shop.rows(WEBHOOK_EVENTS)
    assert ids == [first["event_id"], second["event_id"]]
    assert notices == [
        {
            "type": "order.issued",
            "timestamp": row["occurred_at"].isoformat(),
            "order_no": order_no,
            "sequence": sequence,
            "data": {"text": text},
        }
        for sequence, text, row in ((1, "一", first), (2, "二", second))
    ]


async def test_a_notice_lasts_only_if_what_it_tells_does(desk: Desk, order_no: str) -> None:
    await desk.endpoint()
    async with desk.ctx.db.transaction() as tx:
        await notify_distributor(
            *(tx, desk.ctx),
            distributor_id="dst_1",
            order_no=order_no,
            event_type="order.issued",
            data={},
        )
        await tx.rollback()
    assert (await desk.rows(), await desk.shop.rows(WEBHOOK_EVENTS)) == ([], [])


async def test_notices_of_one_order_are_numbered_whoever_writes_them(
    desk: Desk, order_no: str
) -> None:
    await desk.endpoint()
    await asyncio.gather(*(desk.notify(order_no, str(n)) for n in range(8)))
    events = await desk.shop.rows(WEBHOOK_EVENTS)
    assert sorted(event["sequence"] for event in events) == [*range(1, 9)]
    numbered = {event["event_id"]: event["sequence"] for event in events}
    assert [numbered[row["event_id"]] for row in await desk.rows()] == [*range(1, 9)]


async def test_only_who_wants_it_is_told(
    desk: Desk, order_no: str, courier: "FakeCourier"
) -> None:
    await desk.endpoint(URL, types=("order.closed", "order.issued"))
    await desk.endpoint(OTHER, types=("order.closed",))
    await desk.notify(order_no, "issued")
    await desk.notify(order_no, "used", event_type="entitlement.used")
    await desk.until("delivered")
    assert (told(courier), told(courier, OTHER)) == (["issued"], [])
    assert len(await desk.shop.rows(WEBHOOK_EVENTS)) == 2


async def test_an_order_waits_for_its_first_notice_and_others_do_not(
    desk: Desk, shop: "Shop", order_no: str, courier: "FakeCourier"
) -> None:
    other = (await shop.place("A-2"))["order_no"]
    await desk.endpoint()
    courier.answers[URL] = [BROKEN, TAKEN, Answer(None, "cannot connect"), TAKEN]
    await desk.notify(order_no, "a1", "a2", "a3")
    desk.clock.advance(timedelta(milliseconds=5))
    await desk.notify(other, "b1")
    await desk.until("pending", "pending", "pending", "delivered")
    assert sorted(told(courier)) == ["a1", "b1"]
    desk.clock.advance(timedelta(seconds=10))
    await desk.attempted(3)
    assert await desk.statuses() == ["pending", "pending", "pending", "delivered"]
    assert len({row["next_attempt_at"] for row in (await desk.rows())[:3]}) == 1
    desk.clock.advance(timedelta(minutes=1))
    await desk.until("delivered", "delivered", "delivered", "delivered")
    assert [text for text in told(courier) if text != "b1"] == ["a1", "a1", "a1", "a2", "a3"]
    repeated = {parcel.message_id for parcel in courier.parcels if b"a1" in parcel.body}
    assert len(repeated) == 1


async def test_a_refused_notice_is_tried_for_days_and_then_given_up(
    desk: Desk, order_no: str, courier: "FakeCourier"
) -> None:
    await desk.endpoint()
    courier.answers[URL] = [BROKEN]
    start, attempts, pauses = desk.clock.now(), 0, []
    await desk.notify(order_no, "lost")
    while (await desk.statuses()) == ["pending"]:
        attempts += 1
        await desk.attempted(attempts)
        (row,) = await desk.rows()
        pauses.append(row["next_attempt_at"] - desk.clock.now())
        desk.clock.advance(max(pauses[-1], timedelta()))
    (row,) = await desk.rows()
    assert (row["status"], row["last_status"], row["last_error"]) == ("given_up", 500, "HTTP 500")
    assert row["finished_at"] - start >= 3 * DAY
    assert pauses[:7] == sorted(pauses[:7])
    assert pauses[0] >= timedelta(seconds=4.9)
    assert max(pauses) <= timedelta(hours=5)
    assert 10 < len(told(courier)) < 40


async def test_after_giving_up_the_next_notice_goes(
    desk: Desk, order_no: str, courier: "FakeCourier"
) -> None:
    await desk.endpoint()
    courier.answers[URL] = [BROKEN, BROKEN, TAKEN]
    await desk.notify(order_no, "lost", "next")
    await desk.attempted(1)
    desk.clock.advance(4 * DAY)
    await desk.until("given_up", "delivered")
    assert told(courier) == ["lost", "lost", "next"]


async def test_who_is_gone_is_not_called_again(
    desk: Desk, order_no: str, courier: "FakeCourier"
) -> None:
    await desk.endpoint()
    courier.answers[URL] = [Answer(410, "HTTP 410")]
    await desk.notify(order_no, "gone", "waits")
    await desk.until("given_up", "pending")
    (endpoint,) = await desk.shop.rows(WEBHOOK_ENDPOINTS)
    assert (endpoint["enabled"], endpoint["version"]) == (False, 2)
    assert endpoint["disabled_reason"] == "the endpoint answered 410 Gone"
    await desk.notify(order_no, "not even queued")
    desk.clock.advance(4 * DAY)
    await tidy_webhooks(desk.ctx)
    assert (await desk.statuses(), told(courier)) == (["given_up", "given_up"], ["gone"])


async def test_a_slow_endpoint_slows_nobody_else(
    desk: Desk, shop: "Shop", open_receiver: "OpenReceiver"
) -> None:
    slow, quick = await open_receiver(), await open_receiver()
    for receiver in (slow, quick):
        await desk.endpoint(receiver.url)
    slow.held_up.clear()
    for n in range(12):
        await desk.notify((await shop.place(f"A-{n}"))["order_no"], "news")
    async with open_courier(LOCAL, timeout_s=30) as courier:
        ctx = replace(desk.ctx, courier=courier)
        async with desk.running(ctx):
            await eventually(lambda: len(quick.requests) == 12)
            await eventually(lambda: len(slow.requests) == ctx.settings.webhook_concurrency)
            await eventually(delivered_to(desk, 12))
            assert len(slow.requests) == ctx.settings.webhook_concurrency
            slow.held_up.set()
            await eventually(delivered_to(desk, 24))


def delivered_to(desk: Desk, times: int) -> Callable[[], Awaitable[bool]]:
    """Whether so many deliveries have succeeded."""

    async def are_delivered() -> bool:
        return (await desk.statuses()).count("delivered") == times

    return are_delivered


async def test_what_a_dead_process_was_sending_is_sent_again_under_its_id(
    desk: Desk, order_no: str, courier: "FakeCourier", second_ctx: OrdersContext
) -> None:
    await desk.endpoint()
    await desk.notify(order_no, "first", "second")
    courier.held_up.clear()
    dying = asyncio.create_task(Dispatcher(desk.ctx).run(asyncio.Event()))
    await eventually(lambda: courier.parcels)
    (row, _) = await desk.rows()
    assert (row["status"], row["attempts"]) == ("pending", 1)
    for task in asyncio.all_tasks():
        if "Dispatcher" in repr(task.get_coro()):
            task.cancel()
    await asyncio.gather(dying, return_exceptions=True)

    survivor = cast("FakeCourier", second_ctx.courier)
    async with desk.ctx.db.transaction() as tx:
        now = desk.clock.now()
        assert await deliveries.claim(tx, row["endpoint_id"], now, now, limit=9) == []
    desk.clock.advance(timedelta(seconds=31))
    await desk.until("delivered", "delivered", ctx=second_ctx)
    assert told(survivor) == ["first", "second"]
    assert survivor.parcels[0].message_id == courier.parcels[0].message_id
    assert survivor.parcels[0].body == courier.parcels[0].body


async def test_a_late_answer_does_not_undo_what_came_after_it(
    desk: Desk, order_no: str, courier: "FakeCourier", second_ctx: OrdersContext
) -> None:
    await desk.endpoint()
    await desk.notify(order_no, "news")
    other = cast("FakeCourier", second_ctx.courier)
    courier.answers[URL] = [BROKEN]
    for taking in (courier, other):
        taking.held_up.clear()
    async with desk.running(second_ctx):
        async with desk.running():
            await eventually(lambda: courier.parcels)
            desk.clock.advance(timedelta(minutes=1))
            await eventually(lambda: other.parcels)
            courier.held_up.set()
        (row,) = await desk.rows()
        assert (row["attempts"], row["last_status"]) == (2, None)
        assert row["claimed_until"] is not None
        other.held_up.set()
    (row,) = await desk.rows()
    assert (row["status"], row["attempts"], row["last_status"]) == ("delivered", 2, 204)


async def test_two_processes_share_the_work(
    desk: Desk, shop: "Shop", courier: "FakeCourier", second_ctx: OrdersContext
) -> None:
    await desk.endpoint()
    orders = [(await shop.place(f"A-{n}"))["order_no"] for n in range(6)]
    for order_no in orders:
        await desk.notify(order_no, "1", "2", "3")
    both: Any = replace(
        second_ctx,
        courier=courier,
        settings=second_ctx.settings.model_copy(update={"webhook_poll_s": 0.02}),
    )
    async with desk.running(both):
        await desk.until(*["delivered"] * 18)
    for order_no in orders:
        of_order = [p.body for p in courier.parcels if order_no.encode() in p.body]
        assert [_text(body) for body in of_order] == ["1", "2", "3"]


async def test_after_a_rotation_both_secrets_sign_for_a_day(
    desk: Desk, order_no: str, courier: "FakeCourier"
) -> None:
    endpoint = await desk.endpoint()
    async with desk.ctx.db.transaction() as tx:
        rotated = await rotate_secret(tx, desk.ctx, "dst_1", endpoint.endpoint_id)
    assert rotated.secret != endpoint.secret
    await desk.notify(order_no, "in between")
    await desk.until("delivered")
    desk.clock.advance(DAY)
    await desk.notify(order_no, "later")
    await desk.until("delivered", "delivered")
    signed_by = [list(parcel.secrets) for parcel in courier.parcels]
    assert signed_by == [[rotated.secret, endpoint.secret], [rotated.secret]]


async def test_a_notice_can_be_replayed_to_an_endpoint_made_later(
    desk: Desk, order_no: str, courier: "FakeCourier"
) -> None:
    await desk.notify(order_no, "early")
    endpoint = await desk.endpoint()
    (event,) = await desk.shop.rows(WEBHOOK_EVENTS)
    for times in (1, 2):
        async with desk.ctx.db.transaction() as tx:
            await replay_event(tx, desk.ctx, "dst_1", event["event_id"], endpoint.endpoint_id)
        await desk.until(*["delivered"] * times)
    assert [parcel.message_id for parcel in courier.parcels] == [event["event_id"]] * 2


async def test_a_replay_hurries_what_is_still_on_its_way(
    desk: Desk, order_no: str, courier: "FakeCourier"
) -> None:
    await desk.endpoint()
    courier.answers[URL] = [BROKEN, TAKEN]
    await desk.notify(order_no, "news")
    await desk.attempted(1)
    (event,) = await desk.shop.rows(WEBHOOK_EVENTS)
    async with desk.ctx.db.transaction() as tx:
        (row,) = await replay_event(tx, desk.ctx, "dst_1", event["event_id"], None)
    assert row.attempts == 1
    await desk.until("delivered")


async def test_nothing_goes_to_a_disabled_endpoint_until_it_is_enabled(
    desk: Desk, order_no: str, courier: "FakeCourier"
) -> None:
    endpoint = await desk.endpoint()
    await desk.endpoint(OTHER)
    await desk.notify(order_no, "news")
    async with desk.ctx.db.transaction() as tx:
        await queries.disable_endpoint(tx, endpoint.endpoint_id, desk.clock.now(), "tired")
    await desk.until("pending", "delivered")
    assert (told(courier), told(courier, OTHER)) == ([], ["news"])
    async with desk.ctx.db.transaction() as tx:
        values = {"enabled": True, "disabled_reason": None}
        await queries.change_endpoint(tx, endpoint.endpoint_id, desk.clock.now(), values)
    await desk.until("delivered", "delivered")


async def test_deleting_gives_up_what_was_not_taken_and_forgets_the_secrets(
    desk: Desk, order_no: str, courier: "FakeCourier"
) -> None:
    endpoint = await desk.endpoint()
    await desk.notify(order_no, "news")
    async with desk.ctx.db.transaction() as tx:
        await delete_endpoint(tx, desk.ctx, "dst_1", endpoint.endpoint_id)
    await tidy_webhooks(desk.ctx)
    (row,) = await desk.rows()
    assert (row["status"], courier.parcels) == ("given_up", [])
    (kept,) = await desk.shop.rows(WEBHOOK_ENDPOINTS)
    assert (kept["secret"], kept["former_secret"], kept["enabled"]) == (None, None, False)


async def test_what_is_over_is_forgotten_after_a_month(
    desk: Desk, order_no: str, courier: "FakeCourier"
) -> None:
    await desk.endpoint()
    await desk.notify(order_no, "old")
    await desk.until("delivered")
    await desk.endpoint(OTHER)
    courier.answers[OTHER] = [BROKEN]
    await desk.notify(order_no, "old and pending")
    await desk.attempted(3)
    desk.clock.advance(29 * DAY)
    await tidy_webhooks(desk.ctx)
    assert len(await desk.rows()) == 3
    desk.clock.advance(2 * DAY)
    await desk.notify(order_no, "new")
    await tidy_webhooks(desk.ctx)
    assert [row["status"] for row in await desk.rows()] == ["pending"] * 3
    events = await desk.shop.rows(WEBHOOK_EVENTS)
    assert [event["sequence"] for event in events] == [2, 3]
    async with desk.ctx.db.transaction() as tx:
        await tx.execute(
            update(WEBHOOK_DELIVERIES).values(status="given_up", finished_at=desk.clock.now())
        )
    desk.clock.advance(31 * DAY)
    await tidy_webhooks(desk.ctx)
    assert (await desk.rows(), await desk.shop.rows(WEBHOOK_EVENTS)) == ([], [])
