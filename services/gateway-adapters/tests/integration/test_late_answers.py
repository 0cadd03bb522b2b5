"""An answer that comes after its claim ran out: certain money counts, nothing else does."""

from datetime import timedelta

import pytest

from shanmen.gateway_adapters.domain.operations import Action, Channel, Outcome
from shanmen.gateway_adapters.providers.base import Answer
from shanmen.gateway_adapters.testing import Desk, ScriptedChannel, answer
from shanmen.gateway_adapters.usecases.claiming import Claim, claim_operations
from shanmen.gateway_adapters.usecases.concluding import Answered, apply_answers


async def claimed(desk: Desk) -> Claim:
    (claim,) = await claim_operations(desk.ctx, {Channel.ALIPAY: 1})
    return claim


async def said(desk: Desk, claim: Claim, given: Outcome | Answer) -> None:
    """The answer to a claim's call arrives now."""
    item = given if isinstance(given, Answer) else answer(given)
    async with desk.ctx.db.transaction() as tx:
        await apply_answers(tx, desk.ctx, [Answered(claim, item)])


@pytest.fixture
async def overtaken(desk: Desk) -> tuple[Claim, Claim]:
    """A send whose claim ran out while it was under way, and the query that followed."""
    await desk.debit()
    send = await claimed(desk)
    desk.clock.advance(timedelta(seconds=desk.ctx.settings.attempt_lease_s))
    query = await claimed(desk)
    return send, query


async def told(desk: Desk) -> list[str]:
    return [name for name, _ in await desk.told()]


async def test_a_late_success_concludes_once(desk: Desk, overtaken: tuple[Claim, Claim]) -> None:
    send, query = overtaken
    await said(desk, send, Outcome.OK)
    concluded = await desk.operation()
    assert (concluded.status, concluded.channel_ref) == ("succeeded", "2026112222001")
    for outcome in (Outcome.OK, Outcome.ABSENT):
        await said(desk, query, outcome)
    assert await desk.operation() == concluded
    assert await told(desk) == ["operation_succeeded"]
    assert [attempt.outcome for attempt in await desk.attempts()] == ["ok", "ok"]


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.OK])
async def test_any_other_late_answer_is_written_down_and_changes_nothing(
    desk: Desk, overtaken: tuple[Claim, Claim], outcome: Outcome
) -> None:
    send, query = overtaken
    before = await desk.operation()
    await said(desk, send, outcome)
    assert await desk.operation() == before
    assert await told(desk) == []
    assert [attempt.outcome for attempt in await desk.attempts()] == [outcome, None]
    await said(desk, query, Outcome.OK)
    assert await told(desk) == ["operation_succeeded"]


async def test_a_late_refusal_does_not_fail_what_was_sent_again(
    desk: Desk, overtaken: tuple[Claim, Claim]
) -> None:
    first, query = overtaken
    await said(desk, query, Outcome.ABSENT)
    desk.clock.advance(timedelta(seconds=30))
    await said(desk, await claimed(desk), Outcome.ABSENT)
    second = await claimed(desk)
    assert second.operation.next_action == "send"
    await said(desk, first, Outcome.FINAL)
    assert (await desk.operation()).status == "open"
    await said(desk, second, Outcome.OK)
    assert (await desk.operation()).status == "succeeded"


async def test_a_late_success_counts_for_what_was_parked_meanwhile(
    desk: Desk, overtaken: tuple[Claim, Claim]
) -> None:
    send, query = overtaken
    await said(desk, query, Outcome.CONFIG)
    assert (await desk.operation()).status == "parked"
    await said(desk, send, Outcome.OK)
    concluded = await desk.operation()
    assert (concluded.status, concluded.outcome) == ("succeeded", "ok")
    assert await told(desk) == ["operation_stuck", "operation_succeeded"]


async def test_money_that_moved_after_a_failure_is_asked_about_before_it_is_told(
    desk: Desk,
    channel: ScriptedChannel,
    overtaken: tuple[Claim, Claim],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The late answer alone may be about money that has been paid back since."""
    send, query = overtaken
    await said(desk, query, Outcome.FINAL)
    await said(desk, send, Outcome.OK)
    assert (await desk.operation()).status == "failed"
    assert await told(desk) == ["operation_failed"]
    channel.will_say(Outcome.OK)
    await desk.work()
    assert channel.actions == [Action.QUERY]
    assert (await desk.operation()).status == "succeeded"
    assert await told(desk) == ["operation_failed", "operation_succeeded"]
    assert "money moved for an operation that was told as failed" in caplog.text


async def test_the_same_answer_twice_is_one_answer(desk: Desk) -> None:
    """As when a commit went through and its confirmation did not."""
    await desk.debit()
    claim = await claimed(desk)
    await said(desk, claim, answer(Outcome.FUNDS))
    await desk.debit()  # resumed in between
    resumed = await desk.operation()
    await said(desk, claim, answer(Outcome.FUNDS))
    assert await desk.operation() == resumed
    assert await told(desk) == ["operation_stuck"]


async def test_a_refusal_confirmed_by_its_absence_is_told_in_its_own_words(desk: Desk) -> None:
    await desk.payout()
    await said(desk, await claimed(desk), Outcome.UNKNOWN)
    refused = answer(Outcome.FINAL, "40004", sub_code="PAYEE_ACCOUNT_STATUS_ERROR")
    for seconds, outcome in ((10, Outcome.ABSENT), (30, Outcome.ABSENT), (0, refused)):
        desk.clock.advance(timedelta(seconds=seconds))
        await said(desk, await claimed(desk), outcome)
    for seconds in (0, 30):
        desk.clock.advance(timedelta(seconds=seconds))
        await said(desk, await claimed(desk), answer(Outcome.ABSENT, sub_code="ORDER_NOT_EXIST"))
    ((name, event),) = await desk.told()
    assert (name, event["code"]) == ("operation_failed", "PAYEE_ACCOUNT_STATUS_ERROR")


async def test_a_code_that_nobody_knows_is_asked_about_and_alarms_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.debit()
    strange = answer(Outcome.UNKNOWN, "40004", sub_code="ACQ.BRAND_NEW", listed=False)
    for _ in range(3):
        await said(desk, await claimed(desk), strange)
        desk.clock.advance(timedelta(hours=1))
    assert (await desk.operation()).next_action == "query"
    assert caplog.text.count("a code that is in none of our tables") == 1
    assert [attempt.listed for attempt in await desk.attempts()] == [False] * 3
    await said(desk, await claimed(desk), Outcome.OK)
    assert await told(desk) == ["operation_succeeded"]
