"""The work list over HTTP: what operators see, and what becomes of what they do."""

from typing import TYPE_CHECKING, Any

import pytest

from shanmen.contracts.gateway import PayoutRequested, ResumeRequested
from shanmen.contracts.orders import DebitParked
from shanmen.contracts.terms import AccountRef
from shanmen.settlement.tables import MANUAL_ACTIONS, PAYOUTS, REFUNDS

if TYPE_CHECKING:
    from services.settlement.tests.conftest import ClientAs, Desk, Story


def parked_debit(story: "Story", outcome: str = "unknown") -> DebitParked:
    return DebitParked(
        order_no="ord_d",
        distributor_id="dst_1",
        operation_id="deb_d",
        channel="alipay",
        amount_fen=10_060,
        outcome=outcome,
        reason="系统繁忙",
        since=story.context.clock.now(),
    )


async def test_an_item_tells_reason_amount_and_next_step(desk: "Desk") -> None:
    item = await desk.payout_in_trouble(outcome="refused")
    answer = await desk.ask("ann", "GET", f"/v1/work-items/{item['item_id']}")
    detail = answer.json()
    assert detail == {**item, "actions": []}
    assert (detail["reason"], detail["code"]) == ("payee unknown", "PAYEE_NOT_EXIST")
    assert (detail["account_id"], detail["spot_id"]) == ("acc_receiver", "spt_1")
    assert "remit" in detail["next_step"]
    assert "人工汇款" in detail["next_step_zh"]
    assert detail["allowed"] == ["remit", "settle_outside", "resolve"]


async def test_filters_order_and_summary(desk: "Desk", story: "Story") -> None:
    short = await desk.payout_in_trouble("a")
    refused = await desk.payout_in_trouble("b", outcome="refused", settle_fen=20_000)
    again = await desk.payout_in_trouble("c")
    await story.told(story.succeeded(again["subject_id"]))

    async def ids(**params: str) -> list[str]:
        answer = await desk.ask("ann", "GET", "/v1/work-items", params=params)
        assert answer.status_code == 200, answer.text
        return [item["subject_id"] for item in answer.json()["items"]]

    first, second = short["subject_id"], refused["subject_id"]
    assert await ids() == [second, first]
    assert await ids(oldest_first="true") == [first, second]
    assert await ids(kind="payout_refused") == [second]
    assert await ids(amount_from_fen="19900") == [second]
    assert await ids(spot_id="spt_1") == [second, first]
    assert await ids(spot_id="spt_2") == []
    assert await ids(channel="huijinbao") == []
    assert await ids(status="resolved") == [again["subject_id"]]
    summary = (await desk.ask("ann", "GET", "/v1/work-items/summary")).json()
    assert (summary["items"], summary["amount_fen"]) == (2, 8_900 + 19_900)
    assert [(k["kind"], k["items"], k["amount_fen"]) for k in summary["kinds"]] == [
        ("payout_refused", 1, 19_900),
        ("payout_short", 1, 8_900),
    ]


