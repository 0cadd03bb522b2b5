"""Invested money, and two at the same moment: one winner, and nothing waits for ever."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import pytest

from shanmen.common.broker.protocol import Fate
from shanmen.contracts.gateway import (
    PayoutRequested,
    ResumeRequested,
    WealthLiquidateRequested,
    WealthRedeemRequested,
)
from shanmen.settlement.tables import POSTINGS, WEALTH_MOVES
from shanmen.settlement.usecases.booking import settle_visit

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Desk, Story
    from services.settlement.tests.integration.conftest import Fund

ROUNDS = [f"r{number}" for number in range(6)]


def of_product(name: str) -> dict[str, str]:
    return {"product_id": f"prd_{name}"}


async def invested(fund: "Fund", name: str) -> None:
    """An order of a product of its own is invested, and its product has ended."""
    await fund.story.told(
        fund.paid(name, **of_product(name)), fund.issued(name, **of_product(name))
    )
    await fund.done("subscribe", name)


async def test_a_visit_and_the_start_of_the_liquidation(story: "Story", fund: "Fund") -> None:
    """No redemption is asked for while a liquidation is under way, and the visit is paid."""
    for name in ROUNDS:
        await invested(fund, name)
    fund.end()
    for name in ROUNDS:
        _, (verdict,) = await asyncio.gather(fund.job(), story.tell(story.used(name)))
        assert verdict.fate is Fate.DONE
    await fund.job()
    assert await story.sent(WealthRedeemRequested) == []
    assert len(await story.sent(WealthLiquidateRequested)) == len(ROUNDS)
    for row in await story.rows(WEALTH_MOVES):
        if row["kind"] == "liquidate":
            await story.told(fund.success(row, principal_fen=10_000))
    assert {await fund.held(name) for name in ROUNDS} == {None}
    assert len(await story.sent(PayoutRequested)) == len(ROUNDS)


async def while_a_visit_is_told(fund: "Fund", name: str, other: Coroutine[Any, Any, Any]) -> None:
    """Something else begins before the transaction of a visit ends, and has to wait for that."""
    ctx = fund.story.context
    async with ctx.db.transaction() as tx:
        await settle_visit(tx, fund.story.used(name), ctx)
        task = asyncio.create_task(other)
        done, _ = await asyncio.wait({task}, timeout=0.3)
        assert not done
    await task


async def test_the_news_of_a_subscription_wait_for_a_visit(story: "Story", fund: "Fund") -> None:
    await story.told(fund.paid("a"), fund.issued("a"))
    success = fund.success(await fund.move("subscribe", "a"))
    await while_a_visit_is_told(fund, "a", story.told(success))
    assert await fund.held("a") == "redemption"
    assert len(await story.sent(WealthRedeemRequested)) == 1


async def test_the_start_of_a_liquidation_waits_for_a_visit(story: "Story", fund: "Fund") -> None:
    """The visit was told before the end, and its redemption is asked for: it comes first."""
    await fund.invested("a", "b")
    ctx = story.context
    async with ctx.db.transaction() as tx:
        await settle_visit(tx, story.used("a"), ctx)
        fund.end()
        task = asyncio.create_task(fund.job())
        done, _ = await asyncio.wait({task}, timeout=0.3)
        assert not done
    await task
    assert await story.sent(WealthLiquidateRequested) == []
    await fund.done("redeem", "a")
    await fund.job()
    assert len(await story.sent(WealthLiquidateRequested)) == 1


@pytest.mark.parametrize("which", ["done", "unknown", "refused"])
async def test_the_end_of_a_liquidation_waits_for_a_visit(
    story: "Story", fund: "Fund", which: str
) -> None:
    await fund.invested("a")
    fund.end()
    await fund.job()
    news = fund.liquidated(10_000) if which == "done" else fund.stuck("liquidate", None, which)
    await while_a_visit_is_told(fund, "a", news)
    if which == "done":
        assert await fund.held("a") is None
        assert len(await story.sent(PayoutRequested)) == 1
    else:
        assert await fund.status("a") == ("settle_failed", f"because {which}")


async def test_two_starts_of_a_liquidation(story: "Story", fund: "Fund") -> None:
    for name in ROUNDS:
        await invested(fund, name)
    fund.end()
    await asyncio.gather(*(fund.job() for _ in range(4)))
    assert len(await story.sent(WealthLiquidateRequested)) == len(ROUNDS)


async def test_a_retry_and_a_late_success(story: "Story", fund: "Fund", desk: "Desk") -> None:
    """Refused, and done after all while a person asks for another: each is booked once."""
    answered: Counter[int] = Counter()
    for name in ROUNDS:
        await invested(fund, name)
        await story.told(story.voided(name))
        await fund.stuck("redeem", name, "refused")
        refused = await fund.move("redeem", name)
        (item,) = await desk.open_items()
        answer, verdicts = await asyncio.gather(
            desk.act("ann", item["item_id"], "retry"), story.tell(fund.success(refused))
        )
        answered[answer.status_code] += 1
        assert [verdict.fate for verdict in verdicts] == [Fate.DONE]
        assert await fund.held(name) is None
        assert await desk.open_items() == []
    assert {*answered} <= {200, 409}
    assert len(await story.sent(WealthRedeemRequested)) == len(ROUNDS) + answered[200]
    kinds = Counter(row["kind"] for row in await story.rows(POSTINGS))
    assert kinds["redemption"] == len(ROUNDS)


async def test_a_release_and_a_success(story: "Story", fund: "Fund", desk: "Desk") -> None:
    for name in ROUNDS:
        await invested(fund, name)
        await story.told(story.used(name))
        await fund.stuck("redeem", name, "unknown")
        parked = await fund.move("redeem", name)
        (item,) = await desk.open_items()
        answer, verdicts = await asyncio.gather(
            desk.act("ann", item["item_id"], "release"), story.tell(fund.success(parked))
        )
        assert answer.status_code in {200, 409}, answer.text
        assert [verdict.fate for verdict in verdicts] == [Fate.DONE]
        assert await desk.open_items() == []
    assert len(await story.sent(PayoutRequested)) == len(ROUNDS)


async def test_two_retries(story: "Story", fund: "Fund", desk: "Desk") -> None:
    for name in ROUNDS:
        await story.told(fund.paid(name), fund.issued(name))
        await fund.stuck("subscribe", name, "unknown")
        (item,) = await desk.open_items()
        answers = await asyncio.gather(
            *(desk.act(person, item["item_id"], "retry") for person in ("ann", "bob"))
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        await fund.done("subscribe", name)
    assert len(await story.sent(ResumeRequested)) == len(ROUNDS)
