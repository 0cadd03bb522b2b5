"""Settlements and payouts over HTTP: what is told, and to whom."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from services.settlement.tests.conftest import ClientAs, Story

SPOTS_OWN = {"distributor_id": None, "part_fen": None}
DISTRIBUTORS_OWN = dict.fromkeys(
    ["settle_fen", "settlement_fee_fen", "payable_fen", "account_id", "channel", "payout_id"]
)


@pytest.fixture
async def told(story: "Story") -> "Story":
    """Order `a` is settled, `b` visited an hour later, `c` issued; `z` is other parties' order."""
    for name in "abc":
        await story.told(story.issued(name))
    await story.told(story.issued("z", spot_id="spt_2", distributor_id="dst_2"), story.used("z"))
    await story.told(story.used("a"))
    await story.told(story.succeeded((await story.entitlement("a"))["payout_id"]))
    await story.told(story.used("b", at=story.context.clock.now() + timedelta(hours=1)))
    return story


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["entitlement_id"] for item in answer.json()["items"]]


async def test_an_operator_sees_everything(told: "Story", client_as: "ClientAs") -> None:
    async with client_as("operator") as client:
        answer = await client.get("/v1/settlements/ent_a")
    assert answer.json() == {
        "entitlement_id": "ent_a",
        "ticket_no": "T-a",
        "order_no": "ord_a",
        "product_id": "prd_1",
        "spot_id": "spt_1",
        "distributor_id": "dst_1",
        "status": "settled",
        "reason": None,
        "held_for": None,
        "part_fen": 10_000,
        "settle_fen": 9_000,
        "settlement_fee_fen": 100,
        "payable_fen": 8_900,
        "account_id": "acc_receiver",
        "channel": "alipay",
        "payout_id": (await told.entitlement("a"))["payout_id"],
        "issued_at": "2026-11-01T04:00:00Z",
        "used_at": "2026-11-01T04:00:00Z",
        "settled_at": "2026-11-01T04:00:00Z",
        "refund_id": None,
        "refunded_fen": None,
        "lapsed_at": None,
    }


@pytest.mark.parametrize(
    ("kind", "party_id", "hidden"),
    [("spot", "spt_1", SPOTS_OWN), ("distributor", "dst_1", DISTRIBUTORS_OWN)],
)
async def test_a_party_sees_its_own_side_of_its_own_orders(
    told: "Story", client_as: "ClientAs", kind: str, party_id: str, hidden: dict[str, None]
) -> None:
    async with client_as("operator") as client:
        whole = (await client.get("/v1/settlements/ent_a")).json()
    async with client_as(kind, party_id) as client:
        assert ids(await client.get("/v1/settlements")) == ["ent_c", "ent_b", "ent_a"]
        assert (await client.get("/v1/settlements/ent_a")).json() == whole | hidden
        foreign = await client.get("/v1/settlements/ent_z")
        unknown = await client.get("/v1/settlements/ent_0")
        assert ids(await client.get("/v1/settlements", params={"order_no": "ord_z"})) == []
        assert ids(await client.get("/v1/settlements", params={"spot_id": "spt_2"})) == []
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.text.replace("ent_z", "ent_0") == unknown.text


FILTERS: list[tuple[dict[str, str], list[str]]] = [
    ({"order_no": "ord_b"}, ["ent_b"]),
    ({"spot_id": "spt_2"}, ["ent_z"]),
    ({"status": "settled"}, ["ent_a"]),
    ({"from": "2026-11-01T04:30:00Z"}, ["ent_b"]),
    ({"to": "2026-11-01T04:30:00Z"}, ["ent_z", "ent_a"]),
    ({"from": "2026-11-01T04:00:00Z", "to": "2026-11-01T04:00:00Z"}, []),
    ({"from": "2026-11-01T12:00:00+08:00", "status": "settled"}, ["ent_a"]),
]


async def test_filters(told: "Story", client_as: "ClientAs") -> None:
    async with client_as("operator") as client:
        for params, expected in FILTERS:
            answer = await client.get("/v1/settlements", params=params)
            assert (params, ids(answer)) == (params, expected)


