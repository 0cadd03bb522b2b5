"""Combined tickets (联票): several tickets for several spots, from issuing to every end."""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import pytest

from shanmen.common.broker.protocol import Fate
from shanmen.common.events import Event
from shanmen.common.testing.events import message_of
from shanmen.contracts.orders import TicketsIssued
from shanmen.contracts.settlement import (
    EntitlementForfeited,
    EntitlementRefunded,
    EntitlementSettled,
    RefundFailed,
    SettleFailed,
)
from shanmen.contracts.terms import RefundRule
from shanmen.contracts.verification import (
    EntitlementExpired,
    EntitlementUsed,
    EntitlementVoided,
    VoidRequested,
)
from shanmen.orders.tables import WEBHOOK_EVENTS

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop

LATER: Final = "2026-11-05T17:00:00Z"
PART_FEN: Final = {"spt_1": 5_001, "spt_2": 2_999, "spt_3": 2_000, "spt_4": 0}

SAID: Final[dict[str, tuple[type[Event], dict[str, Any]]]] = {
    "used": (EntitlementUsed, {"used_at": LATER, "scan_id": "scn_1", "device": "gate 1"}),
    "expired": (EntitlementExpired, {"expired_at": LATER}),
    "voided": (EntitlementVoided, {"voided_at": LATER}),
    "settled": (EntitlementSettled, {"payout_id": "pay_1", "paid_fen": 1, "settled_at": LATER}),
    "settle_failed": (SettleFailed, {"reason": "platform balance too low", "failed_at": LATER}),
    "refunded": (EntitlementRefunded, {"refund_id": "rfd_1", "refunded_at": LATER}),
    "refund_failed": (RefundFailed, {"reason": "account closed", "failed_at": LATER}),
    "forfeited": (EntitlementForfeited, {"forfeited_at": LATER}),
}
"""What other services tell of an entitlement."""

SPOT_STATUS: Final = """
    unused            pending        awaiting_visit
    used              pending        visited
    used              settle_failed  awaiting_settlement
    used              settled        settled
    expired,voided    pending        lapsed
    expired,voided    refund_failed  awaiting_refund
    expired,voided    refunded       refunded
    expired           forfeited      forfeited
"""
"""What is shown of an entitlement of an activated ticket, by usage and settlement."""


def read_spot_status(told: Sequence[str]) -> str:
    """What is shown after these facts were told, each known to be possible."""
    usage = next((fact for fact in told if fact in {"used", "expired", "voided"}), "unused")
    money = [fact for fact in told if fact not in {"used", "expired", "voided"}]
    settlement = money[-1] if money else "pending"
    (shown,) = [
        row[2]
        for row in map(str.split, SPOT_STATUS.strip().splitlines())
        if usage in row[0].split(",") and settlement == row[1]
    ]
    return shown


def read_statuses(shown: Sequence[str]) -> tuple[str, str]:
    """Order and refund status, by counting what is shown."""

    def count(*kinds: str) -> int:
        return sum(shown.count(kind) for kind in kinds)

    everything, refunded, settled = len(shown), count("refunded"), count("settled")
    refund_status = "none"
    if count("awaiting_refund"):
        refund_status = "refund_pending"
    elif refunded == everything:
        refund_status = "refunded"
    elif refunded and refunded + settled == everything:
        refund_status = "partially_refunded"

    visited = count("visited", "awaiting_settlement", "settled")
    status = "issued"
    if refunded == everything:
        status = "closed_refunded"
    elif count("awaiting_visit", "awaiting_activation"):
        pass
    elif visited or (count("forfeited") and refunded + count("forfeited") == everything):
        status = "completed"
    return status, refund_status


