"""Payments, refunds, cancelling and closing: one number, one movement."""

import asyncio
from typing import Any

import pytest

from shanmen.simulators.testing.merchant import DISTRIBUTOR, PLATFORM, Merchant, payment


async def _money(merchant: Merchant) -> tuple[int, int]:
    return await merchant.balance_fen(DISTRIBUTOR), await merchant.balance_fen(PLATFORM)


async def test_a_payment_moves_the_amount_once_and_says_so(merchant: Merchant) -> None:
    answer = await merchant.pay("T1", "12.34")

    assert answer["code"] == "10000"
    assert (answer["out_trade_no"], answer["total_amount"]) == ("T1", "12.34")
    assert answer["buyer_logon_id"] == "dis***@example.com"
    assert await _money(merchant) == (80_000 - 1234, 20_000 + 1234)

    assert await merchant.pay("T1", "12.34") == answer
    assert await _money(merchant) == (80_000 - 1234, 20_000 + 1234)


async def test_fifty_parallel_identical_payments_move_money_once(merchant: Merchant) -> None:
    answers = await asyncio.gather(*(merchant.pay("T1") for _ in range(50)))

    assert len({answer["trade_no"] for answer in answers}) == 1
    assert {answer["code"] for answer in answers} == {"10000"}
    assert await _money(merchant) == (79_000, 21_000)
    journal = await merchant.get(f"/accounts/{DISTRIBUTOR}/entries")
    assert [entry["kind"] for entry in journal["entries"]] == ["opening", "trade"]


async def test_fifty_parallel_payments_cannot_overdraw(merchant: Merchant) -> None:
    answers = await asyncio.gather(*(merchant.pay(f"T{n}", "100.00") for n in range(50)))

    paid = [answer for answer in answers if answer["code"] == "10000"]
    refused = {answer.get("sub_code") for answer in answers if answer["code"] != "10000"}
    assert len(paid) == 8
    assert refused == {"ACQ.BUYER_BALANCE_NOT_ENOUGH"}
    assert await _money(merchant) == (0, 100_000)


@pytest.mark.parametrize(
    ("changed", "sub_code"),
    [
        ({"total_amount": "10.01"}, "ACQ.CONTEXT_INCONSISTENT"),
        ({"subject": "另一张门票"}, "ACQ.CONTEXT_INCONSISTENT"),
    ],
)
async def test_one_number_with_other_content_is_refused(
    merchant: Merchant, changed: dict[str, Any], sub_code: str
) -> None:
    await merchant.pay("T1")

    answer = await merchant.call("alipay.trade.pay", payment("T1") | changed)

    assert (answer["code"], answer["sub_code"]) == ("40004", sub_code)
    assert await _money(merchant) == (79_000, 21_000)


async def test_an_amount_may_be_written_in_another_way(merchant: Merchant) -> None:
    first = await merchant.pay("T1", "10.00")
    assert await merchant.pay("T1", "10") == first


@pytest.mark.parametrize(
    ("changed", "sub_code"),
    [
        ({"out_trade_no": "T-1"}, "ACQ.INVALID_PARAMETER"),
        ({"out_trade_no": None}, "ACQ.INVALID_PARAMETER"),
        ({"total_amount": "0.00"}, "ACQ.INVALID_PARAMETER"),
        ({"total_amount": "1.001"}, "ACQ.INVALID_PARAMETER"),
        ({"total_amount": "-1"}, "ACQ.INVALID_PARAMETER"),
        ({"total_amount": "100000000.01"}, "ACQ.INVALID_PARAMETER"),
        ({"subject": "a=b"}, "ACQ.INVALID_PARAMETER"),
        ({"product_code": "FACE_TO_FACE_PAYMENT"}, "ACQ.INVALID_PARAMETER"),
        ({"agreement_params": {}}, "ACQ.INVALID_PARAMETER"),
        ({"agreement_params": "no object"}, "ACQ.INVALID_PARAMETER"),
        ({"agreement_params": {"agreement_no": "nobody's"}}, "ACQ.AGREEMENT_NOT_EXIST"),
        ({"agreement_params": {"agreement_no": "stopped"}}, "ACQ.AGREEMENT_STATUS_NOT_NORMAL"),
        ({"agreement_params": {"agreement_no": "small"}}, "ACQ.PRODUCT_AMOUNT_LIMIT_ERROR"),
        ({"agreement_params": {"agreement_no": "own"}}, "ACQ.BUYER_SELLER_EQUAL"),
        ({"total_amount": "800.01"}, "ACQ.BUYER_BALANCE_NOT_ENOUGH"),
    ],
)
async def test_a_payment_that_cannot_be_made_changes_nothing(
    merchant: Merchant, changed: dict[str, Any], sub_code: str
) -> None:
    for agreement in (
        {"agreement_no": "stopped", "account_no": DISTRIBUTOR, "status": "STOP"},
        {"agreement_no": "small", "account_no": DISTRIBUTOR, "single_quota_fen": 999},
        {"agreement_no": "own", "account_no": PLATFORM},
    ):
        await merchant.post("/agreements", agreement)

    answer = await merchant.call("alipay.trade.pay", payment("T1") | changed)

    assert (answer["code"], answer["sub_code"]) == ("40004", sub_code)
    assert await _money(merchant) == (80_000, 20_000)
    assert (await merchant.get("/trades"))["trades"] == []