async def test_pages_join_up(told: "Story", client_as: "ClientAs") -> None:
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    async with client_as("operator") as client:
        for _ in range(2):
            answer = await client.get("/v1/settlements", params={"limit": 2, **cursor})
            seen += ids(answer)
            cursor = {"cursor": answer.json()["next_cursor"]}
    assert seen == ["ent_z", "ent_c", "ent_b", "ent_a"]
    assert cursor == {"cursor": None}


BAD_QUERIES = [
    ({"status": "lost"}, "query.status"),
    ({"from": "2026-11-01T04:30:00"}, "query.from"),
    ({"limit": "0"}, "query.limit"),
    ({"limit": "201"}, "query.limit"),
    ({"cursor": "§"}, "cursor"),
]


async def test_bad_queries_are_named(story: "Story", client_as: "ClientAs") -> None:
    async with client_as("operator") as client:
        for params, field in BAD_QUERIES:
            answer = await client.get("/v1/settlements", params=params)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_payouts_list_what_they_pay(told: "Story", client_as: "ClientAs") -> None:
    payout_id = (await told.entitlement("a"))["payout_id"]
    async with client_as("spot", "spt_1") as client:
        listed = (await client.get("/v1/payouts")).json()["items"]
        paid = (await client.get("/v1/payouts", params={"status": "paid"})).json()["items"]
        detail = (await client.get(f"/v1/payouts/{payout_id}")).json()
    assert [payout["status"] for payout in listed] == ["requested", "paid"]
    assert [payout["payout_id"] for payout in paid] == [payout_id]
    assert detail == paid[0] | {
        "lines": [
            {
                "entitlement_id": "ent_a",
                "ticket_no": "T-a",
                "order_no": "ord_a",
                "amount_fen": 8_900,
            }
        ]
    }
    assert sum(line["amount_fen"] for line in detail["lines"]) == detail["amount_fen"]


async def test_payouts_of_another_spot_do_not_exist(told: "Story", client_as: "ClientAs") -> None:
    foreign_id = (await told.entitlement("z"))["payout_id"]
    async with client_as("spot", "spt_1") as client:
        foreign = await client.get(f"/v1/payouts/{foreign_id}")
        unknown = await client.get("/v1/payouts/pay_0")
        listed = await client.get("/v1/payouts", params={"spot_id": "spt_2"})
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.text.replace(foreign_id, "pay_0") == unknown.text
    assert listed.json()["items"] == []
    async with client_as("operator") as client:
        assert (await client.get(f"/v1/payouts/{foreign_id}")).json()["spot_id"] == "spt_2"


NOT_FOR = [
    ("distributor", "/v1/payouts"),
    ("distributor", "/v1/payouts/pay_0"),
    ("reseller", "/v1/settlements"),
    ("reseller", "/v1/settlements/ent_a"),
    ("device", "/v1/settlements"),
    ("service", "/v1/payouts"),
    ("spot", "/v1/ledger/accounts"),
    ("distributor", "/v1/ledger/accounts/fees/entries"),
    ("spot", "/v1/ledger/postings"),
]


async def test_other_callers_are_refused(story: "Story", client_as: "ClientAs") -> None:
    for kind, path in NOT_FOR:
        async with client_as(kind, "dst_1") as client:
            answer = await client.get(path)
        refused = (kind, path, answer.status_code, answer.json()["code"])
        assert refused == (kind, path, 403, "not_for_this_caller")


ROUTES = {
    "/v1/settlements": "settlement:read",
    "/v1/settlements/ent_a": "settlement:read",
    "/v1/payouts": "settlement:read",
    "/v1/payouts/pay_a": "settlement:read",
    "/v1/ledger/accounts": "ledger:read",
    "/v1/ledger/accounts/fees/entries": "ledger:read",
    "/v1/ledger/postings": "ledger:read",
}


async def test_every_route_asks_for_its_scope(story: "Story", client_as: "ClientAs") -> None:
    for path, scope in ROUTES.items():
        others = {"settlement:read", "ledger:read", "reports:read"} - {scope}
        async with client_as("operator", scopes=others) as client:
            answer = await client.get(path)
            assert (path, answer.status_code, answer.json()["code"]) == (path, 403, "forbidden")
            del client.headers["authorization"]
            assert (path, (await client.get(path)).status_code) == (path, 401)
