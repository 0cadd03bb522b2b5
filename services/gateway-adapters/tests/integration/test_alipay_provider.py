"""The provider against a real HTTP server that answers whatever a test wants.

The server checks requests and signs answers by its own reading of the protocol.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest
import uvicorn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from shanmen.common.clock import ManualClock
from shanmen.gateway_adapters.domain.operations import Channel, OperationKind, Outcome
from shanmen.gateway_adapters.providers.alipay.provider import AlipayProvider
from shanmen.gateway_adapters.providers.alipay.settings import AlipaySettings
from shanmen.gateway_adapters.providers.base import (
    Answer,
    BalanceUnavailable,
    Counterparty,
    Instruction,
    Provider,
)

OUR_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ALIPAY_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FORGER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)

DEBIT = Instruction(
    number="D1",
    kind=OperationKind.DEBIT,
    amount_fen=8_888,
    counterparty=Counterparty("2088000000000009", "经销商", agreement_no="20265555"),
    subject="黄山门票",
)
PAYOUT = replace(
    DEBIT, number="P1", kind=OperationKind.PAYOUT, counterparty=Counterparty("a@b.cn", "黄山景区")
)
REFUND = replace(DEBIT, number="R1", kind=OperationKind.REFUND, original_number="D1")
PAID = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": "D1",
    "trade_no": "T1",
    "total_amount": "88.88",
    "subject": '黄山 } 门票 { \\" /',
}

Reply = Callable[["Call"], Response]


@dataclass(frozen=True)
class Call:
    """A request as the server saw it: common parameters apart from the form."""

    query: dict[str, str]
    form: dict[str, str]

    @property
    def biz_content(self) -> dict[str, object]:
        content: dict[str, object] = json.loads(self.form["biz_content"])
        return content


@dataclass
class Gateway:
    """A server of one route that answers as told and remembers what it was asked."""

    url: str
    reply: Reply = field(default=lambda _call: Response("not told what to answer", 500))
    calls: list[Call] = field(default_factory=list)

    async def handle(self, request: Request) -> Response:
        body = (await request.body()).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        call = Call(dict(request.query_params), form)
        self.calls.append(call)
        return self.reply(call)


def sign(content: bytes, key: rsa.RSAPrivateKey = ALIPAY_KEY) -> str:
    return base64.b64encode(key.sign(content, padding.PKCS1v15(), hashes.SHA256())).decode()


def signed_by_us(call: Call) -> bool:
    params = {**call.query, **call.form}
    signature = base64.b64decode(params.pop("sign"))
    content = "&".join(f"{name}={params[name]}" for name in sorted(params))
    OUR_KEY.public_key().verify(signature, content.encode(), padding.PKCS1v15(), hashes.SHA256())
    return True


def answer_with(
    fields: dict[str, str], *, key: rsa.RSAPrivateKey = ALIPAY_KEY, node: str | None = None
) -> Reply:
    def reply(call: Call) -> Response:
        name = node or call.query["method"].replace(".", "_") + "_response"
        content = json.dumps(fields, ensure_ascii=False)
        body = f'{{"{name}":{content},"sign":"{sign(content.encode(), key)}"}}'
        return Response(body, media_type="text/html;charset=utf-8")

    return reply


def raw(body: str | bytes, status: int = 200) -> Reply:
    return lambda _call: Response(body, status)


async def listening(port: int) -> None:
    """Wait until somebody listens on the port."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return


def settings_for(url: str, **changes: object) -> AlipaySettings:
    values = {
        "gateway_url": url,
        "app_id": "2021",
        "platform_user_id": "2088000000000001",
        "notify_url": "https://shanmen.example/notify/alipay",
        "app_private_key": OUR_KEY.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        ).decode(),
        "alipay_public_key": ALIPAY_KEY.public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        .decode(),
        "read_timeout_s": 0.3,
        "connect_timeout_s": 1,
    }
    return AlipaySettings.model_validate({**values, **changes})


def provider_at(url: str) -> AlipayProvider:
    return AlipayProvider(
        settings_for(url), ManualClock(datetime(2026, 11, 20, 20, 30, tzinfo=UTC))
    )


