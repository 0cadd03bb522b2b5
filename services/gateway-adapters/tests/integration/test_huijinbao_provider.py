"""The provider against a real HTTP server that answers whatever a test wants.

The server checks requests and signs answers by its own reading of the interface.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from shanmen.common.clock import ManualClock
from shanmen.gateway_adapters.domain.operations import Channel, OperationKind, Outcome
from shanmen.gateway_adapters.providers.base import (
    OWN_ACCOUNT,
    Answer,
    BalanceUnavailable,
    Contact,
    Counterparty,
    Instruction,
    Provider,
)
from shanmen.gateway_adapters.providers.huijinbao.provider import HuijinbaoProvider
from shanmen.gateway_adapters.providers.huijinbao.settings import HuijinbaoSettings
from shanmen.simulators.testing.servers import served

SealAs = Callable[..., bytes]
Reply = Callable[["Call"], Response]

PAYER = Counterparty("6200000000000002", "经销商甲", agreement_no="AG1")
DEBIT = Instruction("D1", OperationKind.DEBIT, 29, PAYER, "黄山门票", "ord_1")
PAYOUT = replace(DEBIT, number="P1", kind=OperationKind.PAYOUT, business_ref="spt_1")
REFUND = replace(DEBIT, number="R1", kind=OperationKind.REFUND, original_number="D1")
SUBSCRIBE = Instruction("S1", OperationKind.SUBSCRIBE, 29, OWN_ACCOUNT, "联票", "prd_1")
REDEEM = replace(SUBSCRIBE, number="S2", kind=OperationKind.REDEEM)
LIQUIDATE = replace(SUBSCRIBE, number="L1", kind=OperationKind.LIQUIDATE, amount_fen=0)
DONE = {"resp_code": "00000000", "resp_desc": "成功 } {", "trans_stat": "S", "hjb_seq_id": "H1"}


@dataclass(frozen=True)
class Call:
    """A request as the server saw it."""

    method: str
    content_type: str
    sent: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.sent["data"]
        return data


@dataclass
class Channelled:
    """A server that answers as told and remembers what it was asked."""

    seal: SealAs
    url: str = ""
    reply: Reply = field(default=lambda _call: Response("not told what to answer", 500))
    calls: list[Call] = field(default_factory=list)

    async def handle(self, request: Request) -> Response:
        sent = json.loads(await request.body())
        call = Call(request.path_params["method"], request.headers["content-type"], sent)
        self.calls.append(call)
        return self.reply(call)

    def says(self, data: Mapping[str, object], **changes: str) -> None:
        """Answer the coming calls so, each under its own nonce unless told otherwise."""
        self.reply = lambda call: Response(
            self.seal(call.method, data, **{"nonce": call.sent["nonce"], **changes})
        )

    def says_raw(self, body: bytes, status: int = 200) -> None:
        """Answer the coming calls with these bytes."""
        self.reply = lambda _call: Response(body, status)


@pytest.fixture
async def huijinbao(seal: SealAs) -> AsyncIterator[Channelled]:
    channelled = Channelled(seal)
    route = Route("/hjb/v2/{method}", channelled.handle, methods=["POST"])
    async with served(Starlette(routes=[route])) as url:
        channelled.url = url
        yield channelled


@pytest.fixture
async def provider(
    huijinbao: Channelled, huijinbao_values: dict[str, Any]
) -> AsyncIterator[HuijinbaoProvider]:
    settings = HuijinbaoSettings.model_validate({**huijinbao_values, "base_url": huijinbao.url})
    clock = ManualClock(datetime(2026, 11, 20, 20, 30, tzinfo=UTC))
    provider = HuijinbaoProvider(settings, clock)
    yield provider
    await provider.aclose()


def trouble(answer: Answer) -> str:
    """The kind of trouble of an answer that must be unknown."""
    assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, "transport")
    assert answer.contact is Contact.SILENT
    assert answer.reason
    return answer.sub_code


async def test_a_debit_is_asked_for_and_believed(
    huijinbao: Channelled,
    provider: HuijinbaoProvider,
    huijinbao_keys: Mapping[str, rsa.RSAPrivateKey],
) -> None:
    port: Provider = provider
    huijinbao.says(DONE)
    answer = await port.send(DEBIT)
    assert (answer.outcome, answer.channel_ref) == (Outcome.OK, "H1")
    assert answer.contact is Contact.VERIFIED
    assert b"hjb_seq_id" in answer.raw
    (call,) = huijinbao.calls
    assert (call.method, call.content_type) == ("pay", "application/json;charset=utf-8")
    assert call.data["trx_amount"] == 29
    signature = base64.b64decode(call.sent["sign"])
    body = json.dumps(call.data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    content = f"M100000001\n2026-11-21T04:30:00+08:00\n{call.sent['nonce']}\npay\n{body}"
    ours = huijinbao_keys["ours"].public_key()
    ours.verify(signature, content.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert (call.sent["key_id"], call.sent["version"]) == ("k1", "2.0")


@pytest.mark.parametrize(
    ("instruction", "method"),
    [
        (DEBIT, "pay"),
        (PAYOUT, "transfer"),
        (REFUND, "refund"),
        (SUBSCRIBE, "wealth.subscribe"),
        (REDEEM, "wealth.redeem"),
    ],
)
async def test_a_repeat_says_the_same_under_another_nonce(
    huijinbao: Channelled, provider: HuijinbaoProvider, instruction: Instruction, method: str
) -> None:
    for replayed in (False, True):
        huijinbao.says({**DONE, "replayed": replayed})
        assert (await provider.send(instruction)).outcome is Outcome.OK
    first, second = huijinbao.calls
    assert first.method == second.method == method
    assert first.data == second.data
    assert first.data["req_seq_id"] == instruction.number
    assert first.sent["nonce"] != second.sent["nonce"]


async def test_a_question_has_a_number_of_its_own(
    huijinbao: Channelled, provider: HuijinbaoProvider
) -> None:
    huijinbao.says({**DONE, "order_status": "1", "trx_amount": 29})
    for instruction in (DEBIT, PAYOUT, REFUND, SUBSCRIBE, REDEEM):
        assert (await provider.query(instruction)).outcome is Outcome.OK
    assert (await provider.cancel(DEBIT)).outcome is Outcome.OK
    numbers = [call.data["req_seq_id"] for call in huijinbao.calls]
    assert len(set(numbers)) == 6
    assert numbers == [call.sent["nonce"] for call in huijinbao.calls]
    assert [call.data["org_req_seq_id"] for call in huijinbao.calls] == [
        *("D1", "P1", "R1", "S1", "S2", "D1")
    ]
    assert [call.method for call in huijinbao.calls] == [*["order.query"] * 5, "order.cancel"]
    with pytest.raises(ValueError, match="debits are cancelled only"):
        await provider.cancel(PAYOUT)


async def test_a_liquidation_tells_its_yield(
    huijinbao: Channelled, provider: HuijinbaoProvider
) -> None:
    huijinbao.says({**DONE, "principal_out": 5_000, "yield_total": 123})
    for answer in (await provider.send(LIQUIDATE), await provider.query(LIQUIDATE)):
        assert (answer.principal_fen, answer.yield_fen) == (5_000, 123)
    assert huijinbao.calls[0].data == {
        "req_seq_id": "L1",
        "cst_no": "6200000000000001",
        "product_code": "HJB7D",
        "biz_no": "prd_1",
    }


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        ({**DONE, "trans_stat": "P"}, Outcome.PENDING),
        ({**DONE, "trans_stat": "F", "fail_code": "HJB_0010"}, Outcome.FINAL),
        ({"resp_code": "00000100", "trans_stat": "P"}, Outcome.PENDING),
        ({"resp_code": "HJB_0005", "trans_stat": "F"}, Outcome.FUNDS),
        ({"resp_code": "HJB_0023", "trans_stat": "F"}, Outcome.CONFLICT),
        ({"resp_code": "HJB_0090"}, Outcome.THROTTLED),
        ({"resp_code": "HJB_0098"}, Outcome.CONFIG),
        ({"resp_code": "HJB_0099", "trans_stat": "F"}, Outcome.UNKNOWN),
        ({"resp_code": "HJB_4711", "trans_stat": "S"}, Outcome.UNKNOWN),
        ({**DONE, "trx_amount": 28}, Outcome.CONFLICT),
        ({**DONE, "trx_amount": 0.29}, Outcome.UNKNOWN),
        ({**DONE, "req_seq_id": "D2"}, Outcome.CONFLICT),
        ({}, Outcome.UNKNOWN),
    ],
)
async def test_a_signed_answer_means_what_the_tables_say(
    huijinbao: Channelled, provider: HuijinbaoProvider, data: dict[str, object], outcome: Outcome
) -> None:
    huijinbao.says(data)
    answer = await provider.send(DEBIT)
    assert (answer.outcome, answer.contact) == (outcome, Contact.VERIFIED)


async def test_an_order_that_is_not_known_is_absent_to_a_query_only(
    huijinbao: Channelled, provider: HuijinbaoProvider
) -> None:
    huijinbao.says({"resp_code": "HJB_0021"})
    assert (await provider.query(DEBIT)).outcome is Outcome.ABSENT
    sent = await provider.send(DEBIT)
    assert (sent.outcome, sent.listed) == (Outcome.UNKNOWN, False)


async def test_an_unlisted_code_is_warned_of(
    huijinbao: Channelled, provider: HuijinbaoProvider, caplog: pytest.LogCaptureFixture
) -> None:
    huijinbao.says({"resp_code": "HJB_4711"})
    await provider.send(DEBIT)
    assert "HJB_4711" in caplog.text
    caplog.clear()
    huijinbao.says({"resp_code": "HJB_0099"})
    await provider.send(DEBIT)
    assert "unlisted" not in caplog.text


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"signed_by": "ours"}, "bad_signature"),
        ({"key_id": "h2"}, "bad_signature"),
        ({"key_id": "h3"}, "unknown_key"),
        ({"nonce": "of another call"}, "other_call"),
        ({"merchant_id": "M2"}, "other_call"),
    ],
)
async def test_what_is_not_signed_for_this_call_is_unknown(
    huijinbao: Channelled, provider: HuijinbaoProvider, changes: dict[str, str], kind: str
) -> None:
    huijinbao.says(DONE, **changes)
    assert trouble(await provider.send(DEBIT)) == kind


async def test_the_answer_to_another_method_is_not_believed(
    huijinbao: Channelled, provider: HuijinbaoProvider, seal: SealAs
) -> None:
    huijinbao.reply = lambda call: Response(seal("order.query", DONE, nonce=call.sent["nonce"]))
    assert trouble(await provider.send(DEBIT)) == "bad_signature"


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"<html>502 Bad Gateway</html>", 502, "malformed"),
        (b"", 200, "malformed"),
        (b'{"data":{"resp_code":"00000000","trans_stat":"S"}}', 200, "unsigned"),
        (b"x" * 2_000_000, 200, "too_large"),
    ],
)
async def test_what_cannot_be_believed_is_unknown(
    huijinbao: Channelled, provider: HuijinbaoProvider, body: bytes, status: int, kind: str
) -> None:
    huijinbao.says_raw(body, status)
    for answer in (await provider.send(DEBIT), await provider.query(LIQUIDATE)):
        assert trouble(answer) == kind


async def test_a_redirect_is_not_followed(
    huijinbao: Channelled, provider: HuijinbaoProvider
) -> None:
    huijinbao.reply = lambda _call: RedirectResponse("/hjb/v2/pay")
    assert trouble(await provider.send(DEBIT)) == "malformed"
    assert len(huijinbao.calls) == 1


async def test_one_changed_byte_of_a_signed_answer_is_noticed(
    huijinbao: Channelled, provider: HuijinbaoProvider
) -> None:
    def spoilt(call: Call) -> Response:
        whole = huijinbao.seal(call.method, DONE, nonce=call.sent["nonce"])
        return Response(whole.replace(b'"trans_stat": "S"', b'"trans_stat": "F"'))

    huijinbao.reply = spoilt
    assert trouble(await provider.send(DEBIT)) == "bad_signature"


async def test_nobody_there_is_unknown_and_nothing_left(
    huijinbao_values: dict[str, Any], free_port: Callable[[], int]
) -> None:
    values = {**huijinbao_values, "base_url": f"http://127.0.0.1:{free_port()}"}
    unheard = HuijinbaoProvider(HuijinbaoSettings.model_validate(values), ManualClock())
    assert trouble(await unheard.send(PAYOUT)) == "not_sent"
    await unheard.aclose()


async def test_what_cannot_be_asked_is_never_sent(
    huijinbao: Channelled, provider: HuijinbaoProvider
) -> None:
    answer = await provider.send(replace(DEBIT, counterparty=OWN_ACCOUNT))
    assert (answer.outcome, answer.sub_code) == (Outcome.CONFIG, "agreement_missing")
    assert answer.contact is Contact.NOT_CALLED
    assert huijinbao.calls == []


async def test_the_balance(huijinbao: Channelled, provider: HuijinbaoProvider) -> None:
    huijinbao.says({**DONE, "avl_bal": 123_456, "frz_bal": 1, "wealth_bal": 2})
    balance = await provider.balance()
    assert (balance.channel, balance.available_fen) == (Channel.HUIJINBAO, 123_456)
    assert huijinbao.calls[0].data["cst_no"] == "6200000000000001"


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        ({**DONE}, {}),
        ({**DONE, "avl_bal": "1.00"}, {}),
        ({**DONE, "avl_bal": -1}, {}),
        ({**DONE, "avl_bal": 1, "resp_code": "HJB_0099"}, {}),
        ({**DONE, "avl_bal": 1}, {"signed_by": "ours"}),
    ],
)
async def test_no_verified_balance_is_no_balance(
    huijinbao: Channelled,
    provider: HuijinbaoProvider,
    data: dict[str, object],
    changes: dict[str, str],
) -> None:
    huijinbao.says(data, **changes)
    with pytest.raises(BalanceUnavailable):
        await provider.balance()


async def test_many_calls_at_once_share_the_connections(
    huijinbao: Channelled, provider: HuijinbaoProvider
) -> None:
    huijinbao.reply = lambda call: Response(
        huijinbao.seal(
            call.method,
            {**DONE, "req_seq_id": call.data["req_seq_id"]},
            nonce=call.sent["nonce"],
        )
    )
    numbered = [replace(DEBIT, number=f"D{number}") for number in range(60)]
    answers = await asyncio.gather(*(provider.send(debit) for debit in numbered))
    assert {answer.outcome for answer in answers} == {Outcome.OK}


async def test_a_notification_and_its_acknowledgement(
    provider: HuijinbaoProvider, seal: SealAs
) -> None:
    told = {"event": "pay", "req_seq_id": "D1", "trans_stat": "S", "trx_amount": 29}
    notification = provider.read_notification(seal("pay", told))
    assert (notification.number, notification.amount_fen) == ("D1", 29)
    assert provider.acknowledgement(notification) == b"RECV_OK_D1"
