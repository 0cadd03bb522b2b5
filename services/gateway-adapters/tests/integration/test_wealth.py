"""Wealth operations (理财): asked for by product, carried out on the platform's own account."""

from typing import Any

import pytest

from shanmen.common.broker.protocol import Fate
from shanmen.common.events import Event
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.principals import FakeIntrospector
from shanmen.gateway_adapters.domain.operations import Action, Channel, OperationKind, Outcome
from shanmen.gateway_adapters.main import SERVICE
from shanmen.gateway_adapters.providers.base import OWN_ACCOUNT, Instruction
from shanmen.gateway_adapters.tables import OPERATIONS
from shanmen.gateway_adapters.testing import (
    Desk,
    KnownAccounts,
    ScriptedChannel,
    answer,
    liquidate,
    open_desk,
    redeem,
    subscribe,
)

REQUESTS = {"sub_1": subscribe(), "red_1": redeem(), "liq_1": liquidate()}
LIQUIDATED = answer(Outcome.OK, principal_fen=5_000, yield_fen=123)


@pytest.fixture
def channel() -> ScriptedChannel:
    """The channel that the gateway calls Huijinbao."""
    return ScriptedChannel(Channel.HUIJINBAO)


@pytest.fixture
async def desk(
    open_database: OpenDatabase, tokens: FakeIntrospector, channel: ScriptedChannel
) -> Desk:
    """A gateway whose every look for somebody's account fails."""
    accounts = KnownAccounts()
    accounts.errors.extend([AssertionError("the platform's own account is nobody's")] * 9)
    providers = {Channel.HUIJINBAO: channel}
    return open_desk(await open_database(SERVICE), tokens, providers, accounts)


async def test_requests_are_put_to_huijinbao_on_the_platforms_own_account(
    desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(Outcome.OK, answer(Outcome.OK, principal_fen=3_000, yield_fen=0), LIQUIDATED)
    for event in REQUESTS.values():
        assert (await desk.request(event)).fate is Fate.DONE
        await desk.work()
    about: tuple[Any, ...] = (OWN_ACCOUNT, "联票理财", "prd_1")
    assert [instruction for _, instruction in channel.calls] == [
        Instruction("sub_1", OperationKind.SUBSCRIBE, 8_000, *about),
        Instruction("red_1", OperationKind.REDEEM, 3_000, *about),
        Instruction("liq_1", OperationKind.LIQUIDATE, 0, OWN_ACCOUNT, "联票到期", "prd_1"),
    ]
    told = {event["operation_id"]: event for _, event in await desk.told()}
    names = ("kind", "channel", "amount_fen", "principal_fen", "yield_fen")
    assert {number: tuple(event[name] for name in names) for number, event in told.items()} == {
        "sub_1": ("subscribe", "huijinbao", 8_000, None, None),
        "red_1": ("redeem", "huijinbao", 3_000, 3_000, 0),
        "liq_1": ("liquidate", "huijinbao", 0, 5_000, 123),
    }
    assert {row.account_id for row in await desk.rows(OPERATIONS)} == {None}


@pytest.mark.parametrize("number", REQUESTS)
async def test_asked_for_again_it_is_the_same_operation_told_again(
    desk: Desk, channel: ScriptedChannel, number: str
) -> None:
    channel.will_say(LIQUIDATED if number == "liq_1" else Outcome.OK)
    await desk.request(REQUESTS[number])
    await desk.work()
    assert (await desk.request(REQUESTS[number])).fate is Fate.DONE
    await desk.work()
    assert channel.actions == [Action.SEND]
    first, again = await desk.told()
    assert first == again


@pytest.mark.parametrize(
    "event",
    [
        subscribe(amount_fen=0),
        redeem(amount_fen=-1),
        subscribe("sub_0", amount_fen=8_001),
        subscribe("sub_0", product_id="prd_2"),
        redeem("sub_0", amount_fen=8_000),
    ],
)
async def test_what_nobody_can_ask_for_goes_to_the_dead_letters(desk: Desk, event: Event) -> None:
    await desk.request(subscribe("sub_0"))
    assert (await desk.request(event)).fate is Fate.DEAD
    assert len(await desk.rows(OPERATIONS)) == 1


@pytest.mark.parametrize("number", REQUESTS)
async def test_an_unknown_outcome_is_asked_about_and_the_late_answer_tells_the_yield(
    desk: Desk, channel: ScriptedChannel, number: str
) -> None:
    proceeds: dict[str, Any] = {"principal_fen": 5_000, "yield_fen": 123}
    if number == "sub_1":
        proceeds = {}
    channel.will_say(Outcome.UNKNOWN, Outcome.PENDING, answer(Outcome.OK, **proceeds))
    await desk.request(REQUESTS[number])
    for seconds in (0, 10, 30):
        await desk.work_after(seconds)
    assert channel.actions == [Action.SEND, Action.QUERY, Action.QUERY]
    ((name, event),) = await desk.told()
    assert name == "operation_succeeded"
    assert event["principal_fen"] == proceeds.get("principal_fen")
    assert event["yield_fen"] == proceeds.get("yield_fen")


async def test_a_redemption_that_is_short_waits_and_goes_on_under_its_number(
    desk: Desk, channel: ScriptedChannel
) -> None:
    limited = answer(Outcome.FUNDS, "HJB_0051")
    channel.will_say(limited, answer(Outcome.OK, principal_fen=3_000, yield_fen=0))
    await desk.request(redeem())
    await desk.work()
    await desk.resume("red_1")
    await desk.work()
    assert channel.actions == [Action.SEND, Action.SEND]
    assert [(name, event.get("code")) for name, event in await desk.told()] == [
        ("operation_stuck", "HJB_0051"),
        ("operation_succeeded", None),
    ]


async def test_past_its_window_it_waits_for_a_person_as_a_payout_does(
    desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(Outcome.UNKNOWN, Outcome.UNKNOWN)
    await desk.request(liquidate())
    await desk.work()
    await desk.work_after(25 * 3600)
    assert (await desk.operation("liq_1")).status == "parked"


async def test_what_is_no_debit_is_not_cancelled(desk: Desk) -> None:
    await desk.request(subscribe())
    assert (await desk.cancel("sub_1")).fate is Fate.DEAD
