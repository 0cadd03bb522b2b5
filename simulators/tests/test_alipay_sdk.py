"""An independent SDK as the client: its signatures are accepted here, ours there.

`python-alipay-sdk` shares nothing with the simulator but Alipay's rules.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alipay import AliPay
from alipay.exceptions import AliPayException, AliPayValidationError

from shanmen.simulators.alipay.signing import SigningKey
from shanmen.simulators.testing.merchant import (
    APP_ID,
    DISTRIBUTOR,
    Merchant,
    payment,
    payout,
)
from shanmen.simulators.testing.receiver import Receiver


@pytest.fixture
def sdk(merchant: Merchant, keys: Path) -> AliPay:
    return _client(merchant, keys / "merchant_key.pem")


def _client(merchant: Merchant, key_file: Path) -> AliPay:
    client = AliPay(
        appid=APP_ID,
        app_private_key_string=key_file.read_text(),
        alipay_public_key_string=merchant.alipay_public_key,
    )
    client._gateway = str(merchant.http.base_url.join("/gateway.do"))
    return client


async def _ask(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """The SDK blocks, so it runs beside the event loop that serves it."""
    answer: dict[str, Any] = await asyncio.to_thread(partial(function, *args, **kwargs))
    return answer


async def test_the_sdk_pays_queries_and_refunds(sdk: AliPay, merchant: Merchant) -> None:
    paid = await _ask(sdk.server_api, "alipay.trade.pay", payment("T1", "10.00"))
    query = await _ask(sdk.api_alipay_trade_query, out_trade_no="T1")
    refund = await _ask(
        sdk.api_alipay_trade_refund, "4.00", out_trade_no="T1", out_request_no="R1"
    )
    refund_query = await _ask(sdk.api_alipay_trade_fastpay_refund_query, "R1", out_trade_no="T1")
    cancelled = await _ask(sdk.api_alipay_trade_cancel, out_trade_no="none")

    assert (paid["code"], query["trade_status"]) == ("10000", "TRADE_SUCCESS")
    assert (refund["fund_change"], refund_query["refund_amount"]) == ("Y", "4.00")
    assert cancelled["code"] == "10000"
    assert await merchant.balance_fen(DISTRIBUTOR) == 79_400


async def test_the_sdk_pays_out_and_reads_the_balance(sdk: AliPay) -> None:
    paid = await _ask(sdk.server_api, "alipay.fund.trans.uni.transfer", payout("P1"))
    query = await _ask(
        sdk.server_api, "alipay.fund.trans.common.query", {"order_id": paid["order_id"]}
    )
    balance = await _ask(
        sdk.server_api, "alipay.fund.account.query", {"account_type": "ACCTRANS_ACCOUNT"}
    )

    assert (paid["status"], query["trans_amount"]) == ("SUCCESS", "5.00")
    assert balance["available_amount"] == "195.00"


async def test_the_sdk_is_refused_with_another_key(merchant: Merchant, tmp_path: Path) -> None:
    SigningKey.load_or_create(tmp_path / "stranger.pem")
    stranger = _client(merchant, tmp_path / "stranger.pem")

    with pytest.raises(AliPayException, match=r"isv\.invalid-signature"):
        await _ask(stranger.api_alipay_trade_query, out_trade_no="T1")


async def test_the_sdk_sees_through_a_bad_signature(sdk: AliPay, merchant: Merchant) -> None:
    await merchant.post("/faults", {"kind": "bad_signature"})
    with pytest.raises(AliPayValidationError):
        await _ask(sdk.api_alipay_trade_query, out_trade_no="T1")


async def test_the_sdk_verifies_our_notifications(
    sdk: AliPay, merchant: Merchant, receiver: Receiver, notify_url: str
) -> None:
    await merchant.pay("T1", notify_url=notify_url)
    await merchant.transfer("P1")

    for form in await receiver.wait_for(2):
        signature = form.pop("sign")
        assert sdk.verify(dict(form), signature)
        assert not sdk.verify(form | {"notify_id": "another"}, signature)
