"""Instructing payment, cancelling, and what each status allows."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from shanmen.common.clock import ManualClock
from shanmen.common.ids import new_id
from shanmen.contracts.gateway import CancelRequested, DebitRequested
from shanmen.contracts.orders import OrderClosed
from shanmen.orders.tables import TIMELINE

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop


async def test_payment_is_asked_for_once_however_often_it_is_instructed(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    answers = [await shop.post(f"/v1/orders/{order_no}/pay") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert {answer.headers["location"] for answer in answers} == {f"/v1/orders/{order_no}"}
    operations = {answer.json()["payment"]["operation_id"] for answer in answers}
    assert [event["operation_id"] for event in await shop.sent(DebitRequested)] == [*operations]


async def test_two_hundred_instructions_at_once_are_one_operation(
    shop: "Shop", second_shop: "Shop"
) -> None:
    shops = [shop, second_shop]
    order_no = (await shop.place())["order_no"]
    answers = await asyncio.gather(
        *(
            shops[n % 2].post(f"/v1/orders/{order_no}/pay", Idempotency_Key=f"k{n % 150}")
            for n in range(200)
        )
    )
    counted = Counter((a.status_code, a.json().get("code")) for a in answers)
    assert set(counted) <= {
        (202, None),
        (409, "idempotency_key_in_use"),
        (503, "unavailable"),
    }
    assert counted[202, None] > 0
    assert len(await shop.sent(DebitRequested)) == 1
    assert (await shop.view(order_no))["payment"]["state"] == "requested"


async def test_a_key_on_pay_gives_the_first_answer_again(shop: "Shop") -> None:
    first_no, second_no = [(await shop.place(f"A-{n}"))["order_no"] for n in (1, 2)]
    first = await shop.post(f"/v1/orders/{first_no}/pay", Idempotency_Key="k")
    await shop.told(shop.succeeded(first.json()["payment"]["operation_id"]))
    again = await shop.post(f"/v1/orders/{first_no}/pay", Idempotency_Key="k")
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    other = await shop.post(f"/v1/orders/{second_no}/pay", Idempotency_Key="k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_paying_what_is_issued_answers_with_it(shop: "Shop") -> None:
    order = await shop.issued()
    answer = await shop.post(f"/v1/orders/{order['order_no']}/pay")
    assert (answer.status_code, answer.json()) == (200, order)
    assert len(await shop.sent(DebitRequested)) == 1


async def test_an_unpaid_order_is_cancelled_once(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    cancelled = await shop.post(f"/v1/orders/{order_no}/cancel")
    again = await shop.post(f"/v1/orders/{order_no}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "closed_unpaid")
    assert cancelled.json() == await shop.view(order_no)
    assert (again.status_code, again.json()["code"]) == (409, "order_closed")
    assert await shop.sent(OrderClosed) == [
        {"order_no": order_no, "reason": "cancelled", "debit_operation_id": None}
    ]
    last = (await shop.rows(TIMELINE))[-1]
    assert (last["before"], last["after"], last["cause"]) == (
        "awaiting_payment",
        "closed_unpaid",
        "cancelled",
    )
    paid = await shop.post(f"/v1/orders/{order_no}/pay")
    assert (paid.status_code, paid.json()["code"]) == (409, "order_closed")
    assert await shop.sent(DebitRequested) == []


async def test_a_paid_order_is_not_cancelled(shop: "Shop") -> None:
    order = await shop.issued()
    answer = await shop.post(f"/v1/orders/{order['order_no']}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "order_already_paid")
    assert await shop.view(order["order_no"]) == order
    assert await shop.sent(OrderClosed) == []


async def test_after_the_deadline_nothing_is_paid(shop: "Shop", clock: ManualClock) -> None:
    order_no = (await shop.place())["order_no"]
    clock.advance(timedelta(minutes=31))
    answer = await shop.post(f"/v1/orders/{order_no}/pay")
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_deadline_passed")
    assert await shop.sent(DebitRequested) == []


async def test_a_debit_short_of_funds_is_resumed_under_its_number(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    operation = await shop.pay(order_no)
    await shop.told(shop.stuck(operation, reason="余额不足"))
    payment = (await shop.view(order_no))["payment"]
    assert (payment["state"], payment["reason"]) == ("short_of_funds", "余额不足")
    assert await shop.pay(order_no) == operation
    payment = (await shop.view(order_no))["payment"]
    assert (payment["state"], payment["reason"]) == ("requested", None)
    first, second = await shop.sent(DebitRequested)
    assert first == second
    await shop.told(shop.succeeded(operation))
    assert (await shop.view(order_no))["status"] == "issued"


async def test_a_debit_that_will_never_happen_is_replaced(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    refused = await shop.pay(order_no)
    await shop.told(shop.failed(refused))
    payment = (await shop.view(order_no))["payment"]
    assert (payment["state"], payment["reason"]) == ("refused", "agreement ended")
    anew = await shop.pay(order_no)
    assert anew != refused
    requested = [event["operation_id"] for event in await shop.sent(DebitRequested)]
    assert requested == [refused, anew]
    await shop.told(shop.failed(refused), shop.stuck(refused))  # told late, about the old number
    assert (await shop.view(order_no))["payment"]["state"] == "requested"


async def test_a_refused_order_can_be_cancelled(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    refused = await shop.pay(order_no)
    await shop.told(shop.failed(refused))
    answer = await shop.post(f"/v1/orders/{order_no}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "closed_unpaid")
    (closed,) = await shop.sent(OrderClosed)
    assert closed["debit_operation_id"] == refused
    assert await shop.sent(CancelRequested) == []


async def test_a_debit_for_a_person_to_look_at_is_left_alone(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    operation = await shop.pay(order_no)
    await shop.told(shop.stuck(operation, "conflict", "number used with other content"))
    answer = await shop.post(f"/v1/orders/{order_no}/pay")
    assert (answer.status_code, answer.json()["payment"]["state"]) == (200, "stuck")
    assert len(await shop.sent(DebitRequested)) == 1
    await shop.told(shop.succeeded(operation))  # as the person found out
    assert (await shop.view(order_no))["status"] == "issued"


async def test_an_unknown_order_is_not_found_whatever_is_asked(shop: "Shop") -> None:
    for verb in ("pay", "cancel"):
        answer = await shop.post(f"/v1/orders/{new_id('ord')}/{verb}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
