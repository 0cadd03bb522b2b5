"""A debit that was refused for certain and succeeded all the same: paid, or sent back in full."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest

from shanmen.common.testing.events import message_of
from shanmen.contracts.orders import DebitOrphaned, OrderPaid
from shanmen.orders.domain import Settlement, Usage
from shanmen.orders.tables import DEBITS, ORDERS, TICKETS, TIMELINE
from shanmen.orders.usecases.following import follow_settlement, follow_usage

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop


async def refused(shop: "Shop", number: str = "A-1") -> tuple[str, str]:
    order_no = (await shop.place(number))["order_no"]
    operation = await shop.pay(order_no)
    await shop.told(shop.failed(operation))
    return order_no, operation


async def facts(shop: "Shop", order_no: str) -> tuple[str, str]:
    (row,) = [row for row in await shop.rows(ORDERS) if row["order_no"] == order_no]
    return row["status"], row["debit_state"]


async def test_an_order_that_still_waits_takes_it(shop: "Shop") -> None:
    order_no, operation = await refused(shop)
    await shop.told(shop.succeeded(operation))
    assert await facts(shop, order_no) == ("issued", "succeeded")
    moves = [row for row in await shop.rows(TIMELINE) if row["kind"] == "debit"]
    assert (moves[-1]["before"], moves[-1]["after"]) == ("refused", "succeeded")
    assert await shop.sent(DebitOrphaned) == []
    assert len(await shop.sent(OrderPaid)) == 1


async def test_for_a_closed_order_it_goes_back_in_full_and_once(shop: "Shop") -> None:
    order_no, operation = await refused(shop)
    await shop.post(f"/v1/orders/{order_no}/cancel")
    before = await shop.view(order_no)
    await shop.told(*(message_of(shop.succeeded(operation)) for _ in range(3)))
    assert await shop.view(order_no) == before
    assert await shop.sent(DebitOrphaned) == [
        {
            "order_no": order_no,
            "distributor_id": "dst_1",
            "operation_id": operation,
            "account": {"account_id": "acc_payer", "channel": "alipay"},
            "amount_fen": 20_060,
            "debited_at": "2026-11-01T04:00:00Z",
        }
    ]
    (noted,) = [row for row in await shop.rows(TIMELINE) if row["after"] == "orphaned"]
    assert (noted["kind"], noted["before"], noted["actor"]) == ("debit", "refused", "gateway")
    assert operation in noted["cause"]
    assert await shop.rows(TICKETS) == []
    assert await shop.held() == []


async def test_for_an_order_cancelled_through_the_channel_too(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    operation = await shop.pay(order_no)
    await shop.post(f"/v1/orders/{order_no}/cancel")
    await shop.told(shop.failed(operation), shop.succeeded(operation), shop.failed(operation))
    assert await facts(shop, order_no) == ("closed_unpaid", "refused")
    assert len(await shop.sent(DebitOrphaned)) == 1


REPLACED: Final[dict[str, tuple[list[str], tuple[str, str]]]] = {
    # what became of the debit that replaced it, and of the order
    "requested": ([], ("awaiting_payment", "requested")),
    "short_of_funds": (["stuck"], ("awaiting_payment", "short_of_funds")),
    "stuck": (["unclear"], ("awaiting_payment", "stuck")),
    "refused": (["failed"], ("awaiting_payment", "refused")),
    "closed": (["failed", "cancel"], ("closed_unpaid", "refused")),
    "issued": (["succeeded"], ("issued", "succeeded")),
    "completed": (["succeeded", "used"], ("completed", "succeeded")),
    "closed_refunded": (["succeeded", "refunded"], ("closed_refunded", "succeeded")),
}


@pytest.mark.parametrize("became", REPLACED)
async def test_one_that_was_replaced_goes_back_whatever_became_of_the_other(
    became: str, shop: "Shop"
) -> None:
    steps, expected = REPLACED[became]
    order_no, first = await refused(shop)
    second = await shop.pay(order_no)
    for step in steps:
        await take(shop, step, order_no, second)
    assert await facts(shop, order_no) == expected
    before = await shop.view(order_no)
    await shop.told(shop.succeeded(first), message_of(shop.succeeded(first)))
    assert await shop.view(order_no) == before
    (orphaned,) = await shop.sent(DebitOrphaned)
    assert orphaned["operation_id"] == first
    if expected[0] == "awaiting_payment":  # the number that counts still pays it
        await shop.told(shop.succeeded(second))
        assert await facts(shop, order_no) == ("issued", "succeeded")
    assert len(await shop.sent(DebitOrphaned)) == 1
    assert len(await shop.sent(OrderPaid)) == (became != "closed")


async def take(shop: "Shop", step: str, order_no: str, operation: str) -> None:
    """One step in the life of an order and its second debit."""
    simple: dict[str, Any] = {
        "stuck": lambda: shop.stuck(operation),
        "unclear": lambda: shop.stuck(operation, "unknown"),
        "failed": lambda: shop.failed(operation),
        "succeeded": lambda: shop.succeeded(operation),
    }
    if step in simple:
        await shop.told(simple[step]())
    elif step == "cancel":
        answer = await shop.post(f"/v1/orders/{order_no}/cancel")
        assert answer.status_code == 200
    else:
        for entitlement_id in await shop.entitlements(order_no):
            await conclude(shop, step, order_no, entitlement_id)


async def conclude(shop: "Shop", step: str, order_no: str, entitlement_id: str) -> None:
    if step == "used":
        await shop.told(shop.used(order_no, entitlement_id))
        return
    ctx = shop.ctx
    async with ctx.db.transaction() as tx:
        await follow_usage(
            tx, ctx, order_no=order_no, entitlement_id=entitlement_id, usage=Usage.EXPIRED
        )
        await follow_settlement(
            tx,
            ctx,
            order_no=order_no,
            entitlement_id=entitlement_id,
            settlement=Settlement.REFUNDED,
            refunded_fen=10_000,
        )


async def test_what_else_is_told_of_a_replaced_debit_changes_nothing(shop: "Shop") -> None:
    order_no, first = await refused(shop)
    await shop.pay(order_no)
    before = await shop.view(order_no)
    await shop.told(shop.failed(first), shop.stuck(first), shop.stuck(first, "unknown"))
    assert await shop.view(order_no) == before


async def test_every_number_of_an_order_is_kept(shop: "Shop") -> None:
    order_no, first = await refused(shop)
    second = await shop.pay(order_no)
    await shop.told(shop.stuck(second))
    assert await shop.pay(order_no) == second
    at_once = await shop.place("A-2", pay=True)
    kept = {row["operation_id"]: row["order_no"] for row in await shop.rows(DEBITS)}
    third = at_once["payment"]["operation_id"]
    assert kept == {first: order_no, second: order_no, third: at_once["order_no"]}


async def test_a_late_success_races_paying_anew(shop: "Shop", second_shop: "Shop") -> None:
    """Either it pays the order, or the order has a new debit and it goes back: never both."""
    late_paid = 0
    for number in range(20):
        order_no, first = await refused(shop, f"A-{number}")
        answer, _ = await asyncio.gather(
            second_shop.post(f"/v1/orders/{order_no}/pay"), shop.told(shop.succeeded(first))
        )
        took_it = answer.status_code == 200
        late_paid += took_it
        expected = ("issued", "succeeded") if took_it else ("awaiting_payment", "requested")
        assert await facts(shop, order_no) == expected
    assert len(await shop.sent(OrderPaid)) == late_paid
    assert len(await shop.sent(DebitOrphaned)) == 20 - late_paid


async def test_a_late_success_races_the_cancel(shop: "Shop", second_shop: "Shop") -> None:
    paid = 0
    for number in range(20):
        order_no, operation = await refused(shop, f"A-{number}")
        answer, _ = await asyncio.gather(
            second_shop.post(f"/v1/orders/{order_no}/cancel"), shop.told(shop.succeeded(operation))
        )
        paid += answer.status_code == 409
    counted = [*(await shop.statuses()).values()]
    assert (counted.count("issued"), counted.count("closed_unpaid")) == (paid, 20 - paid)
    assert len(await shop.sent(OrderPaid)) == paid
    assert len(await shop.sent(DebitOrphaned)) == 20 - paid
