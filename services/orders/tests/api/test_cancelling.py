"""Cancelling while a debit may have happened: only the channel's certain answer closes it."""

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from shanmen.common.clock import ManualClock
from shanmen.common.doorbell import WAITERS
from shanmen.common.testing.events import eventually
from shanmen.contracts.gateway import CancelRequested, DebitRequested
from shanmen.contracts.orders import DebitParked, OrderClosed, OrderPaid
from shanmen.orders.tables import TIMELINE

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop

OUTSTANDING = [None, "funds", "unknown", "conflict", "config"]
"""How the debit is parked when the cancel comes, if it is."""


async def being_debited(shop: "Shop", parked: str | None = None) -> tuple[str, str]:
    order_no = (await shop.place())["order_no"]
    operation = await shop.pay(order_no)
    if parked is not None:
        await shop.told(shop.stuck(operation, parked))
    return order_no, operation


@pytest.mark.parametrize("parked", OUTSTANDING)
async def test_it_is_carried_out_through_the_channel(parked: str | None, shop: "Shop") -> None:
    order_no, operation = await being_debited(shop, parked)
    before = await shop.view(order_no)
    answer = await shop.post(f"/v1/orders/{order_no}/cancel")
    assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/orders/{order_no}")
    view = answer.json()
    assert view["cancel_requested_at"] is not None
    assert (view["status"], view["payment"]) == ("awaiting_payment", before["payment"])
    assert view == await shop.view(order_no)
    assert await shop.sent(CancelRequested) == [{"operation_id": operation, "order_no": order_no}]
    assert await shop.sent(OrderClosed) == []

    await shop.told(shop.failed(operation, "closed on request"))
    view = await shop.view(order_no)
    assert (view["status"], view["payment"]["state"]) == ("closed_unpaid", "refused")
    assert await shop.sent(OrderClosed) == [
        {"order_no": order_no, "reason": "cancelled", "debit_operation_id": operation}
    ]
    assert await shop.held() == []
    rows = [row for row in await shop.rows(TIMELINE) if row["kind"] != "debit"]
    assert [(row["kind"], row["before"], row["after"], row["actor"]) for row in rows[1:]] == [
        ("cancel", None, "requested", "distributor:dst_1"),
        ("order", "awaiting_payment", "closed_unpaid", "gateway"),
    ]
    assert {row["cause"] for row in rows[1:]} == {"cancelled"}


async def test_asked_again_it_is_asked_for_once(shop: "Shop") -> None:
    order_no, _ = await being_debited(shop)
    path = f"/v1/orders/{order_no}/cancel"
    answers = [
        await shop.post(path),
        await shop.post(path, Idempotency_Key="a"),
        await shop.post(path, Idempotency_Key="b"),
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (202, answers[0].content)
    }
    again = await shop.post(path, Idempotency_Key="a")
    assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
    assert again.headers["location"] == f"/v1/orders/{order_no}"
    assert len(await shop.sent(CancelRequested)) == 1


async def test_two_hundred_cancels_at_once_ask_once(shop: "Shop", second_shop: "Shop") -> None:
    order_no, _ = await being_debited(shop)
    shops = (shop, second_shop)
    answers = await asyncio.gather(
        *(shops[n % 2].post(f"/v1/orders/{order_no}/cancel") for n in range(200))
    )
    assert {answer.status_code for answer in answers} <= {202, 503}  # 503: the pool was full
    assert len(await shop.sent(CancelRequested)) == 1


@pytest.mark.parametrize("parked", OUTSTANDING)
async def test_meanwhile_it_is_not_paid(parked: str | None, shop: "Shop") -> None:
    order_no, _ = await being_debited(shop, parked)
    await shop.post(f"/v1/orders/{order_no}/cancel")
    answer = await shop.post(f"/v1/orders/{order_no}/pay")
    assert (answer.status_code, answer.json()["code"]) == (409, "cancel_in_progress")
    assert len(await shop.sent(DebitRequested)) == 1


async def test_a_debit_that_had_succeeded_pays_the_order_and_the_timeline_says_so(
    shop: "Shop",
) -> None:
    order_no, operation = await being_debited(shop)
    asked = (await shop.post(f"/v1/orders/{order_no}/cancel")).json()
    await shop.told(shop.succeeded(operation))
    view = await shop.view(order_no)
    assert (view["status"], view["debited_fen"]) == ("issued", 20_060)
    assert view["cancel_requested_at"] == asked["cancel_requested_at"]  # kept, and lost
    (lost,) = [row for row in await shop.rows(TIMELINE) if row["after"] == "too_late"]
    assert (lost["kind"], lost["before"], lost["actor"]) == ("cancel", "requested", "gateway")
    again = await shop.post(f"/v1/orders/{order_no}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "order_already_paid")
    paid = await shop.post(f"/v1/orders/{order_no}/pay")
    assert (paid.status_code, paid.json()["status"]) == (200, "issued")
    assert await shop.sent(OrderClosed) == []
    assert len(await shop.sent(OrderPaid)) == 1


async def test_a_cancel_that_is_stuck_is_told_to_the_operators_and_still_ends(
    shop: "Shop",
) -> None:
    order_no, operation = await being_debited(shop, "funds")
    await shop.post(f"/v1/orders/{order_no}/cancel")
    await shop.told(shop.stuck(operation, "config", "no permission to cancel"))
    payment = (await shop.view(order_no))["payment"]
    assert (payment["state"], payment["reason"]) == ("stuck", "no permission to cancel")
    assert [event["outcome"] for event in await shop.sent(DebitParked)] == ["funds", "config"]
    await shop.told(shop.failed(operation))
    assert (await shop.statuses())[order_no] == "closed_unpaid"


async def test_after_the_deadline_it_can_be_cancelled_still(
    shop: "Shop", clock: ManualClock
) -> None:
    order_no, _ = await being_debited(shop)
    clock.advance(timedelta(hours=1))
    answer = await shop.post(f"/v1/orders/{order_no}/cancel")
    assert answer.status_code == 202


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize(
    ("happens", "status"), [("failed", "closed_unpaid"), ("succeeded", "issued")]
)
async def test_the_caller_may_wait_for_the_outcome(
    happens: str, status: str, shop: "Shop"
) -> None:
    order_no, operation = await being_debited(shop)
    path = f"/v1/orders/{order_no}/cancel"
    waiting = asyncio.ensure_future(shop.post(path, Idempotency_Key="k", Prefer="wait=30"))

    async def waited_for() -> bool:
        async with shop.ctx.db.transaction() as tx:
            return bool(await tx.scalar(select(func.count()).select_from(WAITERS)))

    await eventually(waited_for)
    began = time.monotonic()
    await shop.told(getattr(shop, happens)(operation))
    answer = await waiting
    assert time.monotonic() - began < 5
    assert (answer.status_code, answer.json()["status"]) == (200, status)
    again = await shop.post(path, Idempotency_Key="k")
    assert (again.status_code, again.content) == (200, answer.content)


async def test_one_can_wait_in_vain(shop: "Shop") -> None:
    order_no, _ = await being_debited(shop)
    answer = await shop.post(f"/v1/orders/{order_no}/cancel", Prefer="wait=1")
    assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/orders/{order_no}")
