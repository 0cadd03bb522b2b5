"""Payouts, balances and agreements."""

import asyncio
from typing import Any

import pytest

from shanmen.simulators.testing.merchant import (
    AGREEMENT,
    DISTRIBUTOR,
    PLATFORM,
    SPOT,
    Merchant,
    payout,
)

_TRANSFER = "alipay.fund.trans.uni.transfer"
_QUERY = "alipay.fund.trans.common.query"


async def _money(merchant: Merchant) -> tuple[int, int]:
    return await merchant.balance_fen(PLATFORM), await merchant.balance_fen(SPOT)


def _query(number: str) -> dict[str, str]:
    return {
        "out_biz_no": number,
        "product_code": "TRANS_ACCOUNT_NO_PWD",
        "biz_scene": "DIRECT_TRANSFER",
    }


async def test_a_payout_moves_the_amount_once_and_repeats_its_answer(merchant: Merchant) -> None:
    answers = await asyncio.gather(*(merchant.transfer("P1", "5.00") for _ in range(20)))

    assert all(answer == answers[0] for answer in answers)
    assert (answers[0]["code"], answers[0]["status"]) == ("10000", "SUCCESS")
    assert await _money(merchant) == (19_500, 500)
    query = await merchant.call(_QUERY, _query("P1"))
    assert (query["status"], query["trans_amount"]) == ("SUCCESS", "5.00")
    assert query["order_id"] == answers[0]["order_id"]


async def test_one_number_with_other_content_is_refused(merchant: Merchant) -> None:
    await merchant.transfer("P1", "5.00")

    answer = await merchant.transfer("P1", "6.00")

    assert answer["sub_code"] == "PAYMENT_INFO_INCONSISTENCY"
    assert await _money(merchant) == (19_500, 500)


@pytest.mark.parametrize(
    ("changed", "sub_code"),
    [
        ({"trans_amount": "0.09"}, "EXCEED_LIMIT_SM_MIN_AMOUNT"),
        ({"trans_amount": "0"}, "INVALID_PARAMETER"),
        ({"out_biz_no": "x" * 65}, "INVALID_PARAMETER"),
        ({"trans_amount": "50000.00"}, "MEMO_REQUIRED_IN_TRANSFER_ERROR"),
        ({"trans_amount": "50000.00", "remark": "结算"}, "PAYER_BALANCE_NOT_ENOUGH"),
        ({"product_code": "STD_RED_PACKET"}, "INVALID_PARAMETER"),
        ({"biz_scene": "ELSE"}, "INVALID_PARAMETER"),
        ({"transfer_scene_name": "随便"}, "TRANSFER_SCENE_NAME_ILLEGAL"),
        ({"payee_info": {}}, "INVALID_PARAMETER"),
        (
            {"payee_info": {"identity": "spot@example.com", "identity_type": "ALIPAY_LOGON_ID"}},
            "INVALID_PARAMETER",
        ),
        (
            {"payee_info": {"identity": "2088999999999999", "identity_type": "ALIPAY_USER_ID"}},
            "PAYEE_NOT_EXIST",
        ),
        (
            {
                "payee_info": {
                    "identity": SPOT,
                    "identity_type": "ALIPAY_USER_ID",
                    "name": "另一家",
                }
            },
            "PAYEE_USER_INFO_ERROR",
        ),
        (
            {"payee_info": {"identity": PLATFORM, "identity_type": "ALIPAY_USER_ID"}},
            "PAYER_PAYEE_CANNOT_SAME",
        ),
    ],
)
async def test_a_payout_that_cannot_be_made_changes_nothing(
    merchant: Merchant, changed: dict[str, Any], sub_code: str
) -> None:
    answer = await merchant.call(_TRANSFER, payout("P1") | changed)

    assert (answer["code"], answer["sub_code"]) == ("40004", sub_code)
    assert await _money(merchant) == (20_000, 0)
    assert (await merchant.call(_QUERY, _query("P1")))["sub_code"] == "ORDER_NOT_EXIST"


async def test_the_smallest_payout_by_user_id_needs_no_name(merchant: Merchant) -> None:
    payee = {"identity": SPOT, "identity_type": "ALIPAY_USER_ID"}
    answer = await merchant.call(_TRANSFER, payout("P1", "0.10", payee_info=payee))

    assert answer["status"] == "SUCCESS"
    assert await _money(merchant) == (19_990, 10)


async def test_the_same_number_is_paid_out_after_a_top_up(merchant: Merchant) -> None:
    assert (await merchant.transfer("P1", "300.00"))["sub_code"] == "PAYER_BALANCE_NOT_ENOUGH"
    await merchant.post(f"/accounts/{PLATFORM}/top-up", {"amount_fen": 10_000})

    assert (await merchant.transfer("P1", "300.00"))["status"] == "SUCCESS"
    assert await _money(merchant) == (0, 30_000)


async def test_a_payout_query_needs_the_product_with_our_number(merchant: Merchant) -> None:
    paid = await merchant.transfer("P1")

    without = await merchant.call(_QUERY, {"out_biz_no": "P1"})
    by_order = await merchant.call(_QUERY, {"order_id": paid["order_id"]})

    assert without["sub_code"] == "INVALID_PARAMETER"
    assert by_order["out_biz_no"] == "P1"


async def test_the_platform_reads_its_own_balance_only(merchant: Merchant) -> None:
    method = "alipay.fund.account.query"
    own = await merchant.call(
        method, {"alipay_user_id": PLATFORM, "account_type": "ACCTRANS_ACCOUNT"}
    )
    other = await merchant.call(
        method, {"alipay_user_id": SPOT, "account_type": "ACCTRANS_ACCOUNT"}
    )

    assert (own["available_amount"], own["freeze_amount"]) == ("200.00", "0.00")
    assert other["sub_code"] == "NO_PERMISSION_ACCOUNT"


@pytest.mark.parametrize(
    ("status", "answered"),
    [("NORMAL", "NORMAL"), ("STOP", "STOP"), ("UNSIGN", "AGREEMENT_HAS_UNSIGNED")],
)
async def test_an_agreement_tells_its_state(
    merchant: Merchant, status: str, answered: str
) -> None:
    await merchant.post(
        "/agreements",
        {"agreement_no": AGREEMENT, "account_no": DISTRIBUTOR, "status": status},
    )

    answer = await merchant.call("alipay.user.agreement.query", {"agreement_no": AGREEMENT})

    assert answered in {answer.get("status"), answer.get("sub_code")}


async def test_an_unknown_agreement_is_said_not_to_exist(merchant: Merchant) -> None:
    answer = await merchant.call("alipay.user.agreement.query", {"agreement_no": "none"})
    assert answer["sub_code"] == "USER_AGREEMENT_NOT_EXIST"
