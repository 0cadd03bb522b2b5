"""Many operations, several operators: each attempt is made once, within the channel's bounds."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from shanmen.common.db import Database
from shanmen.common.testing.events import deliver, eventually
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.principals import FakeIntrospector
from shanmen.gateway_adapters.domain.operations import Action, Channel, Outcome
from shanmen.gateway_adapters.main import SERVICE
from shanmen.gateway_adapters.providers.base import Answer, Instruction
from shanmen.gateway_adapters.tables import ATTEMPTS, OPERATIONS
from shanmen.gateway_adapters.testing import (
    Desk,
    ScriptedChannel,
    always,
    answer,
    debit,
    open_desk,
)

ALIPAY, HUIJINBAO = Channel.ALIPAY, Channel.HUIJINBAO
OpenDesk = Callable[..., Desk]


@pytest.fixture
async def open_desks(
    open_database: OpenDatabase, tokens: FakeIntrospector
) -> AsyncIterator[OpenDesk]:
    """Opens gateways that share one database, each with an engine of its own, as processes do."""
    first = await open_database(SERVICE)
    engines: list[Database] = []

    def opened(providers: Mapping[Channel, ScriptedChannel], **settings: Any) -> Desk:
        engines.append(Database(first.url))
        return open_desk(engines[-1], tokens, providers, **settings)

    yield opened
    for engine in engines:
        await engine.close()


def slowly(seconds: float, outcome: Outcome = Outcome.OK) -> Any:
    async def reply(_action: Action, _instruction: Instruction) -> Answer:
        await asyncio.sleep(seconds)
        return answer(outcome)

    return reply


async def test_two_operators_make_each_attempt_once(open_desks: OpenDesk) -> None:
    channel = ScriptedChannel()
    script = {
        Action.SEND: [Outcome.UNKNOWN, Outcome.OK],
        Action.QUERY: [Outcome.ABSENT, Outcome.ABSENT],
    }
    said: Counter[tuple[str, Action]] = Counter()

    async def reply(action: Action, instruction: Instruction) -> Answer:
        number = said[instruction.number, action]
        said[instruction.number, action] += 1
        await asyncio.sleep(0.001)
        return answer(script[action][number])

    channel.reply = reply
    quick = {"query_delays_s": (0.01,), "absent_grace_s": 0.02}
    desks = [open_desks({ALIPAY: channel}, **quick) for _ in range(2)]
    requests = [debit(f"deb_{number}") for number in range(40)]
    await deliver(desks[0].inbox, *requests)

    async def all_done() -> bool:
        return {row.status for row in await desks[0].rows(OPERATIONS)} == {"succeeded"}

    async with desks[0].operating(), desks[1].operating():
        await eventually(all_done)
    assert set(said.values()) == {2}
    assert len(said) == 80
    attempts = await desks[0].rows(ATTEMPTS)
    assert Counter(row.operation_id for row in attempts) == {r.operation_id: 4 for r in requests}
    assert all(row.outcome is not None for row in attempts)
    told = [event["operation_id"] for _, event in await desks[0].told()]
    assert sorted(told) == sorted(request.operation_id for request in requests)


async def test_a_channel_is_called_by_so_many_at_once_and_no_more(open_desks: OpenDesk) -> None:
    channel, now, most = ScriptedChannel(), 0, 0

    async def reply(_action: Action, _instruction: Instruction) -> Answer:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.005)
        now -= 1
        return answer(Outcome.OK)

    channel.reply = reply
    desk = open_desks({ALIPAY: channel}, channel_concurrency=3)
    await deliver(desk.inbox, *(debit(f"deb_{number}") for number in range(20)))
    await desk.work()
    assert most == 3
    assert len(channel.calls) == 20


async def test_what_cannot_be_called_yet_is_not_claimed(open_desks: OpenDesk) -> None:
    """A claim that waited for its turn would run out before its call is made."""
    channel, may_answer = ScriptedChannel(), asyncio.Event()

    async def reply(_action: Action, _instruction: Instruction) -> Answer:
        await may_answer.wait()
        return answer(Outcome.OK)

    channel.reply = reply
    desk = open_desks({ALIPAY: channel}, channel_concurrency=2)
    await deliver(desk.inbox, *(debit(f"deb_{number}") for number in range(5)))
    async with desk.operating():
        await eventually(lambda: len(channel.calls) == 2)
        desk.ctx.work_arrived.set()
        await asyncio.sleep(0.03)  # several more looks for work
        assert len(await desk.rows(ATTEMPTS)) == 2
        may_answer.set()
        await eventually(desk.is_idle)
    assert len(channel.calls) == 5


async def test_a_slow_channel_does_not_stop_another(open_desks: OpenDesk) -> None:
    slow, quick, may_answer = ScriptedChannel(HUIJINBAO), ScriptedChannel(), asyncio.Event()

    async def reply(_action: Action, _instruction: Instruction) -> Answer:
        await may_answer.wait()
        return answer(Outcome.OK)

    slow.reply, quick.reply = reply, always(Outcome.OK)
    desk = open_desks({ALIPAY: quick, HUIJINBAO: slow}, channel_concurrency=2)
    other = {"account_id": "acc_1", "channel": "huijinbao"}
    await deliver(desk.inbox, *(debit(f"slow_{n}", account=other) for n in range(8)))
    async with desk.operating():
        await eventually(lambda: len(slow.calls) == 2)
        await deliver(desk.inbox, *(debit(f"deb_{number}") for number in range(10)))
        await eventually(lambda: len(quick.calls) == 10, within_s=2)
        assert len(slow.calls) == 2
        may_answer.set()
        await eventually(desk.is_idle)


async def test_one_failing_provider_does_not_end_the_operator(open_desks: OpenDesk) -> None:
    channel = ScriptedChannel()

    async def reply(_action: Action, instruction: Instruction) -> Answer:
        if instruction.number == "deb_bad":
            raise RuntimeError("a defect of ours")
        return answer(Outcome.OK)

    channel.reply = reply
    desk = open_desks({ALIPAY: channel})
    await deliver(desk.inbox, debit("deb_bad"), debit("deb_1"), debit("deb_2"))

    async def good_ones_are_done() -> bool:
        rows = {row.operation_id: row.status for row in await desk.rows(OPERATIONS)}
        return rows == {"deb_bad": "open", "deb_1": "succeeded", "deb_2": "succeeded"}

    async with desk.operating():
        await eventually(good_ones_are_done)


async def test_told_to_stop_it_finishes_what_it_has_begun(open_desks: OpenDesk) -> None:
    channel = ScriptedChannel()
    channel.reply = slowly(0.1)
    desk = open_desks({ALIPAY: channel}, channel_concurrency=2)
    await deliver(desk.inbox, *(debit(f"deb_{number}") for number in range(6)))
    async with desk.operating():
        await eventually(lambda: len(channel.calls) == 2)
    assert len(channel.calls) == 2
    assert Counter(row.status for row in await desk.rows(OPERATIONS)) == {
        "succeeded": 2,
        "open": 4,
    }
    assert all(row.outcome == "ok" for row in await desk.rows(ATTEMPTS))
