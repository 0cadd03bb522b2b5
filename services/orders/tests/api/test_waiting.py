"""`Prefer: wait`: the answer comes when the debit is decided, woken and not by looking again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import func, select

from shanmen.common.doorbell import WAITERS
from shanmen.common.testing.events import eventually
from shanmen.orders.tables import ORDERS

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop

pytestmark = pytest.mark.usefixtures("listening")

LONG = "wait=30"
SOON_S = 5.0


async def operation_waited_for(shop: "Shop") -> str:
    """The debit whose outcome somebody waits for now, in this process."""

    async def waited_for() -> str | None:
        async with shop.ctx.db.transaction() as tx:
            if not await tx.scalar(select(func.count()).select_from(WAITERS)):
                return None
            found: str | None = await tx.scalar(select(ORDERS.c.debit_operation_id))
            return found

    operation_id = await eventually(waited_for)
    assert operation_id
    await asyncio.sleep(0.05)  # long enough to be asleep, and right if it is not
    return operation_id


async def answered(
    shop: "Shop",
    call: Awaitable[httpx.Response],
    happens: Callable[[str], Awaitable[object]],
) -> httpx.Response:
    """The answer to a call that waits while something happens to its debit."""
    waiting = asyncio.ensure_future(call)
    operation_id = await operation_waited_for(shop)
    assert not waiting.done()
    began = time.monotonic()
    await happens(operation_id)
    answer = await waiting
    assert time.monotonic() - began < SOON_S
    return answer


async def test_pay_answers_when_the_order_is_issued(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    answer = await answered(
        shop,
        shop.post(f"/v1/orders/{order_no}/pay", Prefer=LONG),
        lambda operation: shop.told(shop.succeeded(operation)),
    )
    assert (answer.status_code, answer.json()["status"]) == (200, "issued")
    assert len(answer.json()["tickets"]) == 2
    assert answer.json() == await shop.view(order_no)
    assert await shop.rows(WAITERS) == []


async def test_pay_answers_when_the_debit_is_refused(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    answer = await answered(
        shop,
        shop.post(f"/v1/orders/{order_no}/pay", Prefer=LONG),
        lambda operation: shop.told(shop.stuck(operation)),
    )
    view = answer.json()
    assert (answer.status_code, view["status"]) == (200, "awaiting_payment")
    assert (view["payment"]["state"], view["payment"]["reason"]) == (
        "short_of_funds",
        "balance too low",
    )


async def test_placing_and_paying_in_one_call_waits_too(shop: "Shop") -> None:
    answer = await answered(
        shop,
        shop.post("/v1/orders", shop.order_body(pay=True), Prefer=LONG),
        lambda operation: shop.told(shop.succeeded(operation)),
    )
    assert (answer.status_code, answer.json()["status"]) == (200, "issued")


async def test_the_answer_after_waiting_is_what_the_key_gives_again(shop: "Shop") -> None:
    body = shop.order_body(pay=True)
    first = await answered(
        shop,
        shop.post("/v1/orders", body, Idempotency_Key="k", Prefer=LONG),
        lambda operation: shop.told(shop.succeeded(operation)),
    )
    again = await shop.post("/v1/orders", body, Idempotency_Key="k", Prefer=LONG)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotency-replayed"] == "true"


async def test_the_same_for_pay(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    path = f"/v1/orders/{order_no}/pay"
    first = await answered(
        shop,
        shop.post(path, Idempotency_Key="k", Prefer=LONG),
        lambda operation: shop.told(shop.succeeded(operation)),
    )
    again = await shop.post(path, Idempotency_Key="k", Prefer=LONG)
    assert (again.status_code, again.content) == (200, first.content)


async def test_everybody_who_waits_is_woken(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    path = f"/v1/orders/{order_no}/pay"
    others = [asyncio.ensure_future(shop.post(path, Prefer=LONG)) for _ in range(4)]
    first = await answered(
        shop,
        shop.post(path, Prefer=LONG),
        lambda operation: shop.told(shop.succeeded(operation)),
    )
    answers = await asyncio.wait_for(asyncio.gather(*others), SOON_S)
    assert {answer.content for answer in answers} == {first.content}


async def test_when_the_time_is_over_the_answer_says_where_to_look(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    path = f"/v1/orders/{order_no}/pay"
    began = time.monotonic()
    answer = await shop.post(path, Prefer="respond-async, wait=1", Idempotency_Key="k")
    assert 0.9 < time.monotonic() - began < SOON_S
    assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/orders/{order_no}")
    again = await shop.post(path, Prefer=LONG, Idempotency_Key="k")  # given again, not waited for
    assert (again.status_code, again.content) == (202, answer.content)
    assert again.headers["location"] == answer.headers["location"]


async def test_what_is_decided_already_is_not_waited_for(shop: "Shop") -> None:
    order = await shop.issued()
    began = time.monotonic()
    answer = await shop.post(f"/v1/orders/{order['order_no']}/pay", Prefer=LONG)
    assert (answer.status_code, answer.json()) == (200, order)
    assert time.monotonic() - began < SOON_S


async def test_a_refused_placement_is_not_waited_for(shop: "Shop") -> None:
    shop.stock.left = 0
    answer = await shop.post("/v1/orders", shop.order_body(pay=True), Prefer=LONG)
    assert (answer.status_code, answer.json()["code"]) == (409, "sold_out")