@pytest.mark.parametrize("oldest_first", ["true", "false"])
async def test_pages_join_up(desk: "Desk", oldest_first: str) -> None:
    subjects = [(await desk.payout_in_trouble(name))["subject_id"] for name in "abc"]
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    for _ in range(2):
        params = {"limit": 2, "oldest_first": oldest_first, **cursor}
        page = (await desk.ask("ann", "GET", "/v1/work-items", params=params)).json()
        seen += [item["subject_id"] for item in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert seen == (subjects if oldest_first == "true" else subjects[::-1])
    assert cursor == {"cursor": None}


@pytest.mark.parametrize("action", ["retry", "remit"])
async def test_what_is_parked_goes_on_under_its_own_number(
    desk: "Desk", story: "Story", action: str
) -> None:
    item = await desk.payout_in_trouble()
    answer = await desk.act("ann", item["item_id"], action)
    done = answer.json()
    assert (answer.status_code, done["status"]) == (200, "executed"), answer.text
    assert done["result_operation_id"] == item["subject_id"]
    assert await story.sent(ResumeRequested) == [{"operation_id": item["subject_id"]}]
    assert len(await story.sent(PayoutRequested)) == 1
    (still_open,) = await desk.open_items()
    assert still_open["item_id"] == item["item_id"]
    again = await desk.act("ann", item["item_id"], action)
    assert (again.status_code, again.json()["code"]) == (409, "operation_in_progress")
    await story.told(story.succeeded(item["subject_id"]))
    detail = (await desk.ask("ann", "GET", f"/v1/work-items/{item['item_id']}")).json()
    assert (detail["status"], len(detail["actions"])) == ("resolved", 1)
    assert await story.balances() == {"cash:alipay": 1_160, "fees": 160, "margin": 1_000}


async def test_what_was_refused_is_paid_anew_to_the_spots_present_account(
    desk: "Desk", story: "Story"
) -> None:
    item = await desk.payout_in_trouble(outcome="refused")
    corrected = AccountRef(account_id="acc_corrected", channel="huijinbao")
    story.context.receivers.account = corrected  # type: ignore[attr-defined] # it is the fake one
    done = (await desk.act("ann", item["item_id"], "remit")).json()
    assert (done["account_id"], done["channel"]) == ("acc_corrected", "huijinbao")
    another_id = done["result_operation_id"]
    assert another_id != item["subject_id"]
    request = (await story.sent(PayoutRequested))[-1]
    assert request["operation_id"] == another_id
    assert request["account"] == corrected.model_dump()
    assert await desk.open_items() == []
    resolved = (await desk.ask("ann", "GET", f"/v1/work-items/{item['item_id']}")).json()
    assert resolved["resolution"] == f"replaced by {another_id}"
    await story.told(story.succeeded(another_id, channel="huijinbao"))
    assert (await story.entitlement())["status"] == "settled"
    assert "payable:spt_1" not in await story.balances()


async def test_what_was_paid_elsewhere_is_declared(desk: "Desk", story: "Story") -> None:
    item = await desk.payout_in_trouble(outcome="refused")
    answer = await desk.act("ann", item["item_id"], "settle-outside")
    assert answer.status_code == 200, answer.text
    assert (await story.entitlement())["status"] == "settled"
    balances = await story.balances()
    assert (balances["owner"], balances["cash:alipay"]) == (8_900, 10_060)
    assert await desk.open_items() == []


async def test_a_parked_payout_cannot_be_declared_paid(desk: "Desk") -> None:
    item = await desk.payout_in_trouble(outcome="unknown")
    answer = await desk.act("ann", item["item_id"], "settle-outside")
    refusal = answer.json()
    assert (answer.status_code, refusal["code"]) == (409, "action_not_allowed")
    assert refusal["allowed"] == ["retry", "remit", "resolve"]


async def test_a_stuck_debit_is_retried_a_short_one_is_the_distributors(
    desk: "Desk", story: "Story"
) -> None:
    await story.told(parked_debit(story, "funds"))
    (item,) = await desk.open_items()
    answer = await desk.act("ann", item["item_id"], "retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "distributor_asks_again")
    await story.told(parked_debit(story))
    (item,) = await desk.open_items()
    assert (await desk.act("ann", item["item_id"], "retry")).status_code == 200
    assert await story.sent(ResumeRequested) == [{"operation_id": "deb_d"}]
    await story.told(story.paid("d"))
    assert await desk.open_items() == []


async def refund_in_trouble(desk: "Desk", name: str, outcome: str) -> dict[str, Any]:
    """A voided entitlement's refund is parked with an outcome, or `refused`."""
    story = desk.story
    await story.told(story.paid(name), story.issued(name), story.voided(name))
    (refund_id,) = [
        r["refund_id"] for r in await story.rows(REFUNDS) if r["order_no"] == f"ord_{name}"
    ]
    change = {"kind": "refund", "outcome": outcome}
    stuck = story.failed(refund_id) if outcome == "refused" else story.stuck(refund_id)
    await story.told(stuck.model_copy(update=change))
    (item,) = await desk.open_items(order_no=f"ord_{name}")
    return item


async def test_a_refused_refund_is_started_anew(desk: "Desk", story: "Story") -> None:
    item = await refund_in_trouble(desk, "a", "refused")
    answer = await desk.act("ann", item["item_id"], "refund")
    assert answer.status_code == 200, answer.text
    another_id = answer.json()["result_operation_id"]
    assert another_id != item["subject_id"]
    assert await desk.open_items() == []
    await story.told(story.succeeded(another_id, kind="refund", amount_fen=10_000))
    assert (await story.entitlement())["status"] == "refunded"
    assert await story.balances() == {"cash:alipay": 60, "fees": 60}


ALLOWED = {
    "debit_short": [],
    "debit_stuck": ["retry"],
    "payout_short": ["retry", "remit"],
    "payout_stuck": ["retry", "remit"],
    "payout_refused": ["remit", "settle-outside"],
    "refund_short": ["retry", "refund"],
    "refund_stuck": ["retry", "refund"],
    "refund_refused": ["refund", "settle-outside"],
}
"""What can be done about each kind, beside resolving it once nothing is stuck any more."""

OUTCOMES = {"short": "funds", "stuck": "unknown", "refused": "refused"}


@pytest.mark.parametrize("kind", ALLOWED)
async def test_every_action_on_every_kind(desk: "Desk", story: "Story", kind: str) -> None:
    family, _, trouble = kind.partition("_")
    for number, action in enumerate(("retry", "remit", "refund", "settle-outside", "resolve")):
        name, outcome = f"{kind}{number}", OUTCOMES[trouble]
        if family == "payout":
            item = await desk.payout_in_trouble(name, outcome=outcome)
        elif family == "refund":
            item = await refund_in_trouble(desk, name, outcome)
        else:
            parked = parked_debit(story, outcome)
            await story.told(parked.model_copy(update={"order_no": f"ord_{name}"}))
            (item,) = await desk.open_items(order_no=f"ord_{name}")
        assert item["kind"] == kind
        answer = await desk.act("ann", item["item_id"], action)
        expected = 200 if action in ALLOWED[kind] else 409
        assert (action, answer.status_code) == (action, expected), answer.text


async def test_an_item_resolves_by_hand_only_when_nothing_is_stuck(desk: "Desk") -> None:
    item = await desk.payout_in_trouble()
    answer = await desk.act("ann", item["item_id"], "resolve")
    assert (answer.status_code, answer.json()["code"]) == (409, "still_stuck")
    (still_open,) = await desk.open_items()
    assert still_open == item


@pytest.mark.parametrize("settled", ["remit", "settle-outside"])
async def test_money_that_moved_after_all_is_explained_by_a_person(
    desk: "Desk", story: "Story", settled: str
) -> None:
    """Refused, settled in another way, and then the channel says that it paid after all."""
    item = await desk.payout_in_trouble(outcome="refused")
    assert (await desk.act("ann", item["item_id"], settled)).status_code == 200
    await story.told(story.succeeded(item["subject_id"]))
    (late,) = await desk.open_items()
    assert (late["subject_id"], late["code"]) == (item["subject_id"], "moved_after_refusal")
    for again in ("remit", "settle-outside"):
        assert (await desk.act("ann", late["item_id"], again)).status_code == 409
    explained = await desk.act("ann", late["item_id"], "resolve")
    assert explained.status_code == 200, explained.text
    detail = (await desk.ask("ann", "GET", f"/v1/work-items/{late['item_id']}")).json()
    assert (detail["status"], detail["resolved_by"], detail["note"]) == (
        "resolved",
        "ann",
        "because",
    )
    assert await desk.open_items() == []


async def test_the_same_key_acts_once(desk: "Desk", story: "Story", client_as: "ClientAs") -> None:
    path = f"/v1/work-items/{(await desk.payout_in_trouble())['item_id']}/retry"
    async with client_as("operator", scopes=desk.SCOPES) as client:
        client.headers["Idempotency-Key"] = "k"
        first = await client.post(path, json={"note": "because"})
        again = await client.post(path, json={"note": "because"})
    assert (first.status_code, again.text) == (200, first.text)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(await story.sent(ResumeRequested)) == 1
    assert len(await story.rows(MANUAL_ACTIONS)) == 1


async def test_nothing_is_done_about_unknown_or_resolved_items(
    desk: "Desk", story: "Story"
) -> None:
    unknown = await desk.act("ann", "wrk_0", "remit")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    item = await desk.payout_in_trouble()
    await story.told(story.succeeded(item["subject_id"]))
    late = await desk.act("ann", item["item_id"], "remit")
    assert (late.status_code, late.json()["code"]) == (409, "item_resolved")
    assert await story.rows(MANUAL_ACTIONS) == []
    assert [payout["status"] for payout in await story.rows(PAYOUTS)] == ["paid"]


TOP_UP = {
    "channel": "alipay",
    "amount_fen": 500_000,
    "direction": "in",
    "reference": "2026110199",
    "note": "bank transfer",
}


async def test_top_ups_are_booked_once_per_reference(desk: "Desk", story: "Story") -> None:
    first = await desk.ask("ann", "POST", "/v1/top-ups", json=TOP_UP)
    assert (first.status_code, first.json()["status"]) == (200, "executed"), first.text
    again = await desk.ask("ann", "POST", "/v1/top-ups", json=TOP_UP)
    assert (again.status_code, again.json()["code"]) == (409, "reference_used")
    out = {**TOP_UP, "direction": "out", "reference": "2", "amount_fen": 1}
    assert (await desk.ask("ann", "POST", "/v1/top-ups", json=out)).status_code == 200
    assert await story.balances() == {"cash:alipay": 499_999, "owner": 499_999}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"amount_fen": 0}, "body.amount_fen"),
        ({"amount_fen": True}, "body.amount_fen"),
        ({"amount_fen": "5000"}, "body.amount_fen"),
        ({"amount_fen": 12.0}, "body.amount_fen"),
        ({"direction": "sideways"}, "body.direction"),
        ({"channel": "paypal"}, "channel"),
        ({"reference": "a b"}, "body.reference"),
        ({"note": "  "}, "body.note"),
    ],
)
async def test_bad_top_ups_are_named(desk: "Desk", changed: dict[str, Any], field: str) -> None:
    answer = await desk.ask("ann", "POST", "/v1/top-ups", json={**TOP_UP, **changed})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