async def test_the_same_number_is_paid_after_a_top_up(merchant: Merchant) -> None:
    refused = await merchant.pay("T1", "900.00")
    assert refused["sub_code"] == "ACQ.BUYER_BALANCE_NOT_ENOUGH"
    query = await merchant.call("alipay.trade.query", {"out_trade_no": "T1"})
    assert query["sub_code"] == "ACQ.TRADE_NOT_EXIST"

    await merchant.post(f"/accounts/{DISTRIBUTOR}/top-up", {"amount_fen": 10_000})

    assert (await merchant.pay("T1", "900.00"))["code"] == "10000"
    assert await _money(merchant) == (0, 110_000)


async def test_a_query_knows_a_trade_by_either_number(merchant: Merchant) -> None:
    paid = await merchant.pay("T1")

    ours = await merchant.call("alipay.trade.query", {"out_trade_no": "T1"})
    theirs = await merchant.call(
        "alipay.trade.query", {"trade_no": paid["trade_no"], "out_trade_no": "another"}
    )

    assert ours == theirs
    assert (ours["trade_status"], ours["total_amount"]) == ("TRADE_SUCCESS", "10.00")
    assert ours["send_pay_date"] == paid["gmt_payment"]


async def test_refunds_add_up_and_each_happens_once(merchant: Merchant) -> None:
    await merchant.pay("T1")

    first = await merchant.refund("T1", "R1", "4.00")
    again = await merchant.refund("T1", "R1", "4.00")
    second = await merchant.refund("T1", "R2", "6.00")

    assert (first["fund_change"], first["refund_fee"]) == ("Y", "4.00")
    assert (again["fund_change"], again["refund_fee"]) == ("N", "4.00")
    assert (second["fund_change"], second["refund_fee"]) == ("Y", "10.00")
    assert await _money(merchant) == (80_000, 20_000)
    query = await merchant.call("alipay.trade.query", {"out_trade_no": "T1"})
    assert query["trade_status"] == "TRADE_CLOSED"
    paid_again = await merchant.pay("T1")
    assert paid_again["sub_code"] == "ACQ.TRADE_HAS_CLOSE"


async def test_parallel_refunds_never_exceed_the_trade(merchant: Merchant) -> None:
    await merchant.pay("T1")

    answers = await asyncio.gather(
        *(merchant.refund("T1", f"R{n % 10}", "3.00") for n in range(30))
    )

    assert sum(answer.get("fund_change") == "Y" for answer in answers) == 3
    refused = {answer["sub_code"] for answer in answers if answer["code"] != "10000"}
    assert refused == {"ACQ.REASON_TRADE_REFUND_FEE_ERR"}
    assert await _money(merchant) == (79_900, 20_100)


