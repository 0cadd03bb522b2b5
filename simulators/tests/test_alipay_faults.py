"""Faults on demand: what each kind answers, and whether money moved, read from the books."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from alipay import AliPay
from alipay.exceptions import AliPayValidationError

from shanmen.simulators.alipay.faults import CALL_KINDS
from shanmen.simulators.alipay.settings import Settings
from shanmen.simulators.alipay.signing import notification_content, verify
from shanmen.simulators.postbox import NOTIFICATION_KINDS
from shanmen.simulators.testing.merchant import DISTRIBUTOR, PLATFORM, SPOT, Merchant, payment
from shanmen.simulators.testing.receiver import Receiver

_QUERY = "alipay.fund.trans.common.query"
_QUERY_P1 = {
    "out_biz_no": "P1",
    "product_code": "TRANS_ACCOUNT_NO_PWD",
    "biz_scene": "DIRECT_TRANSFER",
}


async def _order(merchant: Merchant, kind: str, **narrowed: Any) -> int:
    fault = await merchant.post("/faults", {"kind": kind, **narrowed})
    fault_id: int = fault["fault_id"]
    return fault_id


async def _is_paid(merchant: Merchant) -> bool:
    return await merchant.balance_fen(DISTRIBUTOR) == 79_000


async def _until_balance(merchant: Merchant, account_no: str, balance_fen: int) -> None:
    async with asyncio.timeout(5):
        while True:
            if await merchant.balance_fen(account_no) == balance_fen:
                return
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("kind", "code", "sub_code", "is_paid"),
    [
        ("error_20000_before", "20000", "isp.unknow-error", False),
        ("error_20000_after", "20000", "isp.unknow-error", True),
        ("system_error_before", "40004", "ACQ.SYSTEM_ERROR", False),
        ("system_error_after", "40004", "ACQ.SYSTEM_ERROR", True),
        ("insufficient_funds", "40004", "ACQ.BUYER_BALANCE_NOT_ENOUGH", False),
        ("throttled", "40005", "isv.app-call-limited", False),
        ("unlisted_code", "40004", "NOBODY_KNOWS_THIS_CODE", False),
        ("unlisted_code_after", "40004", "NOBODY_KNOWS_THIS_CODE", True),
    ],
)
async def test_a_refusal_on_demand_then_the_same_call_succeeds(
    merchant: Merchant, kind: str, code: str, sub_code: str, *, is_paid: bool
) -> None:
    await _order(merchant, kind, times=1)

    answer = await merchant.pay("T1")

    assert (answer["code"], answer["sub_code"]) == (code, sub_code)
    assert await _is_paid(merchant) is is_paid
    assert (await merchant.pay("T1"))["code"] == "10000"
    assert await _is_paid(merchant)


@pytest.mark.parametrize(
    ("kind", "is_paid"),
    [("timeout_before", False), ("timeout_after", True), ("down_cut", False)],
)
async def test_no_answer_at_all(merchant: Merchant, kind: str, *, is_paid: bool) -> None:
    await _order(merchant, kind, times=1, hold_ms=1)

    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        await merchant.raw("alipay.trade.pay", payment("T1"))

    assert await _is_paid(merchant) is is_paid
    assert (await merchant.pay("T1"))["code"] == "10000"
    calls = (await merchant.get("/calls"))["calls"]
    assert [(call["code"], call["fault"]) for call in calls] == [(None, kind), ("10000", None)]


async def test_a_held_connection_outlasts_an_impatient_client(merchant: Merchant) -> None:
    await _order(merchant, "timeout_after", times=1)
    parameters = merchant.signed("alipay.trade.pay", payment("T1"))

    with pytest.raises(httpx.ReadTimeout):
        await merchant.http.post("/gateway.do", data=parameters, timeout=0.1)

    assert await _is_paid(merchant)


async def test_money_moves_after_the_client_has_given_up(merchant: Merchant) -> None:
    await _order(merchant, "timeout_then_applied", times=1, hold_ms=1, delay_ms=150)

    with pytest.raises(httpx.RemoteProtocolError):
        await merchant.raw("alipay.trade.pay", payment("T1"))

    query = await merchant.call("alipay.trade.query", {"out_trade_no": "T1"})
    assert query["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    await _until_balance(merchant, DISTRIBUTOR, 79_000)
    assert (await merchant.pay("T1"))["code"] == "10000"
    assert await _is_paid(merchant)


@pytest.mark.parametrize("kind", ["bad_signature", "unsigned"])
async def test_an_answer_that_cannot_be_believed_though_money_moved(
    merchant: Merchant, kind: str
) -> None:
    await _order(merchant, kind, times=1)

    response = await merchant.raw("alipay.trade.pay", payment("T1"))

    assert response.json()["alipay_trade_pay_response"]["code"] == "10000"
    assert ("sign" in response.json()) is (kind == "bad_signature")
    with pytest.raises(ValueError, match="not a verified answer"):
        merchant.verified(response.content, "alipay.trade.pay")
    assert await _is_paid(merchant)


async def test_braces_are_signed_rightly_though_a_naive_client_stumbles(
    merchant: Merchant,
) -> None:
    await _order(merchant, "braces", times=1)
    response = await merchant.raw("alipay.trade.pay", payment("T1"))

    answer = merchant.verified(response.content, "alipay.trade.pay")

    assert answer["code"] == "10000"
    assert {"{", "}", '"', "\\"} <= set(answer["msg"])
    naive = AliPay.__new__(AliPay)
    naive._alipay_public_key_string = merchant.alipay_public_key
    naive._app_private_key_string = merchant.alipay_public_key
    naive._sign_type = "RSA2"
    naive._load_key()
    with pytest.raises(AliPayValidationError):
        naive._verify_and_return_sync_response(response.text, "alipay_trade_pay_response")


async def test_down_answers_with_a_page(merchant: Merchant) -> None:
    await _order(merchant, "down", times=1)

    response = await merchant.raw("alipay.trade.pay", payment("T1"))

    assert response.status_code == 503
    assert response.headers["content-type"].startswith("text/html")
    assert not await _is_paid(merchant)


async def test_slow_moves_the_money_and_answers_later(merchant: Merchant) -> None:
    await _order(merchant, "slow", times=1, delay_ms=200)

    calling = asyncio.create_task(merchant.pay("T1"))
    await _until_balance(merchant, DISTRIBUTOR, 79_000)

    assert not calling.done()
    assert (await calling)["code"] == "10000"


async def test_a_shortage_lasts_until_it_is_called_off(merchant: Merchant) -> None:
    fault_id = await _order(merchant, "insufficient_funds", account_no=DISTRIBUTOR)
    for _ in range(3):
        assert (await merchant.pay("T1"))["sub_code"] == "ACQ.BUYER_BALANCE_NOT_ENOUGH"

    await merchant.http.delete(f"/admin/faults/{fault_id}")

    assert (await merchant.pay("T1"))["code"] == "10000"


async def test_a_shortage_never_denies_what_was_paid_before(merchant: Merchant) -> None:
    paid = await merchant.pay("T1")
    await _order(merchant, "insufficient_funds")

    assert await merchant.pay("T1") == paid
    assert (await merchant.refund("T1", "R1", "1.00"))["sub_code"] == (
        "ACQ.SELLER_BALANCE_NOT_ENOUGH"
    )
    assert (await merchant.transfer("P1"))["sub_code"] == "PAYER_BALANCE_NOT_ENOUGH"


async def test_a_shortage_of_one_account_is_about_what_it_pays(merchant: Merchant) -> None:
    await _order(merchant, "insufficient_funds", account_no=PLATFORM)

    assert (await merchant.pay("T1"))["code"] == "10000"
    assert (await merchant.transfer("P1"))["sub_code"] == "PAYER_BALANCE_NOT_ENOUGH"


@pytest.mark.parametrize(
    ("kind", "ending", "balance_fen"),
    [("dealing_then_success", "SUCCESS", 500), ("dealing_then_fail", "FAIL", 0)],
)
async def test_a_payout_deals_for_some_queries(
    merchant: Merchant, kind: str, ending: str, balance_fen: int
) -> None:
    await _order(merchant, kind, times=1, queries=2)

    first = await merchant.transfer("P1")
    statuses = [(await merchant.call(_QUERY, _QUERY_P1))["status"] for _ in range(4)]

    assert first["status"] == "DEALING"
    assert statuses == ["DEALING", "DEALING", ending, ending]
    assert await merchant.balance_fen(SPOT) == balance_fen
    assert (await merchant.transfer("P1"))["status"] == ending
    last = await merchant.call(_QUERY, _QUERY_P1)
    assert ("fail_reason" in last) is (ending == "FAIL")
    assert ("trans_amount" in last) is (ending == "SUCCESS")


async def test_a_payout_deals_for_some_time(merchant: Merchant, receiver: Receiver) -> None:
    await _order(merchant, "dealing_then_success", times=1, delay_ms=50)

    assert (await merchant.transfer("P1"))["status"] == "DEALING"
    assert await merchant.balance_fen(SPOT) == 0

    await receiver.wait_for(1)
    assert await merchant.balance_fen(SPOT) == 500


async def test_a_payment_is_in_process_then_paid(merchant: Merchant) -> None:
    await _order(merchant, "pay_in_process", times=1)

    assert (await merchant.pay("T1"))["code"] == "10003"
    assert (await merchant.pay("T1"))["code"] == "10003"
    statuses = [
        (await merchant.call("alipay.trade.query", {"out_trade_no": "T1"}))["trade_status"]
        for _ in range(2)
    ]

    assert statuses == ["WAIT_BUYER_PAY", "TRADE_SUCCESS"]
    assert await _is_paid(merchant)


async def test_a_payment_in_process_can_be_cancelled(merchant: Merchant) -> None:
    await _order(merchant, "pay_in_process", times=1, delay_ms=30)
    await merchant.pay("T1")

    cancelled = await merchant.call("alipay.trade.cancel", {"out_trade_no": "T1"})
    await asyncio.sleep(0.06)  # past the moment at which it would have been paid

    assert cancelled["action"] == "close"
    assert await merchant.balance_fen(DISTRIBUTOR) == 80_000


async def test_a_fault_strikes_only_what_it_was_ordered_for(merchant: Merchant) -> None:
    await _order(merchant, "throttled", method="alipay.trade.query")
    await _order(merchant, "throttled", number="T2")
    await _order(merchant, "throttled", account_no=SPOT)

    assert (await merchant.pay("T1"))["code"] == "10000"
    assert (await merchant.pay("T2"))["code"] == "40005"
    assert (await merchant.transfer("P1"))["code"] == "40005"
    query = await merchant.call("alipay.trade.query", {"out_trade_no": "T1"})
    assert query["code"] == "40005"


async def test_the_same_seed_gives_the_same_faults(merchant: Merchant) -> None:
    async def codes() -> list[str]:
        await _order(merchant, "throttled", probability=0.5, seed=7)
        found = [
            (await merchant.call("alipay.trade.query", {"out_trade_no": "x"}))["code"]
            for _ in range(20)
        ]
        await merchant.http.delete("/admin/faults")
        return found

    first = await codes()
    assert 4 <= first.count("40005") <= 16
    assert await codes() == first


async def test_faults_survive_a_restart(
    settings: Settings,
    open_channel: Callable[[Settings], AbstractAsyncContextManager[Merchant]],
) -> None:
    async with open_channel(settings) as merchant:
        await _order(merchant, "throttled", times=2)
        assert (await merchant.pay("T1"))["code"] == "40005"

    async with open_channel(settings) as merchant:
        assert (await merchant.pay("T1"))["code"] == "40005"
        assert (await merchant.pay("T1"))["code"] == "10000"
        [fault] = (await merchant.get("/faults"))["faults"]

    assert (fault["hits"], fault["times_left"]) == (2, 0)


async def test_a_duplicated_notification_comes_again_though_accepted(
    merchant: Merchant, receiver: Receiver
) -> None:
    await _order(merchant, "notify_duplicate", copies=3)
    await merchant.transfer("P1")

    forms = await receiver.wait_for(4)

    assert len({form["notify_id"] for form in forms}) == 1


async def test_a_missing_notification_never_comes(merchant: Merchant, receiver: Receiver) -> None:
    await _order(merchant, "notify_missing", number="P1")
    await merchant.transfer("P1")
    await merchant.transfer("P2")

    [form] = await receiver.wait_for(1)

    assert "P2" in form["biz_content"]
    first, _ = (await merchant.get("/notifications"))["notifications"]
    assert (first["number"], first["status"], first["attempts"]) == ("P1", "suppressed", 0)


async def test_a_late_notification_comes_late(merchant: Merchant, receiver: Receiver) -> None:
    await _order(merchant, "notify_late", number="P1", delay_ms=80)
    await merchant.transfer("P1")
    await merchant.transfer("P2")

    forms = await receiver.wait_for(2)

    assert ["P1" in form["biz_content"] for form in forms] == [False, True]


async def test_reordered_notifications_swap_places(
    merchant: Merchant, receiver: Receiver, notify_url: str
) -> None:
    await _order(merchant, "notify_reordered", method="alipay.trade.pay", delay_ms=60_000)
    await merchant.pay("T1", notify_url=notify_url)
    await merchant.refund("T1", "R1", "10.00")

    forms = await receiver.wait_for(2)

    assert [form["trade_status"] for form in forms] == ["TRADE_CLOSED", "TRADE_SUCCESS"]


async def test_a_forged_notification_comes_before_the_honest_one(
    merchant: Merchant, receiver: Receiver
) -> None:
    await _order(merchant, "notify_forged", times=1, delay_ms=50)
    await merchant.transfer("P1")

    forms = await receiver.wait_for(2)

    genuine = [
        verify(notification_content(form), form["sign"], merchant.alipay_public_key)
        for form in forms
    ]
    assert genuine == [False, True]


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        ({"kind": "earthquake"}, "kind is one of timeout_before"),
        ({}, "needs kind"),
        ({"kind": "slow"}, "slow needs delay_ms"),
        ({"kind": "down", "method": "alipay.unknown"}, "method is one of"),
        ({"kind": "pay_in_process", "method": "alipay.trade.refund"}, "is for alipay.trade.pay"),
        ({"kind": "down", "times": 0}, "times must be a whole number of at least 1"),
        ({"kind": "down", "probability": 2}, "from 0 to 1"),
        ({"kind": "down", "tiems": 1}, "knows no tiems"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused_with_a_hint(
    merchant: Merchant, fault: dict[str, Any], hint: str
) -> None:
    response = await merchant.http.post("/admin/faults", json=fault)

    assert response.status_code == 400
    assert hint in response.json()["error"]
    assert (await merchant.get("/faults"))["faults"] == []


async def test_every_kind_can_be_ordered(merchant: Merchant) -> None:
    for kind in [*CALL_KINDS, *NOTIFICATION_KINDS]:
        await _order(merchant, kind, delay_ms=1)
    listed = (await merchant.get("/faults"))["faults"]
    assert len(listed) == len(CALL_KINDS) + len(NOTIFICATION_KINDS)
