"""The provider against the Alipay simulator, a process that shares no code with it.

Every test uses numbers of its own; the money in the simulator's books is what is checked.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import httpx
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shanmen.common.clock import SystemClock
from shanmen.gateway_adapters.domain.operations import OperationKind, Outcome
from shanmen.gateway_adapters.providers.alipay.provider import AlipayProvider
from shanmen.gateway_adapters.providers.alipay.settings import AlipaySettings
from shanmen.gateway_adapters.providers.base import Counterparty, Instruction

PLATFORM, DISTRIBUTOR, SPOT = "2088000000000001", "2088000000000002", "2088000000000003"
APP_ID = "2026112200000001"
AGREEMENT = "20265101000000000001"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_PEM = (
    KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
)
PAYER = Counterparty(DISTRIBUTOR, "经销商甲", agreement_no=AGREEMENT)
PAYEE = Counterparty("spot@example.com", "景区乙")
NUMBERS = count(1)

PAY, TRANSFER = "alipay.trade.pay", "alipay.fund.trans.uni.transfer"
MONEY_MOVED = {
    *("timeout_after", "error_20000_after", "system_error_after", "unlisted_code_after"),
    *("bad_signature", "unsigned"),
}


def debit(amount_fen: int = 1_234) -> Instruction:
    number = f"D{next(NUMBERS)}"
    return Instruction(number, OperationKind.DEBIT, amount_fen, PAYER, '黄山 门票 {"}\\ + 1%')


def payout(amount_fen: int = 321) -> Instruction:
    number = f"P{next(NUMBERS)}"
    return Instruction(number, OperationKind.PAYOUT, amount_fen, PAYEE, "门票结算")


def refund(of: Instruction, amount_fen: int) -> Instruction:
    return replace(
        of,
        number=f"R{next(NUMBERS)}",
        kind=OperationKind.REFUND,
        amount_fen=amount_fen,
        original_number=of.number,
    )


@dataclass(frozen=True)
class Simulator:
    """The simulator's admin API, and what it posted to us."""

    admin: httpx.AsyncClient
    posted: asyncio.Queue[bytes]
    notify_url: str

    async def balance_fen(self, account_no: str) -> int:
        account = (await self.admin.get(f"/accounts/{account_no}")).json()
        return int(account["balance_fen"])

    async def order_fault(self, kind: str, **options: object) -> None:
        ordered = await self.admin.post("/faults", json={"kind": kind, "times": 1, **options})
        assert ordered.is_success, ordered.text


@pytest.fixture(scope="module")
async def posted(free_port: Callable[[], int]) -> AsyncIterator[tuple[str, asyncio.Queue[bytes]]]:
    """An address for notifications, and the bodies that arrived there."""
    bodies: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(request: Request) -> Response:
        await bodies.put(await request.body())
        return Response("success")

    port = free_port()
    app = Starlette(routes=[Route("/notify/alipay", take, methods=["POST"])])
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="critical", ws="none", lifespan="off")
    )
    task = asyncio.create_task(server.serve())
    yield f"http://127.0.0.1:{port}/notify/alipay", bodies
    server.should_exit = True
    await task


@pytest.fixture(scope="module")
async def simulator(
    tmp_path_factory: pytest.TempPathFactory,
    free_port: Callable[[], int],
    posted: tuple[str, asyncio.Queue[bytes]],
) -> AsyncIterator[Simulator]:
    folder = tmp_path_factory.mktemp("alipay")
    notify_url, bodies = posted
    seed_file = folder / "seed.json"
    await asyncio.to_thread(seed_file.write_text, json.dumps(seed(notify_url)), "utf-8")
    port = free_port()
    process = start(folder, seed_file, port)
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}/admin", trust_env=False
        ) as admin:
            await healthy(admin, process)
            yield Simulator(admin, bodies, notify_url)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 10)


def seed(notify_url: str) -> dict[str, object]:
    return {
        "accounts": [
            {"account_no": PLATFORM, "name": "票务平台", "balance_fen": 1_000_000},
            {"account_no": DISTRIBUTOR, "name": "经销商甲", "balance_fen": 1_000_000},
            {"account_no": SPOT, "logon_id": PAYEE.account_no, "name": PAYEE.account_name},
        ],
        "agreements": [{"agreement_no": AGREEMENT, "account_no": DISTRIBUTOR}],
        "apps": [
            {
                "app_id": APP_ID,
                "account_no": PLATFORM,
                "public_key_pem": PUBLIC_PEM,
                "gateway_notify_url": notify_url,
            }
        ],
    }


