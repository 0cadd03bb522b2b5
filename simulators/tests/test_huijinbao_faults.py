"""Faults on demand: what each kind answers, and whether money moved, read from the books."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest

from shanmen.simulators.huijinbao.faults import CALL_KINDS
from shanmen.simulators.postbox import NOTIFICATION_KINDS
from shanmen.simulators.settings import Settings
from shanmen.simulators.testing.huijinbao_merchant import (
    AGREEMENT,
    DISTRIBUTOR,
    PLATFORM,
    SPOT,
    HuijinbaoMerchant,
    payment,
)
from shanmen.simulators.testing.receiver import EnvelopeReceiver


async def _order(huijinbao: HuijinbaoMerchant, kind: str, **narrowed: Any) -> int:
    fault = await huijinbao.post("/faults", {"kind": kind, **narrowed})
    fault_id: int = fault["fault_id"]
    return fault_id


async def _is_paid(huijinbao: HuijinbaoMerchant) -> bool:
    return await huijinbao.balance_fen(DISTRIBUTOR) == 79_000


async def _until_balance(huijinbao: HuijinbaoMerchant, account_no: str, balance_fen: int) -> None:
    async with asyncio.timeout(5):
        while True:
            if await huijinbao.balance_fen(account_no) == balance_fen:
                return
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("kind", "code", "trans_stat", "is_paid"),
    [
        ("system_error_before", "HJB_0099", None, False),
        ("system_error_after", "HJB_0099", None, True),
        ("insufficient_funds", "HJB_0005", "F", False),
        ("throttled", "HJB_0090", "F", False),
        ("unlisted_code", "HJB_7777", "F", False),
        ("unlisted_code_after", "HJB_7777", "F", True),
    ],
)
async def test_a_refusal_on_demand_then_the_same_call_succeeds(
    huijinbao: HuijinbaoMerchant, kind: str, code: str, trans_stat: str | None, *, is_paid: bool
) -> None:
    await _order(huijinbao, kind, times=1)

    answer = await huijinbao.pay("T1")

    assert (answer["resp_code"], answer.get("trans_stat")) == (code, trans_stat)
    assert await _is_paid(huijinbao) is is_paid
    assert (await huijinbao.pay("T1"))["trans_stat"] == "S"
    assert await _is_paid(huijinbao)


async def test_a_code_of_ones_own_choice(huijinbao: HuijinbaoMerchant) -> None:
    await _order(huijinbao, "system_error_before", times=1, sub_code="HJB_0040")
    assert (await huijinbao.pay("T1"))["resp_code"] == "HJB_0040"


@pytest.mark.parametrize(
    ("kind", "is_paid"),
    [("timeout_before", False), ("timeout_after", True), ("down_cut", False)],
)
async def test_no_answer_at_all(huijinbao: HuijinbaoMerchant, kind: str, *, is_paid: bool) -> None:
    await _order(huijinbao, kind, times=1, hold_ms=1)

    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        await huijinbao.pay("T1")

    assert await _is_paid(huijinbao) is is_paid
    assert (await huijinbao.pay("T1"))["trans_stat"] == "S"
    calls = (await huijinbao.get("/calls"))["calls"]
    assert [(call["code"], call["fault"]) for call in calls] == [(None, kind), ("00000000", None)]


async def test_money_moves_after_the_client_has_given_up(huijinbao: HuijinbaoMerchant) -> None:
    await _order(huijinbao, "timeout_then_applied", times=1, hold_ms=1, delay_ms=150)

    with pytest.raises(httpx.RemoteProtocolError):
        await huijinbao.pay("T1")

    assert (await huijinbao.query("T1"))["resp_code"] == "HJB_0021"
    await _until_balance(huijinbao, DISTRIBUTOR, 79_000)
    assert (await huijinbao.pay("T1"))["replayed"]
    assert await _is_paid(huijinbao)


async def test_what_is_on_its_way_can_be_cancelled(huijinbao: HuijinbaoMerchant) -> None:
    await _order(huijinbao, "timeout_then_applied", times=1, hold_ms=1, delay_ms=60_000)
    with pytest.raises(httpx.RemoteProtocolError):
        await huijinbao.pay("T1")

    assert (await huijinbao.cancel("T1"))["order_status"] == "5"
    await huijinbao.advance(seconds=61)

    assert (await huijinbao.query("T1"))["order_status"] == "5"
    assert not await _is_paid(huijinbao)


@pytest.mark.parametrize("kind", ["bad_signature", "unsigned"])
async def test_an_answer_that_cannot_be_believed_though_money_moved(
    huijinbao: HuijinbaoMerchant, kind: str
) -> None:
    await _order(huijinbao, kind, times=1)

    response = await huijinbao.raw("pay", payment("T1"))

    assert response.json()["data"]["trans_stat"] == "S"
    assert ("sign" in response.json()) is (kind == "bad_signature")
    with pytest.raises(ValueError, match="not a verified message"):
        huijinbao.verified(response.content, "pay")
    assert await _is_paid(huijinbao)


async def test_braces_are_signed_rightly(huijinbao: HuijinbaoMerchant) -> None:
    await _order(huijinbao, "braces", times=1)

    answer = await huijinbao.pay("T1")

    assert answer["trans_stat"] == "S"
    assert {"{", "}", '"', "\\"} <= set(answer["resp_desc"])


async def test_down_answers_with_a_page(huijinbao: HuijinbaoMerchant) -> None:
    await _order(huijinbao, "down", times=1)

    response = await huijinbao.raw("pay", payment("T1"))

    assert (response.status_code, response.headers["content-type"][:9]) == (503, "text/html")
    assert not await _is_paid(huijinbao)


async def test_slow_moves_the_money_and_answers_later(huijinbao: HuijinbaoMerchant) -> None:
    await _order(huijinbao, "slow", times=1, delay_ms=200)

    calling = asyncio.create_task(huijinbao.pay("T1"))
    await _until_balance(huijinbao, DISTRIBUTOR, 79_000)

    assert not calling.done()
    assert (await calling)["trans_stat"] == "S"


async def test_a_shortage_never_denies_what_was_paid_before(
    huijinbao: HuijinbaoMerchant,
) -> None:
    paid = await huijinbao.pay("T1")
    await _order(huijinbao, "insufficient_funds")

    assert await huijinbao.pay("T1") == {**paid, "replayed": True}
    assert (await huijinbao.refund("R1", "T1", 100))["resp_code"] == "HJB_0005"
    assert (await huijinbao.transfer("P1"))["resp_code"] == "HJB_0005"
    assert (await huijinbao.subscribe("W1", 100))["resp_code"] == "HJB_0005"


async def test_a_shortage_of_one_account_is_about_what_it_pays(
    huijinbao: HuijinbaoMerchant,
) -> None:
    await huijinbao.subscribe("W1", 500)
    await _order(huijinbao, "insufficient_funds", account_no=PLATFORM)

    assert (await huijinbao.pay("T1"))["trans_stat"] == "S"
    assert (await huijinbao.redeem("X1", 100))["trans_stat"] == "S"
    assert (await huijinbao.transfer("P1"))["resp_code"] == "HJB_0005"
    assert (await huijinbao.refund("R1", "T1", 1))["resp_code"] == "HJB_0005"
    assert (await huijinbao.subscribe("W2", 1))["resp_code"] == "HJB_0005"


Ask = Callable[[HuijinbaoMerchant], Any]

_PROCESSING: dict[str, tuple[Ask, int]] = {
    "pay": (lambda merchant: merchant.pay("N1", 1_000), 1_000),
    "transfer": (lambda merchant: merchant.transfer("N1", 1_000), -1_000),
    "refund": (lambda merchant: merchant.refund("N1", "T0", 1_000), -1_000),
    "wealth.subscribe": (lambda merchant: merchant.subscribe("N1", 1_000), -1_000),
    "wealth.redeem": (lambda merchant: merchant.redeem("N1", 1_000), 1_000),
    "wealth.liquidate": (lambda merchant: merchant.liquidate("N1"), 5_002),
}
"""Each money method, and what it brings the platform when it ends well."""


@pytest.mark.parametrize("method", sorted(_PROCESSING))
@pytest.mark.parametrize(("kind", "ending"), [("success", "S"), ("fail", "F"), ("cancel", "F")])
async def test_an_order_is_under_way_for_some_queries(
    huijinbao: HuijinbaoMerchant, method: str, kind: str, ending: str
) -> None:
    ask, change_fen = _PROCESSING[method]
    await huijinbao.pay("T0", 5_000)
    await huijinbao.subscribe("W0", 5_000)
    await huijinbao.advance(days=10)
    before_fen = await huijinbao.balance_fen(PLATFORM)
    held = await huijinbao.position()
    fault = "processing_then_fail" if kind == "fail" else "processing_then_success"
    await _order(huijinbao, fault, times=1, queries=2, method=method)

    first = await ask(huijinbao)
    assert (first["resp_code"], first["trans_stat"]) == ("00000100", "P")
    assert await huijinbao.balance_fen(PLATFORM) == before_fen
    again = await ask(huijinbao)
    assert (again["trans_stat"], again["replayed"]) == ("P", True)
    if kind == "cancel":
        assert (await huijinbao.cancel("N1"))["order_status"] == "5"
        stats = [(await huijinbao.query("N1"))["trans_stat"] for _ in range(3)]
        assert stats == ["F", "F", "F"]
    else:
        answers = [await huijinbao.query("N1") for _ in range(4)]
        assert [answer["trans_stat"] for answer in answers] == ["P", "P", ending, ending]
        assert {answer["resp_code"] for answer in answers} == {"00000000"}

    is_done = ending == "S"
    after_fen = await huijinbao.balance_fen(PLATFORM)
    assert after_fen == before_fen + (change_fen if is_done else 0)
    last = await ask(huijinbao)
    assert (last["resp_code"], last["trans_stat"]) == ("00000000", ending)
    if not is_done:
        after = await huijinbao.position()
        assert {**after, "as_of": "", "req_seq_id": ""} == {**held, "as_of": "", "req_seq_id": ""}
        assert (await huijinbao.query("T0"))["refunded_total"] == 0


async def test_a_debit_is_refunded_only_when_no_refund_is_under_way(
    huijinbao: HuijinbaoMerchant,
) -> None:
    await huijinbao.pay("T1", 1_000)
    for fault, ending in (("processing_then_fail", "1"), ("processing_then_success", "51")):
        await _order(huijinbao, fault, times=1, queries=0)
        await huijinbao.refund(f"R-{fault}", "T1", 600)
        if ending == "1":
            await huijinbao.refund("R2", "T1", 400)
        assert (await huijinbao.query("T1"))["order_status"] == "1"
        await huijinbao.query(f"R-{fault}")
        assert (await huijinbao.query("T1"))["order_status"] == ending


async def test_a_debit_that_failed_does_not_count_against_the_days_quota(
    huijinbao: HuijinbaoMerchant,
) -> None:
    agreement = {"agreement_no": AGREEMENT, "account_no": DISTRIBUTOR, "daily_quota_fen": 1_000}
    await huijinbao.post("/agreements", agreement)
    await _order(huijinbao, "processing_then_fail", times=1, queries=0)
    await huijinbao.pay("T1", 1_000)
    assert (await huijinbao.pay("T2", 1_000))["resp_code"] == "HJB_0040"

    assert (await huijinbao.query("T1"))["trans_stat"] == "F"

    assert (await huijinbao.pay("T2", 1_000))["trans_stat"] == "S"


async def test_an_order_is_under_way_for_some_time(
    huijinbao: HuijinbaoMerchant, envelope_receiver: EnvelopeReceiver
) -> None:
    await _order(huijinbao, "processing_then_success", times=1, delay_ms=50)

    assert (await huijinbao.transfer("P1"))["trans_stat"] == "P"
    assert await huijinbao.balance_fen(SPOT) == 0

    await envelope_receiver.wait_for(1)
    assert await huijinbao.balance_fen(SPOT) == 500


async def test_money_that_is_gone_when_an_order_ends_makes_it_fail(
    huijinbao: HuijinbaoMerchant,
) -> None:
    await _order(huijinbao, "processing_then_success", times=1)
    await huijinbao.transfer("P1", 20_000)
    await huijinbao.transfer("P2", 1)

    await huijinbao.query("P1")
    ended = await huijinbao.query("P1")

    assert (ended["trans_stat"], ended["fail_code"]) == ("F", "HJB_0005")
    assert await huijinbao.balance_fen(PLATFORM) == 19_999


async def test_a_fault_strikes_only_what_it_was_ordered_for(
    huijinbao: HuijinbaoMerchant,
) -> None:
    await _order(huijinbao, "throttled", method="wealth.subscribe")
    await _order(huijinbao, "throttled", number="T2")
    await _order(huijinbao, "throttled", account_no=SPOT)

    assert (await huijinbao.pay("T1"))["resp_code"] == "00000000"
    assert (await huijinbao.pay("T2"))["resp_code"] == "HJB_0090"
    assert (await huijinbao.query("T2"))["resp_code"] == "HJB_0090"
    assert (await huijinbao.transfer("P1"))["resp_code"] == "HJB_0090"
    assert (await huijinbao.subscribe("W1", 1))["resp_code"] == "HJB_0090"


async def test_faults_survive_a_restart(
    huijinbao_settings: Settings,
    open_huijinbao: Callable[[Settings], AbstractAsyncContextManager[HuijinbaoMerchant]],
) -> None:
    async with open_huijinbao(huijinbao_settings) as merchant:
        await _order(merchant, "throttled", times=2)
        assert (await merchant.pay("T1"))["resp_code"] == "HJB_0090"

    async with open_huijinbao(huijinbao_settings) as merchant:
        assert (await merchant.pay("T1"))["resp_code"] == "HJB_0090"
        assert (await merchant.pay("T1"))["trans_stat"] == "S"


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        ({"kind": "earthquake"}, "kind is one of timeout_before"),
        ({"kind": "down", "method": "alipay.trade.pay"}, "method is one of account.open"),
        ({"kind": "processing_then_fail", "method": "order.query"}, "is for pay"),
        ({"kind": "bill_extra_row", "method": "pay"}, "is for bill.query only"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused_with_a_hint(
    huijinbao: HuijinbaoMerchant, fault: dict[str, Any], hint: str
) -> None:
    response = await huijinbao.http.post("/admin/faults", json=fault)

    assert response.status_code == 400
    assert hint in response.json()["error"]
    assert (await huijinbao.get("/faults"))["faults"] == []


async def test_every_kind_can_be_ordered(huijinbao: HuijinbaoMerchant) -> None:
    for kind in [*CALL_KINDS, *NOTIFICATION_KINDS]:
        await _order(huijinbao, kind, delay_ms=1)
    listed = (await huijinbao.get("/faults"))["faults"]
    assert len(listed) == len(CALL_KINDS) + len(NOTIFICATION_KINDS)
