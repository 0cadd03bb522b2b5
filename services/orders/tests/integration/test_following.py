"""Following verification and settlement: in any order, to the order's conclusion."""

from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from shanmen.common.broker.protocol import Fate
from shanmen.common.testing.events import message_of
from shanmen.contracts.verification import EntitlementExpired, EntitlementVoided
from shanmen.orders.tables import ENTITLEMENTS, ORDERS, TIMELINE

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop


def shown(view: dict[str, object]) -> list[str]:
    tickets = view["tickets"]
    assert isinstance(tickets, list)
    return [spot["shown"] for ticket in tickets for spot in ticket["spots"]]


async def test_a_visit_completes_an_order_of_one_ticket(shop: "Shop") -> None:
    order_no = (await shop.issued(quantity=1))["order_no"]
    (entitlement,) = await shop.entitlements(order_no)
    await shop.told(shop.used(order_no, entitlement))
    view = await shop.view(order_no)
    assert (view["status"], shown(view)) == ("completed", ["visited"])
    assert view["tickets"][0]["spots"][0]["used_at"] == "2026-11-01T04:00:00Z"
    await shop.told(shop.settle_failed(order_no, entitlement))
    spot = (await shop.view(order_no))["tickets"][0]["spots"][0]
    assert (spot["shown"], spot["reason"]) == ("awaiting_settlement", "platform balance too low")
    await shop.told(shop.settled(order_no, entitlement))
    spot = (await shop.view(order_no))["tickets"][0]["spots"][0]
    assert (spot["shown"], spot["reason"]) == ("settled", None)


async def test_an_order_is_completed_by_its_last_visit_and_once(shop: "Shop") -> None:
    order_no = (await shop.issued(quantity=3))["order_no"]
    first, second, third = await shop.entitlements(order_no)
    await shop.told(shop.used(order_no, first), shop.settled(order_no, first))
    view = await shop.view(order_no)
    assert (view["status"], sorted(shown(view))) == (
        "issued",
        ["awaiting_visit", "awaiting_visit", "settled"],
    )
    await shop.told(shop.used(order_no, second), shop.used(order_no, third))
    assert (await shop.view(order_no))["status"] == "completed"
    await shop.told(shop.settled(order_no, second), shop.settled(order_no, third))
    completed = [row for row in await shop.rows(TIMELINE) if row["after"] == "completed"]
    assert [(row["before"], row["actor"]) for row in completed] == [("issued", "orders")]


async def test_every_order_of_arrival_ends_settled(shop: "Shop") -> None:
    """What is too early says so and is told again; nobody ever sees an impossible order."""
    facts = ("used", "settle_failed", "settled")
    for number, order in enumerate(permutations(facts)):
        order_no = (await shop.issued(f"A-{number}", quantity=1))["order_no"]
        (entitlement,) = await shop.entitlements(order_no)
        waiting = list(order)
        while waiting:
            fact = waiting.pop(0)
            (verdict,) = await shop.tell(getattr(shop, fact)(order_no, entitlement))
            if verdict.fate is Fate.RETRY:
                assert verdict.reason.startswith("not yet: "), verdict.reason
                waiting.append(fact)
            await shop.view(order_no)
        view = await shop.view(order_no)
        assert (order, view["status"], shown(view)) == (order, "completed", ["settled"])
        assert view["tickets"][0]["spots"][0]["reason"] is None


async def test_in_one_batch_with_what_it_waits_for(shop: "Shop") -> None:
    order_no = (await shop.issued(quantity=1))["order_no"]
    (entitlement,) = await shop.entitlements(order_no)
    verdicts = await shop.tell(
        shop.settled(order_no, entitlement), shop.used(order_no, entitlement)
    )
    assert [verdict.fate for verdict in verdicts] == [Fate.RETRY, Fate.DONE]


async def test_told_twice_changes_nothing(shop: "Shop") -> None:
    order_no = (await shop.issued(quantity=1))["order_no"]
    (entitlement,) = await shop.entitlements(order_no)
    facts = [shop.used(order_no, entitlement), shop.settled(order_no, entitlement)]
    await shop.told(*facts)
    before = await shop.view(order_no)
    await shop.told(*facts, *(message_of(fact) for fact in facts))
    await shop.told(shop.settle_failed(order_no, entitlement))  # late
    later = {"used_at": shop.ctx.clock.now()}
    await shop.told(shop.used(order_no, entitlement).model_copy(update=later))
    assert await shop.view(order_no) == before


async def test_an_order_that_is_not_known_yet_is_waited_for(shop: "Shop") -> None:
    for event in (shop.used("ord_x", "ent_x"), shop.settled("ord_x", "ent_x")):
        (verdict,) = await shop.tell(event)
        assert (verdict.fate, verdict.reason) == (Fate.RETRY, "not yet: no order ord_x")


def expired(order_no: str, entitlement_id: str) -> EntitlementExpired:
    return EntitlementExpired(
        entitlement_id=entitlement_id,
        ticket_no="tkt",
        order_no=order_no,
        spot_id="spt_1",
        expired_at="2026-11-05T17:00:00Z",
    )


def voided(order_no: str, entitlement_id: str) -> EntitlementVoided:
    return EntitlementVoided(
        entitlement_id=entitlement_id,
        ticket_no="tkt",
        order_no=order_no,
        spot_id="spt_1",
        voided_at="2026-11-05T17:00:00Z",
    )


@pytest.mark.parametrize("over", [expired, voided])
async def test_partly_visited_and_the_rest_over_is_completed(over: object, shop: "Shop") -> None:
    assert callable(over)
    order_no = (await shop.issued())["order_no"]
    first, second = await shop.entitlements(order_no)
    await shop.told(over(order_no, first))
    assert (await shop.view(order_no))["status"] == "issued"
    await shop.told(shop.used(order_no, second))
    view = await shop.view(order_no)
    assert (view["status"], sorted(shown(view))) == ("completed", ["lapsed", "visited"])


async def test_what_lapsed_as_a_whole_waits_for_its_refund(shop: "Shop") -> None:
    order_no = (await shop.issued())["order_no"]
    await shop.told(*(expired(order_no, one) for one in await shop.entitlements(order_no)))
    view = await shop.view(order_no)
    assert (view["status"], view["refund_status"]) == ("issued", "none")
    assert shown(view) == ["lapsed", "lapsed"]


async def test_impossible_facts_are_an_incident_and_never_shown(shop: "Shop") -> None:
    """A spot was paid for a visit that never was: the event is parked, the order unchanged."""
    order_no = (await shop.issued(quantity=1))["order_no"]
    (entitlement,) = await shop.entitlements(order_no)
    await shop.told(expired(order_no, entitlement))
    before = await shop.view(order_no)
    (verdict,) = await shop.tell(shop.settled(order_no, entitlement))
    assert (verdict.fate, verdict.reason) == (Fate.RETRY, "ImpossibleFacts")
    assert await shop.view(order_no) == before


async def test_usage_is_final(shop: "Shop") -> None:
    order_no = (await shop.issued(quantity=1))["order_no"]
    (entitlement,) = await shop.entitlements(order_no)
    await shop.told(shop.used(order_no, entitlement), expired(order_no, entitlement))
    (row,) = await shop.rows(ENTITLEMENTS)
    assert row["usage"] == "used"
    (order,) = await shop.rows(ORDERS)
    assert order["status"] == "completed"
