"""Refunds over HTTP: what is told, and to whom."""

from typing import TYPE_CHECKING, Any

import pytest

from shanmen.settlement.tables import REFUNDS

if TYPE_CHECKING:
    from services.settlement.tests.conftest import ClientAs, Story

NAMES = ("a", "b", "z")
OPERATOR = ("operator", None)


@pytest.fixture
async def refund_ids(story: "Story") -> dict[str, str]:
    """Orders `a` (refunded), `b` (refused) and `z` of another distributor, by name."""
    for name in NAMES:
        party = {"distributor_id": "dst_2" if name == "z" else "dst_1"}
        await story.told(story.paid(name, **party), story.issued(name, **party))
        await story.told(story.voided(name))
    by_order = {row["order_no"]: row["refund_id"] for row in await story.rows(REFUNDS)}
    ids = {name: by_order[f"ord_{name}"] for name in NAMES}
    await story.told(story.succeeded(ids["a"], kind="refund", amount_fen=10_000))
    await story.told(story.failed(ids["b"], "交易已关闭", kind="refund"))
    return ids


async def test_a_refund_says_what_goes_where_and_why_not(
    refund_ids: dict[str, str], client_as: "ClientAs"
) -> None:
    async with client_as("operator") as client:
        answer = await client.get(f"/v1/refunds/{refund_ids['b']}")
    told = answer.json()
    assert told.pop("requested_at").startswith("2026-11-01T04:00")
    assert told == {
        "refund_id": refund_ids["b"],
        "entitlement_id": "ent_b",
        "order_no": "ord_b",
        "distributor_id": "dst_1",
        "account_id": "acc_payer",
        "channel": "alipay",
        "part_fen": 10_000,
        "fee_fen": 0,
        "amount_fen": 10_000,
        "status": "failed",
        "reason": "交易已关闭",
        "finished_at": "2026-11-01T04:00:00Z",
    }


@pytest.mark.parametrize(
    ("caller", "params", "names"),
    [
        (OPERATOR, {}, "zba"),
        (OPERATOR, {"order_no": "ord_b"}, "b"),
        (OPERATOR, {"status": "refunded"}, "a"),
        (OPERATOR, {"limit": 1}, "z"),
        (("distributor", "dst_1"), {}, "ba"),
        (("distributor", "dst_1"), {"order_no": "ord_z"}, ""),
        (("distributor", "dst_3"), {}, ""),
    ],
)
async def test_refunds_are_listed_newest_first_to_whom_they_concern(
    refund_ids: dict[str, str],
    client_as: "ClientAs",
    caller: tuple[str, str | None],
    params: dict[str, Any],
    names: str,
) -> None:
    async with client_as(*caller) as client:
        answer = await client.get("/v1/refunds", params=params)
    assert answer.status_code == 200, answer.text
    listed = [item["refund_id"] for item in answer.json()["items"]]
    assert listed == [refund_ids[name] for name in names]


async def test_pages_follow_each_other(refund_ids: dict[str, str], client_as: "ClientAs") -> None:
    async with client_as("operator") as client:
        first = (await client.get("/v1/refunds", params={"limit": 2})).json()
        rest = await client.get("/v1/refunds", params={"cursor": first["next_cursor"]})
    assert [item["refund_id"] for item in rest.json()["items"]] == [refund_ids["a"]]


async def test_anothers_refund_is_as_good_as_none(
    refund_ids: dict[str, str], client_as: "ClientAs"
) -> None:
    async with client_as("distributor", "dst_1") as client:
        own = await client.get(f"/v1/refunds/{refund_ids['a']}")
        foreign = await client.get(f"/v1/refunds/{refund_ids['z']}")
        unknown = await client.get("/v1/refunds/ref_0")
    assert own.status_code == 200
    assert foreign.status_code == unknown.status_code == 404


async def test_a_spot_has_no_part_in_refunds(
    refund_ids: dict[str, str], client_as: "ClientAs"
) -> None:
    async with client_as("spot", "spt_1") as client:
        listed = await client.get("/v1/refunds")
        one = await client.get(f"/v1/refunds/{refund_ids['a']}")
        settlement = (await client.get("/v1/settlements/ent_a")).json()
    assert (listed.status_code, one.status_code) == (403, 403)
    assert (settlement["refund_id"], settlement["refunded_fen"]) == (None, None)


async def test_a_settlement_shows_its_refund(
    refund_ids: dict[str, str], client_as: "ClientAs"
) -> None:
    async with client_as("distributor", "dst_1") as client:
        refunded = (await client.get("/v1/settlements/ent_a")).json()
        listed = (await client.get("/v1/settlements", params={"order_no": "ord_b"})).json()
    assert (refunded["status"], refunded["refunded_fen"]) == ("refunded", 10_000)
    assert refunded["refund_id"] == refund_ids["a"]
    (refused,) = listed["items"]
    assert (refused["status"], refused["reason"]) == ("refund_failed", "交易已关闭")
    assert (refused["refund_id"], refused["refunded_fen"]) == (refund_ids["b"], None)
