"""Refunds before the visit (游玩前退款): what may be asked for and by whom; gates come first."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from shanmen.contracts.terms import RefundRule
from shanmen.contracts.verification import EntitlementExpired, EntitlementVoided, VoidRequested
from shanmen.orders.tables import ENTITLEMENTS, TIMELINE

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop

Bearer = Callable[..., dict[str, str]]
BEFORE_VISIT = RefundRule(before_visit=True)


@pytest.fixture
async def order(shop: "Shop") -> dict[str, Any]:
    """An issued order of two tickets for two spots each, refundable before the visit."""
    shop.stock.refund_rule = BEFORE_VISIT
    shop.stock.spots = ("spt_1", "spt_2")
    return await shop.issued()


def path(order: dict[str, Any]) -> str:
    return f"/v1/orders/{order['order_no']}/refund"


async def wanted(shop: "Shop") -> set[str]:
    """The entitlements that somebody asked to refund."""
    rows = await shop.rows(ENTITLEMENTS)
    return {row["entitlement_id"] for row in rows if row["refund_requested_at"] is not None}


def over(kind: str, order_no: str, entitlement_id: str) -> EntitlementVoided | EntitlementExpired:
    about = {
        "entitlement_id": entitlement_id,
        "ticket_no": "tkt",
        "order_no": order_no,
        "spot_id": "spt_1",
    }
    if kind == "voided":
        return EntitlementVoided.model_validate({**about, "voided_at": "2026-11-05T17:00:00Z"})
    return EntitlementExpired.model_validate({**about, "expired_at": "2026-11-05T17:00:00Z"})


async def test_everything_unused_is_refunded_unless_something_is_named(
    shop: "Shop", order: dict[str, Any]
) -> None:
    first, *others = await shop.entitlements(order["order_no"])
    await shop.told(shop.used(order["order_no"], first))
    answer = await shop.post(path(order), {"reason": "天气不好"})
    assert (answer.status_code, answer.headers["location"]) == (
        202,
        f"/v1/orders/{order['order_no']}",
    )
    assert answer.json() == await shop.view(order["order_no"])
    (asked,) = await shop.sent(VoidRequested)
    assert asked["order_no"] == order["order_no"]
    assert sorted(asked["entitlement_ids"]) == sorted(others)
    spots = [spot for ticket in answer.json()["tickets"] for spot in ticket["spots"]]
    asked_at = {
        spot["entitlement_id"] for spot in spots if spot["refund_requested_at"] is not None
    }
    assert asked_at == {*others}
    assert {spot["shown"] for spot in spots} == {"visited", "awaiting_visit"}
    entry = (await shop.rows(TIMELINE))[-1]
    assert (entry["kind"], entry["after"], entry["actor"]) == (
        "refund",
        "requested",
        "distributor:dst_1",
    )
    assert entry["cause"] == "3 entitlement(s): 天气不好"


async def test_without_a_body_everything_is_meant(shop: "Shop", order: dict[str, Any]) -> None:
    assert (await shop.post(path(order))).status_code == 202
    assert await wanted(shop) == {*(await shop.entitlements(order["order_no"]))}


async def test_exactly_what_is_named_is_refunded(shop: "Shop", order: dict[str, Any]) -> None:
    first, second = order["tickets"]
    named = [spot["entitlement_id"] for spot in first["spots"]][:1]
    answer = await shop.post(path(order), {"entitlement_ids": named})
    assert answer.status_code == 202
    assert await wanted(shop) == {*named}
    answer = await shop.post(
        path(order), {"entitlement_ids": named, "ticket_nos": [second["ticket_no"]]}
    )
    assert answer.status_code == 202
    both = [sorted(event["entitlement_ids"]) for event in await shop.sent(VoidRequested)]
    assert both == [named, sorted(spot["entitlement_id"] for spot in second["spots"])]


async def test_asked_again_nothing_is_asked_again(shop: "Shop", order: dict[str, Any]) -> None:
    body = {"ticket_nos": [order["tickets"][0]["ticket_no"]]}
    answers = [await shop.post(path(order), body) for _ in range(3)]
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (202, answers[0].content)
    }
    (asked,) = await shop.sent(VoidRequested)
    for entitlement_id in asked["entitlement_ids"]:  # and when the gates know it too
        await shop.told(over("voided", order["order_no"], entitlement_id))
    assert (await shop.post(path(order), body)).status_code == 202
    assert len(await shop.sent(VoidRequested)) == 1
    kinds = Counter(row["kind"] for row in await shop.rows(TIMELINE))
    assert kinds["refund"] == 1


async def test_a_hundred_at_once_ask_once(
    shop: "Shop", second_shop: "Shop", order: dict[str, Any]
) -> None:
    shops = (shop, second_shop)
    answers = await asyncio.gather(*(shops[n % 2].post(path(order)) for n in range(100)))
    assert {answer.status_code for answer in answers} <= {202, 503}  # 503: the pool was full
    (asked,) = await shop.sent(VoidRequested)
    assert len(asked["entitlement_ids"]) == 4


async def test_what_is_over_is_named_and_nothing_is_half_done(
    shop: "Shop", order: dict[str, Any]
) -> None:
    used, expired, *rest = await shop.entitlements(order["order_no"])
    await shop.told(
        shop.used(order["order_no"], used), over("expired", order["order_no"], expired)
    )
    answer = await shop.post(path(order), {"entitlement_ids": [used, expired, *rest]})
    assert (answer.status_code, answer.json()["code"]) == (409, "entitlement_not_refundable")
    assert answer.json()["entitlement_ids"] == sorted([used, expired])
    assert await wanted(shop) == set()
    assert await shop.sent(VoidRequested) == []


async def test_when_nothing_is_left_there_is_nothing_to_refund(
    shop: "Shop", order: dict[str, Any]
) -> None:
    entitlements = await shop.entitlements(order["order_no"])
    await shop.told(*(over("expired", order["order_no"], one) for one in entitlements))
    answer = await shop.post(path(order), {})
    assert (answer.status_code, answer.json()["code"]) == (409, "entitlement_not_refundable")


async def test_unknown_and_foreign_names_look_alike(shop: "Shop", order: dict[str, Any]) -> None:
    other = await shop.issued("A-2")
    own = await shop.entitlements(order["order_no"])
    foreign = await shop.entitlements(other["order_no"])
    cases = [
        ("entitlement_ids", own[0], "ent_none", foreign[0]),
        ("ticket_nos", order["tickets"][0]["ticket_no"], "tkt_none", other["tickets"][0]),
    ]
    for field, known, unknown, anothers in cases:
        another = anothers["ticket_no"] if isinstance(anothers, dict) else anothers
        texts = set()
        for name in (unknown, another):
            answer = await shop.post(path(order), {field: [known, name]})
            assert (answer.status_code, answer.json()["code"]) == (422, "not_of_this_order")
            assert answer.json()["errors"][0]["field"] == f"body.{field}.1"
            texts.add(answer.text.replace(name, "…"))
        assert len(texts) == 1
    assert await wanted(shop) == set()


@pytest.mark.parametrize(
    "body",
    [
        {"entitlement_ids": []},
        {"ticket_nos": []},
        {"entitlement_ids": ["票"]},
        {"ticket_nos": ["x" * 65]},
        {"entitlement_ids": ["ent_1"] * 1001},
        {"reason": "x" * 201},
        {"reason": "two\nlines"},
        {"all": True},
    ],
)
async def test_a_bad_body_is_refused(
    body: dict[str, Any], shop: "Shop", order: dict[str, Any]
) -> None:
    assert (await shop.post(path(order), body)).status_code == 422
    assert await wanted(shop) == set()


async def test_only_an_issued_order_is_refunded(shop: "Shop") -> None:
    shop.stock.refund_rule = BEFORE_VISIT
    unpaid = await shop.place("A-1")
    closed = await shop.place("A-2")
    await shop.post(f"/v1/orders/{closed['order_no']}/cancel")
    completed = await shop.issued("A-3", quantity=1)
    (entitlement,) = await shop.entitlements(completed["order_no"])
    await shop.told(shop.used(completed["order_no"], entitlement))
    for order in (unpaid, closed, completed):
        answer = await shop.post(path(order))
        assert (answer.status_code, answer.json()["code"]) == (409, "not_refundable_now")
    assert await shop.sent(VoidRequested) == []


async def test_a_product_without_refunds_before_the_visit_has_none(shop: "Shop") -> None:
    order = await shop.issued()
    answer = await shop.post(path(order))
    assert (answer.status_code, answer.json()["code"]) == (409, "refund_not_allowed")
    assert await wanted(shop) == set()


async def test_it_is_the_distributors_alone(shop: "Shop", bearer: Bearer) -> None:
    shop.stock.refund_rule = BEFORE_VISIT
    order = await shop.issued(reseller="代购甲")
    whose = [
        (bearer("reseller", "dst_1", reseller="代购甲"), 403),
        (bearer("operator"), 403),
        (bearer("reseller", "dst_1", reseller="代购乙"), 404),
        (bearer("distributor", "dst_2"), 404),
    ]
    for headers, status in whose:
        assert (await shop.post(path(order), {}, by=headers)).status_code == status
    assert await wanted(shop) == set()
