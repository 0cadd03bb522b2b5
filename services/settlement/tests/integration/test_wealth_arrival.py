"""Whatever order the news of an invested order come in, the end is the same."""

from collections import deque
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from shanmen.common.broker.protocol import Fate
from shanmen.common.events import Event

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story
    from services.settlement.tests.integration.conftest import Fund

VISIT = ("paid", "issued", "used", "subscribed", "redeemed", "moved")
LAPSE = ("paid", "issued", "voided", "subscribed", "redeemed", "moved")


async def event_of(fund: "Fund", name: str, fact: str) -> Event:
    """A fact as it is told; of what settlement does not know, under an unknown number."""
    story = fund.story
    if fact in {"subscribed", "redeemed"}:
        kind = {"subscribed": "subscribe", "redeemed": "redeem"}[fact]
        unknown = {"move_id": "unknown", "kind": kind, "amount_fen": 1}
        return fund.success(await fund.known_move(kind, name) or unknown)
    if fact == "moved":
        return await fund.last_of(name)
    told: Event = getattr(fund if fact in {"paid", "issued"} else story, fact)(name)
    return told


async def tell_until_done(fund: "Fund", name: str, order: tuple[str, ...]) -> None:
    waiting, turns = deque(order), 0
    while waiting:
        fact = waiting.popleft()
        (verdict,) = await fund.story.tell(await event_of(fund, name, fact))
        assert verdict.fate in {Fate.DONE, Fate.RETRY}, verdict.reason
        if verdict.fate is Fate.RETRY:
            assert verdict.reason.startswith("not yet: "), verdict.reason
            waiting.append(fact)
        turns += 1
        assert turns < 100, f"{waiting} are never heard"


@pytest.mark.parametrize("first", ["paid", "issued", "used", "subscribed", "redeemed", "moved"])
async def test_every_order_of_arrival_of_a_visit(story: "Story", fund: "Fund", first: str) -> None:
    orders = [order for order in permutations(VISIT) if order[0] == first][::6]
    for order in orders:
        name = "-".join(order)
        await tell_until_done(fund, name, order)
        assert (name, *await fund.status(name)) == (name, "settled", None)
    count = len(orders)
    assert await story.balances() == {
        "cash:alipay": 10_060 * count,
        "cash:huijinbao": (-10_000 + 9_000 - 8_900) * count,
        "wealth:prd_1": 1_000 * count,
        "fees": 160 * count,
        "margin": 1_000 * count,
    }
    assert await story.open_work() == []


async def test_every_order_of_arrival_of_a_refund(story: "Story", fund: "Fund") -> None:
    orders = list(permutations(LAPSE))[::7]
    for order in orders:
        name = "-".join(order)
        await tell_until_done(fund, name, order)
        assert (name, *await fund.status(name)) == (name, "refunded", None)
    count = len(orders)
    assert await story.balances() == {"cash:alipay": 60 * count, "fees": 60 * count}
