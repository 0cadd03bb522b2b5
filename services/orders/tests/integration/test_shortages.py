"""余额不足 is told once: an order once per shortage, an account's distributor by one message."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shanmen.common.testing.events import message_of
from shanmen.contracts.gateway import OperationStuck, SmsRequested
from shanmen.contracts.orders import DebitParked
from shanmen.orders.tables import SHORTAGES, WEBHOOK_EVENTS

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop


async def debited(shop: "Shop", number: str = "A-1") -> tuple[str, str]:
    order_no = (await shop.place(number))["order_no"]
    return order_no, await shop.pay(order_no)


async def told_of(shop: "Shop") -> tuple[list[str], list[str], int]:
    """The orders of DebitParked and of the webhooks, in order, and how many messages went out."""
    notices = [row for row in await shop.rows(WEBHOOK_EVENTS) if row["type"].endswith("short")]
    return (
        [event["order_no"] for event in await shop.sent(DebitParked)],
        [row["order_no"] for row in notices],
        len(await shop.sent(SmsRequested)),
    )


def stuck_later(event: OperationStuck, minutes: int = 1) -> OperationStuck:
    return event.model_copy(update={"since": event.since + timedelta(minutes=minutes)})


async def test_what_is_told_to_whom(shop: "Shop") -> None:
    order_no, operation = await debited(shop)
    await shop.told(shop.stuck(operation, reason="余额不足"))
    assert await shop.sent(DebitParked) == [
        {
            "order_no": order_no,
            "distributor_id": "dst_1",
            "operation_id": operation,
            "channel": "alipay",
            "amount_fen": 20_060,
            "outcome": "funds",
            "reason": "余额不足",
            "since": "2026-11-01T04:00:00Z",
        }
    ]
    (message,) = await shop.sent(SmsRequested)
    (shortage,) = await shop.rows(SHORTAGES)
    assert message == {
        "sms_id": shortage["shortage_id"],
        "recipient": "dst_1",
        "template": "payment_short",
        "params": {
            "order_no": order_no,
            "amount_yuan": "200.60",
            "deadline": "2026-11-01 12:30",
        },
    }
    assert (shortage["account_id"], shortage["ended_at"]) == ("acc_payer", None)
    (notice,) = await shop.rows(WEBHOOK_EVENTS)
    assert notice["type"] == "order.payment_short"
    expected: dict[str, Any] = {
        "distributor_order_no": "A-1",
        "status": "awaiting_payment",
        "amount_fen": 20_060,
        "reason": "余额不足",
        "short_since": "2026-11-01T04:00:00Z",
    }
    assert notice["data"].items() >= expected.items()
    payment = (await shop.view(order_no))["payment"]
    assert payment["short_since"] == "2026-11-01T04:00:00Z"


async def test_asking_again_and_being_short_again_tells_nothing_new(shop: "Shop") -> None:
    order_no, operation = await debited(shop)
    event = shop.stuck(operation)
    await shop.told(event)
    for attempt in (1, 2):
        await shop.pay(order_no)
        assert (await shop.view(order_no))["payment"]["short_since"] is None
        await shop.told(stuck_later(event, attempt))
        await shop.told(message_of(stuck_later(event, attempt)))
    assert await told_of(shop) == ([order_no], [order_no], 1)
    assert (await shop.view(order_no))["payment"]["short_since"] == "2026-11-01T04:02:00Z"


async def test_each_order_is_told_of_and_the_account_texted_once(shop: "Shop") -> None:
    pairs = [await debited(shop, f"A-{n}") for n in range(4)]
    await shop.tell(*(shop.stuck(operation) for _, operation in pairs))
    orders = [order_no for order_no, _ in pairs]
    assert await told_of(shop) == (orders, orders, 1)


async def test_another_account_has_its_own_shortage(shop: "Shop") -> None:
    _, first = await debited(shop)
    shop.stock.payer = "acc_other"
    _, second = await debited(shop, "A-2")
    await shop.told(shop.stuck(first), shop.stuck(second))
    assert len(await shop.sent(SmsRequested)) == len(await shop.rows(SHORTAGES)) == 2


async def test_any_success_on_the_account_ends_it_and_the_next_one_is_told_anew(
    shop: "Shop",
) -> None:
    order_no, operation = await debited(shop)
    _, other = await debited(shop, "A-2")
    await shop.told(shop.stuck(operation), shop.succeeded(other))
    (shortage,) = await shop.rows(SHORTAGES)
    assert shortage["ended_at"] is not None
    await shop.pay(order_no)
    await shop.told(stuck_later(shop.stuck(operation)))
    assert await told_of(shop) == ([order_no] * 2, [order_no] * 2, 2)
    ids = [event["sms_id"] for event in await shop.sent(SmsRequested)]
    assert len({*ids}) == 2


async def test_a_success_on_another_account_does_not(shop: "Shop") -> None:
    _, operation = await debited(shop)
    shop.stock.payer = "acc_other"
    _, other = await debited(shop, "A-2")
    await shop.told(shop.stuck(operation), shop.succeeded(other))
    (shortage,) = await shop.rows(SHORTAGES)
    assert shortage["ended_at"] is None


async def test_an_order_that_is_being_cancelled_needs_no_top_up(shop: "Shop") -> None:
    order_no, operation = await debited(shop)
    await shop.post(f"/v1/orders/{order_no}/cancel")
    await shop.told(shop.stuck(operation))
    assert await told_of(shop) == ([], [], 0)
    assert (await shop.view(order_no))["payment"]["state"] == "short_of_funds"


async def test_what_needs_a_person_is_told_to_the_operators_only_once_per_parking(
    shop: "Shop",
) -> None:
    order_no, operation = await debited(shop)
    event = shop.stuck(operation, "conflict", "number used with other content")
    await shop.told(event, message_of(event))
    again = stuck_later(shop.stuck(operation, "unknown", "an answer nobody knows"))
    await shop.told(again, message_of(event))  # parked once more, and the first time told late
    parked = [(told["outcome"], told["reason"]) for told in await shop.sent(DebitParked)]
    assert parked == [
        ("conflict", "number used with other content"),
        ("unknown", "an answer nobody knows"),
    ]
    assert (await told_of(shop))[1:] == ([], 0)
    payment = (await shop.view(order_no))["payment"]
    assert (payment["state"], payment["reason"]) == ("stuck", "an answer nobody knows")


async def test_the_operators_hear_when_it_waits_for_money_after_a_person(shop: "Shop") -> None:
    order_no, operation = await debited(shop)
    event = shop.stuck(operation)
    await shop.told(
        event,
        stuck_later(shop.stuck(operation, "unknown")),
        stuck_later(event, 2),
    )
    parked = [told["outcome"] for told in await shop.sent(DebitParked)]
    assert parked == ["funds", "unknown", "funds"]
    assert (await told_of(shop))[1:] == ([order_no], 1)


async def test_shortages_of_one_account_at_two_workers_are_one(
    shop: "Shop", second_shop: "Shop"
) -> None:
    """Neither worker sees the other's shortage before it is committed."""
    for turn in range(8):
        shop.stock.payer = f"acc_{turn}"
        pairs = [await debited(shop, f"A-{turn}-{n}") for n in range(4)]
        await asyncio.gather(
            *(
                where.told(shop.stuck(operation))
                for where, (_, operation) in zip([shop, second_shop] * 2, pairs, strict=True)
            )
        )
    parked, notices, messages = await told_of(shop)
    assert (len(parked), len(notices), messages) == (32, 32, 8)
    assert len(await shop.rows(SHORTAGES)) == 8


async def test_a_shortage_races_its_end(shop: "Shop", second_shop: "Shop") -> None:
    """Whichever comes first, each shortage was texted once and at most one is open."""
    for number in range(12):
        _, short = await debited(shop, f"A-{number}")
        _, paid = await debited(shop, f"B-{number}")
        await asyncio.gather(shop.told(shop.stuck(short)), second_shop.told(shop.succeeded(paid)))
    shortages: Sequence[dict[str, Any]] = await shop.rows(SHORTAGES)
    texted = [event["sms_id"] for event in await shop.sent(SmsRequested)]
    assert sorted(texted) == sorted(row["shortage_id"] for row in shortages)
    assert len([row for row in shortages if row["ended_at"] is None]) <= 1
    assert len(await shop.sent(DebitParked)) == 12
