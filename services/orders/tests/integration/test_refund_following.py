"""Following refunds to their end: every order of arrival, every mixture, and visits that win."""

import asyncio
from itertools import permutations, product
from typing import TYPE_CHECKING, Any, Final

import pytest

from shanmen.common.broker.protocol import Fate
from shanmen.common.events import Event
from shanmen.common.testing.events import message_of
from shanmen.contracts.settlement import EntitlementForfeited, EntitlementRefunded, RefundFailed
from shanmen.contracts.terms import RefundRule
from shanmen.contracts.verification import EntitlementExpired, EntitlementVoided, VoidRequested
from shanmen.orders.tables import ENTITLEMENTS, ORDERS, TIMELINE, WEBHOOK_EVENTS

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop

LATER: Final = "2026-11-05T17:00:00Z"
SAID: Final[dict[str, tuple[type[Event], dict[str, Any]]]] = {
    "expired": (EntitlementExpired, {"ticket_no": "tkt", "expired_at": LATER}),
    "voided": (EntitlementVoided, {"ticket_no": "tkt", "voided_at": LATER}),
    "refunded": (
        EntitlementRefunded,
        {"refund_id": "rfd_1", "refunded_fen": 10_030, "refunded_at": LATER},
    ),
    "refund_failed": (RefundFailed, {"reason": "platform balance too low", "failed_at": LATER}),
    "forfeited": (EntitlementForfeited, {"forfeited_at": LATER}),
}


def say(shop: "Shop", what: str, order_no: str, entitlement_id: str) -> Event:
    """One event about an entitlement."""
    if what not in SAID:
        event: Event = getattr(shop, what)(order_no, entitlement_id)
        return event
    kind, details = SAID[what]
    about = {"order_no": order_no, "entitlement_id": entitlement_id, "spot_id": "spt_1"}
    return kind.model_validate({**about, **details})


async def notices(shop: "Shop", order_no: str) -> list[str]:
    rows = [row for row in await shop.rows(WEBHOOK_EVENTS) if row["order_no"] == order_no]
    return [row["type"] for row in sorted(rows, key=lambda row: row["sequence"])]


async def test_a_refund_that_fails_first_and_then_succeeds(shop: "Shop") -> None:
    order_no = (await shop.issued(quantity=1))["order_no"]
    (entitlement,) = await shop.entitlements(order_no)
    await shop.told(say(shop, "expired", order_no, entitlement))
    await shop.told(say(shop, "refund_failed", order_no, entitlement))
    view = await shop.view(order_no)
    spot = view["tickets"][0]["spots"][0]
    assert (view["status"], view["refund_status"]) == ("issued", "refund_pending")
    assert (spot["shown"], spot["reason"]) == ("awaiting_refund", "platform balance too low")
    await shop.told(say(shop, "refunded", order_no, entitlement))
    view = await shop.view(order_no)
    spot = view["tickets"][0]["spots"][0]
    assert (view["status"], view["refund_status"]) == ("closed_refunded", "refunded")
    assert (spot["shown"], spot["reason"], spot["refunded_fen"]) == ("refunded", None, 10_030)
    assert (view["debited_fen"], view["refunded_fen"]) == (10_060, 10_030)
    assert await notices(shop, order_no) == [
        "order.issued",
        "entitlement.refund_failed",
        "entitlement.refunded",
        "order.refunded",
    ]


@pytest.mark.parametrize("usage", ["expired", "voided"])
async def test_every_order_of_arrival_ends_refunded(usage: str, shop: "Shop") -> None:
    facts = (usage, "refund_failed", "refunded")
    for number, order in enumerate(permutations(facts)):
        order_no = (await shop.issued(f"A-{number}", quantity=1))["order_no"]
        (entitlement,) = await shop.entitlements(order_no)
        waiting = list(order)
        while waiting:
            fact = waiting.pop(0)
            (verdict,) = await shop.tell(say(shop, fact, order_no, entitlement))
            if verdict.fate is Fate.RETRY:
                assert verdict.reason.startswith("not yet: "), verdict.reason
                waiting.append(fact)
        view = await shop.view(order_no)
        assert (order, view["status"], view["refund_status"]) == (
            order,
            "closed_refunded",
            "refunded",
        )


ENDS: Final = {
    # how an entitlement ends, and what is told of it
    "used": ("used", "settled"),
    "expired": ("expired", "refunded"),
    "voided": ("voided", "refunded"),
    "forfeited": ("expired", "forfeited"),
}


