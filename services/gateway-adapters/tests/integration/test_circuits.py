"""A channel that does not answer is left alone, but for a probe now and then; nothing is lost."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from shanmen.common.errors import Unavailable
from shanmen.common.ids import new_id
from shanmen.common.testing.events import deliver, eventually
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.principals import FakeIntrospector
from shanmen.gateway_adapters.domain.operations import Action, Channel, Outcome
from shanmen.gateway_adapters.main import SERVICE
from shanmen.gateway_adapters.providers.base import Answer, Contact, Instruction
from shanmen.gateway_adapters.tables import ATTEMPTS, CIRCUITS, OPERATIONS
from shanmen.gateway_adapters.testing import (
    Desk,
    KnownAccounts,
    Reply,
    ScriptedChannel,
    always,
    answer,
    debit,
    open_desk,
)
from shanmen.gateway_adapters.usecases.breaking import Breaker
from shanmen.gateway_adapters.usecases.claiming import claim_operations, claim_probe
from shanmen.simulators.testing.merchant import DISTRIBUTOR, Merchant

ALIPAY, HUIJINBAO = Channel.ALIPAY, Channel.HUIJINBAO
SILENCE = answer(Outcome.UNKNOWN, "transport", contact=Contact.SILENT)


def silent() -> Reply:
    async def reply(_action: Action, _instruction: Instruction) -> Answer:
        return SILENCE

    return reply


async def is_open(desk: Desk) -> bool:
    return any(row.opened_at is not None for row in await desk.rows(CIRCUITS))


async def statuses(desk: Desk) -> set[str]:
    return {row.status for row in await desk.rows(OPERATIONS)}


@pytest.fixture
def huijinbao() -> ScriptedChannel:
    return ScriptedChannel(HUIJINBAO)


@pytest.fixture
async def two_channels(
    open_database: OpenDatabase,
    tokens: FakeIntrospector,
    channel: ScriptedChannel,
    huijinbao: ScriptedChannel,
) -> Desk:
    settings: dict[str, Any] = {
        "circuit_failures": 3,
        "circuit_probe_s": 0.2,
        "channel_concurrency": 4,
        "channel_rate_per_s": 10,
        "query_delays_s": (0.05,),
    }
    providers = {ALIPAY: channel, HUIJINBAO: huijinbao}
    return open_desk(await open_database(SERVICE), tokens, providers, **settings)


async def test_two_operators_share_a_circuit_and_probe_once_a_while(
    simulator: Merchant, alipay_desk: Callable[..., Desk]
) -> None:
    settings = {"circuit_failures": 3, "circuit_probe_s": 0.3, "channel_concurrency": 4}
    one, other = alipay_desk(**settings), alipay_desk(**settings)
    numbers = [new_id("deb") for _ in range(40)]
    fault = await simulator.post("/faults", {"kind": "down"})

    async def count_calls() -> int:
        calls = (await simulator.get("/calls"))["calls"]
        return sum(call["number"] in numbers for call in calls)

    async def all_succeeded() -> bool:
        return await statuses(one) == {"succeeded"}

    async with one.operating(), other.operating():
        await deliver(one.inbox, *(debit(number, amount_fen=3) for number in numbers))
        await eventually(lambda: is_open(one), within_s=20)
        await asyncio.sleep(0.2)  # what was under way then comes to its end
        before = await count_calls()
        await asyncio.sleep(1.5)
        probes = await count_calls() - before
        assert 2 <= probes <= 6
        attempts = await one.rows(ATTEMPTS)
        untouched = set(numbers) - {row.operation_id for row in attempts}
        assert len(untouched) > 20  # what waits is as it was
        await simulator.http.delete(f"/admin/faults/{fault['fault_id']}")
        await eventually(all_succeeded, within_s=20)
    assert not await is_open(one)
    entries = (await simulator.get(f"/accounts/{DISTRIBUTOR}/entries"))["entries"]
    assert sorted(e["business_no"] for e in entries if e["business_no"] in numbers) == sorted(
        numbers
    )


async def test_while_it_is_open_nothing_is_claimed_but_one_probe_over_all_processes(
    desk: Desk,
) -> None:
    """Nor by a process that has not noticed yet."""
    await deliver(desk.inbox, *(debit(f"deb_{number}") for number in range(4)))
    breaker = Breaker(desk.ctx)
    for _ in range(desk.ctx.settings.circuit_failures):
        await breaker.note(ALIPAY, Contact.SILENT)
    assert await claim_operations(desk.ctx, {ALIPAY: 4}) == []
    assert await claim_probe(desk.ctx, ALIPAY) == ()  # not at once
    desk.clock.advance(timedelta(seconds=desk.ctx.settings.circuit_probe_s))
    probes = await asyncio.gather(*(claim_probe(desk.ctx, ALIPAY) for _ in range(4)))
    assert sum(len(claims) for claims in probes) == 1
    assert len(await desk.rows(ATTEMPTS)) == 1
    await breaker.note(ALIPAY, Contact.VERIFIED)
    assert len(await claim_operations(desk.ctx, {ALIPAY: 4})) == 3


async def test_another_channel_goes_on_as_ever(
    two_channels: Desk, channel: ScriptedChannel, huijinbao: ScriptedChannel
) -> None:
    channel.reply, huijinbao.reply = silent(), always(Outcome.OK)
    desk = two_channels
    account = {"account_id": "acc_1", "channel": "huijinbao"}
    await deliver(desk.inbox, *(debit(f"deb_{number}") for number in range(20)))
    async with desk.operating():
        await eventually(lambda: is_open(desk))
        calls = len(channel.calls)
        await deliver(desk.inbox, *(debit(f"other_{n}", account=account) for n in range(30)))
        await eventually(lambda: len(huijinbao.calls) == 30, within_s=2)
        assert len(channel.calls) <= calls + 12
    assert [(row.channel, row.opened_at is None) for row in await desk.rows(CIRCUITS)] == [
        ("alipay", False)
    ]


async def test_what_waited_is_worked_off_at_a_bounded_rate(
    two_channels: Desk, channel: ScriptedChannel
) -> None:
    desk, moments = two_channels, list[float]()
    channel.reply = silent()
    await deliver(desk.inbox, *(debit(f"deb_{number}") for number in range(13)))

    async def reply(_action: Action, _instruction: Instruction) -> Answer:
        moments.append(time.monotonic())
        return answer(Outcome.OK)

    async with desk.operating():
        await eventually(lambda: is_open(desk))
        channel.reply = reply
        await eventually(lambda: len(moments) == 13, within_s=10)
    # The probe that closed it is the first; twelve at ten a second take more than one.
    assert moments[-1] - moments[1] > 0.9
    assert await statuses(desk) == {"succeeded"}


async def test_a_single_answer_in_between_keeps_it_closed(
    two_channels: Desk, channel: ScriptedChannel
) -> None:
    desk = two_channels
    channel.will_say(SILENCE, SILENCE, Outcome.UNKNOWN, SILENCE, SILENCE, Outcome.OK)
    await desk.debit()
    for _ in range(6):
        await desk.work_after(1)
    assert (await desk.operation()).status == "succeeded"
    assert await desk.rows(CIRCUITS) == []


async def test_a_catalog_that_does_not_answer_is_no_fault_of_the_channel(
    two_channels: Desk, channel: ScriptedChannel
) -> None:
    accounts = KnownAccounts()
    accounts.errors.extend([Unavailable("catalog is down")] * 5)
    desk = Desk(replace(two_channels.ctx, accounts=accounts), two_channels.clock)
    channel.will_say(Outcome.OK)
    await desk.debit()
    for _ in range(6):
        await desk.work_after(100)
    assert (await desk.operation()).status == "succeeded"
    assert await desk.rows(CIRCUITS) == []


async def test_circuits_are_shown(
    operator: httpx.AsyncClient, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = Breaker(desk.ctx)
    (closed,) = (await operator.get("/v1/circuits")).json()
    assert closed == {
        "channel": "alipay",
        "open": False,
        "opened_at": None,
        "next_probe_at": None,
        "failures": 0,
    }
    for _ in range(6):
        await breaker.note(ALIPAY, Contact.SILENT)
    (shown,) = (await operator.get("/v1/circuits")).json()
    assert (shown["channel"], shown["open"], shown["failures"]) == ("alipay", True, 6)
    assert shown["opened_at"] < shown["next_probe_at"]
    await breaker.note(ALIPAY, Contact.NOT_CALLED)
    assert await is_open(desk)
    await breaker.note(ALIPAY, Contact.VERIFIED)
    assert (await operator.get("/v1/circuits")).json() == [closed]
    for change in ("circuit opened", "circuit closed"):
        assert caplog.text.count(change) == 1
