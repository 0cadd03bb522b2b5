"""Debits, payouts, refunds, queries and cancellations: what is answered and what moves."""

import asyncio
from typing import Any

import pytest

from shanmen.simulators.testing.huijinbao_merchant import (
    AGREEMENT,
    DISTRIBUTOR,
    FUND,
    MERCHANT_ID,
    PLATFORM,
    SPOT,
    HuijinbaoMerchant,
    payment,
)


async def _balances(huijinbao: HuijinbaoMerchant) -> tuple[int, int, int]:
    """What the platform, the distributor and the spot hold, in fen."""
    platform, distributor, spot = [
        await huijinbao.balance_fen(account_no) for account_no in (PLATFORM, DISTRIBUTOR, SPOT)
    ]
    return platform, distributor, spot


async def test_money_goes_from_the_distributor_to_the_spot_and_back(
    huijinbao: HuijinbaoMerchant,
) -> None:
    await huijinbao.pay("T1", 1_000)
    assert await _balances(huijinbao) == (21_000, 79_000, 0)
    await huijinbao.transfer("P1", 500)
    assert await _balances(huijinbao) == (20_500, 79_000, 500)
    refund = await huijinbao.refund("R1", "T1", 400)
    assert await _balances(huijinbao) == (20_100, 79_400, 500)
    assert (refund["trans_stat"], refund["refunded_total"]) == ("S", 400)
    balance = await huijinbao.call("account.balance.query", {"cst_no": PLATFORM})
    assert (balance["avl_bal"], balance["wealth_bal"]) == (20_100, 0)


async def test_refunds_together_are_at_most_the_debit(huijinbao: HuijinbaoMerchant) -> None:
    await huijinbao.pay("T1", 1_000)
    first = await huijinbao.refund("R1", "T1", 600)
    too_much = await huijinbao.refund("R2", "T1", 401)
    last = await huijinbao.refund("R3", "T1", 400)

    assert [first["refunded_total"], last["refunded_total"]] == [600, 1_000]
    assert (too_much["resp_code"], too_much["trans_stat"]) == ("HJB_0006", "F")
    assert (await huijinbao.refund("R4", "T1", 1))["resp_code"] == "HJB_0006"
    debit = await huijinbao.query("T1")
    assert (debit["trans_stat"], debit["order_status"], debit["refunded_total"]) == (
        "S",
        "51",
        1_000,
    )
    assert await huijinbao.refund("R1", "T1", 600) == {**first, "replayed": True}
    assert await _balances(huijinbao) == (20_000, 80_000, 0)


async def test_refunds_at_once_do_not_exceed_the_debit(huijinbao: HuijinbaoMerchant) -> None:
    await huijinbao.pay("T1", 1_000)

    answers = await asyncio.gather(
        *(huijinbao.refund(f"R{number}", "T1", 300) for number in range(10))
    )

    assert sorted(answer["resp_code"] for answer in answers) == ["00000000"] * 3 + ["HJB_0006"] * 7
    assert await huijinbao.balance_fen(DISTRIBUTOR) == 79_900


@pytest.mark.parametrize("original", ["none", "P1", "R0"])
async def test_only_a_debit_can_be_refunded(huijinbao: HuijinbaoMerchant, original: str) -> None:
    await huijinbao.pay("T1")
    await huijinbao.transfer("P1")
    await huijinbao.refund("R0", "T1", 1)

    assert (await huijinbao.refund("R1", original, 1))["resp_code"] == "HJB_0019"


async def test_a_payer_who_is_short_pays_after_a_top_up_under_the_same_number(
    huijinbao: HuijinbaoMerchant,
) -> None:
    short = await huijinbao.pay("T1", 80_001)
    assert (short["resp_code"], short["trans_stat"], short["req_seq_id"]) == (
        "HJB_0005",
        "F",
        "T1",
    )
    assert (await huijinbao.query("T1"))["resp_code"] == "HJB_0021"

    await huijinbao.post(f"/accounts/{DISTRIBUTOR}/top-up", {"amount_fen": 1})

    assert (await huijinbao.pay("T1", 80_001))["trans_stat"] == "S"
    assert await huijinbao.balance_fen(DISTRIBUTOR) == 0


