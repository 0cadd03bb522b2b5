"""The door of the gateway: what it reads, what it refuses, and how it answers."""

import json
from collections.abc import Mapping
from urllib.parse import urlencode

import pytest

from shanmen.simulators.alipay.signing import SigningKey, request_content
from shanmen.simulators.testing.merchant import Merchant, payment

_QUERY = "alipay.trade.query"


async def _error(merchant: Merchant, parameters: Mapping[str, str]) -> tuple[str, str, bool]:
    response = await merchant.http.post("/gateway.do", data=dict(parameters))
    body = response.json()
    error = body["error_response"]
    return error["code"], error["sub_code"], "sign" in body


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"app_id": ""}, ("40001", "isv.missing-app-id", False)),
        ({"app_id": "nobody"}, ("40002", "isv.invalid-app-id", False)),
        ({"method": ""}, ("40001", "isv.missing-method", True)),
        ({"sign_type": ""}, ("40001", "isv.missing-signature-type", True)),
        ({"timestamp": ""}, ("40001", "isv.missing-timestamp", True)),
        ({"version": ""}, ("40001", "isv.missing-version", True)),
        ({"method": "alipay.trade.precreate"}, ("40002", "isv.invalid-method", True)),
        ({"sign_type": "RSA"}, ("40002", "isv.invalid-signature-type", True)),
        ({"timestamp": "2026-11-22T12:00:00"}, ("40002", "isv.invalid-timestamp", True)),
        ({"timestamp": "2026-02-30 12:00:00"}, ("40002", "isv.invalid-timestamp", True)),
        ({"charset": "latin-1"}, ("40002", "isv.invalid-charset", True)),
        ({"format": "XML"}, ("40002", "isv.invalid-format", True)),
        ({"biz_content": "[]"}, ("40004", "ACQ.INVALID_PARAMETER", True)),
        ({"biz_content": "[" * 50_000}, ("40004", "ACQ.INVALID_PARAMETER", True)),
    ],
)
async def test_a_wrong_call_is_refused_with_its_code(
    merchant: Merchant, changed: dict[str, str], expected: tuple[str, str, bool]
) -> None:
    parameters = merchant.sign({**_unsigned(merchant), **changed})
    assert await _error(merchant, parameters) == expected


def _unsigned(merchant: Merchant) -> dict[str, str]:
    parameters = merchant.signed(_QUERY, {"out_trade_no": "T1"})
    del parameters["sign"]
    return parameters


async def test_a_call_without_signature_is_refused(merchant: Merchant) -> None:
    expected = ("40001", "isv.missing-signature", True)
    assert await _error(merchant, _unsigned(merchant)) == expected


@pytest.mark.parametrize("name", ["biz_content", "timestamp", "version", "sign", "added"])
async def test_a_call_that_was_tampered_with_is_refused_and_moves_nothing(
    merchant: Merchant, name: str
) -> None:
    parameters = merchant.signed("alipay.trade.pay", payment("T1"))
    parameters[name] = {
        "biz_content": parameters["biz_content"].replace("10.00", "90.00"),
        "timestamp": "2026-11-22 12:00:01",
        "sign": "AAAA" + parameters["sign"][4:],
    }.get(name, "1.1")

    assert await _error(merchant, parameters) == ("40002", "isv.invalid-signature", True)
    assert (await merchant.get("/trades"))["trades"] == []


async def test_a_signature_that_is_no_base64_is_refused(merchant: Merchant) -> None:
    stranger = merchant.signed(_QUERY, {"out_trade_no": "T1"})
    stranger["sign"] = "not base64!"
    assert (await _error(merchant, stranger))[1] == "isv.invalid-signature"


async def test_empty_parameters_are_not_part_of_the_signature(merchant: Merchant) -> None:
    parameters = {**merchant.signed(_QUERY, {"out_trade_no": "T1"}), "app_auth_token": ""}
    response = await merchant.http.post("/gateway.do", data=parameters)
    assert merchant.verified(response.content, _QUERY)["sub_code"] == "ACQ.TRADE_NOT_EXIST"


async def test_query_string_and_form_are_one_call(merchant: Merchant) -> None:
    parameters = merchant.signed("alipay.trade.pay", payment("T1"))
    form = {"biz_content": parameters.pop("biz_content")}

    mixed = await merchant.http.post(f"/gateway.do?{urlencode(parameters)}", data=form)
    by_get = await merchant.http.get(f"/gateway.do?{urlencode(parameters | form)}")

    assert merchant.verified(mixed.content, "alipay.trade.pay")["code"] == "10000"
    assert by_get.content == mixed.content


async def test_a_call_in_gbk_is_read_and_answered_in_gbk(
    merchant: Merchant, merchant_key: SigningKey
) -> None:
    content = json.dumps(payment("T1", subject="黄山门票"), ensure_ascii=False)
    parameters = {**_unsigned(merchant), "method": "alipay.trade.pay", "charset": "gbk"}
    parameters["biz_content"] = content
    parameters["sign"] = merchant_key.sign(request_content(parameters, "gbk"))

    body = urlencode(parameters, encoding="gbk")
    response = await merchant.http.post("/gateway.do", content=body)

    assert response.headers["content-type"] == "text/html;charset=gbk"
    assert merchant.verified(response.content, "alipay.trade.pay")["code"] == "10000"
    assert (await merchant.get("/trades/T1"))["subject"] == "黄山门票"


async def test_a_body_that_is_no_text_is_refused_politely(merchant: Merchant) -> None:
    response = await merchant.http.post("/gateway.do", content=b"app_id=%ff%fe&x=\xff")
    assert response.json()["error_response"]["sub_code"] == "isv.missing-app-id"


async def test_a_body_without_end_is_refused(merchant: Merchant) -> None:
    response = await merchant.http.post("/gateway.do", content=b"x" * 300_000)
    assert response.status_code == 413


async def test_calls_are_listed_with_their_answers(merchant: Merchant) -> None:
    await merchant.pay("T1")
    await merchant.call(_QUERY, {"out_trade_no": "none"})

    calls = (await merchant.get("/calls"))["calls"]

    assert [
        (call["method"], call["number"], call["code"], call["sub_code"]) for call in calls
    ] == [
        ("alipay.trade.pay", "T1", "10000", None),
        (_QUERY, "none", "40004", "ACQ.TRADE_NOT_EXIST"),
    ]
