"""The provider against the Huijinbao simulator, which shares no code with it.

Every test uses numbers and products of its own; the money in the simulator's books is what is
checked.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from shanmen.gateway_adapters.domain.operations import OperationKind, Outcome
from shanmen.gateway_adapters.providers.base import OWN_ACCOUNT, Counterparty, Instruction
from shanmen.gateway_adapters.providers.huijinbao.provider import HuijinbaoProvider
from shanmen.simulators.testing.huijinbao_merchant import (
    AGREEMENT,
    DISTRIBUTOR,
    FUND,
    PLATFORM,
    SPOT,
    HuijinbaoMerchant,
)
from shanmen.simulators.testing.receiver import EnvelopeReceiver
from shanmen.simulators.testing.servers import served

Open = Callable[..., HuijinbaoProvider]

PAYER = Counterparty(DISTRIBUTOR, "经销商甲", AGREEMENT)
PAYEE = Counterparty(SPOT, "景区乙")
NUMBERS = count(1)
MONEY_MOVED = {
    *("timeout_after", "system_error_after", "unlisted_code_after"),
    *("bad_signature", "unsigned"),
}


def number(prefix: str) -> str:
    return f"{prefix}_{next(NUMBERS)}"


def debit(amount_fen: int = 123) -> Instruction:
    subject = '黄山 门票 {"}\\ + 1%'
    return Instruction(number("deb"), OperationKind.DEBIT, amount_fen, PAYER, subject, "ord_1")


def payout(amount_fen: int = 32) -> Instruction:
    return Instruction(number("pay"), OperationKind.PAYOUT, amount_fen, PAYEE, "结算", "spt_1")


def refund(of: Instruction, amount_fen: int) -> Instruction:
    return replace(
        of,
        number=number("ref"),
        kind=OperationKind.REFUND,
        amount_fen=amount_fen,
        original_number=of.number,
    )


def wealth(kind: OperationKind, product_id: str, amount_fen: int = 0) -> Instruction:
    return Instruction(number("wea"), kind, amount_fen, OWN_ACCOUNT, "联票", product_id)


def subscribe() -> Instruction:
    return wealth(OperationKind.SUBSCRIBE, number("prd"), 41)


@pytest.fixture
def provider(open_huijinbao: Open) -> HuijinbaoProvider:
    return open_huijinbao()


async def order_fault(
    simulator: HuijinbaoMerchant, kind: str, instruction: Instruction, **options: object
) -> None:
    order = {"kind": kind, "number": instruction.number, "times": 1, **options}
    await simulator.post("/faults", order)


async def test_a_debit_its_repeat_and_its_query(
    huijinbao_simulator: HuijinbaoMerchant, provider: HuijinbaoProvider
) -> None:
    before = await huijinbao_simulator.balance_fen(DISTRIBUTOR)
    instruction = debit(123)
    absent = await provider.query(instruction)
    assert (absent.outcome, absent.code) == (Outcome.ABSENT, "HJB_0021")
    first = await provider.send(instruction)
    again = await provider.send(instruction)
    asked = await provider.query(instruction)
    assert {first.outcome, again.outcome, asked.outcome} == {Outcome.OK}
    assert first.channel_ref == again.channel_ref == asked.channel_ref
    assert asked.amount_fen == 123
    assert await huijinbao_simulator.balance_fen(DISTRIBUTOR) == before - 123


@pytest.mark.parametrize("build", [debit, payout])
async def test_the_same_number_for_other_money_is_a_conflict(
    provider: HuijinbaoProvider, build: Callable[[], Instruction]
) -> None:
    first = build()
    assert (await provider.send(first)).outcome is Outcome.OK
    other = replace(first, amount_fen=first.amount_fen + 1)
    sent = await provider.send(other)
    assert (sent.outcome, sent.code) == (Outcome.CONFLICT, "HJB_0023")
    assert (await provider.query(other)).outcome is Outcome.CONFLICT


async def test_a_refund_in_parts(
    huijinbao_simulator: HuijinbaoMerchant, provider: HuijinbaoProvider
) -> None:
    bought = debit(1_000)
    assert (await provider.send(bought)).outcome is Outcome.OK
    before = await huijinbao_simulator.balance_fen(DISTRIBUTOR)
    first, second = refund(bought, 300), refund(bought, 700)
    assert (await provider.query(first)).outcome is Outcome.ABSENT
    for instruction in (first, second, second):
        assert (await provider.send(instruction)).outcome is Outcome.OK
    answer = await provider.query(second)
    assert (answer.outcome, answer.amount_fen) == (Outcome.OK, 700)
    assert await huijinbao_simulator.balance_fen(DISTRIBUTOR) == before + 1_000
    too_much = await provider.send(refund(bought, 1))
    assert (too_much.outcome, too_much.code) == (Outcome.CONFIG, "HJB_0006")
    never_debited = replace(refund(bought, 1), original_number="deb_0")
    nothing = await provider.send(never_debited)
    assert (nothing.outcome, nothing.code) == (Outcome.FINAL, "HJB_0019")


async def test_a_payout_its_repeat_and_its_query(
    huijinbao_simulator: HuijinbaoMerchant, provider: HuijinbaoProvider
) -> None:
    before = await huijinbao_simulator.balance_fen(SPOT)
    instruction = payout(32)
    assert (await provider.query(instruction)).outcome is Outcome.ABSENT
    assert (await provider.send(instruction)).outcome is Outcome.OK
    assert (await provider.send(instruction)).outcome is Outcome.OK
    assert (await provider.query(instruction)).amount_fen == 32
    assert await huijinbao_simulator.balance_fen(SPOT) == before + 32


@pytest.mark.parametrize(
    ("instruction", "outcome", "code"),
    [
        (replace(payout(), counterparty=Counterparty("6299", "景")), Outcome.FINAL, "HJB_0008"),
        (
            replace(debit(), counterparty=replace(PAYER, account_no="6299")),
            *(Outcome.FINAL, "HJB_0007"),
        ),
        (
            replace(debit(), counterparty=replace(PAYER, agreement_no="7099")),
            *(Outcome.FINAL, "HJB_0009"),
        ),
        (replace(debit(), amount_fen=10_000_000), Outcome.FUNDS, "HJB_0005"),
        (replace(payout(), amount_fen=10_000_000), Outcome.FUNDS, "HJB_0005"),
    ],
)
async def test_what_is_refused(
    provider: HuijinbaoProvider, instruction: Instruction, outcome: Outcome, code: str
) -> None:
    answer = await provider.send(instruction)
    assert (answer.outcome, answer.code) == (outcome, code)
    assert (await provider.query(instruction)).outcome is Outcome.ABSENT


async def test_the_balance_is_the_books(
    huijinbao_simulator: HuijinbaoMerchant, provider: HuijinbaoProvider
) -> None:
    expected = await huijinbao_simulator.balance_fen(PLATFORM)
    assert (await provider.balance()).available_fen == expected


async def test_a_cancellation_is_certain_even_before_the_debit_comes(
    huijinbao_simulator: HuijinbaoMerchant, provider: HuijinbaoProvider
) -> None:
    before = await huijinbao_simulator.balance_fen(DISTRIBUTOR)
    early, under_way, done = debit(), debit(), debit()
    assert (await provider.cancel(early)).outcome is Outcome.OK
    assert (await provider.send(early)).outcome is Outcome.FINAL
    await order_fault(huijinbao_simulator, "processing_then_success", under_way, queries=9)
    assert (await provider.send(under_way)).outcome is Outcome.PENDING
    assert (await provider.cancel(under_way)).outcome is Outcome.OK
    for instruction in (early, under_way):
        assert (await provider.query(instruction)).outcome is Outcome.FINAL
    assert await huijinbao_simulator.balance_fen(DISTRIBUTOR) == before
    assert (await provider.send(done)).outcome is Outcome.OK
    refused = await provider.cancel(done)
    assert (refused.outcome, refused.listed) == (Outcome.UNKNOWN, True)
    assert (await provider.query(done)).outcome is Outcome.OK


async def test_money_is_invested_earns_and_comes_back(
    huijinbao_simulator: HuijinbaoMerchant, provider: HuijinbaoProvider
) -> None:
    product_id, platform = number("prd"), await huijinbao_simulator.balance_fen(PLATFORM)
    invested = wealth(OperationKind.SUBSCRIBE, product_id, 10_000)
    assert (await provider.send(invested)).outcome is Outcome.OK
    assert (await provider.query(invested)).amount_fen == 10_000
    assert await huijinbao_simulator.balance_fen(PLATFORM) == platform - 10_000
    redeemed = wealth(OperationKind.REDEEM, product_id, 4_000)
    for answer in (await provider.send(redeemed), await provider.query(redeemed)):
        assert (answer.outcome, answer.principal_fen, answer.yield_fen) == (Outcome.OK, 4_000, 0)
    await huijinbao_simulator.advance(days=31)
    ended = wealth(OperationKind.LIQUIDATE, product_id)
    assert (await provider.query(ended)).outcome is Outcome.ABSENT
    answers = [await provider.send(ended), await provider.send(ended), await provider.query(ended)]
    # 30 days of 6000 fen at 0.5432 yuan a day for every 10 000 yuan
    earned_fen = 30 * 6_000 * 5_432 // 10**8
    assert {(a.outcome, a.principal_fen, a.yield_fen) for a in answers} == {
        (Outcome.OK, 6_000, earned_fen)
    }
    assert earned_fen > 0
    assert await huijinbao_simulator.balance_fen(PLATFORM) == platform + earned_fen
    assert (await huijinbao_simulator.position(product_id))["principal"] == 0


async def test_wealth_that_is_refused(
    huijinbao_simulator: HuijinbaoMerchant, provider: HuijinbaoProvider
) -> None:
    product_id = number("prd")
    for kind, amount_fen in ((OperationKind.REDEEM, 1), (OperationKind.LIQUIDATE, 0)):
        nothing = await provider.send(wealth(kind, product_id, amount_fen))
        assert (nothing.outcome, nothing.code) == (Outcome.FINAL, "HJB_0019")
    assert (await provider.send(wealth(OperationKind.SUBSCRIBE, product_id, 5))).outcome == "ok"
    short = await provider.send(wealth(OperationKind.REDEEM, product_id, 6))
    assert (short.outcome, short.code) == (Outcome.FUNDS, "HJB_0005")
    whole = await provider.send(wealth(OperationKind.LIQUIDATE, product_id))
    assert (whole.principal_fen, whole.yield_fen) == (5, 0)


async def test_a_redemption_of_the_next_day_is_pending_until_it_arrives(
    huijinbao_simulator: HuijinbaoMerchant, open_huijinbao: Open
) -> None:
    provider, product_id = open_huijinbao(redeem_mode="NORMAL"), number("prd")
    assert (await provider.send(wealth(OperationKind.SUBSCRIBE, product_id, 5))).outcome == "ok"
    redeemed = wealth(OperationKind.REDEEM, product_id, 5)
    for answer in (await provider.send(redeemed), await provider.query(redeemed)):
        assert (answer.outcome, answer.principal_fen) == (Outcome.PENDING, None)
    await huijinbao_simulator.advance(days=1)
    arrived = await provider.query(redeemed)
    assert (arrived.outcome, arrived.principal_fen) == (Outcome.OK, 5)


@pytest.mark.parametrize("build", [debit, payout, subscribe])
@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("timeout_before", "timeout"),
        ("timeout_after", "timeout"),
        ("system_error_before", "HJB_0099"),
        ("system_error_after", "HJB_0099"),
        ("bad_signature", "bad_signature"),
        ("unsigned", "unsigned"),
        ("down", "malformed"),
        ("down_cut", "connection_lost"),
        ("unlisted_code", "HJB_7777"),
        ("unlisted_code_after", "HJB_7777"),
    ],
)
async def test_an_unknown_outcome_is_told_by_the_query_and_mended_by_the_same_number(
    huijinbao_simulator: HuijinbaoMerchant,
    provider: HuijinbaoProvider,
    build: Callable[[], Instruction],
    kind: str,
    code: str,
) -> None:
    instruction = build()
    receiver = PLATFORM if build is debit else SPOT if build is payout else FUND
    before = await huijinbao_simulator.balance_fen(receiver)
    await order_fault(huijinbao_simulator, kind, instruction)
    sent = await provider.send(instruction)
    assert sent.outcome is Outcome.UNKNOWN
    assert code in {sent.code, sent.sub_code}
    asked = await provider.query(instruction)
    assert asked.outcome is (Outcome.OK if kind in MONEY_MOVED else Outcome.ABSENT)
    assert (await provider.send(instruction)).outcome is Outcome.OK
    moved_fen = await huijinbao_simulator.balance_fen(receiver) - before
    assert moved_fen == instruction.amount_fen


@pytest.mark.parametrize("build", [debit, payout, subscribe])
@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("insufficient_funds", Outcome.FUNDS),
        ("throttled", Outcome.THROTTLED),
        ("braces", Outcome.OK),
    ],
)
async def test_a_certain_answer_and_the_same_number_afterwards(
    huijinbao_simulator: HuijinbaoMerchant,
    provider: HuijinbaoProvider,
    build: Callable[[], Instruction],
    kind: str,
    outcome: Outcome,
) -> None:
    instruction = build()
    await order_fault(huijinbao_simulator, kind, instruction)
    assert (await provider.send(instruction)).outcome is outcome
    assert (await provider.send(instruction)).outcome is Outcome.OK


@pytest.mark.parametrize("build", [debit, payout, subscribe])
@pytest.mark.parametrize(
    ("kind", "decided"),
    [
        ("processing_then_success", Outcome.OK),
        ("processing_then_fail", Outcome.FINAL),
    ],
)
async def test_a_pending_one_is_decided_later(
    huijinbao_simulator: HuijinbaoMerchant,
    provider: HuijinbaoProvider,
    build: Callable[[], Instruction],
    kind: str,
    decided: Outcome,
) -> None:
    instruction = build()
    await order_fault(huijinbao_simulator, kind, instruction, queries=1)
    assert (await provider.send(instruction)).outcome is Outcome.PENDING
    assert (await provider.query(instruction)).outcome is Outcome.PENDING
    assert (await provider.query(instruction)).outcome is decided


async def test_its_notifications_are_believed_and_name_our_numbers(
    huijinbao_simulator: HuijinbaoMerchant, open_huijinbao: Open
) -> None:
    receiver = EnvelopeReceiver()
    async with served(receiver.app) as url:
        provider = open_huijinbao(notify_url=f"{url}/notify")
        bought, paid = debit(77), payout(55)
        given_back = refund(bought, 11)
        for instruction in (bought, given_back, paid):
            assert (await provider.send(instruction)).outcome is Outcome.OK
        await receiver.wait_for(3)
    told = [provider.read_notification(body) for body in receiver.bodies]
    assert {(one.number, one.status, one.amount_fen) for one in told} == {
        (bought.number, "S", 77),
        (given_back.number, "S", 11),
        (paid.number, "S", 55),
    }


async def test_many_at_once_are_each_carried_out_once(
    huijinbao_simulator: HuijinbaoMerchant, provider: HuijinbaoProvider
) -> None:
    before = await huijinbao_simulator.balance_fen(DISTRIBUTOR)
    instructions = [debit(1) for _ in range(10)] * 2
    answers = await asyncio.gather(*map(provider.send, instructions))
    assert {answer.outcome for answer in answers} <= {Outcome.OK, Outcome.UNKNOWN}
    asked = await asyncio.gather(*map(provider.query, instructions))
    assert {answer.outcome for answer in asked} == {Outcome.OK}
    assert await huijinbao_simulator.balance_fen(DISTRIBUTOR) == before - 10
