"""What comes onto the work list, what leaves it, and what operators are told of it."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from shanmen.contracts.gateway import SmsRequested
from shanmen.settlement.domain.work import Stuck, WorkFamily, WorkKind
from shanmen.settlement.tables import MANUAL_ACTIONS, SHORTAGES, WORK_ITEMS
from shanmen.settlement.usecases.work import (
    end_shortage,
    put_on_work_list,
    take_off_work_list,
)

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Desk, Story

NOON = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)


def stuck(kind: WorkKind, subject_id: str = "pay_1", **given: Any) -> Stuck:
    values: dict[str, Any] = {
        "family": kind.family,
        "kind": kind,
        "subject_id": subject_id,
        "operation_id": subject_id,
        "reason": "余额不足",
        "code": "PAYER_BALANCE_NOT_ENOUGH",
        "since": NOON,
        "amount_fen": 8_900,
        "channel": "alipay",
        "account_id": "acc_receiver",
        **given,
    }
    return Stuck(**values)


async def put(story: "Story", *all_stuck: Stuck) -> None:
    for one in all_stuck:
        async with story.context.db.transaction() as tx:
            await put_on_work_list(tx, story.context, one)


async def messages(story: "Story") -> list[tuple[str, str]]:
    """Template and subject of what operators were told."""
    sent = await story.sent(SmsRequested)
    return [(sms["template"], sms["params"]["subject"]) for sms in sent]


async def test_an_item_says_everything_a_person_needs(story: "Story") -> None:
    await put(story, stuck(WorkKind.PAYOUT_SHORT, spot_id="spt_1"))
    (item,) = await story.rows(WORK_ITEMS)
    told = {name: item[name] for name in ("family", "kind", "reason", "since", "amount_fen")}
    assert told == {
        "family": "payout",
        "kind": "payout_short",
        "reason": "余额不足",
        "since": NOON,
        "amount_fen": 8_900,
    }
    assert await story.sent(SmsRequested) == [
        {
            "sms_id": f"sms_{(await story.rows(SHORTAGES))[0]['shortage_id']}",
            "recipient": "operations",
            "template": "payout_short",
            "params": {
                "amount_yuan": "89.00",
                "subject": "pay_1",
                "channel": "alipay",
                "reason": "余额不足",
            },
        }
    ]


async def test_a_thing_has_one_open_item_which_follows_it(story: "Story") -> None:
    await put(
        story,
        stuck(WorkKind.PAYOUT_SHORT),
        stuck(WorkKind.PAYOUT_STUCK, reason="unclear"),
        stuck(WorkKind.PAYOUT_REFUSED, reason="no such payee"),
        stuck(WorkKind.REFUND_SHORT, "pay_1"),  # another family: another thing
    )
    items = await story.rows(WORK_ITEMS)
    assert [(i["kind"], i["reason"], i["version"]) for i in items] == [
        ("payout_refused", "no such payee", 3),
        ("refund_short", "余额不足", 1),
    ]


async def test_what_ended_leaves_the_list_and_may_come_back_as_a_new_item(story: "Story") -> None:
    for _ in range(2):
        await put(story, stuck(WorkKind.PAYOUT_STUCK))
        for _ in range(2):  # a repeat changes nothing
            async with story.context.db.transaction() as tx:
                await take_off_work_list(tx, story.context, WorkFamily.PAYOUT, "pay_1", how="paid")
    items = await story.rows(WORK_ITEMS)
    assert [(i["status"], i["resolution"], i["resolved_by"]) for i in items] == [
        ("resolved", "paid", None)
    ] * 2


async def test_operators_hear_of_a_shortage_once_until_money_moves_again(story: "Story") -> None:
    short = [stuck(WorkKind.PAYOUT_SHORT, f"pay_{number}") for number in range(5)]
    await put(story, *short, stuck(WorkKind.REFUND_SHORT, "ref_1"))
    assert await messages(story) == [("payout_short", "pay_0")]
    async with story.context.db.transaction() as tx:
        await end_shortage(tx, story.context, "huijinbao")
    await put(story, short[1], stuck(WorkKind.PAYOUT_SHORT, "pay_h", channel="huijinbao"))
    assert (await messages(story))[1:] == [("payout_short", "pay_h")]
    async with story.context.db.transaction() as tx:
        await end_shortage(tx, story.context, "alipay")
    await put(story, *short)
    assert (await messages(story))[2:] == [("payout_short", "pay_0")]


async def test_shortages_at_the_same_moment_are_told_once(story: "Story") -> None:
    await asyncio.gather(
        *(put(story, stuck(WorkKind.PAYOUT_SHORT, f"pay_{number}")) for number in range(6))
    )
    assert len(await story.rows(WORK_ITEMS)) == 6
    assert len(await messages(story)) == 1


async def test_anything_else_is_told_once_per_item_and_kind(story: "Story") -> None:
    await put(
        story,
        stuck(WorkKind.REFUND_STUCK, "ref_1"),
        stuck(WorkKind.REFUND_STUCK, "ref_1", reason="still unclear"),
        stuck(WorkKind.REFUND_REFUSED, "ref_1"),
        stuck(WorkKind.DEBIT_STUCK, "ord_1"),
        stuck(WorkKind.DEBIT_SHORT, "ord_2"),  # orders tells the distributor
    )
    assert await messages(story) == [
        ("refund_stuck", "ref_1"),
        ("refund_refused", "ref_1"),
        ("debit_stuck", "ord_1"),
    ]
    sms_ids = [sms["sms_id"] for sms in await story.sent(SmsRequested)]
    assert len({*sms_ids}) == 3


async def test_a_payout_that_goes_through_after_all_clears_item_and_shortage(
    desk: "Desk", story: "Story"
) -> None:
    item = await desk.payout_in_trouble()
    assert (item["kind"], item["amount_fen"], item["allowed"]) == (
        "payout_short",
        8_900,
        ["retry", "remit", "resolve"],
    )
    await story.told(story.succeeded(item["subject_id"]))
    assert await desk.open_items() == []
    assert all(shortage["ended_at"] for shortage in await story.rows(SHORTAGES))


async def test_an_action_that_waits_lapses_when_its_item_closes_by_itself(
    desk: "Desk", story: "Story"
) -> None:
    item = await desk.payout_in_trouble(settle_fen=900_100)
    answer = await desk.act("ann", item["item_id"], "remit")
    assert answer.status_code == 202, answer.text
    await story.told(story.succeeded(item["subject_id"], amount_fen=900_000))
    (action,) = await story.rows(MANUAL_ACTIONS)
    assert (action["status"], action["decided_by"]) == ("lapsed", None)
    await desk.grant("bob")
    late = await desk.approve("bob", action["action_id"], 900_000)
    assert (late.status_code, late.json()["code"]) == (409, "action_decided")


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        ("funds", "payout_short"),
        ("unknown", "payout_stuck"),
        ("config", "payout_stuck"),
        ("refused", "payout_refused"),
    ],
)
async def test_each_outcome_has_its_kind(desk: "Desk", outcome: str, kind: str) -> None:
    assert (await desk.payout_in_trouble(outcome=outcome))["kind"] == kind