@pytest.fixture(scope="module")
async def server(free_port: Callable[[], int]) -> AsyncIterator[Gateway]:
    port = free_port()
    gateway = Gateway(f"http://127.0.0.1:{port}/gateway.do")
    app = Starlette(routes=[Route("/gateway.do", gateway.handle, methods=["POST"])])
    config = uvicorn.Config(app, port=port, log_level="critical", ws="none", lifespan="off")
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    await listening(port)
    yield gateway
    running.should_exit = True
    await task


@pytest.fixture
async def gateway(server: Gateway) -> Gateway:
    server.calls.clear()
    server.reply = raw("not told what to answer", 500)
    return server


@pytest.fixture
async def provider(gateway: Gateway) -> AsyncIterator[AlipayProvider]:
    provider = provider_at(gateway.url)
    yield provider
    await provider.aclose()


def trouble(answer: Answer) -> str:
    """The kind of trouble of an answer that must be unknown."""
    assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, "transport")
    assert answer.reason
    return answer.sub_code


async def test_a_debit_is_asked_for_and_believed(
    gateway: Gateway, provider: AlipayProvider
) -> None:
    port: Provider = provider
    gateway.reply = answer_with(PAID)
    answer = await port.send(DEBIT)
    assert (answer.outcome, answer.channel_ref, answer.amount_fen) == (Outcome.OK, "T1", 8_888)
    assert b"alipay_trade_pay_response" in answer.raw
    (call,) = gateway.calls
    assert signed_by_us(call)
    assert set(call.form) == {"biz_content"}
    assert {
        name: call.query[name] for name in call.query if name not in {"sign", "timestamp"}
    } == {
        "app_id": "2021",
        "method": "alipay.trade.pay",
        "format": "JSON",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "version": "1.0",
        "notify_url": "https://shanmen.example/notify/alipay",
    }
    assert call.query["timestamp"].startswith("2026-11-21 04:30:")  # China time
    assert call.biz_content["agreement_params"] == {"agreement_no": "20265555"}


@pytest.mark.parametrize(
    ("instruction", "method", "fields"),
    [
        (DEBIT, "alipay.trade.query", {**PAID, "trade_status": "TRADE_SUCCESS"}),
        (
            REFUND,
            "alipay.trade.fastpay.refund.query",
            {
                "code": "10000",
                "out_trade_no": "D1",
                "out_request_no": "R1",
                "refund_amount": "88.88",
                "refund_status": "REFUND_SUCCESS",
            },
        ),
        (
            PAYOUT,
            "alipay.fund.trans.common.query",
            {"code": "10000", "out_biz_no": "P1", "status": "SUCCESS", "trans_amount": "88.88"},
        ),
    ],
)
async def test_a_query_names_the_same_number(
    gateway: Gateway,
    provider: AlipayProvider,
    instruction: Instruction,
    method: str,
    fields: dict[str, str],
) -> None:
    gateway.reply = answer_with(fields)
    assert (await provider.query(instruction)).outcome is Outcome.OK
    (call,) = gateway.calls
    assert signed_by_us(call)
    assert call.query["method"] == method
    assert "notify_url" not in call.query
    assert instruction.number in call.biz_content.values()


