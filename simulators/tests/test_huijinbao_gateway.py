"""The envelope: what is signed, who is believed, and what a number may do once."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from shanmen.simulators.huijinbao.methods.table import METHODS
from shanmen.simulators.huijinbao.signing import canonical, signed_text
from shanmen.simulators.settings import Settings
from shanmen.simulators.signing import SigningKey, verify
from shanmen.simulators.testing.huijinbao_merchant import (
    DISTRIBUTOR,
    MERCHANT_ID,
    PLATFORM,
    HuijinbaoMerchant,
    payment,
)

_ASK = {"req_seq_id": "Q1", "org_req_seq_id": "none"}


def test_the_canonical_form_is_sorted_tight_and_without_nulls() -> None:
    data = {"b": 1, "a": {"d": None, "c": "票 "}, "e": None, "f": [{"h": 2, "g": None}]}
    assert canonical(data) == '{"a":{"c":"票 "},"b":1,"f":[{"h":2}]}'.encode()


def test_five_lines_are_signed() -> None:
    text = signed_text(merchant_id="M", timestamp="T", nonce="N", method="pay", data=b"{}")
    assert text == b"M\nT\nN\npay\n{}"


async def test_an_answer_comes_in_a_signed_envelope_with_the_nonce_of_its_call(
    huijinbao: HuijinbaoMerchant,
) -> None:
    response = await huijinbao.raw("pay", payment("T1"), nonce="n-1")

    answer, envelope = huijinbao.verified(response.content, "pay"), response.json()
    assert response.headers["content-type"] == "application/json"
    assert list(envelope) == [
        *("version", "merchant_id", "sign_type", "key_id"),
        *("timestamp", "nonce", "data", "sign"),
    ]
    assert (envelope["merchant_id"], envelope["nonce"], envelope["key_id"]) == (
        MERCHANT_ID,
        "n-1",
        "k1",
    )
    assert (answer["resp_code"], answer["trans_stat"], answer["order_status"]) == (
        "00000000",
        "S",
        "1",
    )
    assert answer["req_seq_id"] == "T1"
    assert answer["finish_time"].endswith("+08:00")


async def test_data_may_be_written_in_any_order_and_with_nulls(
    huijinbao: HuijinbaoMerchant,
) -> None:
    envelope = huijinbao.envelope("pay", payment("T1"))
    turned = dict(reversed(envelope["data"].items())) | {"purpose": None}

    response = await huijinbao.post_envelope("pay", {**envelope, "data": turned})

    assert huijinbao.verified(response.content, "pay")["trans_stat"] == "S"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"data": payment("T1", 1)}, "HJB_0098"),
        ({"nonce": "another"}, "HJB_0098"),
        ({"timestamp": "2026-01-02T03:04:05+08:00"}, "HJB_0098"),
        ({"key_id": "k9"}, "HJB_0098"),
        ({"sign": "AAAA"}, "HJB_0098"),
        ({"sign": "not base64"}, "HJB_0098"),
        ({"sign": "签名"}, "HJB_0098"),
        ({"sign": None}, "HJB_0098"),
        ({"data": None}, "HJB_0098"),
        ({"nonce": None}, "HJB_0001"),
        ({"timestamp": 5}, "HJB_0001"),
        ({"version": "1.0"}, "HJB_0006"),
        ({"sign_type": "SM2"}, "HJB_0006"),
    ],
)
async def test_an_altered_envelope_is_refused_and_moves_nothing(
    huijinbao: HuijinbaoMerchant, changed: dict[str, Any], code: str
) -> None:
    envelope = {**huijinbao.envelope("pay", payment("T1")), **changed}
    if envelope["nonce"] is None:
        envelope["nonce"] = ""

    response = await huijinbao.post_envelope("pay", envelope)

    assert huijinbao.verified(response.content, "pay")["resp_code"] == code
    assert await huijinbao.balance_fen(DISTRIBUTOR) == 80_000
    assert (await huijinbao.pay("T1"))["trans_stat"] == "S"


async def test_one_methods_signature_is_no_good_for_another(
    huijinbao: HuijinbaoMerchant,
) -> None:
    envelope = huijinbao.envelope("order.query", _ASK)

    response = await huijinbao.post_envelope("order.cancel", envelope)

    assert huijinbao.verified(response.content, "order.cancel")["resp_code"] == "HJB_0098"


async def test_a_stranger_gets_an_unsigned_refusal(huijinbao: HuijinbaoMerchant) -> None:
    response = await huijinbao.raw("pay", payment("T1"), merchant_id="M999")

    assert response.json()["data"]["resp_code"] == "HJB_0098"
    assert "sign" not in response.json()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"merchant_id":{}}',
        b"\xff",
        b"[" * 100_000,
        b'{"merchant_id":"\\ud800"}',
        b'{"merchant_id":"M100000001","data":' + b'{"a":' * 900 + b"1" + b"}" * 901,
    ],
    ids=["empty", "list", "object", "no UTF-8", "bottomless", "half a character", "deep"],
)
async def test_what_is_no_envelope_is_refused(huijinbao: HuijinbaoMerchant, body: bytes) -> None:
    response = await huijinbao.http.post("/hjb/v2/pay", content=body)
    assert (response.status_code, response.json()["data"]["resp_code"]) == (200, "HJB_0098")


async def test_an_unknown_method_is_refused(huijinbao: HuijinbaoMerchant) -> None:
    assert (await huijinbao.call("rob", {}))["resp_code"] == "HJB_0006"


@pytest.mark.parametrize(
    ("timestamp", "code"),
    [
        ("2020-01-01T00:00:00+08:00", "HJB_0098"),
        ("2126-01-01T00:00:00+08:00", "HJB_0098"),
        ("2026-01-02 03:04:05", "HJB_0006"),
        ("yesterday", "HJB_0006"),
    ],
)
async def test_a_call_from_another_time_is_refused(
    huijinbao: HuijinbaoMerchant, timestamp: str, code: str
) -> None:
    assert (await huijinbao.call("order.query", _ASK, timestamp=timestamp))["resp_code"] == code


async def test_a_client_may_go_by_the_channels_moved_clock(huijinbao: HuijinbaoMerchant) -> None:
    await huijinbao.advance(days=30)
    moved = (await huijinbao.get("/clock"))["now"]

    response = await huijinbao.raw("order.query", _ASK, timestamp=moved)

    assert huijinbao.verified(response.content, "order.query")["resp_code"] == "HJB_0021"
    assert response.json()["timestamp"][:10] == (await huijinbao.get("/clock"))["china_date"]
    assert (await huijinbao.query("none"))["resp_code"] == "HJB_0021"


async def test_a_nonce_is_good_once(
    huijinbao_settings: Settings,
    open_huijinbao: Callable[[Settings], AbstractAsyncContextManager[HuijinbaoMerchant]],
) -> None:
    async with open_huijinbao(huijinbao_settings) as merchant:
        envelope = merchant.envelope("pay", payment("T1"))
        first = await merchant.post_envelope("pay", envelope)
        again = await merchant.post_envelope("pay", envelope)
        assert merchant.verified(first.content, "pay")["trans_stat"] == "S"
        assert merchant.verified(again.content, "pay")["resp_code"] == "HJB_0098"

    async with open_huijinbao(huijinbao_settings) as merchant:
        restarted = await merchant.post_envelope("pay", envelope)
        assert merchant.verified(restarted.content, "pay")["resp_code"] == "HJB_0098"
        assert await merchant.balance_fen(DISTRIBUTOR) == 79_000


async def test_a_merchants_keys_are_changed_one_after_the_other(
    huijinbao: HuijinbaoMerchant, keys: Any
) -> None:
    old, new = huijinbao.key, SigningKey.load_or_create(keys / "huijinbao_key_k1.pem")

    async def accept(named: Mapping[str, SigningKey]) -> None:
        pems = {key_id: key.public_pem() for key_id, key in named.items()}
        body = {"merchant_id": MERCHANT_ID, "account_no": PLATFORM, "keys": pems}
        await huijinbao.post("/merchants", body)

    async def code(key_id: str, key: SigningKey) -> str:
        huijinbao.key_id, huijinbao.key = key_id, key
        return str((await huijinbao.query("none"))["resp_code"])

    await accept({"k1": old, "k2": new})
    assert [await code("k1", old), await code("k2", new)] == ["HJB_0021"] * 2
    assert await code("k2", old) == "HJB_0098"
    await accept({"k2": new})
    assert [await code("k1", old), await code("k2", new)] == ["HJB_0098", "HJB_0021"]


async def test_the_channel_changes_its_key_and_keeps_it_over_a_restart(
    huijinbao_settings: Settings,
    open_huijinbao: Callable[[Settings], AbstractAsyncContextManager[HuijinbaoMerchant]],
) -> None:
    async with open_huijinbao(huijinbao_settings) as merchant:
        told = await merchant.post("/public-keys", {})
        assert (told["current"], sorted(told["keys"])) == ("k2", ["k1", "k2"])
        response = await merchant.raw("order.query", _ASK)
        with pytest.raises(ValueError, match="not a verified message"):
            merchant.verified(response.content, "order.query")

    async with open_huijinbao(huijinbao_settings) as merchant:
        response = await merchant.raw("order.query", {**_ASK, "req_seq_id": "Q2"})
        assert response.json()["key_id"] == "k2"
        assert merchant.verified(response.content, "order.query")["resp_code"] == "HJB_0021"
        data = response.content.partition(b',"data":')[2].rpartition(b',"sign":"')[0]
        assert not verify(data, response.json()["sign"], merchant.channel_keys["k2"])


async def test_one_number_moves_money_once_however_many_ask_at_once(
    huijinbao: HuijinbaoMerchant,
) -> None:
    answers = await asyncio.gather(*(huijinbao.pay("T1") for _ in range(20)))

    assert sum("replayed" not in answer for answer in answers) == 1
    assert len({answer["hjb_seq_id"] for answer in answers}) == 1
    assert {answer["trans_stat"] for answer in answers} == {"S"}
    assert await huijinbao.balance_fen(DISTRIBUTOR) == 79_000


async def test_a_repeat_gets_the_same_answer_and_says_so(huijinbao: HuijinbaoMerchant) -> None:
    first, again = await huijinbao.pay("T1"), await huijinbao.pay("T1")
    assert again == {**first, "replayed": True}


@pytest.mark.parametrize(
    "changed", [{"trx_amount": 1_001}, {"biz_no": "X"}, {"notify_url": "http://127.0.0.1:9/"}]
)
async def test_one_number_with_other_data_is_a_conflict(
    huijinbao: HuijinbaoMerchant, changed: dict[str, Any]
) -> None:
    await huijinbao.pay("T1")

    assert (await huijinbao.pay("T1", **changed))["resp_code"] == "HJB_0023"
    transfer = {**payment("T1"), "pay_cst_no": PLATFORM, "rcv_cst_no": DISTRIBUTOR}
    assert (await huijinbao.call("transfer", transfer))["resp_code"] == "HJB_0023"
    assert await huijinbao.balance_fen(DISTRIBUTOR) == 79_000


async def test_accounts_and_agreements_are_made_once_per_number(
    huijinbao: HuijinbaoMerchant,
) -> None:
    person = {
        "req_seq_id": "A1",
        "cst_name": "经销商丙",
        "cst_type": "2",
        "cert_type": "USCC",
        "cert_no": "91330000000000000X",
        "contact_mobile": "13800000000",
    }
    opened = await huijinbao.call("account.open", person)
    again = await huijinbao.call("account.open", person)
    assert again == {**opened, "replayed": True}
    assert opened["operator_no"] != opened["cst_no"]
    other = await huijinbao.call("account.open", {**person, "cst_name": "丁"})
    assert other["resp_code"] == "HJB_0023"

    named = {"req_seq_id": "G1", "cst_no": opened["cst_no"], "daily_quota": 1_000}
    signed = await huijinbao.call("agreement.sign", named)
    assert (await huijinbao.call("agreement.sign", named))["replayed"]
    asked = await huijinbao.call("agreement.query", {"cst_no": opened["cst_no"]})
    assert (asked["agreement_no"], asked["status"]) == (signed["agreement_no"], "NORMAL")
    assert asked["daily_quota"] == 1_000
    assert "single_quota" not in asked
    unsigned = await huijinbao.call("agreement.unsign", {"agreement_no": signed["agreement_no"]})
    assert unsigned["status"] == "UNSIGN"
    balance = await huijinbao.call("account.balance.query", {"cst_no": opened["cst_no"]})
    assert (balance["avl_bal"], balance["frz_bal"], balance["wealth_bal"]) == (0, 0, 0)


async def test_every_method_asks_for_its_number(huijinbao: HuijinbaoMerchant) -> None:
    for method in METHODS:
        for number, code in (("", "HJB_0001"), ("x" * 65, "HJB_0006")):
            response = await huijinbao.raw(method, {"req_seq_id": number})
            answer = huijinbao.verified(response.content, method)
            assert (method, answer["resp_code"]) == (method, code)


async def test_nothing_of_the_keys_or_the_body_is_in_the_calls(
    huijinbao: HuijinbaoMerchant,
) -> None:
    await huijinbao.pay("T1")
    calls = (await huijinbao.get("/calls"))["calls"]
    assert [
        (call["method"], call["number"], call["code"], call["trans_stat"]) for call in calls
    ] == [("pay", "T1", "00000000", "S")]
    assert "sign" not in json.dumps(calls)
