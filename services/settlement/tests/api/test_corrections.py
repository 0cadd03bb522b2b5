"""Corrections over HTTP: once, by four eyes where large, and never of what a channel did."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shanmen.settlement.tables import AUDIT, MANUAL_ACTIONS, POSTINGS

if TYPE_CHECKING:
    from services.settlement.tests.conftest import ClientAs, Desk, Story

LARGE_FEN = 900_000


async def top_up(desk: "Desk", amount_fen: int, direction: str = "in") -> str:
    """What was recorded by mistake; returns its posting's key."""
    body = {
        "channel": "alipay",
        "amount_fen": amount_fen,
        "direction": direction,
        "reference": "1",
        "note": "bank transfer",
    }
    answer = await desk.ask("ann", "POST", "/v1/top-ups", json=body)
    if answer.status_code == 202:
        await desk.approve("bob", answer.json()["action_id"], amount_fen)
    return f"owner:{answer.json()['action_id']}"


async def correct(
    desk: "Desk", posting_key: str, person: str = "ann", **more: Any
) -> httpx.Response:
    body = {"posting_key": posting_key, "reason": "typed twice"}
    return await desk.ask(person, "POST", "/v1/ledger/corrections", json=body, **more)


@pytest.mark.parametrize("direction", ["in", "out"])
async def test_a_correction_undoes_a_posting_and_keeps_it(
    desk: "Desk", story: "Story", direction: str
) -> None:
    key = await top_up(desk, 5_000, direction)
    answer = await correct(desk, key)
    done = answer.json()
    assert (answer.status_code, done["status"], done["action"]) == (200, "executed", "correct")
    assert (done["subject_id"], done["amount_fen"], done["note"]) == (key, 5_000, "typed twice")
    assert await story.balances() == {}
    wrong, right = await story.rows(POSTINGS)
    assert (wrong["key"], wrong["kind"]) == (key, f"owner_{direction}")
    assert (right["key"], right["kind"]) == (f"correction:{wrong['posting_id']}", "correction")
    trail = (await story.rows(AUDIT))[-1]
    assert (trail["actor"], trail["action"]) == ("ann", "correct.executed")
    assert json.loads(trail["details"])["note"] == "typed twice"


async def test_a_posting_is_corrected_once(desk: "Desk", story: "Story") -> None:
    key = await top_up(desk, 5_000)
    answers = await asyncio.gather(*(correct(desk, key, person) for person in ("ann", "carl")))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    again = await correct(desk, key)
    assert (again.status_code, again.json()["code"]) == (409, "posting_corrected")
    assert len(await story.rows(POSTINGS)) == 2


async def test_the_same_request_again_is_the_same_correction(
    desk: "Desk", story: "Story", client_as: "ClientAs"
) -> None:
    body = {"posting_key": await top_up(desk, 5_000), "reason": "typed twice"}
    async with client_as("operator", scopes=desk.SCOPES, person="ann") as client:
        first, second = [
            await client.post(
                "/v1/ledger/corrections", json=body, headers={"Idempotency-Key": "once"}
            )
            for _ in range(2)
        ]
    assert (second.json(), second.headers["idempotency-replayed"]) == (first.json(), "true")
    assert len(await story.rows(POSTINGS)) == 2


async def test_above_the_set_amount_another_person_approves(desk: "Desk", story: "Story") -> None:
    await desk.grant("bob")
    key = await top_up(desk, LARGE_FEN)
    asked = await correct(desk, key)
    assert (asked.status_code, asked.json()["status"]) == (202, "waiting")
    assert (await story.balances())["owner"] == LARGE_FEN
    other = await correct(desk, key, "carl")
    assert (other.status_code, other.json()["code"]) == (409, "posting_corrected")
    own = await desk.approve("ann", asked.json()["action_id"], LARGE_FEN)
    assert (own.status_code, own.json()["code"]) == (403, "same_person")
    done = await desk.approve("bob", asked.json()["action_id"], LARGE_FEN)
    assert (done.status_code, done.json()["status"]) == (200, "executed"), done.text
    assert await story.balances() == {}


async def test_a_correction_that_was_refused_may_be_asked_for_again(
    desk: "Desk", story: "Story"
) -> None:
    await desk.grant("bob")
    key = await top_up(desk, LARGE_FEN)
    action_id = (await correct(desk, key)).json()["action_id"]
    path = f"/v1/manual-actions/{action_id}/reject"
    await desk.ask("bob", "POST", path, json={"note": "it is right"})
    assert (await correct(desk, key)).status_code == 202
    assert (await story.balances())["owner"] == LARGE_FEN


async def test_what_more_rests_on_is_not_corrected(desk: "Desk", story: "Story") -> None:
    await story.told(story.paid("a"), story.issued("a"), story.used("a"))
    payout_id = (await story.payout())["payout_id"]
    await story.told(story.failed(payout_id))
    (item,) = await desk.open_items()
    await desk.act("ann", item["item_id"], "settle-outside")
    key = await top_up(desk, 5_000)
    await correct(desk, key)
    before = await story.rows(POSTINGS), await story.rows(MANUAL_ACTIONS)
    kinds = {row["key"]: row["kind"] for row in before[0] if row["key"] != key}
    assert {*kinds.values()} == {"debit", "admission", "payout_outside", "correction"}
    for posting_key in kinds:
        answer = await correct(desk, posting_key)
        assert (answer.status_code, answer.json()["code"]) == (409, "not_correctable")
        assert answer.json()["correctable"] == ["owner_in", "owner_out"]
    unknown = await correct(desk, "owner:act_0")
    assert unknown.status_code == 404
    assert (await story.rows(POSTINGS), await story.rows(MANUAL_ACTIONS)) == before


async def test_who_may_correct(desk: "Desk") -> None:
    key = await top_up(desk, 5_000)
    reader = await correct(desk, key, scopes=["ledger:read"])
    nobody = await correct(desk, key, "")
    assert (reader.status_code, nobody.status_code) == (403, 403)
    assert nobody.json()["code"] == "no_person"
