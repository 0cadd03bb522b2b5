"""The door for channels: what is said to a notification, and what it can and cannot change."""

from datetime import timedelta

import httpx
import pytest

from shanmen.common.testing.principals import FakeIntrospector
from shanmen.gateway_adapters.domain.operations import Action, Channel, Outcome
from shanmen.gateway_adapters.tables import NOTIFICATIONS
from shanmen.gateway_adapters.testing import Desk, ScriptedChannel
from shanmen.gateway_adapters.usecases.claiming import claim_operations
from shanmen.gateway_adapters.usecases.notifying import forget_disbelieved

SUCCESS = "ntf_1 deb_1 TRADE_SUCCESS 10000"


async def notify(client: httpx.AsyncClient, body: str) -> httpx.Response:
    return await client.post("/notify/alipay", content=body)


async def test_a_believed_one_is_acknowledged_in_the_channels_words(
    client: httpx.AsyncClient, desk: Desk
) -> None:
    await desk.debit()
    answered = await notify(client, SUCCESS)
    assert (answered.status_code, answered.content) == (200, b"success")
    assert answered.headers["content-type"].startswith("text/plain")


async def test_it_brings_a_planned_query_forward(
    client: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(Outcome.UNKNOWN, Outcome.OK)
    await desk.debit()
    await desk.work()
    await notify(client, SUCCESS)
    await desk.work()
    assert channel.actions == [Action.SEND, Action.QUERY]
    assert (await desk.operation()).status == "succeeded"


async def test_it_is_no_proof_by_itself(
    client: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(Outcome.UNKNOWN, Outcome.PENDING)
    await desk.debit()
    await desk.work()
    await notify(client, SUCCESS)
    await desk.work()
    assert (await desk.operation()).status == "open"
    assert await desk.told() == []


async def test_a_copy_hastens_nothing_more(
    client: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(Outcome.UNKNOWN, Outcome.PENDING)
    await desk.debit()
    await desk.work()
    for _ in range(8):
        assert (await notify(client, SUCCESS)).content == b"success"
        await desk.work()
    assert channel.actions == [Action.SEND, Action.QUERY]
    assert len(await desk.rows(NOTIFICATIONS)) == 1


async def test_it_does_not_overtake_a_call_under_way(
    client: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    await desk.debit()
    assert len(await claim_operations(desk.ctx, {Channel.ALIPAY: 1})) == 1
    await notify(client, SUCCESS)
    assert await claim_operations(desk.ctx, {Channel.ALIPAY: 1}) == []
    channel.will_say(Outcome.OK)
    await desk.work_after(desk.ctx.settings.attempt_lease_s)
    assert channel.actions == [Action.QUERY]


async def test_it_never_hastens_a_send(
    client: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(Outcome.THROTTLED)
    await desk.debit()
    await desk.work()
    before = await desk.operation()
    assert before.next_action == "send"
    await notify(client, SUCCESS)
    assert await desk.operation() == before


@pytest.mark.parametrize(
    "late", [o for o in Outcome if o not in {Outcome.OK, Outcome.UNKNOWN, Outcome.PENDING}]
)
async def test_what_has_failed_is_asked_about_and_stays_failed_but_for_a_success(
    client: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel, late: Outcome
) -> None:
    channel.will_say(Outcome.FINAL, late, Outcome.OK)
    await desk.debit()
    await desk.work()
    told = await desk.told()
    await notify(client, SUCCESS)
    await desk.work()
    assert (await desk.operation()).status == "failed"
    assert await desk.told() == told
    await notify(client, SUCCESS.replace("ntf_1", "ntf_2"))
    await desk.work()
    assert channel.actions == [Action.SEND, Action.QUERY, Action.QUERY]
    assert (await desk.operation()).status == "succeeded"
    assert [name for name, _ in await desk.told()] == ["operation_failed", "operation_succeeded"]


async def test_what_has_succeeded_stays_so(
    client: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(Outcome.OK)
    await desk.debit()
    await desk.work()
    before, told = await desk.operation(), await desk.told()
    assert (await notify(client, "ntf_1 deb_1 TRADE_CLOSED 10000")).content == b"success"
    await desk.work()
    assert (await desk.operation(), await desk.told()) == (before, told)
    assert len(channel.calls) == 1


async def test_what_waits_for_a_person_is_looked_at_again(
    client: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(Outcome.CONFLICT, Outcome.OK)
    await desk.debit()
    await desk.work()
    await notify(client, SUCCESS)
    await desk.work()
    assert channel.actions == [Action.SEND, Action.QUERY]
    assert [name for name, _ in await desk.told()] == ["operation_stuck", "operation_succeeded"]


async def test_what_waits_for_money_goes_on_waiting(
    client: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(Outcome.FUNDS)
    await desk.debit()
    await desk.work()
    before = await desk.operation()
    await notify(client, SUCCESS)
    await desk.work()
    assert await desk.operation() == before


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("anything", (False, "bad_signature", None)),
        ("", (False, "bad_signature", None)),
        ("ntf_1 deb_2 TRADE_SUCCESS 10000", (False, "unknown_number", "deb_2")),
        ("ntf_1 deb_1 TRADE_SUCCESS 10001", (False, "other_amount", "deb_1")),
        ("ntf_1 slow_1 TRADE_SUCCESS 10000", (False, "unknown_number", "slow_1")),
    ],
)
async def test_what_is_not_believed_is_refused_kept_and_shown(
    operator: httpx.AsyncClient,
    desk: Desk,
    channel: ScriptedChannel,
    body: str,
    kept: tuple[bool, str, str | None],
) -> None:
    channel.will_say(Outcome.UNKNOWN)
    await desk.debit()
    await desk.work()
    await desk.debit("slow_1", account={"account_id": "acc_1", "channel": "huijinbao"})
    before = [await desk.operation(number) for number in ("deb_1", "slow_1")]
    answered = await notify(operator, body)
    assert (answered.status_code, answered.json()["code"]) == (400, "notification_rejected")
    assert [await desk.operation(number) for number in ("deb_1", "slow_1")] == before
    (alert,) = (await operator.get("/v1/notifications?believed=false")).json()
    assert (alert["believed"], alert["verdict"], alert["number"]) == kept
    assert (await operator.get("/v1/notifications?believed=true")).json() == []
    # An honest one under the same id is still taken afterwards.
    assert (await notify(operator, SUCCESS)).content == b"success"
    assert (await desk.operation()).next_at < before[0].next_at


async def test_there_is_no_door_for_other_channels(
    client: httpx.AsyncClient, tokens: FakeIntrospector
) -> None:
    assert (await client.post("/notify/wechat", content=b"x")).status_code == 422
    assert (await client.post("/notify/huijinbao", content=b"x")).status_code == 404
    too_long = await client.post("/notify/alipay", content=b"x" * 300_000)
    assert too_long.status_code == 413


async def test_what_is_not_believed_is_forgotten_when_it_is_old_or_too_much(
    client: httpx.AsyncClient, desk: Desk
) -> None:
    """Anybody may post; nobody may fill the database by it."""
    await desk.debit()
    await notify(client, SUCCESS)
    keep = desk.ctx.settings.disbelieved_rows
    desk.ctx.settings.disbelieved_rows = 3
    for number in range(5):
        await notify(client, f"ntf_1 deb_{number}0 TRADE_SUCCESS 10000")
    await forget_disbelieved(desk.ctx)
    kept = [row.number for row in await desk.rows(NOTIFICATIONS)]
    assert kept == ["deb_1", "deb_20", "deb_30", "deb_40"]
    desk.ctx.settings.disbelieved_rows = keep
    desk.clock.advance(timedelta(days=desk.ctx.settings.disbelieved_days))
    await forget_disbelieved(desk.ctx)
    assert [row.number for row in await desk.rows(NOTIFICATIONS)] == ["deb_1"]
