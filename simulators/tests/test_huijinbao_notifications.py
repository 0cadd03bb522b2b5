"""Notifications: what they say, how they are signed, and that they come until acknowledged."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shanmen.simulators.huijinbao.notifications import POSTBOX
from shanmen.simulators.settings import Settings
from shanmen.simulators.testing.huijinbao_merchant import (
    MERCHANT_ID,
    PLATFORM,
    HuijinbaoMerchant,
)
from shanmen.simulators.testing.receiver import EnvelopeReceiver


async def _until_status(huijinbao: HuijinbaoMerchant, status: str, *, attempts: int) -> None:
    """Wait until the only notification is as expected. Raises TimeoutError."""
    async with asyncio.timeout(5):
        while True:
            [known] = (await huijinbao.get("/notifications"))["notifications"]
            if (known["status"], known["attempts"]) == (status, attempts):
                return
            await asyncio.sleep(0.005)


def _is_genuine(huijinbao: HuijinbaoMerchant, body: bytes, event: str) -> bool:
    try:
        huijinbao.verified(body, event)
    except ValueError:
        return False
    return True


def _told(envelopes: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [
        (each["event"], each["data"]["req_seq_id"], each["data"]["trans_stat"])
        for each in envelopes
    ]


async def test_every_kind_of_order_is_told_in_a_signed_envelope(
    huijinbao: HuijinbaoMerchant, envelope_receiver: EnvelopeReceiver
) -> None:
    steps: tuple[Callable[[], Awaitable[Any]], ...] = (
        lambda: huijinbao.pay("T1", 1_000),
        lambda: huijinbao.transfer("P1", 500),
        lambda: huijinbao.refund("R1", "T1", 400),
        lambda: huijinbao.subscribe("W1", 300),
        lambda: huijinbao.redeem("X1", 100),
        lambda: huijinbao.liquidate("L1"),
    )
    for count, step in enumerate(steps, start=1):
        await step()
        await envelope_receiver.wait_for(count)

    envelopes = envelope_receiver.forms
    assert _told(envelopes) == [
        ("pay", "T1", "S"),
        ("transfer", "P1", "S"),
        ("refund", "R1", "S"),
        ("subscribe", "W1", "S"),
        ("redeem", "X1", "S"),
        ("liquidate", "L1", "S"),
    ]
    for envelope, body in zip(envelopes, envelope_receiver.bodies, strict=True):
        data = huijinbao.verified(body, envelope["event"])
        assert (envelope["merchant_id"], data["event"]) == (MERCHANT_ID, envelope["event"])
    assert len({envelope["nonce"] for envelope in envelopes}) == 6
    refund, liquidation = envelopes[2]["data"], envelopes[5]["data"]
    assert (refund["org_req_seq_id"], refund["refunded_total"]) == ("T1", 400)
    assert (liquidation["principal_out"], liquidation["yield_total"]) == (200, 0)


async def test_a_call_may_name_another_address(
    huijinbao: HuijinbaoMerchant, envelope_receiver: EnvelopeReceiver, notify_url: str
) -> None:
    unheard = {"merchant_id": MERCHANT_ID, "account_no": PLATFORM}
    keys = {"k1": huijinbao.key.public_pem()}
    await huijinbao.post("/merchants", {**unheard, "keys": keys})
    await huijinbao.pay("T1")
    await huijinbao.pay("T2", notify_url=notify_url)

    assert _told(await envelope_receiver.wait_for(1)) == [("pay", "T2", "S")]
    assert len((await huijinbao.get("/notifications"))["notifications"]) == 1


async def test_a_failure_and_a_cancellation_are_told(
    huijinbao: HuijinbaoMerchant, envelope_receiver: EnvelopeReceiver
) -> None:
    await huijinbao.post("/faults", {"kind": "processing_then_fail", "times": 1, "delay_ms": 1})
    await huijinbao.pay("T1")
    await envelope_receiver.wait_for(1)
    await huijinbao.post("/faults", {"kind": "processing_then_success", "times": 1})
    await huijinbao.pay("T2")
    await huijinbao.cancel("T2")

    envelopes = await envelope_receiver.wait_for(2)
    assert _told(envelopes) == [("pay", "T1", "F"), ("pay", "T2", "F")]
    assert [each["data"]["order_status"] for each in envelopes] == ["2", "5"]
    assert envelopes[0]["data"]["fail_code"] == "HJB_0010"


async def test_a_repeat_or_a_refusal_is_not_told(
    huijinbao: HuijinbaoMerchant, envelope_receiver: EnvelopeReceiver
) -> None:
    await huijinbao.pay("T1", 10**6)
    await huijinbao.pay("T2")
    await huijinbao.pay("T2")
    await huijinbao.pay("T3")

    assert [number for _, number, _ in _told(await envelope_receiver.wait_for(2))] == ["T2", "T3"]


@pytest.mark.parametrize(
    "answer", ["success", "RECV_OK_T2", "RECV_OK_T1\n", "recv_ok_T1", "RECV_OK_", ""]
)
async def test_anything_but_its_own_acknowledgement_brings_it_again(
    huijinbao: HuijinbaoMerchant, envelope_receiver: EnvelopeReceiver, answer: str
) -> None:
    envelope_receiver.answer_first(answer, answer)
    await huijinbao.pay("T1")

    envelopes = await envelope_receiver.wait_for(3)

    assert len({each["data"]["notify_id"] for each in envelopes}) == 1
    assert len({each["nonce"] for each in envelopes}) == 3
    assert all(_is_genuine(huijinbao, body, "pay") for body in envelope_receiver.bodies)
    await _until_status(huijinbao, "delivered", attempts=3)


async def test_after_eight_sendings_it_is_given_up(
    huijinbao: HuijinbaoMerchant, envelope_receiver: EnvelopeReceiver
) -> None:
    envelope_receiver.answer_first(*["no"] * 9)
    await huijinbao.pay("T1")

    await envelope_receiver.wait_for(8)

    await _until_status(huijinbao, "given_up", attempts=8)


def test_the_schedule_is_the_documented_one() -> None:
    waits = [timedelta(milliseconds=wait_ms) for wait_ms in POSTBOX.waits_ms]
    assert [str(wait) for wait in waits] == [
        *("0:00:15", "0:01:00", "0:05:00", "0:30:00", "2:00:00", "6:00:00", "15:00:00")
    ]


async def test_a_pending_notification_survives_a_restart(
    huijinbao_settings: Settings,
    open_huijinbao: Callable[[Settings], AbstractAsyncContextManager[HuijinbaoMerchant]],
    envelope_receiver: EnvelopeReceiver,
) -> None:
    patient = replace(huijinbao_settings, notify_scale=1.0)
    envelope_receiver.answer_first("no")
    async with open_huijinbao(patient) as merchant:
        await merchant.pay("T1")
        await envelope_receiver.wait_for(1)
        await _until_status(merchant, "pending", attempts=1)

    async with open_huijinbao(patient) as merchant:
        await merchant.advance(seconds=15)
        first, second = await envelope_receiver.wait_for(2)
        await _until_status(merchant, "delivered", attempts=2)

    assert first["data"] == second["data"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"kind": "notify_duplicate", "copies": 2, "number": "T1"}, ["T1", "T1", "T1", "T2"]),
        ({"kind": "notify_missing", "number": "T1"}, ["T2"]),
        ({"kind": "notify_late", "number": "T1", "delay_ms": 300}, ["T2", "T1"]),
        ({"kind": "notify_reordered", "number": "T1", "delay_ms": 60_000}, ["T2", "T1"]),
    ],
)
async def test_notifications_on_demand(
    huijinbao: HuijinbaoMerchant,
    envelope_receiver: EnvelopeReceiver,
    fault: dict[str, Any],
    expected: list[str],
) -> None:
    await huijinbao.post("/faults", fault)
    await huijinbao.pay("T1")
    if fault["kind"] == "notify_duplicate":
        await envelope_receiver.wait_for(3)
    await huijinbao.pay("T2")

    envelopes = await envelope_receiver.wait_for(len(expected))

    assert [number for _, number, _ in _told(envelopes)] == expected


async def test_a_forged_notification_comes_before_the_honest_one(
    huijinbao: HuijinbaoMerchant, envelope_receiver: EnvelopeReceiver
) -> None:
    await huijinbao.post("/faults", {"kind": "notify_forged", "times": 1, "delay_ms": 50})
    await huijinbao.pay("T1")

    await envelope_receiver.wait_for(2)

    genuine = [_is_genuine(huijinbao, body, "pay") for body in envelope_receiver.bodies]
    assert genuine == [False, True]
    assert not _is_genuine(huijinbao, envelope_receiver.bodies[1], "refund")