@pytest.mark.parametrize(
    ("content", "sub_code"),
    [
        ({"out_trade_no": "none"}, "ACQ.TRADE_NOT_EXIST"),
        ({}, "ACQ.INVALID_PARAMETER"),
        ({"out_trade_no": "T1", "out_request_no": "R1"}, "ACQ.DISCORDANT_REPEAT_REQUEST"),
        ({"out_trade_no": "T1"}, "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"),
        (
            {"out_trade_no": "T1", "out_request_no": "R2", "refund_amount": "9.01"},
            "ACQ.REASON_TRADE_REFUND_FEE_ERR",
        ),
    ],
)
async def test_a_refund_that_cannot_be_made_is_refused(
    merchant: Merchant, content: dict[str, str], sub_code: str
) -> None:
    await merchant.pay("T1")
    await merchant.refund("T1", "R1", "1.00")

    answer = await merchant.call("alipay.trade.refund", {"refund_amount": "2.00"} | content)

    assert (answer["code"], answer["sub_code"]) == ("40004", sub_code)
    assert await _money(merchant) == (79_100, 20_900)


async def test_a_refund_waits_for_the_platforms_own_money(merchant: Merchant) -> None:
    await merchant.pay("T1")
    await merchant.http.put(f"/admin/accounts/{PLATFORM}/balance", json={"balance_fen": 999})

    refused = await merchant.refund("T1", "R1", "10.00")
    assert refused["sub_code"] == "ACQ.SELLER_BALANCE_NOT_ENOUGH"
    unknown = await merchant.call(
        "alipay.trade.fastpay.refund.query", {"out_trade_no": "T1", "out_request_no": "R1"}
    )
    assert (unknown["code"], unknown.get("refund_status")) == ("10000", None)

    await merchant.post(f"/accounts/{PLATFORM}/top-up", {"amount_fen": 1})
    assert (await merchant.refund("T1", "R1", "10.00"))["fund_change"] == "Y"
    known = await merchant.call(
        "alipay.trade.fastpay.refund.query", {"out_trade_no": "T1", "out_request_no": "R1"}
    )
    assert (known["refund_status"], known["refund_amount"]) == ("REFUND_SUCCESS", "10.00")
    assert known["total_amount"] == "10.00"


async def test_cancelling_gives_a_payment_back_once(merchant: Merchant) -> None:
    await merchant.pay("T1")

    first = await merchant.call("alipay.trade.cancel", {"out_trade_no": "T1"})
    again = await merchant.call("alipay.trade.cancel", {"out_trade_no": "T1"})

    assert first == again
    assert first["action"] == "refund"
    assert await _money(merchant) == (80_000, 20_000)
    refund = await merchant.call(
        "alipay.trade.fastpay.refund.query", {"out_trade_no": "T1", "out_request_no": "T1"}
    )
    assert refund["refund_status"] == "REFUND_SUCCESS"


async def test_cancelling_what_never_arrived_does_nothing(merchant: Merchant) -> None:
    answer = await merchant.call("alipay.trade.cancel", {"out_trade_no": "T1"})

    assert (answer["code"], answer.get("action")) == ("10000", None)
    assert (await merchant.pay("T1"))["code"] == "10000"


async def test_cancelling_after_a_partial_refund_is_refused(merchant: Merchant) -> None:
    await merchant.pay("T1")
    await merchant.refund("T1", "R1", "1.00")

    answer = await merchant.call("alipay.trade.cancel", {"out_trade_no": "T1"})

    assert answer["sub_code"] == "ACQ.CANCEL_NOT_ALLOWED"
    assert await _money(merchant) == (79_100, 20_900)


async def test_a_waiting_trade_can_be_closed_but_a_paid_one_cannot(merchant: Merchant) -> None:
    await merchant.post("/faults", {"kind": "pay_in_process", "number": "T1", "queries": 9})
    assert (await merchant.pay("T1"))["code"] == "10003"
    await merchant.pay("T2")

    closed = await merchant.call("alipay.trade.close", {"out_trade_no": "T1"})
    refused = await merchant.call("alipay.trade.close", {"out_trade_no": "T2"})

    assert closed["code"] == "10000"
    assert refused["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert (await merchant.pay("T1"))["sub_code"] == "ACQ.TRADE_HAS_CLOSE"
    refund = await merchant.refund("T1", "R1", "1.00")
    assert refund["sub_code"] == "ACQ.TRADE_HAS_CLOSE"
    assert await _money(merchant) == (79_000, 21_000)