async def test_a_payout_a_refund_and_a_cancellation(
    gateway: Gateway, provider: AlipayProvider
) -> None:
    gateway.reply = answer_with(
        {"code": "10000", "out_biz_no": "P1", "order_id": "O1", "status": "SUCCESS"}
    )
    assert (await provider.send(PAYOUT)).channel_ref == "O1"
    gateway.reply = answer_with(
        {"code": "10000", "out_trade_no": "D1", "fund_change": "Y", "refund_fee": "88.88"}
    )
    assert (await provider.send(REFUND)).outcome is Outcome.OK
    gateway.reply = answer_with(
        {"code": "10000", "out_trade_no": "D1", "retry_flag": "N", "action": "close"}
    )
    assert (await provider.cancel(DEBIT)).outcome is Outcome.OK
    assert [call.query["method"] for call in gateway.calls] == [
        "alipay.fund.trans.uni.transfer",
        "alipay.trade.refund",
        "alipay.trade.cancel",
    ]
    assert not any("notify_url" in call.query for call in gateway.calls)
    with pytest.raises(ValueError, match="debits only"):
        await provider.cancel(PAYOUT)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (raw("<html>502 Bad Gateway</html>", 502), "malformed"),
        (raw(b""), "malformed"),
        (raw(b"\x80\x81{}"), "malformed"),
        (raw('{"alipay_trade_pay_response":{"code":"10000"}'), "malformed"),
        (raw('{"alipay_trade_query_response":{"code":"10000"},"sign":"x"}'), "malformed"),
        (raw('{"alipay_trade_pay_response":{},"sign":7}'), "malformed"),
        (raw('{"error_response":{},"alipay_trade_pay_response":{},"sign":"x"}'), "malformed"),
        (raw('{"alipay_trade_pay_response":{"code":"10000"},"sign":""}'), "bad_signature"),
        (raw('{"alipay_trade_pay_response":{"code":"10000"},"sign":"签名"}'), "bad_signature"),
        (answer_with(PAID, key=FORGER_KEY), "bad_signature"),
        (raw(json.dumps({"alipay_trade_pay_response": PAID})), "unsigned"),
        (lambda _call: RedirectResponse("/gateway.do"), "malformed"),
    ],
)
async def test_an_answer_that_cannot_be_believed_is_unknown(
    gateway: Gateway, provider: AlipayProvider, reply: Reply, kind: str
) -> None:
    gateway.reply = reply
    answer = await provider.send(DEBIT)
    assert trouble(answer) == kind
    assert len(gateway.calls) == 1


async def test_one_changed_byte_of_a_signed_answer_is_noticed(
    gateway: Gateway, provider: AlipayProvider
) -> None:
    gateway.reply = answer_with(PAID)
    body = (await provider.send(DEBIT)).raw
    gateway.reply = raw(body.replace(b"88.88", b"88.89"))
    assert trouble(await provider.send(replace(DEBIT, amount_fen=8_889))) == "bad_signature"
    gateway.reply = raw(body)
    assert (await provider.send(DEBIT)).outcome is Outcome.OK


async def test_an_unsigned_refusal_decides_nothing_but_is_told(
    gateway: Gateway, provider: AlipayProvider
) -> None:
    gateway.reply = raw(
        '{"error_response":{"code":"40002","msg":"Invalid Arguments",'
        '"sub_code":"isv.invalid-signature"}}'
    )
    answer = await provider.send(DEBIT)
    assert trouble(answer) == "unsigned"
    assert "40002 isv.invalid-signature" in answer.reason
    assert b"isv.invalid-signature" in answer.raw


@pytest.mark.parametrize(
    ("fields", "node", "outcome"),
    [
        ({"code": "20000", "sub_code": "aop.unknow-error"}, None, Outcome.UNKNOWN),
        ({"code": "20000", "sub_code": "isp.unknow-error"}, "error_response", Outcome.UNKNOWN),
        ({"code": "40002", "sub_code": "isv.invalid-app-id"}, "error_response", Outcome.CONFIG),
        ({"code": "40005", "sub_code": "isv.app-call-limited"}, None, Outcome.THROTTLED),
        ({"code": "10003"}, None, Outcome.PENDING),
        ({"code": "40004", "sub_code": "ACQ.BUYER_BALANCE_NOT_ENOUGH"}, None, Outcome.FUNDS),
        ({"code": "40004", "sub_code": "ACQ.BRAND_NEW"}, None, Outcome.UNKNOWN),
        ({**PAID, "total_amount": "0.01"}, None, Outcome.CONFLICT),
        ({**PAID, "out_trade_no": "D2"}, None, Outcome.CONFLICT),
        ({"code": "10000"}, "error_response", Outcome.UNKNOWN),
    ],
)
async def test_a_signed_answer_means_what_the_tables_say(
    gateway: Gateway,
    provider: AlipayProvider,
    fields: dict[str, str],
    node: str | None,
    outcome: Outcome,
) -> None:
    gateway.reply = answer_with(fields, node=node)
    answer = await provider.send(DEBIT)
    assert (answer.outcome, answer.code) == (outcome, fields["code"])