@pytest.mark.parametrize("wish", ["dry_run", "refetch"])
async def test_a_run_is_dry_or_not_and_nothing_between(desk: "Desk", wish: str) -> None:
    body = {"channel": "alipay", "bill_date": "2026-10-31", wish: "no"}
    answer = await desk.ask("ann", "POST", "/v1/reconciliations", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, f"body.{wish}")


ROUTES = [
    ("GET", "/v1/work-items", "settlement:read"),
    ("GET", "/v1/work-items/summary", "settlement:read"),
    ("GET", "/v1/work-items/wrk_0", "settlement:read"),
    ("GET", "/v1/manual-actions", "settlement:read"),
    ("GET", "/v1/approvers", "settlement:read"),
    ("POST", "/v1/work-items/wrk_0/retry", "money:write"),
    ("POST", "/v1/work-items/wrk_0/remit", "money:write"),
    ("POST", "/v1/work-items/wrk_0/refund", "money:write"),
    ("POST", "/v1/work-items/wrk_0/settle-outside", "money:write"),
    ("POST", "/v1/work-items/wrk_0/resolve", "money:write"),
    ("POST", "/v1/top-ups", "money:write"),
    ("POST", "/v1/manual-actions/act_0/withdraw", "money:write"),
    ("POST", "/v1/manual-actions/act_0/approve", "money:approve"),
    ("POST", "/v1/manual-actions/act_0/reject", "money:approve"),
    ("POST", "/v1/approvers", "approvers:write"),
    ("DELETE", "/v1/approvers/bob", "approvers:write"),
    ("GET", "/v1/audit", "audit:read"),
    ("GET", "/v1/audit/head", "audit:read"),
]


async def test_every_route_asks_for_its_scope_and_for_an_operator(
    desk: "Desk", client_as: "ClientAs"
) -> None:
    everything = set(desk.SCOPES)
    for method, path, scope in ROUTES:
        body: dict[str, Any] = {} if method != "POST" else {"json": _body_for(path)}
        answer = await desk.ask("ann", method, path, scopes=[*everything - {scope}], **body)
        assert (path, answer.status_code, answer.json()["code"]) == (path, 403, "forbidden")
        for kind in ("distributor", "spot"):
            async with client_as(kind, "dst_1", scopes=[scope]) as client:
                answer = await client.request(method, path, **body)
            refused = (kind, path, answer.status_code, answer.json()["code"])
            assert refused == (kind, path, 403, "not_for_this_caller")


def _body_for(path: str) -> dict[str, Any]:
    if path == "/v1/top-ups":
        return TOP_UP
    if path == "/v1/approvers":
        return {"person": "bob"}
    return {"amount_fen": 1} if path.endswith("approve") else {"note": "because"}