def start(folder: Path, seed_file: Path, port: int) -> subprocess.Popen[bytes]:
    arguments = ("--port", str(port), "--data", str(folder), "--seed-file", str(seed_file))
    return subprocess.Popen(  # noqa: S603 - our own module, our own arguments
        [sys.executable, "-m", "shanmen.simulators.alipay", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def healthy(admin: httpx.AsyncClient, process: subprocess.Popen[bytes]) -> None:
    """Wait until the simulator answers."""
    async with asyncio.timeout(20):
        while True:
            assert process.poll() is None, "the simulator has stopped"
            try:
                if (await admin.get("/health")).is_success:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


@pytest.fixture
async def provider(simulator: Simulator) -> AsyncIterator[AlipayProvider]:
    settings = AlipaySettings.model_validate(
        {
            "gateway_url": str(simulator.admin.base_url.join("/gateway.do")),
            "app_id": APP_ID,
            "platform_user_id": PLATFORM,
            "notify_url": simulator.notify_url,
            "app_private_key": KEY.private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ).decode(),
            "alipay_public_key": (await simulator.admin.get("/public-key")).text,
            "read_timeout_s": 1,
        }
    )
    provider = AlipayProvider(settings, SystemClock())
    yield provider
    await provider.aclose()
    await simulator.admin.delete("/faults")


async def test_a_debit_its_repeat_and_its_query(
    simulator: Simulator, provider: AlipayProvider
) -> None:
    before = await simulator.balance_fen(DISTRIBUTOR)
    instruction = debit(1_234)
    absent = await provider.query(instruction)
    assert (absent.outcome, absent.sub_code) == (Outcome.ABSENT, "ACQ.TRADE_NOT_EXIST")
    first = await provider.send(instruction)
    again = await provider.send(instruction)
    asked = await provider.query(instruction)
    assert {first.outcome, again.outcome, asked.outcome} == {Outcome.OK}
    assert first.channel_ref == again.channel_ref == asked.channel_ref
    assert asked.amount_fen == 1_234
    assert await simulator.balance_fen(DISTRIBUTOR) == before - 1_234


async def test_the_same_number_for_other_money_is_a_conflict(provider: AlipayProvider) -> None:
    first = debit(500)
    assert (await provider.send(first)).outcome is Outcome.OK
    other = replace(first, amount_fen=501)
    assert (await provider.send(other)).outcome is Outcome.CONFLICT
    assert (await provider.query(other)).outcome is Outcome.CONFLICT
    paid = payout(500)
    assert (await provider.send(paid)).outcome is Outcome.OK
    answer = await provider.send(replace(paid, amount_fen=501))
    assert (answer.outcome, answer.sub_code) == (Outcome.CONFLICT, "PAYMENT_INFO_INCONSISTENCY")


async def test_a_refund_in_parts(simulator: Simulator, provider: AlipayProvider) -> None:
    bought = debit(1_000)
    assert (await provider.send(bought)).outcome is Outcome.OK
    before = await simulator.balance_fen(DISTRIBUTOR)
    first, second = refund(bought, 300), refund(bought, 700)
    assert (await provider.query(first)).outcome is Outcome.ABSENT
    assert (await provider.send(first)).outcome is Outcome.OK
    assert (await provider.send(second)).outcome is Outcome.OK
    repeated = await provider.send(second)
    assert repeated.outcome is Outcome.PENDING  # nothing moved now: the query decides
    answer = await provider.query(second)
    assert (answer.outcome, answer.amount_fen) == (Outcome.OK, 700)
    assert await simulator.balance_fen(DISTRIBUTOR) == before + 1_000
    too_much = await provider.send(refund(bought, 1))
    assert (too_much.outcome, too_much.sub_code) == (
        Outcome.FINAL,
        "ACQ.REASON_TRADE_REFUND_FEE_ERR",
    )


async def test_a_payout_its_repeat_and_its_query(
    simulator: Simulator, provider: AlipayProvider
) -> None:
    before = await simulator.balance_fen(SPOT)
    instruction = payout(321)
    assert (await provider.query(instruction)).outcome is Outcome.ABSENT
    assert (await provider.send(instruction)).outcome is Outcome.OK
    assert (await provider.send(instruction)).outcome is Outcome.OK
    assert (await provider.query(instruction)).amount_fen == 321
    assert await simulator.balance_fen(SPOT) == before + 321


async def test_a_large_payout_says_what_it_is_for(
    simulator: Simulator, provider: AlipayProvider
) -> None:
    await simulator.admin.post(f"/accounts/{PLATFORM}/top-up", json={"amount_fen": 5_000_000})
    assert (await provider.send(payout(5_000_000))).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("payee", "outcome", "sub_code"),
    [
        (replace(PAYEE, account_name="别人"), Outcome.FINAL, "PAYEE_USER_INFO_ERROR"),
        (replace(PAYEE, account_no="nobody@example.com"), Outcome.FINAL, "PAYEE_NOT_EXIST"),
        (Counterparty(SPOT, ""), Outcome.OK, ""),
    ],
)
async def test_the_payee_is_checked(
    provider: AlipayProvider, payee: Counterparty, outcome: Outcome, sub_code: str
) -> None:
    answer = await provider.send(replace(payout(), counterparty=payee))
    assert (answer.outcome, answer.sub_code) == (outcome, sub_code)