class Trip:
    """An order of combined tickets, and what is told of its entitlements."""

    def __init__(self, shop: "Shop", order: dict[str, Any]) -> None:
        self.shop = shop
        self.order_no: str = order["order_no"]
        self.entitlements: list[tuple[str, str, str]] = [
            (ticket["ticket_no"], spot["entitlement_id"], spot["spot_id"])
            for ticket in order["tickets"]
            for spot in ticket["spots"]
        ]

    def event(self, fact: str, position: int) -> Event:
        """A fact about an entitlement, counted over all tickets."""
        ticket_no, entitlement_id, spot_id = self.entitlements[position]
        kind, details = SAID[fact]
        about = {
            "order_no": self.order_no,
            "ticket_no": ticket_no,
            "entitlement_id": entitlement_id,
            "spot_id": spot_id,
            "refunded_fen": PART_FEN[spot_id],
        }
        return kind.model_validate({**about, **details})

    async def tell(self, fact: str, position: int) -> bool:
        """Let it arrive; whether it came in time for what it builds on."""
        (verdict,) = await self.shop.tell(self.event(fact, position))
        assert verdict.fate is Fate.DONE or verdict.reason.startswith("not yet: "), verdict.reason
        return verdict.fate is Fate.DONE

    async def shown(self) -> tuple[list[str], str, str, int]:
        """What every entitlement shows, order and refund status, and what was refunded."""
        view = await self.shop.view(self.order_no)
        spots = [spot for ticket in view["tickets"] for spot in ticket["spots"]]
        assert [spot["entitlement_id"] for spot in spots] == [
            key for _, key, _ in self.entitlements
        ]
        shown = [spot["shown"] for spot in spots]
        return shown, view["status"], view["refund_status"], view["refunded_fen"]


@pytest.fixture
def combined(shop: "Shop") -> "Shop":
    """A shop in which every order is for three spots, refundable before the visit."""
    shop.stock.spots = ("spt_1", "spt_2", "spt_3")
    shop.stock.terms_of = {spot: {"part_fen": fen} for spot, fen in PART_FEN.items()}
    shop.stock.refund_rule = RefundRule(before_visit=True)
    return shop


async def test_each_ticket_has_one_entitlement_for_each_spot(combined: "Shop") -> None:
    names = {"spt_1": "黄山", "spt_2": "西递", "spt_3": "宏村"}
    for spot, name in names.items():
        combined.stock.terms_of[spot] |= {"spot_name": name, "settle_fen": len(spot)}
    order = await combined.issued(quantity=4)
    assert (order["kind"], len(order["tickets"])) == ("combined", 4)
    assert len({ticket["ticket_no"] for ticket in order["tickets"]}) == 4
    assert len({ticket["qr"] for ticket in order["tickets"]}) == 4, "one code for all its spots"
    for ticket in order["tickets"]:
        spots = ticket["spots"]
        assert [(spot["spot_id"], spot["spot_name"]) for spot in spots] == [*names.items()]
        assert [spot["part_fen"] for spot in spots] == [5_001, 2_999, 2_000]
    every = [spot["entitlement_id"] for ticket in order["tickets"] for spot in ticket["spots"]]
    assert len({*every}) == 12
    (told,) = await combined.sent(TicketsIssued)
    by_ticket = {ticket["ticket_no"]: ticket["entitlements"] for ticket in told["tickets"]}
    for ticket in order["tickets"]:
        assert [e["entitlement_id"] for e in by_ticket[ticket["ticket_no"]]] == [
            spot["entitlement_id"] for spot in ticket["spots"]
        ]
    assert sum(e["part_fen"] for e in told["tickets"][0]["entitlements"]) == 10_000


async def test_each_spot_has_the_days_of_its_own_time_zone_and_its_own_grace(
    combined: "Shop",
) -> None:
    combined.stock.terms_of = {
        "spt_1": {"time_zone": "Asia/Shanghai", "offline_grace_s": 0},
        "spt_2": {"time_zone": "Asia/Tokyo", "offline_grace_s": 3600},
        "spt_3": {"time_zone": "Asia/Urumqi", "offline_grace_s": 86_400},
    }
    order = await combined.issued(quantity=2)
    days = [
        ("spt_1", "2026-11-04T16:00:00Z", "2026-11-05T16:00:00Z", "2026-11-05T16:00:00Z"),
        ("spt_2", "2026-11-04T15:00:00Z", "2026-11-05T15:00:00Z", "2026-11-05T16:00:00Z"),
        ("spt_3", "2026-11-04T18:00:00Z", "2026-11-05T18:00:00Z", "2026-11-06T18:00:00Z"),
    ]
    (told,) = await combined.sent(TicketsIssued)
    for ticket in told["tickets"]:
        assert [
            (e["spot_id"], e["valid_from"], e["valid_until"], e["expires_at"])
            for e in ticket["entitlements"]
        ] == days
    for ticket in order["tickets"]:
        shown = [(s["spot_id"], s["valid_from"], s["valid_until"]) for s in ticket["spots"]]
        assert shown == [row[:3] for row in days]


