"""Debits that are given up: never sent again, and told as failed only once that is certain."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from shanmen.common.broker.protocol import Fate
from shanmen.gateway_adapters.domain.operations import Action, Channel, Outcome
from shanmen.gateway_adapters.tables import OPERATIONS
from shanmen.gateway_adapters.testing import Desk, ScriptedChannel, answer
from shanmen.gateway_adapters.usecases.claiming import Claim, claim_operations
from shanmen.gateway_adapters.usecases.concluding import Answered, apply_answers

SEND, QUERY, CANCEL = Action.SEND, Action.QUERY, Action.CANCEL


async def claimed(desk: Desk) -> Claim:
    (claim,) = await claim_operations(desk.ctx, {Channel.ALIPAY: 1})
    return claim


async def said(desk: Desk, claim: Claim, outcome: Outcome) -> None:
    async with desk.ctx.db.transaction() as tx:
        await apply_answers(tx, desk.ctx, [Answered(claim, answer(outcome))])


async def endings(desk: Desk) -> list[tuple[str, str | None, str | None]]:
    """What was told: name, code and reason of each event."""
    return [(name, e.get("code"), e.get("reason")) for name, e in await desk.told()]


async def test_what_was_never_sent_is_never_sent(desk: Desk, channel: ScriptedChannel) -> None:
    await desk.debit()
    await desk.cancel()
    await desk.work()
    assert channel.calls == []
    assert await endings(desk) == [("operation_failed", "cancelled", "never sent")]
    await desk.cancel()
    await desk.debit()
    await desk.work()
    assert channel.calls == []
    assert await endings(desk) == [("operation_failed", "cancelled", "never sent")] * 3


async def test_one_that_waits_for_money_is_cancelled(desk: Desk, channel: ScriptedChannel) -> None:
    channel.will_say(Outcome.FUNDS, Outcome.ABSENT)
    await desk.debit()
    await desk.work()
    await desk.cancel()
    abandoned = await desk.operation()
    assert (abandoned.status, abandoned.next_action) == ("open", "cancel")
    assert abandoned.abandoned_at is not None
    await desk.work()
    assert channel.actions == [SEND, CANCEL]
    assert (await endings(desk))[1:] == [
        ("operation_failed", "cancelled", "never received by the channel")
    ]


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        ([Outcome.OK], "succeeded", None),
        ([Outcome.FINAL], "failed", "closed at the channel: said final"),
        ([Outcome.PENDING, Outcome.OK], "failed", "said ok"),
        ([Outcome.ABSENT, Outcome.OK], "failed", "said ok"),
    ],
)
async def test_one_in_doubt_is_asked_about_at_once(
    desk: Desk,
    channel: ScriptedChannel,
    script: list[Outcome],
    status: str,
    reason: str | None,
) -> None:
    channel.will_say(Outcome.UNKNOWN, *script)
    await desk.debit()
    await desk.work()
    await desk.cancel()
    await desk.work()
    assert channel.actions == [SEND, QUERY, CANCEL][: 1 + len(script)]
    assert (await desk.operation()).status == status
    ((_, code, told),) = await endings(desk)
    assert (code, told) == (None if reason is None else "cancelled", reason)


async def test_a_number_that_was_never_received_is_believed_after_a_grace(
    desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(Outcome.UNKNOWN, *[Outcome.ABSENT] * 3)
    await desk.debit()
    await desk.work()
    await desk.cancel()
    await desk.work()
    assert channel.actions == [SEND, QUERY, CANCEL]
    assert (await desk.operation()).status == "open"
    await desk.work_after(30)
    assert channel.actions == [SEND, QUERY, CANCEL, QUERY]
    assert await endings(desk) == [
        ("operation_failed", "cancelled", "never received by the channel")
    ]


@pytest.mark.parametrize("outcome", [Outcome.THROTTLED, Outcome.FUNDS, Outcome.UNKNOWN])
async def test_an_answer_to_the_call_in_flight_never_leads_to_another_send(
    desk: Desk, outcome: Outcome
) -> None:
    await desk.debit()
    send = await claimed(desk)
    await desk.cancel()
    assert (await desk.operation()).next_action == "query"  # if nothing is heard of the call
    await desk.debit()
    await said(desk, send, outcome)
    row = await desk.operation()
    expected = "query" if outcome is Outcome.UNKNOWN else "cancel"
    assert (row.status, row.next_action) == ("open", expected)


async def test_money_that_a_later_cancellation_may_have_undone_is_no_success(
    desk: Desk, channel: ScriptedChannel
) -> None:
    """The answer to the send was held up until after a cancellation had begun."""
    await desk.debit()
    send = await claimed(desk)
    await desk.cancel()
    desk.clock.advance(timedelta(seconds=desk.ctx.settings.attempt_lease_s))
    await said(desk, await claimed(desk), Outcome.UNKNOWN)
    cancel = await claimed(desk)
    assert cancel.action is CANCEL
    await said(desk, send, Outcome.OK)
    assert (await desk.operation()).status == "open"
    assert await desk.told() == []
    await said(desk, cancel, Outcome.OK)
    assert await endings(desk) == [("operation_failed", "cancelled", "said ok")]


async def test_one_in_conflict_stays_with_its_person(desk: Desk, channel: ScriptedChannel) -> None:
    channel.will_say(Outcome.CONFLICT, Outcome.ABSENT, Outcome.OK)
    await desk.debit()
    await desk.work()
    await desk.cancel()
    await desk.work()
    assert channel.actions == [SEND]
    assert (await desk.operation()).status == "parked"
    await desk.resume()
    await desk.work()
    assert channel.actions == [SEND, QUERY, CANCEL]
    assert (await desk.operation()).code == "cancelled"


async def test_a_cancellation_before_its_debit_waits_for_it(desk: Desk) -> None:
    assert (await desk.cancel()).fate is Fate.RETRY
    assert (await desk.resume()).fate is Fate.RETRY
    await desk.payout()
    assert (await desk.cancel("pay_1")).fate is Fate.DEAD


@pytest.mark.parametrize(
    ("first", "step"), [(Outcome.FUNDS, "send"), (Outcome.CONFIG, "query"), (Outcome.OK, None)]
)
async def test_a_person_lets_a_parked_one_go_on(
    desk: Desk, channel: ScriptedChannel, first: Outcome, step: str | None
) -> None:
    channel.will_say(first)
    await desk.payout()
    await desk.work()
    told = await desk.told()
    await desk.resume("pay_1")
    row = await desk.operation("pay_1")
    if step is None:
        assert await desk.told() == [*told, *told]
    else:
        assert (row.status, row.next_action) == ("open", step)
        assert await desk.told() == told


@pytest.mark.parametrize(
    "changes", [{"next_action": "send"}, {"kind": "payout"}], ids=lambda given: next(iter(given))
)
async def test_the_database_itself_refuses_to_send_what_was_given_up(
    desk: Desk, channel: ScriptedChannel, changes: dict[str, Any]
) -> None:
    channel.will_say(Outcome.UNKNOWN)
    await desk.debit()
    await desk.work()
    await desk.cancel()
    with pytest.raises(IntegrityError, match="abandoned_is_never_sent"):
        async with desk.ctx.db.transaction() as tx:
            await tx.execute(update(OPERATIONS).values(changes))


async def test_what_ended_by_a_cancellation_is_asked_about_for_a_day(
    desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(Outcome.FUNDS, Outcome.ABSENT)
    await desk.debit()
    await desk.work()
    await desk.cancel()
    await desk.work()
    told = await desk.told()
    for seconds in (60, 540, 3_000, 18_000, 64_800):
        channel.will_say(Outcome.ABSENT)
        await desk.work_after(seconds)
    assert channel.actions == [SEND, CANCEL, *[QUERY] * 5]
    assert (await desk.operation()).recheck_at is None
    await desk.work_after(90_000)
    assert len(channel.calls) == 7
    assert await desk.told() == told


async def test_a_late_truth_is_told(desk: Desk, channel: ScriptedChannel) -> None:
    channel.will_say(Outcome.FUNDS, Outcome.ABSENT, Outcome.UNKNOWN, Outcome.OK)
    await desk.debit()
    await desk.work()
    await desk.cancel()
    await desk.work()
    await desk.work_after(60)
    assert (await desk.operation()).status == "failed"
    await desk.work_after(540)
    row = await desk.operation()
    assert (row.status, row.recheck_at, row.channel_ref) == ("succeeded", None, "2026112222001")
    assert [name for name, _ in await desk.told()] == [
        *("operation_stuck", "operation_failed", "operation_succeeded")
    ]


async def test_a_refusal_is_not_asked_about_again(desk: Desk, channel: ScriptedChannel) -> None:
    channel.will_say(Outcome.FINAL)
    await desk.debit()
    await desk.work()
    assert (await desk.operation()).recheck_at is None
