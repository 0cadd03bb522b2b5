"""A success is booked when the channel says that the money moved, not when we learn of it."""

from datetime import datetime, timedelta

import pytest

from shanmen.common.events import Event
from shanmen.gateway_adapters.domain.operations import Outcome
from shanmen.gateway_adapters.testing import (
    Desk,
    ScriptedChannel,
    answer,
    debit,
    payout,
    refund,
)

DAY = timedelta(days=1)
DAY_S = DAY.total_seconds()


async def told_moments(desk: Desk) -> list[tuple[str, datetime]]:
    """What was told, and the moment that each event names."""
    return [(name, datetime.fromisoformat(e["finished_at"])) for name, e in await desk.told()]


@pytest.mark.parametrize(
    ("number", "event"), [("deb_1", debit()), ("pay_1", payout()), ("ref_1", refund())]
)
async def test_a_success_that_is_learned_a_day_later_is_of_the_day_before(
    desk: Desk, channel: ScriptedChannel, number: str, event: Event
) -> None:
    channel.will_say(Outcome.UNKNOWN)
    await desk.request(event)
    await desk.work()
    moved_at = desk.clock.now()
    channel.will_say(answer(Outcome.OK, moved_at=moved_at))
    await desk.work_after(DAY_S)
    row = await desk.operation(number)
    assert (row.status, row.finished_at) == ("succeeded", moved_at)
    *_, learned = await desk.attempts(number)
    assert learned.finished_at >= moved_at + DAY
    await desk.request(event)
    assert await told_moments(desk) == [("operation_succeeded", moved_at)] * 2


@pytest.mark.parametrize("ahead", [timedelta(microseconds=-1), -400 * DAY])
async def test_no_money_moved_before_it_was_asked_for(
    desk: Desk, channel: ScriptedChannel, ahead: timedelta
) -> None:
    await desk.debit()
    requested_at = (await desk.operation()).requested_at
    channel.will_say(answer(Outcome.OK, moved_at=requested_at + ahead))
    await desk.work_after(60)
    assert (await desk.operation()).finished_at == requested_at
    await desk.debit()
    assert await told_moments(desk) == [("operation_succeeded", requested_at)] * 2


@pytest.mark.parametrize("ahead", [None, timedelta(minutes=5), 400 * DAY])
async def test_a_time_to_come_or_none_is_the_moment_when_it_was_learned(
    desk: Desk, channel: ScriptedChannel, ahead: timedelta | None
) -> None:
    await desk.debit()
    moved_at = None if ahead is None else desk.clock.now() + timedelta(seconds=60) + ahead
    channel.will_say(answer(Outcome.OK, moved_at=moved_at))
    await desk.work_after(60)
    (learned,) = await desk.attempts()
    finished_at = (await desk.operation()).finished_at
    assert learned.finished_at <= finished_at <= desk.clock.now()
    await desk.debit()
    assert await told_moments(desk) == [("operation_succeeded", finished_at)] * 2


@pytest.mark.parametrize("outcome", [Outcome.FINAL, Outcome.FUNDS, Outcome.CONFLICT])
async def test_what_moved_nothing_keeps_our_own_time(
    desk: Desk, channel: ScriptedChannel, outcome: Outcome
) -> None:
    await desk.debit()
    channel.will_say(answer(outcome, moved_at=desk.clock.now()))
    await desk.work_after(DAY_S)
    (learned,) = await desk.attempts()
    assert (await desk.operation()).finished_at >= learned.finished_at


@pytest.mark.parametrize(
    ("ahead", "booked"),
    [(-DAY, "requested"), (timedelta(seconds=1), "moved"), (3 * DAY, "learned")],
)
async def test_the_late_truth_about_a_failed_debit_is_of_the_day_when_its_money_moved(
    desk: Desk, channel: ScriptedChannel, ahead: timedelta, booked: str
) -> None:
    """A request of ours that was held up on its way has arrived after its cancellation."""
    channel.will_say(Outcome.UNKNOWN, Outcome.ABSENT, Outcome.OK)
    await desk.debit()
    await desk.work()
    await desk.cancel()
    await desk.work_after(10)
    failed = await desk.operation()
    moved_at = failed.finished_at + ahead
    channel.will_say(answer(Outcome.OK, moved_at=moved_at))
    await desk.work_after(DAY_S)
    row, learned = await desk.operation(), (await desk.attempts())[-1]
    assert (failed.status, row.status) == ("failed", "succeeded")
    if booked == "learned":
        assert learned.finished_at <= row.finished_at <= desk.clock.now()
    else:
        assert row.finished_at == {"requested": row.requested_at, "moved": moved_at}[booked]
    await desk.debit()
    assert await told_moments(desk) == [
        ("operation_failed", failed.finished_at),
        *[("operation_succeeded", row.finished_at)] * 2,
    ]