async def test_a_merchant_who_is_short_refunds_after_a_top_up(
    huijinbao: HuijinbaoMerchant,
) -> None:
    await huijinbao.pay("T1", 1_000)
    await huijinbao.http.put(f"/admin/accounts/{PLATFORM}/balance", json={"balance_fen": 999})

    assert (await huijinbao.refund("R1", "T1", 1_000))["resp_code"] == "HJB_0005"
    assert (await huijinbao.query("T1"))["refunded_total"] == 0
    await huijinbao.post(f"/accounts/{PLATFORM}/top-up", {"amount_fen": 1})
    assert (await huijinbao.refund("R1", "T1", 1_000))["refunded_total"] == 1_000


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"trx_amount": None}, "HJB_0001"),
        ({"trx_amount": 0}, "HJB_0006"),
        ({"trx_amount": -5}, "HJB_0006"),
        ({"trx_amount": 10.0}, "HJB_0006"),
        ({"trx_amount": "1000"}, "HJB_0006"),
        ({"trx_amount": True}, "HJB_0006"),
        ({"trx_amount": 10**11}, "HJB_0006"),
        ({"agreement_no": None}, "HJB_0001"),
        ({"agreement_no": "none"}, "HJB_0009"),
        ({"pay_cst_no": "none"}, "HJB_0007"),
        ({"pay_cst_no": FUND}, "HJB_0007"),
        ({"pay_cst_no": PLATFORM}, "HJB_0009"),
        ({"pay_cst_no": SPOT}, "HJB_0009"),
        ({"rcv_cst_no": "none"}, "HJB_0008"),
        ({"rcv_cst_no": SPOT}, "HJB_0010"),
        ({"biz_no": ""}, "HJB_0001"),
        ({"biz_no": 5}, "HJB_0006"),
        ({"expire_at": "2026-01-02T03:04:05+08:00"}, "HJB_0006"),
        ({"expire_at": "tomorrow"}, "HJB_0006"),
        ({"expire_at": "2126-01-02T03:04:05"}, "HJB_0006"),
    ],
)
async def test_a_debit_that_makes_no_sense_is_refused(
    huijinbao: HuijinbaoMerchant, changed: dict[str, Any], code: str
) -> None:
    answer = await huijinbao.pay("T1", **changed)

    assert (answer["resp_code"], answer["trans_stat"]) == (code, "F")
    assert await _balances(huijinbao) == (20_000, 80_000, 0)
    assert (await huijinbao.pay("T1", expire_at="2126-01-02T03:04:05+08:00"))["trans_stat"] == "S"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"pay_cst_no": DISTRIBUTOR}, "HJB_0009"),
        ({"pay_cst_no": "none"}, "HJB_0007"),
        ({"rcv_cst_no": "none"}, "HJB_0008"),
        ({"rcv_cst_no": PLATFORM}, "HJB_0010"),
        ({"trx_amount": 20_001}, "HJB_0005"),
    ],
)
async def test_a_payout_that_makes_no_sense_is_refused(
    huijinbao: HuijinbaoMerchant, changed: dict[str, Any], code: str
) -> None:
    assert (await huijinbao.transfer("P1", **changed))["resp_code"] == code
    assert await _balances(huijinbao) == (20_000, 80_000, 0)


@pytest.mark.parametrize(
    ("account_no", "pay_code", "transfer_code"),
    [(DISTRIBUTOR, "HJB_0009", None), (SPOT, None, "HJB_0010")],
)
async def test_an_account_in_trouble_neither_pays_nor_receives(
    huijinbao: HuijinbaoMerchant,
    account_no: str,
    pay_code: str | None,
    transfer_code: str | None,
) -> None:
    await huijinbao.post(
        "/accounts", {"account_no": account_no, "name": "x", "status": "ABNORMAL"}
    )
    assert (await huijinbao.pay("T1"))["resp_code"] == (pay_code or "00000000")
    assert (await huijinbao.transfer("P1"))["resp_code"] == (transfer_code or "00000000")


async def test_an_agreement_limits_each_debit_and_each_day(huijinbao: HuijinbaoMerchant) -> None:
    agreement = {"agreement_no": AGREEMENT, "account_no": DISTRIBUTOR}
    limits = {"single_quota_fen": 1_000, "daily_quota_fen": 1_500}
    await huijinbao.post("/agreements", {**agreement, **limits})

    codes = [
        (await huijinbao.pay(number, amount_fen))["resp_code"]
        for number, amount_fen in (("T1", 1_001), ("T2", 1_000), ("T3", 501), ("T4", 500))
    ]
    assert codes == ["HJB_0040", "00000000", "HJB_0040", "00000000"]
    assert (await huijinbao.pay("T5", 1))["resp_code"] == "HJB_0040"
    await huijinbao.advance(days=1)
    assert (await huijinbao.pay("T5", 1))["resp_code"] == "00000000"
    await huijinbao.call("agreement.unsign", {"agreement_no": AGREEMENT})
    assert (await huijinbao.pay("T6", 1))["resp_code"] == "HJB_0009"


