"""Notifications: what they say, and that they come until they are accepted."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta

import pytest

from shanmen.simulators.alipay.settings import Settings
from shanmen.simulators.alipay.signing import notification_content, verify
from shanmen.simulators.testing.merchant import APP_ID, PLATFORM, Merchant
from shanmen.simulators.testing.receiver import Receiver

_FIVE_MINUTES = timedelta(minutes=5)


async def _until_status(merchant: Merchant, status: str, *, attempts: int) -> None:
    """Wait until the only notification is as expected. Raises TimeoutError."""
    async with asyncio.timeout(5):
        while True:
            [known] = (await merchant.get("/notifications"))["notifications"]
            if (known["status"], known["attempts"]) == (status, attempts):
                return
            await asyncio.sleep(0.005)


def _is_genuine(form: dict[str, str], merchant: Merchant) -> bool:
    return verify(notification_content(form), form["sign"], merchant.alipay_public_key)


async def test_a_payment_is_notified_where_the_call_asked_for_it(
    merchant: Merchant, receiver: Receiver, notify_url: str
) -> None:
    await merchant.pay("T0")
    paid = await merchant.pay("T1", notify_url=notify_url)

    [form] = await receiver.wait_for(1)

    assert _is_genuine(form, merchant)
    assert form["notify_type"] == "trade_status_sync"
    assert (form["out_trade_no"], form["trade_no"]) == ("T1", paid["trade_no"])
    assert (form["trade_status"], form["total_amount"]) == ("TRADE_SUCCESS", "10.00")
    assert (form["app_id"], form["seller_id"]) == (APP_ID, PLATFORM)


async def test_a_refund_is_notified_with_its_number_and_the_sum_so_far(
    merchant: Merchant, receiver: Receiver, notify_url: str
) -> None:
    await merchant.pay("T1", notify_url=notify_url)
    await receiver.wait_for(1)
    await merchant.refund("T1", "R1", "4.00")
    await receiver.wait_for(2)
    await merchant.refund("T1", "R2", "6.00")

    forms = await receiver.wait_for(3)

    assert [
        (form["out_biz_no"], form["refund_fee"], form["trade_status"]) for form in forms[1:]
    ] == [("R1", "4.00", "TRADE_SUCCESS"), ("R2", "10.00", "TRADE_CLOSED")]
    assert all(form["gmt_refund"] for form in forms[1:])


async def test_a_payout_is_notified_at_the_apps_address(
    merchant: Merchant, receiver: Receiver
) -> None:
    await merchant.transfer("P1", "5.00")

    [form] = await receiver.wait_for(1)

    assert _is_genuine(form, merchant)
    assert form["msg_method"] == "alipay.fund.trans.order.changed"
    content = json.loads(form["biz_content"])
    assert (content["out_biz_no"], content["status"]) == ("P1", "SUCCESS")
    assert content["trans_amount"] == "5.00"


async def test_a_repeated_call_is_not_notified_again(
    merchant: Merchant, receiver: Receiver
) -> None:
    await merchant.transfer("P1")
    await merchant.transfer("P1")
    await merchant.transfer("P2")

    forms = await receiver.wait_for(2)
    assert [json.loads(form["biz_content"])["out_biz_no"] for form in forms] == ["P1", "P2"]


@pytest.mark.parametrize("answer", ["fail", "success\n", "SUCCESS", '"success"', ""])
async def test_anything_but_success_brings_the_same_notification_again(
    merchant: Merchant, receiver: Receiver, answer: str
) -> None:
    receiver.answer_first(answer, answer)
    await merchant.transfer("P1")

    forms = await receiver.wait_for(3)

    assert len({form["notify_id"] for form in forms}) == 1
    assert all(_is_genuine(form, merchant) for form in forms)
    await _until_status(merchant, "delivered", attempts=3)


async def test_after_eight_sendings_it_is_given_up(merchant: Merchant, receiver: Receiver) -> None:
    receiver.answer_first(*["fail"] * 9)
    await merchant.transfer("P1")

    await receiver.wait_for(8)

    await _until_status(merchant, "given_up", attempts=8)


async def test_a_pending_notification_survives_a_restart(
    settings: Settings,
    open_channel: Callable[[Settings], AbstractAsyncContextManager[Merchant]],
    receiver: Receiver,
) -> None:
    patient = replace(settings, notify_scale=1.0)
    receiver.answer_first("fail")
    async with open_channel(patient) as merchant:
        await merchant.transfer("P1")
        await receiver.wait_for(1)
        await _until_status(merchant, "pending", attempts=1)

    later = replace(patient, clock=lambda: settings.clock() + _FIVE_MINUTES)
    async with open_channel(later) as merchant:
        first, second = await receiver.wait_for(2)
        await _until_status(merchant, "delivered", attempts=2)

    assert first["notify_id"] == second["notify_id"]
