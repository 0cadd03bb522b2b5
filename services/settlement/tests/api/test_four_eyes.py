"""Four eyes over HTTP: above the set amount it takes two persons, and every way around is shut."""

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shanmen.common import audit
from shanmen.common.auth import Principal
from shanmen.common.testing.principals import FakeIntrospector
from shanmen.contracts.gateway import ResumeRequested
from shanmen.contracts.terms import AccountRef
from shanmen.settlement.tables import AUDIT, MANUAL_ACTIONS

if TYPE_CHECKING:
    from services.settlement.tests.conftest import ClientAs, Desk, Story

LARGE_FEN = 900_000


class WatchfulIntrospector(FakeIntrospector):
    """Notes whether it was asked for the truth of the moment."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_fresh: list[bool] = []

    async def introspect(self, token: str, *, fresh: bool = False) -> Principal | None:
        """See shanmen.common.auth.Introspector."""
        self.asked_fresh.append(fresh)
        return await super().introspect(token, fresh=fresh)


@pytest.fixture
def tokens() -> WatchfulIntrospector:
    """Issues this module's tokens."""
    return WatchfulIntrospector()


@pytest.fixture
async def item(desk: "Desk") -> dict[str, Any]:
    """A parked payout above the threshold; `bob` may approve, by the grant of `admin`."""
    await desk.grant("bob")
    return await desk.payout_in_trouble(settle_fen=LARGE_FEN + 100)


@pytest.fixture
async def action(desk: "Desk", item: dict[str, Any]) -> dict[str, Any]:
    """What `ann` asked for: it waits."""
    answer = await desk.act("ann", item["item_id"], "remit")
    assert (answer.status_code, answer.json()["status"]) == (202, "waiting"), answer.text
    waiting: dict[str, Any] = answer.json()
    return waiting