async def test_every_mixture_of_ends_concludes_the_order(shop: "Shop") -> None:
    """DOMAIN's words: all refunded is 交易关闭2, every other end is 交易成功; each said once."""
    for number, ends in enumerate(product(ENDS, repeat=2)):
        order_no = (await shop.issued(f"A-{number}"))["order_no"]
        pairs = zip(await shop.entitlements(order_no), ends, strict=True)
        for entitlement, end in pairs:
            for fact in ENDS[end]:
                event = say(shop, fact, order_no, entitlement)
                await shop.told(event, message_of(event))
        refunded = {*ends} <= {"expired", "voided"}
        expected = "closed_refunded" if refunded else "completed"
        view = await shop.view(order_no)
        assert (ends, view["status"]) == (ends, expected)
        settled_and_refunded = "used" in ends and bool({"expired", "voided"} & {*ends})
        assert (ends, view["refund_status"]) == (
            ends,
            "refunded" if refunded else "partially_refunded" if settled_and_refunded else "none",
        )
        told = await notices(shop, order_no)
        assert told.count("order.refunded" if refunded else "order.completed") == 1
        assert told.count("entitlement.used") == ends.count("used")
    concluded = [row for row in await shop.rows(TIMELINE) if row["before"] == "issued"]
    assert len(concluded) == len(ENDS) ** 2


async def test_what_is_told_of_a_visit_and_of_issuing(shop: "Shop") -> None:
    order = await shop.issued(quantity=1)
    (entitlement,) = await shop.entitlements(order["order_no"])
    await shop.told(shop.used(order["order_no"], entitlement))
    issued, used, completed = sorted(
        await shop.rows(WEBHOOK_EVENTS), key=lambda row: row["sequence"]
    )
    status = {"distributor_order_no": "A-1", "reseller_order_no": None}
    assert issued["data"] == {**status, "status": "issued"}
    assert used["data"] == {
        "entitlement_id": entitlement,
        "ticket_no": order["tickets"][0]["ticket_no"],
        "spot_id": "spt_1",
        "shown": "visited",
        "used_at": "2026-11-01T04:00:00Z",
    }
    assert completed["data"] == {**status, "status": "completed"}
    assert {row["distributor_id"] for row in (issued, used, completed)} == {"dst_1"}


async def test_what_is_told_of_closing(shop: "Shop") -> None:
    order_no = (await shop.place())["order_no"]
    await shop.post(f"/v1/orders/{order_no}/cancel")
    (closed,) = await shop.rows(WEBHOOK_EVENTS)
    assert closed["type"] == "order.closed"
    assert closed["data"].items() >= {"status": "closed_unpaid", "reason": "cancelled"}.items()


@pytest.fixture
async def refundable(shop: "Shop") -> str:
    """The number of an issued order of one ticket, refundable before the visit."""
    shop.stock.refund_rule = RefundRule(before_visit=True)
    order_no: str = (await shop.issued(quantity=1))["order_no"]
    return order_no


async def test_the_visit_that_comes_first_wins_and_the_wish_is_seen_to_have_lost(
    shop: "Shop", refundable: str
) -> None:
    (entitlement,) = await shop.entitlements(refundable)
    answer = await shop.post(f"/v1/orders/{refundable}/refund")
    assert answer.status_code == 202
    await shop.told(shop.used(refundable, entitlement))
    view = await shop.view(refundable)
    spot = view["tickets"][0]["spots"][0]
    assert (view["status"], spot["shown"]) == ("completed", "visited")
    assert spot["refund_requested_at"] is not None
    await shop.told(say(shop, "voided", refundable, entitlement))  # never told, and never obeyed
    (row,) = await shop.rows(ENTITLEMENTS)
    assert row["usage"] == "used"


async def test_after_the_visit_nothing_is_refunded(shop: "Shop", refundable: str) -> None:
    (entitlement,) = await shop.entitlements(refundable)
    await shop.told(shop.used(refundable, entitlement))
    answer = await shop.post(f"/v1/orders/{refundable}/refund")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_refundable_now")
    assert await shop.sent(VoidRequested) == []


async def test_a_refund_races_the_visit(shop: "Shop", second_shop: "Shop") -> None:
    shop.stock.refund_rule = RefundRule(before_visit=True)
    asked = 0
    for number in range(24):
        order_no = (await shop.issued(f"A-{number}"))["order_no"]
        first, _ = await shop.entitlements(order_no)
        answer, _ = await asyncio.gather(
            second_shop.post(f"/v1/orders/{order_no}/refund", {"entitlement_ids": [first]}),
            shop.told(shop.used(order_no, first)),
        )
        assert answer.status_code in {202, 409}
        asked += answer.status_code == 202
    rows = [row for row in await shop.rows(ENTITLEMENTS) if row["usage"] == "used"]
    assert len(rows) == 24
    assert len([row for row in rows if row["refund_requested_at"] is not None]) == asked
    assert len(await shop.sent(VoidRequested)) == asked
    assert {row["status"] for row in await shop.rows(ORDERS)} == {"issued"}