async def test_the_balance_is_the_books(simulator: Simulator, provider: AlipayProvider) -> None:
    expected = await simulator.balance_fen(PLATFORM)
    assert (await provider.balance()).available_fen == expected


async def test_a_cancellation(simulator: Simulator, provider: AlipayProvider) -> None:
    instruction = debit(2_000)
    assert (await provider.cancel(instruction)).outcome is Outcome.ABSENT
    before = await simulator.balance_fen(DISTRIBUTOR)
    assert (await provider.send(instruction)).outcome is Outcome.OK
    assert (await provider.cancel(instruction)).outcome is Outcome.OK
    assert await simulator.balance_fen(DISTRIBUTOR) == before
    assert (await provider.query(instruction)).outcome is Outcome.FINAL


@pytest.mark.parametrize("build", [debit, payout])
@pytest.mark.parametrize(
    ("kind", "sub_code"),
    [
        ("timeout_before", "timeout"),
        ("timeout_after", "timeout"),
        ("error_20000_before", "isp.unknow-error"),
        ("error_20000_after", "isp.unknow-error"),
        ("system_error_before", "SYSTEM_ERROR"),
        ("system_error_after", "SYSTEM_ERROR"),
        ("bad_signature", "bad_signature"),
        ("unsigned", "unsigned"),
        ("down", "malformed"),
        ("down_cut", "connection_lost"),
        ("unlisted_code", "NOBODY_KNOWS_THIS_CODE"),
        ("unlisted_code_after", "NOBODY_KNOWS_THIS_CODE"),
    ],
)
async def test_an_unknown_outcome_is_told_by_the_query_and_mended_by_the_same_number(
    simulator: Simulator,
    provider: AlipayProvider,
    build: Callable[[], Instruction],
    kind: str,
    sub_code: str,
) -> None:
    instruction = build()
    before = await simulator.balance_fen(PLATFORM)
    await simulator.order_fault(kind, number=instruction.number, method=sent_by(instruction))
    sent = await provider.send(instruction)
    assert sent.outcome is Outcome.UNKNOWN
    assert sent.sub_code.removeprefix("ACQ.") == sub_code
    asked = await provider.query(instruction)
    assert asked.outcome is (Outcome.OK if kind in MONEY_MOVED else Outcome.ABSENT)
    assert (await provider.send(instruction)).outcome is Outcome.OK
    sign = 1 if instruction.kind is OperationKind.DEBIT else -1
    assert await simulator.balance_fen(PLATFORM) == before + sign * instruction.amount_fen


def sent_by(instruction: Instruction) -> str:
    return PAY if instruction.kind is OperationKind.DEBIT else TRANSFER


@pytest.mark.parametrize("build", [debit, payout])
@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("insufficient_funds", Outcome.FUNDS),
        ("throttled", Outcome.THROTTLED),
        ("braces", Outcome.OK),
    ],
)
async def test_a_certain_answer_and_the_same_number_afterwards(
    simulator: Simulator,
    provider: AlipayProvider,
    build: Callable[[], Instruction],
    kind: str,
    outcome: Outcome,
) -> None:
    instruction = build()
    await simulator.order_fault(kind, number=instruction.number, method=sent_by(instruction))
    assert (await provider.send(instruction)).outcome is outcome
    assert (await provider.send(instruction)).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("build", "kind", "decided"),
    [
        (debit, "pay_in_process", Outcome.OK),
        (payout, "dealing_then_success", Outcome.OK),
        (payout, "dealing_then_fail", Outcome.FINAL),
    ],
)
async def test_a_pending_one_is_decided_later(
    simulator: Simulator,
    provider: AlipayProvider,
    build: Callable[[], Instruction],
    kind: str,
    decided: Outcome,
) -> None:
    instruction = build()
    await simulator.order_fault(kind, number=instruction.number, queries=1)
    assert (await provider.send(instruction)).outcome is Outcome.PENDING
    assert (await provider.query(instruction)).outcome is Outcome.PENDING
    assert (await provider.query(instruction)).outcome is decided


async def test_its_notifications_are_believed_and_name_our_numbers(
    simulator: Simulator, provider: AlipayProvider
) -> None:
    bought, paid = debit(777), payout(555)
    given_back = refund(bought, 111)
    for instruction in (bought, given_back, paid):
        assert (await provider.send(instruction)).outcome is Outcome.OK
    wanted = {
        (bought.number, "TRADE_SUCCESS", 777),
        (given_back.number, "TRADE_SUCCESS", None),
        (paid.number, "SUCCESS", 555),
    }
    async with asyncio.timeout(10):
        while wanted:
            notification = provider.read_notification(await simulator.posted.get())
            wanted -= {(notification.number, notification.status, notification.amount_fen)}
