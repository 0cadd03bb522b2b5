"""Debits that are stuck are on the work list until they end, whatever is told first."""

import asyncio
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from shanmen.common.inbox import Inbox
from shanmen.common.testing.events import deliver
from shanmen.settlement.events import SUBSCRIPTIONS
from shanmen.settlement.tables import CLOSED_ORDERS, WORK_ITEMS

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [("funds", "debit_short"), ("unknown", "debit_stuck"), ("conflict", "debit_stuck")],
)
async def test_a_parked_debit_is_work_with_its_reason(
    story: "Story", outcome: str, kind: str
) -> None:
    await story.told(story.parked(outcome=outcome))
    (item,) = await story.rows(WORK_ITEMS)
    assert (item["kind"], item["subject_id"], item["operation_id"]) == (kind, "ord_a", "deb_a")
    assert (item["reason"], item["amount_fen"]) == ("买家余额不足", 10_060)
    assert (item["order_no"], item["distributor_id"]) == ("ord_a", "dst_1")


async def test_parked_again_it_is_the_same_item(story: "Story") -> None:
    await story.told(story.parked(), story.parked(outcome="unknown"))
    assert await story.open_work() == [("debit_stuck", "ord_a")]


@pytest.mark.parametrize("end", ["paid", "closed"])
async def test_the_end_of_a_debit_ends_the_work_in_any_order(story: "Story", end: str) -> None:
    for order in permutations(["parked", end, "parked"]):
        name = "-".join(order)
        for fact in order:
            await story.told(getattr(story, fact)(name))
    assert await story.open_work() == []


async def test_an_order_closed_without_a_debit_leaves_no_trace(story: "Story") -> None:
    await story.told(story.closed(operation_id=None))
    assert await story.rows(CLOSED_ORDERS) == []


async def test_another_orders_end_ends_nothing(story: "Story") -> None:
    await story.told(story.parked("a"), story.paid("b"), story.closed("c"))
    assert await story.open_work() == [("debit_short", "ord_a")]


@pytest.mark.parametrize("end", ["paid", "closed"])
async def test_an_end_told_at_the_same_moment_leaves_no_work(story: "Story", end: str) -> None:
    """Two consumers, neither of which sees what the other is about to commit."""
    names = [f"{number:02}" for number in range(20)]
    inboxes = [Inbox(story.context.db, SUBSCRIPTIONS[0], story.context) for _ in range(2)]
    for name in names:
        facts = (story.parked(name), getattr(story, end)(name))
        told = zip(inboxes, facts, strict=True)
        await asyncio.gather(*(deliver(inbox, fact) for inbox, fact in told))
    assert await story.open_work() == []
