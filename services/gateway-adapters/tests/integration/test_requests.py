"""A request is one operation however often it comes, and whoever asks again is told again."""

import asyncio
from typing import Any

import pytest

from shanmen.common.broker.protocol import Fate
from shanmen.common.events import Event
from shanmen.common.testing.events import deliver
from shanmen.gateway_adapters.domain.operations import Action, Outcome
from shanmen.gateway_adapters.tables import OPERATIONS
from shanmen.gateway_adapters.testing import Desk, ScriptedChannel, answer, debit, payout, refund


async def test_requests_are_recorded_as_they_came(desk: Desk) -> None:
    for event in (debit(), payout(), refund()):
        assert (await desk.request(event)).fate is Fate.DONE
    names = "kind account_id amount_fen business_ref original_operation_id status next_action"
    rows = {
        row.operation_id: tuple(getattr(row, name) for name in names.split())
        for row in await desk.rows(OPERATIONS)
    }
    assert rows == {
        "deb_1": ("debit", "acc_payer", 10_000, "ord_1", None, "open", "send"),
        "pay_1": ("payout", "acc_receiver", 9_000, "spt_1", None, "open", "send"),
        "ref_1": ("refund", "acc_payer", 1_000, "ord_1", "deb_1", "open", "send"),
    }


async def test_a_repeated_request_is_one_operation(desk: Desk, channel: ScriptedChannel) -> None:
    channel.will_say(Outcome.OK)
    verdicts = [*await deliver(desk.inbox, debit(), debit()), await desk.debit()]
    assert {verdict.fate for verdict in verdicts} == {Fate.DONE}
    assert len(await desk.rows(OPERATIONS)) == 1
    await desk.work()
    assert channel.actions == [Action.SEND]
    assert [name for name, _ in await desk.told()] == ["operation_succeeded"]


async def test_requests_at_the_same_time_are_one_operation(
    desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(Outcome.OK)
    verdicts = await asyncio.gather(*(desk.debit() for _ in range(6)))
    assert {verdict.fate for verdict in verdicts} == {Fate.DONE}
    await desk.work()
    assert channel.actions == [Action.SEND]


@pytest.mark.parametrize(
    "other",
    [
        {"amount_fen": 10_001},
        {"order_no": "ord_2"},
        {"account": {"account_id": "acc_other", "channel": "alipay"}},
        {"account": {"account_id": "acc_payer", "channel": "huijinbao"}},
    ],
)
@pytest.mark.parametrize("status", ["open", "parked", "succeeded"])
async def test_a_number_keeps_its_content(
    desk: Desk, channel: ScriptedChannel, other: dict[str, Any], status: str
) -> None:
    await desk.debit()
    if status != "open":
        channel.will_say(Outcome.FUNDS if status == "parked" else Outcome.OK)
        await desk.work()
    before, told = await desk.operation(), await desk.told()
    verdict = await desk.debit(**other)
    assert verdict.fate is Fate.DEAD
    assert "other content" in verdict.reason
    assert await desk.operation() == before
    assert await desk.told() == told


@pytest.mark.parametrize(
    "event",
    [
        debit(amount_fen=0),
        debit(amount_fen=-1),
        debit(account={"account_id": "acc_1", "channel": "wechat"}),
    ],
)
async def test_what_nobody_can_ask_for_goes_to_the_dead_letters(desk: Desk, event: Event) -> None:
    assert (await desk.request(event)).fate is Fate.DEAD
    assert await desk.rows(OPERATIONS) == []


async def test_success_is_told_with_its_money(desk: Desk, channel: ScriptedChannel) -> None:
    channel.will_say(answer(Outcome.OK, "10000", channel_ref="2026112222001400001"))
    await desk.debit()
    await desk.work()
    row = await desk.operation()
    ((name, event),) = await desk.told()
    finished_at = event.pop("finished_at")
    assert (name, event) == (
        "operation_succeeded",
        {
            "operation_id": "deb_1",
            "kind": "debit",
            "channel": "alipay",
            "amount_fen": 10_000,
            "channel_ref": "2026112222001400001",
            "principal_fen": None,
            "yield_fen": None,
        },
    )
    assert finished_at == row.finished_at.isoformat().replace("+00:00", "Z")


async def test_a_finished_one_is_told_again_and_not_done_again(
    desk: Desk, channel: ScriptedChannel
) -> None:
    refused = answer(Outcome.FINAL, "40004", sub_code="PAYEE_NOT_EXIST")
    channel.will_say(Outcome.OK)
    await desk.debit()
    await desk.work()
    channel.will_say(refused)
    await desk.payout()
    await desk.work()
    await desk.debit()
    await desk.payout()
    await desk.work()
    assert channel.actions == [Action.SEND, Action.SEND]
    succeeded, failed, *again = await desk.told()
    assert failed[0] == "operation_failed"
    assert (failed[1]["code"], failed[1]["reason"]) == ("PAYEE_NOT_EXIST", "said final")
    assert again == [succeeded, failed]


async def test_short_funds_are_told_once_per_request_and_the_number_stays(
    desk: Desk, channel: ScriptedChannel
) -> None:
    short = answer(Outcome.FUNDS, "40004", sub_code="ACQ.BUYER_BALANCE_NOT_ENOUGH")
    channel.will_say(short, short)
    await desk.debit()
    await desk.work()
    parked = await desk.operation()
    assert (parked.status, parked.outcome, parked.code) == (
        *("parked", "funds"),
        "ACQ.BUYER_BALANCE_NOT_ENOUGH",
    )
    await desk.work_after(90_000)
    assert channel.actions == [Action.SEND]  # nobody asked, nothing was sent
    await desk.debit()
    resumed = await desk.operation()
    assert (resumed.status, resumed.next_action, resumed.outcome, resumed.code) == (
        *("open", "send"),
        *(None, None),
    )
    await desk.work()
    assert (await desk.operation()).status == "parked"
    channel.will_say(Outcome.OK)
    await desk.debit()
    await desk.work()
    assert [(name, event.get("outcome")) for name, event in await desk.told()] == [
        ("operation_stuck", "funds"),
        ("operation_stuck", "funds"),
        ("operation_succeeded", None),
    ]
    assert {instruction.number for _, instruction in channel.calls} == {"deb_1"}
    assert channel.actions == [Action.SEND] * 3


@pytest.mark.parametrize("outcome", [Outcome.CONFLICT, Outcome.CONFIG])
async def test_what_a_person_mended_is_asked_about_first(
    desk: Desk, channel: ScriptedChannel, outcome: Outcome
) -> None:
    channel.will_say(outcome, Outcome.ABSENT, Outcome.ABSENT, Outcome.OK)
    await desk.debit()
    await desk.work()
    assert (await desk.operation()).status == "parked"
    await desk.debit()
    await desk.work()
    await desk.work_after(30)
    assert channel.actions == [Action.SEND, Action.QUERY, Action.QUERY, Action.SEND]
    assert (await desk.operation()).status == "succeeded"


async def test_a_payout_past_its_window_waits_for_a_person_and_gets_another_window(
    desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(*[Outcome.UNKNOWN] * 4)
    await desk.payout()
    await desk.work()
    await desk.work_after(25 * 3600)
    assert (await desk.operation("pay_1")).status == "parked"
    ((name, event),) = await desk.told()
    assert (name, event["outcome"]) == ("operation_stuck", "unknown")
    await desk.payout()
    await desk.work()
    assert (await desk.operation("pay_1")).status == "open"
    channel.will_say(Outcome.OK)
    await desk.work_after(120)
    assert channel.actions == [Action.SEND, *[Action.QUERY] * 3]
