"""Debits given up at the Alipay simulator: what was told is what its books say."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from shanmen.common.ids import new_id
from shanmen.common.testing.events import deliver, eventually
from shanmen.gateway_adapters.providers.base import Counterparty
from shanmen.gateway_adapters.tables import OPERATIONS
from shanmen.gateway_adapters.testing import Desk, KnownAccounts, debit
from shanmen.simulators.testing.merchant import DISTRIBUTOR, Merchant

OpenDesk = Callable[..., Desk]


async def paid_fen(simulator: Merchant, account_no: str, numbers: list[str]) -> dict[str, int]:
    """What each number has taken out of an account, less what it has given back."""
    entries = (await simulator.get(f"/accounts/{account_no}/entries"))["entries"]
    signs = {"in": -1, "out": 1}
    sums = Counter[str]()
    for entry in entries:
        sums[entry["business_no"]] += signs[entry["direction"]] * entry["amount_fen"]
    return {number: sums[number] for number in numbers}


async def has_ended(desk: Desk) -> bool:
    return all(row.status in {"succeeded", "failed"} for row in await desk.rows(OPERATIONS))


async def has_status(desk: Desk, number: str, status: str) -> bool:
    return bool((await desk.operation(number)).status == status)


async def has_begun(desk: Desk, number: str) -> bool:
    return bool(await desk.attempts(number))


async def test_a_debit_that_is_short_of_money_is_cancelled(
    simulator: Merchant, alipay_desk: OpenDesk, accounts: KnownAccounts
) -> None:
    account_no, agreement_no = "2088000000000008", "20265101000000000008"
    await simulator.post("/accounts", {"account_no": account_no, "name": "经销商戊"})
    await simulator.post("/agreements", {"agreement_no": agreement_no, "account_no": account_no})
    poor = Counterparty(account_no, "经销商戊", agreement_no)
    accounts.known = {**accounts.known, "acc_poor": poor}
    desk, number = alipay_desk(), new_id("deb")
    await desk.debit(number, account={"account_id": "acc_poor", "channel": "alipay"})
    await desk.work()
    await desk.cancel(number)
    await desk.work()
    # The money that comes now is not taken.
    await simulator.post(f"/accounts/{account_no}/top-up", {"amount_fen": 50_000})
    await desk.debit(number, account={"account_id": "acc_poor", "channel": "alipay"})
    await desk.work()
    assert [attempt.action for attempt in await desk.attempts(number)] == ["send", "cancel"]
    assert [(name, event["code"]) for name, event in await desk.told()] == [
        ("operation_stuck", "ACQ.BUYER_BALANCE_NOT_ENOUGH"),
        ("operation_failed", "cancelled"),
        ("operation_failed", "cancelled"),
    ]
    assert await simulator.balance_fen(account_no) == 50_000


@pytest.mark.parametrize(
    ("fault", "status", "taken_fen"),
    [
        ("timeout_before", "failed", 0),
        ("timeout_after", "succeeded", 29),
        ("error_20000_before", "failed", 0),
        ("pay_in_process", "failed", 0),
    ],
)
async def test_given_up_while_the_call_is_under_way(
    simulator: Merchant, alipay_desk: OpenDesk, fault: str, status: str, taken_fen: int
) -> None:
    desk, number = alipay_desk(), new_id("deb")
    options = {"queries": 5} if fault == "pay_in_process" else {}
    await simulator.post("/faults", {"kind": fault, "number": number, "times": 1, **options})
    await desk.debit(number, amount_fen=29)
    async with desk.operating():
        await eventually(partial(has_begun, desk, number))
        await desk.cancel(number)
        await eventually(partial(has_ended, desk), within_s=20)
    assert (await desk.operation(number)).status == status
    assert await paid_fen(simulator, DISTRIBUTOR, [number]) == {number: taken_fen}
    actions = [attempt.action for attempt in await desk.attempts(number)]
    assert actions.count("send") == 1


@pytest.mark.parametrize("fault", ["timeout_after", "bad_signature", "error_20000_after"])
async def test_a_cancellation_whose_answer_is_lost_is_cleared_up(
    simulator: Merchant, alipay_desk: OpenDesk, fault: str
) -> None:
    """Paid, then undone by a cancellation of which nobody has heard."""
    desk, number = alipay_desk(), new_id("deb")
    faults = {
        "alipay.trade.pay": "timeout_after",
        "alipay.trade.query": "error_20000_before",
        "alipay.trade.cancel": fault,
    }
    for method, kind in faults.items():
        order = {"kind": kind, "method": method, "number": number, "times": 1}
        await simulator.post("/faults", order)
    await desk.debit(number, amount_fen=31)
    async with desk.operating():
        await eventually(partial(has_begun, desk, number))
        await desk.cancel(number)
        await eventually(partial(has_ended, desk), within_s=20)
    assert (await desk.operation(number)).code == "cancelled"
    assert await paid_fen(simulator, DISTRIBUTOR, [number]) == {number: 0}


async def test_a_request_that_arrives_after_it_was_given_up_is_found_out(
    simulator: Merchant, alipay_desk: OpenDesk
) -> None:
    desk, number = alipay_desk(recheck_ages_s=(0.3, 1.0, 1.7, 2.4)), new_id("deb")
    fault = {"kind": "timeout_then_applied", "number": number, "times": 1, "delay_ms": 1_500}
    await simulator.post("/faults", fault)
    await desk.debit(number, amount_fen=37)
    async with desk.operating():
        await eventually(partial(has_begun, desk, number))
        await desk.cancel(number)
        await eventually(partial(has_status, desk, number, "succeeded"), within_s=20)
    assert [name for name, _ in await desk.told()] == ["operation_failed", "operation_succeeded"]
    assert await paid_fen(simulator, DISTRIBUTOR, [number]) == {number: 37}
    actions = [attempt.action for attempt in await desk.attempts(number)]
    assert actions.count("send") == 1


async def test_cancellations_and_payments_at_the_same_time_agree_with_the_books(
    simulator: Merchant, alipay_desk: OpenDesk
) -> None:
    desk = alipay_desk()
    numbers = [new_id("deb") for _ in range(60)]
    for kind in ("timeout_before", "timeout_after", "error_20000_after", "bad_signature"):
        odds = {"kind": kind, "probability": 0.1, "seed": 7, "times": 12}
        await simulator.post("/faults", odds)
    moments = random.Random(31)  # noqa: S311 - when to cancel

    async def given_up(number: str) -> None:
        await asyncio.sleep(moments.uniform(0, 0.8))
        await desk.cancel(number)

    async with desk.operating():
        await deliver(desk.inbox, *(debit(number, amount_fen=5) for number in numbers))
        await asyncio.gather(*(given_up(number) for number in numbers))
        await eventually(partial(has_ended, desk), within_s=30)
    statuses = {row.operation_id: row.status for row in await desk.rows(OPERATIONS)}
    taken = await paid_fen(simulator, DISTRIBUTOR, numbers)
    assert taken == {n: 5 if statuses[n] == "succeeded" else 0 for n in numbers}
    assert set(statuses.values()) == {"succeeded", "failed"}
    last_told = {event["operation_id"]: name for name, event in await desk.told()}
    assert last_told == {number: f"operation_{statuses[number]}" for number in numbers}