async def require_nothing_done(story: "Story", answer: httpx.Response, code: str) -> None:
    assert (answer.status_code // 100, answer.json()["code"]) == (4, code), answer.text
    assert await story.sent(ResumeRequested) == []
    assert [row["status"] for row in await story.rows(MANUAL_ACTIONS)] == ["waiting"]


async def test_nothing_moves_before_another_person_approves(
    desk: "Desk", story: "Story", item: dict[str, Any], action: dict[str, Any]
) -> None:
    assert await story.sent(ResumeRequested) == []
    answer = await desk.approve("bob", action["action_id"], LARGE_FEN)
    done = answer.json()
    assert (answer.status_code, done["status"]) == (200, "executed"), answer.text
    assert (done["requested_by"], done["approved_by"]) == ("ann", "bob")
    assert await story.sent(ResumeRequested) == [{"operation_id": item["subject_id"]}]
    listed = await desk.ask("ann", "GET", "/v1/manual-actions", params={"status": "executed"})
    assert listed.json()["items"] == [done]


async def test_the_threshold_itself_needs_no_second_person(desk: "Desk") -> None:
    at = await desk.payout_in_trouble("a", settle_fen=500_100)
    above = await desk.payout_in_trouble("b", settle_fen=500_101)
    assert (await desk.act("ann", at["item_id"], "remit")).status_code == 200
    assert (await desk.act("ann", above["item_id"], "remit")).status_code == 202


async def test_the_same_person_with_another_token(
    desk: "Desk", story: "Story", action: dict[str, Any]
) -> None:
    await desk.grant("ann")  # she may approve, though not this
    for verb in ("approve", "reject"):
        body = {"amount_fen": LARGE_FEN} if verb == "approve" else {"note": "no"}
        path = f"/v1/manual-actions/{action['action_id']}/{verb}"
        await require_nothing_done(
            story, await desk.ask("ann", "POST", path, json=body), "same_person"
        )


async def test_a_person_who_is_no_approver(
    desk: "Desk", story: "Story", action: dict[str, Any]
) -> None:
    answer = await desk.approve("carl", action["action_id"], LARGE_FEN)
    await require_nothing_done(story, answer, "not_an_approver")


async def test_an_approver_who_lost_the_right(
    desk: "Desk", story: "Story", action: dict[str, Any]
) -> None:
    revoked = await desk.ask("admin", "DELETE", "/v1/approvers/bob")
    assert (revoked.status_code, revoked.json()["revoked_by"]) == (200, "admin")
    answer = await desk.approve("bob", action["action_id"], LARGE_FEN)
    await require_nothing_done(story, answer, "not_an_approver")


async def test_an_approver_by_the_requesters_own_grant(
    desk: "Desk", story: "Story", action: dict[str, Any]
) -> None:
    await desk.grant("carl", by="ann")
    answer = await desk.approve("carl", action["action_id"], LARGE_FEN)
    await require_nothing_done(story, answer, "not_an_approver")


async def test_nobody_becomes_an_approver_by_oneself(desk: "Desk") -> None:
    answer = await desk.ask("ann", "POST", "/v1/approvers", json={"person": "ann"})
    assert (answer.status_code, answer.json()["code"]) == (403, "same_person")
    spaced = await desk.ask("ann", "POST", "/v1/approvers", json={"person": " ann "})
    assert (spaced.status_code, spaced.json()["code"]) == (403, "same_person")


@pytest.mark.parametrize("amount_fen", [LARGE_FEN - 1, LARGE_FEN + 1, 0])
async def test_another_amount_than_was_asked_for(
    desk: "Desk", story: "Story", action: dict[str, Any], amount_fen: int
) -> None:
    answer = await desk.approve("bob", action["action_id"], amount_fen)
    await require_nothing_done(story, answer, "approval_differs")


@pytest.mark.parametrize("amount", [str(LARGE_FEN), float(LARGE_FEN), True])
async def test_an_amount_that_is_no_integer(
    desk: "Desk", story: "Story", action: dict[str, Any], amount: object
) -> None:
    path = f"/v1/manual-actions/{action['action_id']}/approve"
    answer = await desk.ask("bob", "POST", path, json={"amount_fen": amount})
    await require_nothing_done(story, answer, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == ["body.amount_fen"]


async def test_an_item_that_changed_meanwhile(
    desk: "Desk", story: "Story", item: dict[str, Any], action: dict[str, Any]
) -> None:
    """Parked when it was asked for, refused for certain when it is approved."""
    await story.told(story.failed(item["subject_id"]))
    answer = await desk.approve("bob", action["action_id"], LARGE_FEN)
    await require_nothing_done(story, answer, "action_outdated")


async def test_a_receive_account_that_changed_meanwhile(desk: "Desk", story: "Story") -> None:
    await desk.grant("bob")
    item = await desk.payout_in_trouble(outcome="refused", settle_fen=LARGE_FEN + 100)
    action = (await desk.act("ann", item["item_id"], "remit")).json()
    other = AccountRef(account_id="acc_other", channel="alipay")
    story.context.receivers.account = other  # type: ignore[attr-defined] # it is the fake one
    answer = await desk.approve("bob", action["action_id"], LARGE_FEN)
    await require_nothing_done(story, answer, "action_outdated")


async def test_a_second_action_about_the_same_item(
    desk: "Desk", story: "Story", item: dict[str, Any], action: dict[str, Any]
) -> None:
    answer = await desk.act("carl", item["item_id"], "retry")
    await require_nothing_done(story, answer, "action_waiting")


async def test_a_token_of_nobody(
    desk: "Desk", story: "Story", client_as: "ClientAs", action: dict[str, Any]
) -> None:
    async with client_as("operator", scopes=desk.SCOPES, person="") as client:
        path = f"/v1/manual-actions/{action['action_id']}/approve"
        answer = await client.post(path, json={"amount_fen": LARGE_FEN})
    await require_nothing_done(story, answer, "no_person")


async def test_approving_twice_at_the_same_moment_moves_money_once(
    desk: "Desk", story: "Story", action: dict[str, Any]
) -> None:
    await desk.grant("carl")
    answers = await asyncio.gather(
        *(
            desk.approve(person, action["action_id"], LARGE_FEN)
            for person in ("bob", "carl", "bob", "carl")
        )
    )
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200, 409, 409, 409], [answer.text for answer in answers]
    assert len(await story.sent(ResumeRequested)) == 1


async def test_an_action_is_rejected_by_another_or_withdrawn_by_oneself(
    desk: "Desk", story: "Story", item: dict[str, Any], action: dict[str, Any]
) -> None:
    path = f"/v1/manual-actions/{action['action_id']}"
    foreign = await desk.ask("bob", "POST", f"{path}/withdraw", json={"note": "no"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "forbidden")
    rejected = await desk.ask("bob", "POST", f"{path}/reject", json={"note": "no"})
    assert (rejected.json()["status"], rejected.json()["decided_by"]) == ("rejected", "bob")
    again = (await desk.act("ann", item["item_id"], "remit")).json()
    path = f"/v1/manual-actions/{again['action_id']}"
    withdrawn = await desk.ask("ann", "POST", f"{path}/withdraw", json={"note": "mistaken"})
    assert (withdrawn.json()["status"], withdrawn.json()["decided_by"]) == ("withdrawn", "ann")
    late = await desk.approve("bob", again["action_id"], LARGE_FEN)
    assert (late.status_code, late.json()["code"]) == (409, "action_decided")
    assert await story.sent(ResumeRequested) == []


async def test_large_top_ups_wait_and_are_booked_once(desk: "Desk", story: "Story") -> None:
    await desk.grant("bob")
    body = {
        "channel": "alipay",
        "amount_fen": LARGE_FEN,
        "direction": "in",
        "reference": "1",
        "note": "bank transfer",
    }
    action = (await desk.ask("ann", "POST", "/v1/top-ups", json=body)).json()
    assert (action["status"], await story.balances()) == ("waiting", {})
    again = await desk.ask("carl", "POST", "/v1/top-ups", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "reference_used")
    answers = await asyncio.gather(
        *(desk.approve("bob", action["action_id"], LARGE_FEN) for _ in range(3))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert await story.balances() == {"cash:alipay": LARGE_FEN, "owner": LARGE_FEN}


async def test_the_trail_tells_who_did_what(
    desk: "Desk", story: "Story", item: dict[str, Any], action: dict[str, Any]
) -> None:
    await desk.approve("bob", action["action_id"], LARGE_FEN)
    await desk.ask("admin", "DELETE", "/v1/approvers/bob")
    page = (await desk.ask("eve", "GET", "/v1/audit", params={"limit": 3})).json()
    head = (await desk.ask("eve", "GET", "/v1/audit/head")).json()
    told = [(row["seq"], row["actor"], row["action"]) for row in page["items"]]
    assert told == [
        (4, "admin", "approver.revoked"),
        (3, "bob", "remit.approved"),
        (2, "ann", "remit.requested"),
    ]
    details = json.loads(page["items"][1]["details"])
    assert details["amount_fen"] == LARGE_FEN
    assert details["result_operation_id"] == item["subject_id"]
    rest = await desk.ask("eve", "GET", "/v1/audit", params={"cursor": page["next_cursor"]})
    assert [row["action"] for row in rest.json()["items"]] == ["approver.granted"]
    assert head == {"seq": 4, "hash": page["items"][0]["hash"]}
    async with story.context.db.transaction() as tx:
        assert await audit.verify(tx, expected_head=audit.Head(**head)) is None


async def test_a_refusal_leaves_no_trace_in_the_trail(
    desk: "Desk", story: "Story", action: dict[str, Any]
) -> None:
    before = await story.rows(AUDIT)
    await desk.approve("carl", action["action_id"], LARGE_FEN)
    assert await story.rows(AUDIT) == before


async def test_a_grant_and_its_end_are_kept(desk: "Desk", story: "Story") -> None:
    await desk.grant("bob")
    twice = await desk.ask("admin", "POST", "/v1/approvers", json={"person": "bob"})
    assert (twice.status_code, twice.json()["code"]) == (409, "approver_already")
    await desk.ask("carl", "DELETE", "/v1/approvers/bob")
    nobody = await desk.ask("carl", "DELETE", "/v1/approvers/bob")
    assert nobody.status_code == 404
    story.context.clock.advance(timedelta(hours=1))  # type: ignore[attr-defined] # a manual one
    await desk.grant("bob")
    grants = (await desk.ask("eve", "GET", "/v1/approvers")).json()["items"]
    assert [(grant["person"], grant["revoked_by"]) for grant in grants] == [
        ("bob", None),
        ("bob", "carl"),
    ]


async def test_no_remembered_token_does_anything_about_money(
    desk: "Desk", tokens: WatchfulIntrospector
) -> None:
    await desk.act("ann", "wrk_0", "remit")
    await desk.approve("bob", "act_0", 1)
    await desk.ask("bob", "POST", "/v1/manual-actions/act_0/reject", json={"note": "no"})
    await desk.ask("admin", "POST", "/v1/approvers", json={"person": "bob"})
    await desk.ask("admin", "DELETE", "/v1/approvers/bob")
    assert tokens.asked_fresh == [True] * 5