async def test_a_query_finds_an_order_by_either_number_and_of_its_type_only(
    huijinbao: HuijinbaoMerchant,
) -> None:
    paid = await huijinbao.pay("T1")
    for named, code in (
        ({"org_req_seq_id": "T1"}, "00000000"),
        ({"hjb_seq_id": paid["hjb_seq_id"]}, "00000000"),
        ({"org_req_seq_id": "T1", "biz_type": "pay"}, "00000000"),
        ({"org_req_seq_id": "T1", "biz_type": "PAY"}, "00000000"),
        ({"org_req_seq_id": "T1", "biz_type": "refund"}, "HJB_0021"),
        ({"org_req_seq_id": "T2"}, "HJB_0021"),
        ({}, "HJB_0001"),
    ):
        answer = await huijinbao.call("order.query", named)
        assert (named, answer["resp_code"]) == (named, code)
    found = await huijinbao.query("T1")
    assert (found["org_req_seq_id"], found["trx_amount"], found["biz_type"]) == (
        "T1",
        1_000,
        "pay",
    )


async def test_one_merchant_knows_nothing_of_anothers_orders(
    huijinbao: HuijinbaoMerchant,
) -> None:
    await huijinbao.pay("T1")
    other = {
        "merchant_id": "M2",
        "account_no": SPOT,
        "keys": {"k1": huijinbao.key.public_pem()},
    }
    await huijinbao.post("/merchants", other)

    for method, data, code in (
        ("order.query", {"org_req_seq_id": "T1"}, "HJB_0021"),
        ("refund", {"org_req_seq_id": "T1", "trx_amount": 1}, "HJB_0019"),
        ("pay", payment("T1"), "HJB_0010"),
        ("account.balance.query", {"cst_no": PLATFORM}, "HJB_0007"),
    ):
        answer = await huijinbao.call(method, data, merchant_id="M2")
        assert (method, answer["resp_code"]) == (method, code)
    cancelled = await huijinbao.call("order.cancel", {"org_req_seq_id": "T1"}, merchant_id="M2")
    assert cancelled["order_status"] == "5"
    assert (await huijinbao.query("T1"))["order_status"] == "1"
    assert (await huijinbao.get("/orders/T1"))["merchant_id"] == MERCHANT_ID


async def test_what_is_cancelled_before_it_comes_never_succeeds(
    huijinbao: HuijinbaoMerchant,
) -> None:
    cancelled = await huijinbao.cancel("T1")
    late = await huijinbao.pay("T1")
    again = await huijinbao.cancel("T1")

    assert [cancelled["trans_stat"], again["trans_stat"]] == ["S", "S"]
    assert [cancelled["order_status"], again["order_status"]] == ["5", "5"]
    assert (late["resp_code"], late["trans_stat"], late["order_status"]) == (
        "00000000",
        "F",
        "5",
    )
    found = await huijinbao.call("order.query", {"org_req_seq_id": "T1", "biz_type": "pay"})
    assert (found["trans_stat"], found["order_status"]) == ("F", "5")
    assert await _balances(huijinbao) == (20_000, 80_000, 0)


async def test_what_has_succeeded_cannot_be_cancelled(huijinbao: HuijinbaoMerchant) -> None:
    await huijinbao.pay("T1")

    refused = await huijinbao.cancel("T1")

    assert (refused["trans_stat"], refused["order_status"]) == ("F", "1")
    assert (await huijinbao.query("T1"))["trans_stat"] == "S"
    assert await _balances(huijinbao) == (21_000, 79_000, 0)


async def test_of_a_debit_and_its_cancellation_at_once_one_wins(
    huijinbao: HuijinbaoMerchant,
) -> None:
    numbers = [f"T{number}" for number in range(12)]

    results = await asyncio.gather(
        *(asyncio.gather(huijinbao.pay(number, 1), huijinbao.cancel(number)) for number in numbers)
    )

    for paid, cancelled in results:
        assert {paid["trans_stat"], cancelled["trans_stat"]} == {"S", "F"}
    moved_fen = sum(paid["trans_stat"] == "S" for paid, _ in results)
    assert await _balances(huijinbao) == (20_000 + moved_fen, 80_000 - moved_fen, 0)