HISTORIES: Final[list[tuple[str, str, str]]] = [
    # two tickets of two spots: what is told of each entitlement; order status, refund status
    ("- - / - -", "issued", "none"),
    ("used - / - -", "issued", "none"),
    ("used,settled used,settled / used,settled -", "issued", "none"),
    ("used used / used used", "completed", "none"),
    ("used,settled used,settled / used,settled used,settled", "completed", "none"),
    ("used,settled used,settle_failed / used,settled used", "completed", "none"),
    # partly visited, and the rest is over: per spot of a ticket, or a ticket as a whole
    ("used expired / used expired", "completed", "none"),
    ("used used / expired expired", "completed", "none"),
    ("used,settled expired,refunded / used,settled -", "issued", "none"),
    (
        "used,settled expired,refunded / used,settled expired,refunded",
        "completed",
        "partially_refunded",
    ),
    (
        "used,settled expired,refunded / used,settled expired,refund_failed",
        "completed",
        "refund_pending",
    ),
    ("used,settled expired,refunded / used expired,refunded", "completed", "none"),
    ("used,settled expired,refunded / used,settled expired,forfeited", "completed", "none"),
    # refunds before the visit
    ("voided,refunded - / - -", "issued", "none"),
    ("voided,refunded voided,refunded / - -", "issued", "none"),
    ("voided,refund_failed - / - -", "issued", "refund_pending"),
    (
        "voided,refunded voided,refunded / used,settled used,settled",
        "completed",
        "partially_refunded",
    ),
    ("voided,refunded voided,refunded / used,settled used", "completed", "none"),
    (
        "voided,refunded expired,refunded / expired,refunded voided,refunded",
        "closed_refunded",
        "refunded",
    ),
    ("voided,refunded expired / expired expired,refunded", "issued", "none"),
    (
        "voided,refunded expired,refund_failed / expired,refunded expired,refunded",
        "issued",
        "refund_pending",
    ),
    # nothing is refunded on expiry
    (
        "expired,forfeited expired,forfeited / expired,forfeited expired,forfeited",
        "completed",
        "none",
    ),
    ("expired,forfeited expired,forfeited / expired,forfeited -", "issued", "none"),
    (
        "used,settled expired,forfeited / voided,refunded expired,forfeited",
        "completed",
        "none",
    ),
]


async def test_what_becomes_of_two_tickets_of_two_spots(combined: "Shop") -> None:
    combined.stock.spots = ("spt_1", "spt_2")
    for number, (history, status, refund_status) in enumerate(HISTORIES):
        trip = Trip(combined, await combined.issued(f"A-{number}", quantity=2))
        told = [[] if h == "-" else h.split(",") for h in history.replace("/", "").split()]
        for position, facts in enumerate(told):
            for fact in facts:
                assert await trip.tell(fact, position)
        expected = [read_spot_status(facts) for facts in told]
        refunded_fen = sum(
            PART_FEN[spot]
            for facts, (_, _, spot) in zip(told, trip.entitlements, strict=True)
            if "refunded" in facts
        )
        assert (history, await trip.shown()) == (
            history,
            (expected, status, refund_status, refunded_fen),
        )


ENDS: Final = [
    ["used", "settled"],
    ["used", "settle_failed", "settled"],
    ["expired", "refunded"],
    ["expired", "refund_failed", "refunded"],
    ["expired", "forfeited"],
    ["voided", "refunded"],
    ["voided", "refund_failed", "refunded"],
]


