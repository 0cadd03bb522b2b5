"""Intent before the call, one number for life, and what is left when a process dies in between."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select, text

from shanmen.common.db import Database
from shanmen.common.errors import NotFound, Unavailable
from shanmen.common.testing.events import eventually
from shanmen.gateway_adapters.domain.operations import Action, Channel, OperationKind, Outcome
from shanmen.gateway_adapters.providers.base import Answer, Instruction
from shanmen.gateway_adapters.tables import ATTEMPTS, OPERATIONS
from shanmen.gateway_adapters.testing import (
    Desk,
    KnownAccounts,
    ScriptedChannel,
    always,
    answer,
    debit,
)
from shanmen.gateway_adapters.usecases.claiming import claim_operations
from shanmen.gateway_adapters.usecases.operating import call_channel

ONE_EACH = {Channel.ALIPAY: 1}


async def test_the_intent_is_committed_and_no_transaction_is_open_during_the_call(
    desk: Desk, channel: ScriptedChannel
) -> None:
    onlooker = Database(desk.ctx.db.url, pool_size=2, application_name="onlooker")
    seen = []

    async def look(_action: Action, _instruction: Instruction) -> Answer:
        async with onlooker.transaction() as tx:
            operation = (await tx.execute(select(OPERATIONS))).one()
            attempt = (await tx.execute(select(ATTEMPTS))).one()
            called_at = await tx.scalar(select(func.clock_timestamp()))
        seen.append((operation.status, operation.next_action, attempt.action, attempt.outcome))
        # The operator looks for work all the while; what began before the call must end.
        await eventually(lambda: _none_open_since_before(onlooker, called_at), within_s=2)
        return answer(Outcome.OK)

    channel.reply = look
    await desk.debit()
    await desk.work()
    await onlooker.close()
    assert seen == [("open", "query", "send", None)]
    assert (await desk.operation()).status == "succeeded"


async def _none_open_since_before(onlooker: Database, moment: datetime | None) -> bool:
    older = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name <> 'onlooker' AND xact_start < :moment"
    )
    async with onlooker.transaction() as tx:
        count: int = (await tx.execute(older, {"moment": moment})).scalar_one()
    return count == 0


async def test_an_instruction_says_what_was_requested(
    desk: Desk, channel: ScriptedChannel, accounts: KnownAccounts
) -> None:
    channel.reply = always(Outcome.OK)
    await desk.debit()
    await desk.payout()
    await desk.refund()
    await desk.work()
    sent = {instruction.number: instruction for _, instruction in channel.calls}
    payer, payee = accounts.known["acc_payer"], accounts.known["acc_receiver"]
    assert sent == {
        "deb_1": Instruction("deb_1", OperationKind.DEBIT, 10_000, payer, "门票", "ord_1"),
        "pay_1": Instruction("pay_1", OperationKind.PAYOUT, 9_000, payee, "门票结算", "spt_1"),
        "ref_1": Instruction(
            "ref_1", OperationKind.REFUND, 1_000, payer, "退款", "ord_1", "deb_1"
        ),
    }


async def test_every_send_carries_the_same_number_and_content(
    desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(Outcome.UNKNOWN, Outcome.ABSENT, Outcome.ABSENT, Outcome.THROTTLED)
    channel.will_say(Outcome.FUNDS)
    await desk.debit()
    for seconds in (0, 10, 30, 3):
        await desk.work_after(seconds)
    channel.will_say(Outcome.OK)
    await desk.debit(description="asked again in other words")
    await desk.work()
    sends = [instruction for action, instruction in channel.calls if action is Action.SEND]
    assert len(sends) == 4
    assert len(set(sends)) == 1
    assert sends[0].number == "deb_1"
    assert (await desk.operation()).status == "succeeded"


async def test_answers_are_kept_as_they_came(desk: Desk, channel: ScriptedChannel) -> None:
    said = Answer(
        Outcome.UNKNOWN, "20000", "Service Unavailable", sub_code="isp.x", raw=b"\x00{\xff"
    )
    channel.will_say(said, Outcome.OK)
    await desk.debit()
    await desk.work()
    await desk.work_after(10)
    first, second = await desk.attempts()
    assert (first.action, first.outcome, first.code, first.sub_code, first.reason, first.raw) == (
        *("send", "unknown", "20000", "isp.x", "Service Unavailable"),
        b"\x00{\xff",
    )
    assert (second.action, second.outcome, second.lease) == ("query", "ok", 2)
    assert first.started_at <= first.finished_at < second.started_at


@pytest.mark.parametrize("after_the_call", [False, True])
async def test_a_process_that_dies_leaves_a_query_behind_not_a_send(
    desk: Desk, channel: ScriptedChannel, after_the_call: bool
) -> None:
    channel.will_say(Outcome.OK)
    await desk.debit()
    (claim,) = await claim_operations(desk.ctx, ONE_EACH)
    if after_the_call:
        await call_channel(desk.ctx, claim)  # and its answer is never applied
    lease_s = desk.ctx.settings.attempt_lease_s
    desk.clock.advance(timedelta(seconds=lease_s - 1))
    assert await claim_operations(desk.ctx, ONE_EACH) == []
    desk.clock.advance(timedelta(seconds=1))
    (again,) = await claim_operations(desk.ctx, ONE_EACH)
    assert (again.operation.next_action, again.lease) == ("query", 2)


async def test_what_was_never_sent_is_sent_once_it_was_twice_not_found(
    desk: Desk, channel: ScriptedChannel
) -> None:
    await desk.debit()
    await claim_operations(desk.ctx, ONE_EACH)  # and the process dies
    channel.will_say(Outcome.ABSENT, Outcome.ABSENT, Outcome.OK)
    for seconds in (30, 30):
        await desk.work_after(seconds)
    assert channel.actions == [Action.QUERY, Action.QUERY, Action.SEND]
    assert (await desk.operation()).status == "succeeded"


async def test_a_process_that_was_asleep_does_not_send(
    desk: Desk, channel: ScriptedChannel
) -> None:
    await desk.debit()
    (claim,) = await claim_operations(desk.ctx, ONE_EACH)
    desk.clock.advance(timedelta(seconds=desk.ctx.settings.attempt_lease_s))
    said = await call_channel(desk.ctx, claim)
    assert (said.outcome, said.code) == (Outcome.THROTTLED, "claim_over")
    assert channel.calls == []


async def test_a_provider_that_fails_has_left_the_outcome_unknown(
    desk: Desk, channel: ScriptedChannel, caplog: pytest.LogCaptureFixture
) -> None:
    channel.will_say(RuntimeError("a defect of ours"), Outcome.OK)
    await desk.debit()
    async with desk.operating():
        await eventually(lambda: "without a recorded answer" in caplog.text)
    (attempt,) = await desk.attempts()
    assert (attempt.outcome, attempt.finished_at) == (None, None)
    assert (await desk.operation()).status == "open"
    await desk.work_after(desk.ctx.settings.attempt_lease_s)
    assert channel.actions == [Action.SEND, Action.QUERY]
    assert (await desk.operation()).status == "succeeded"


async def test_an_account_that_cannot_be_looked_up_is_looked_up_later(
    desk: Desk, channel: ScriptedChannel, accounts: KnownAccounts
) -> None:
    accounts.errors += [Unavailable("catalog is away")] * 2
    channel.will_say(Outcome.OK)
    await desk.debit()
    await desk.work()
    assert channel.calls == []
    (attempt,) = await desk.attempts()
    assert (attempt.outcome, attempt.code) == ("throttled", "account_unavailable")
    await desk.work_after(2)
    await desk.work_after(4)
    assert channel.actions == [Action.SEND]
    assert (await desk.operation()).status == "succeeded"


async def test_an_account_that_does_not_exist_is_for_a_person(
    desk: Desk, channel: ScriptedChannel, accounts: KnownAccounts
) -> None:
    accounts.errors.append(NotFound("account", "acc_payer"))
    await desk.debit()
    await desk.work()
    assert channel.calls == []
    ((name, event),) = await desk.told()
    assert (name, event["outcome"], event["code"]) == (
        *("operation_stuck", "config"),
        "account_unknown",
    )


async def test_a_channel_that_is_switched_off_is_for_a_person(desk: Desk) -> None:
    await desk.request(debit(account={"account_id": "acc_1", "channel": "huijinbao"}))
    await desk.work()
    ((name, event),) = await desk.told()
    assert (name, event["outcome"], event["code"]) == (
        *("operation_stuck", "config"),
        "channel_off",
    )