async def test_an_unlisted_code_is_warned_of(
    gateway: Gateway, provider: AlipayProvider, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.reply = answer_with({"code": "40004", "sub_code": "ACQ.BRAND_NEW"})
    await provider.send(DEBIT)
    assert "ACQ.BRAND_NEW" in caplog.text
    caplog.clear()
    gateway.reply = answer_with({"code": "40004", "sub_code": "ACQ.SYSTEM_ERROR"})
    await provider.send(DEBIT)
    assert "unlisted" not in caplog.text


async def test_a_number_in_place_of_a_text_is_no_success(
    gateway: Gateway, provider: AlipayProvider
) -> None:
    content = b'{"code":"10000","out_trade_no":"D1","total_amount":88.88}'
    body = b'{"alipay_trade_pay_response":%s,"sign":"%s"}' % (content, sign(content).encode())
    gateway.reply = raw(body)
    assert (await provider.send(DEBIT)).amount_fen == 8_888  # read as written, never as a float
    content = b'{"code":"10000","out_trade_no":"D1","total_amount":8.888e1}'
    body = b'{"alipay_trade_pay_response":%s,"sign":"%s"}' % (content, sign(content).encode())
    gateway.reply = raw(body)
    assert (await provider.send(DEBIT)).outcome is Outcome.UNKNOWN


async def test_no_answer_at_all_is_unknown_and_says_whether_the_request_left(
    gateway: Gateway, provider: AlipayProvider, free_port: Callable[[], int]
) -> None:
    gateway.reply = raw(b"x" * 2_000_000)
    assert trouble(await provider.send(DEBIT)) == "too_large"
    unheard = provider_at(f"http://127.0.0.1:{free_port()}/gateway.do")
    for answer in (await unheard.send(PAYOUT), await unheard.query(DEBIT)):
        assert trouble(answer) == "not_sent"
    await unheard.aclose()


async def test_what_cannot_be_asked_is_never_sent(
    gateway: Gateway, provider: AlipayProvider
) -> None:
    answer = await provider.send(replace(DEBIT, counterparty=PAYOUT.counterparty))
    assert (answer.outcome, answer.sub_code) == (Outcome.CONFIG, "agreement_missing")
    assert gateway.calls == []


async def test_the_balance(gateway: Gateway, provider: AlipayProvider) -> None:
    gateway.reply = answer_with({"code": "10000", "available_amount": "1234.56"})
    balance = await provider.balance()
    assert (balance.channel, balance.available_fen) == (Channel.ALIPAY, 123_456)
    assert balance.as_of.tzinfo is UTC
    assert gateway.calls[0].biz_content == {
        "account_type": "ACCTRANS_ACCOUNT",
        "alipay_user_id": "2088000000000001",
    }


@pytest.mark.parametrize(
    "reply",
    [
        raw("oops", 500),
        answer_with({"code": "10000"}),
        answer_with({"code": "10000", "available_amount": "1"}, key=FORGER_KEY),
        answer_with({"code": "40004", "sub_code": "NO_PERMISSION", "available_amount": "1"}),
    ],
)
async def test_no_verified_balance_is_no_balance(
    gateway: Gateway, provider: AlipayProvider, reply: Reply
) -> None:
    gateway.reply = reply
    with pytest.raises(BalanceUnavailable):
        await provider.balance()


async def test_many_calls_at_once_share_the_connections(
    gateway: Gateway, provider: AlipayProvider
) -> None:
    gateway.reply = lambda call: answer_with(
        {**PAID, "out_trade_no": str(call.biz_content["out_trade_no"])}
    )(call)
    numbered = [replace(DEBIT, number=f"D{number}") for number in range(60)]
    answers = await asyncio.gather(*(provider.send(debit) for debit in numbered))
    assert {answer.outcome for answer in answers} == {Outcome.OK}


async def test_the_acknowledgement_and_a_forged_notification(provider: AlipayProvider) -> None:
    content = (
        b"app_id=2021&notify_id=n1&notify_type=trade_status_sync&out_trade_no=D1"
        b"&total_amount=88.88&trade_status=TRADE_SUCCESS"
    )
    quoted = sign(content).replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    notification = provider.read_notification(content + f"&sign_type=RSA2&sign={quoted}".encode())
    assert (notification.number, notification.amount_fen) == ("D1", 8_888)
    assert provider.acknowledgement(notification) == b"success"