@pytest.mark.parametrize("seed", range(8))
async def test_any_history_of_several_tickets_and_spots(seed: int, combined: "Shop") -> None:
    """In any order of arrival, with repeats, the view is at every step what the words say."""
    dice = random.Random(seed)  # noqa: S311 - the same history every time
    spots, quantity = 2 + seed % 3, dice.randrange(2, 4)
    combined.stock.spots = tuple(PART_FEN)[:spots]
    trip = Trip(combined, await combined.issued(quantity=quantity))
    usual = dice.sample(ENDS, dice.randrange(1, 4))
    ends = [dice.choice(usual) for _ in trip.entitlements]
    waiting = [(fact, position) for position, end in enumerate(ends) for fact in end]
    dice.shuffle(waiting)
    told: list[list[str]] = [[] for _ in ends]
    while waiting:
        fact, position = waiting.pop(0)
        if not await trip.tell(fact, position):
            assert not told[position], "only what comes before the visit's end is too early"
            waiting.append((fact, position))
            continue
        late = fact.endswith("_failed") and {"settled", "refunded"} & {*told[position]}
        if not late:
            told[position].append(fact)
        if dice.random() < 0.2:
            await combined.told(message_of(trip.event(fact, position)))
        expected = [read_spot_status(facts) for facts in told]
        shown, status, refund_status, _ = await trip.shown()
        assert shown == expected
        assert (status, refund_status) == read_statuses(expected), shown
    assert (await trip.shown())[1] != "issued"
    notices = [row["type"] for row in await combined.rows(WEBHOOK_EVENTS)]
    concluded = [kind for kind in notices if kind in {"order.completed", "order.refunded"}]
    assert len(concluded) == 1
    assert notices.count("entitlement.used") == sum("used" in end for end in ends)


async def test_one_spot_of_one_ticket_is_refunded_and_the_rest_visited(combined: "Shop") -> None:
    trip = Trip(combined, await combined.issued(quantity=2))
    path = f"/v1/orders/{trip.order_no}/refund"
    (_, given_up, _) = trip.entitlements[1]
    answer = await combined.post(path, {"entitlement_ids": [given_up]})
    assert answer.status_code == 202
    (asked,) = await combined.sent(VoidRequested)
    assert asked["entitlement_ids"] == [given_up]
    assert await trip.tell("voided", 1)
    assert await trip.tell("refunded", 1)
    shown, status, refund_status, refunded_fen = await trip.shown()
    assert shown == ["awaiting_visit", "refunded", *["awaiting_visit"] * 4]
    assert (status, refund_status, refunded_fen) == ("issued", "none", 2_999)
    for position in (0, 2, 3, 4, 5):
        assert await trip.tell("used", position)
        assert await trip.tell("settled", position)
    assert (await trip.shown())[1:] == ("completed", "partially_refunded", 2_999)


async def test_a_ticket_is_refunded_as_a_whole_also_when_one_of_its_spots_was_before(
    combined: "Shop",
) -> None:
    trip = Trip(combined, await combined.issued(quantity=2))
    path = f"/v1/orders/{trip.order_no}/refund"
    ticket_no = trip.entitlements[0][0]
    every = [key for number, key, _ in trip.entitlements if number == ticket_no]
    await combined.post(path, {"entitlement_ids": every[:1]})
    await combined.post(path, {"ticket_nos": [ticket_no]})
    asked = [event["entitlement_ids"] for event in await combined.sent(VoidRequested)]
    assert asked == [every[:1], every[1:]]
    for position in range(3):
        assert await trip.tell("voided", position)
        assert await trip.tell("refunded", position)
    shown, status, refund_status, refunded_fen = await trip.shown()
    assert shown == [*["refunded"] * 3, *["awaiting_visit"] * 3]
    assert (status, refund_status, refunded_fen) == ("issued", "none", 10_000)

    await combined.post(path)
    for position in range(3, 6):
        assert await trip.tell("voided", position)
        assert await trip.tell("refunded", position)
    assert (await trip.shown())[1:] == ("closed_refunded", "refunded", 20_000)


async def test_a_ticket_that_was_used_at_one_spot_is_not_refunded_as_a_whole(
    combined: "Shop",
) -> None:
    trip = Trip(combined, await combined.issued(quantity=2))
    assert await trip.tell("used", 0)
    path = f"/v1/orders/{trip.order_no}/refund"
    ticket_no, used, _ = trip.entitlements[0]
    whole = await combined.post(path, {"ticket_nos": [ticket_no]})
    assert (whole.status_code, whole.json()["code"]) == (409, "entitlement_not_refundable")
    assert whole.json()["entitlement_ids"] == [used]
    assert await combined.sent(VoidRequested) == []
    answer = await combined.post(path)
    assert answer.status_code == 202
    (asked,) = await combined.sent(VoidRequested)
    assert len(asked["entitlement_ids"]) == 5
