"""A person and the channel, or two persons, at the same moment: one winner, and paid once."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shanmen.common.broker.protocol import Fate, Verdict
from shanmen.contracts.gateway import PayoutRequested, ResumeRequested
from shanmen.settlement.tables import MANUAL_ACTIONS, POSTINGS

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Desk, Story

ROUNDS = [f"r{number}" for number in range(6)]
LARGE_FEN = 900_000


async def postings(story: "Story", kind: str) -> int:
    return len([row for row in await story.rows(POSTINGS) if row["kind"] == kind])


def fates(verdicts: Sequence[Verdict]) -> list[Fate]:
    return [verdict.fate for verdict in verdicts]


async def test_a_retry_by_hand_and_the_channels_success(desk: "Desk", story: "Story") -> None:
    answered: Counter[int] = Counter()
    for name in ROUNDS:
        item = await desk.payout_in_trouble(name)
        answer, verdicts = await asyncio.gather(
            desk.act("ann", item["item_id"], "retry"),
            story.tell(story.succeeded(item["subject_id"])),
        )
        answered[answer.status_code] += 1
        assert fates(verdicts) == [Fate.DONE]
        assert (await story.entitlement(name))["status"] == "settled"
    assert {*answered} <= {200, 409}
    assert await desk.open_items() == []
    assert await postings(story, "payout") == len(ROUNDS)
    assert len(await story.sent(ResumeRequested)) == answered[200]
    assert len(await story.rows(MANUAL_ACTIONS)) == answered[200]
    assert "payable:spt_1" not in await story.balances()


async def test_two_persons_remit_what_was_refused(desk: "Desk", story: "Story") -> None:
    for name in ROUNDS:
        item = await desk.payout_in_trouble(name, outcome="refused")
        answers = await asyncio.gather(
            *(desk.act(person, item["item_id"], "remit") for person in ("ann", "bob", "carl"))
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert len(await story.sent(PayoutRequested)) == 2 * len(ROUNDS)
    assert len(await story.rows(MANUAL_ACTIONS)) == len(ROUNDS)
    assert await desk.open_items() == []


async def test_one_remits_while_another_declares_it_paid(desk: "Desk", story: "Story") -> None:
    won: Counter[str] = Counter()
    for name in ROUNDS:
        item = await desk.payout_in_trouble(name, outcome="refused")
        answers = await asyncio.gather(
            desk.act("ann", item["item_id"], "remit"),
            desk.act("bob", item["item_id"], "settle-outside"),
        )
        (winner,) = [answer.json() for answer in answers if answer.status_code == 200]
        won[winner["action"]] += 1
        if winner["action"] == "remit":
            await story.told(story.succeeded(winner["result_operation_id"]))
        assert (await story.entitlement(name))["status"] == "settled"
    assert await postings(story, "payout") == won["remit"]
    assert await postings(story, "payout_outside") == won["settle_outside"]
    assert "payable:spt_1" not in await story.balances()


@pytest.mark.parametrize("news", ["success", "refusal"])
async def test_an_approval_and_the_channels_answer(
    desk: "Desk", story: "Story", news: str
) -> None:
    await desk.grant("bob")
    answered: Counter[int] = Counter()
    for name in ROUNDS:
        item = await desk.payout_in_trouble(name, settle_fen=LARGE_FEN + 100)
        action = (await desk.act("ann", item["item_id"], "remit")).json()
        payout_id = item["subject_id"]
        event: Any = (
            story.succeeded(payout_id, amount_fen=LARGE_FEN)
            if news == "success"
            else story.failed(payout_id)
        )
        answer, verdicts = await asyncio.gather(
            desk.approve("bob", action["action_id"], LARGE_FEN), story.tell(event)
        )
        answered[answer.status_code] += 1
        assert fates(verdicts) == [Fate.DONE], verdicts
    assert {*answered} <= {200, 409}
    assert len(await story.sent(ResumeRequested)) == answered[200]
    assert len(await story.sent(PayoutRequested)) == len(ROUNDS)
    executed = [r for r in await story.rows(MANUAL_ACTIONS) if r["status"] == "executed"]
    assert len(executed) == answered[200]
    assert await postings(story, "payout") == (len(ROUNDS) if news == "success" else 0)
    assert len(await desk.open_items()) == (0 if news == "success" else len(ROUNDS))


async def test_a_new_action_and_the_end_of_its_item(desk: "Desk", story: "Story") -> None:
    """No action waits about an item that has closed."""
    for name in ROUNDS:
        item = await desk.payout_in_trouble(name, settle_fen=LARGE_FEN + 100)
        answer: httpx.Response
        answer, verdicts = await asyncio.gather(
            desk.act("ann", item["item_id"], "remit"),
            story.tell(story.succeeded(item["subject_id"], amount_fen=LARGE_FEN)),
        )
        assert answer.status_code in {202, 409}, answer.text
        assert fates(verdicts) == [Fate.DONE]
    assert {row["status"] for row in await story.rows(MANUAL_ACTIONS)} <= {"lapsed"}
    assert await desk.open_items() == []
