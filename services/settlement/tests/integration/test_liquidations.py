"""The end of a product (理财清算): what is left comes out, and what waited goes on."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shanmen.common.broker.protocol import Fate
from shanmen.contracts.gateway import (
    PayoutRequested,
    RefundRequested,
    WealthLiquidateRequested,
    WealthRedeemRequested,
)
from shanmen.contracts.settlement import RefundFailed, SettleFailed
from shanmen.settlement.tables import ACCRUALS, POSTINGS, WEALTH_MOVES, WORK_ITEMS
from shanmen.settlement.usecases import liquidating

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story
    from services.settlement.tests.integration.conftest import Fund

DAY = timedelta(days=1)


async def liquidations(story: "Story") -> int:
    return len(await story.sent(WealthLiquidateRequested))


async def asked(story: "Story") -> tuple[int, int]:
    """How many payouts and refunds the gateway was asked for."""
    return len(await story.sent(PayoutRequested)), len(await story.sent(RefundRequested))


async def end_with(fund: "Fund", *names: str) -> None:
    """These orders are invested, then the product ends and their entitlements expire."""
    await fund.invested(*names)
    fund.end()
    await fund.story.told(*(fund.story.expired(name) for name in names))


# ── when it starts ──────────────────────────────────────────────────────────────────────────────


async def test_it_starts_at_the_end_and_once(story: "Story", fund: "Fund") -> None:
    await fund.invested("a")
    await fund.invested("b", expires_at=fund.ends_at + DAY)
    fund.end()
    await fund.job()
    assert await liquidations(story) == 0
    fund.pass_time(DAY)
    for _ in range(3):
        await fund.job()
    assert await liquidations(story) == 1
    await fund.liquidated(20_000, 9)
    await fund.job()
    assert await liquidations(story) == 1


async def test_a_product_of_which_nothing_is_invested_is_left_alone(
    story: "Story", fund: "Fund"
) -> None:
    await story.told(fund.paid(), fund.issued())
    await fund.stuck("subscribe", "a", "refused")
    fund.end()
    await fund.job()
    assert await liquidations(story) == 0


@pytest.mark.parametrize(
    ("kind", "trouble", "starts"),
    [
        ("subscribe", None, False),
        ("subscribe", "unknown", True),
        ("subscribe", "refused", True),
        ("redeem", None, False),
        ("redeem", "unknown", False),
        ("redeem", "refused", True),
    ],
)
async def test_it_waits_for_money_that_is_on_its_way(
    story: "Story", fund: "Fund", kind: str, trouble: str | None, starts: bool
) -> None:
    await fund.invested("a")
    if kind == "redeem":
        await story.told(story.used("a"))
    else:
        await story.told(fund.paid("b"), fund.issued("b"))
    name = "a" if kind == "redeem" else "b"
    if trouble is not None:
        await fund.stuck(kind, name, trouble)
    fund.end()
    await fund.job()
    assert await liquidations(story) == int(starts)
    if not starts:
        await fund.done(kind, name)
        await fund.job()
        assert await liquidations(story) == 1


# ── what waits for it ───────────────────────────────────────────────────────────────────────────


async def test_visits_and_refunds_told_after_the_end_wait_for_it(
    story: "Story", fund: "Fund"
) -> None:
    await fund.invested("a", "b")
    await fund.invested(
        "c", receive_account=story.issued().tickets[0].entitlements[0].receive_account
    )
    fund.end()
    await story.told(story.used("a"), story.voided("b"), story.used("c"))
    assert [await fund.held(name) for name in "abc"] == ["liquidation", "liquidation", None]
    assert await story.sent(WealthRedeemRequested) == []
    assert await asked(story) == (1, 0)  # c is paid on the other channel
    await fund.job()
    await fund.liquidated(30_000, 10)
    assert [await fund.held(name) for name in "abc"] == [None, None, None]
    assert await asked(story) == (2, 1)
    assert await fund.outstanding_fen() == 0


async def test_both_kinds_of_refunds_at_the_end(story: "Story", fund: "Fund") -> None:
    """One is given back before the end by its own redemption, one expires with the product."""
    await fund.invested("a", "b")
    await story.told(story.voided("a"))
    await fund.done("redeem", "a")
    fund.end()
    await story.told(story.expired("b"))
    await fund.job()
    await fund.liquidated(10_000, 3)
    assert await asked(story) == (0, 2)
    assert await fund.outstanding_fen() == 0
    assert (await story.balances())["yield"] == 3


async def test_nothing_waits_once_it_is_over(story: "Story", fund: "Fund") -> None:
    await fund.invested("a", "b")
    fund.end()
    await fund.job()
    await fund.liquidated(20_000)
    await story.told(story.used("a"), story.expired("b"))
    assert await asked(story) == (1, 1)
    assert await story.sent(WealthRedeemRequested) == []


async def test_nothing_left_is_no_posting(story: "Story", fund: "Fund") -> None:
    await fund.invested("a")
    await story.told(story.voided("a"))
    await fund.done("redeem", "a")
    fund.end()
    await fund.job()
    before = len(await story.rows(POSTINGS))
    await fund.liquidated(0, 0)
    assert len(await story.rows(POSTINGS)) == before
    assert (await fund.move("subscribe", "a"))["liquidated_by"] is not None


async def test_more_than_one_transaction_lets_go_goes_on_in_the_next_round(
    story: "Story", fund: "Fund", few_at_once: None
) -> None:
    names = ["a", "b", "c", "d", "e"]
    await end_with(fund, *names)
    await fund.job()
    await fund.liquidated(50_000)
    assert await asked(story) == (0, 2)
    await fund.job()
    assert await asked(story) == (0, 5)
    assert {await fund.held(name) for name in names} == {None}


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liquidating, "AT_ONCE", 2)


# ── trouble ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trouble", ["unknown", "funds", "refused"])
async def test_trouble_is_told_of_all_that_waits(
    story: "Story", fund: "Fund", trouble: str
) -> None:
    await fund.invested("a", "b")
    fund.end()
    await story.told(story.used("a"), story.expired("b"))
    await fund.job()
    await fund.stuck("liquidate", None, trouble)
    reason = f"because {trouble}"
    assert await fund.status("a") == ("settle_failed", reason)
    assert await fund.status("b") == ("refund_failed", reason)
    assert [e["entitlement_id"] for e in await story.sent(SettleFailed)] == ["ent_a"]
    assert [e["entitlement_id"] for e in await story.sent(RefundFailed)] == ["ent_b"]
    kinds = {"unknown": "liquidate_stuck", "funds": "liquidate_short"}
    (item,) = [row for row in await story.rows(WORK_ITEMS) if row["status"] == "open"]
    assert item["kind"] == kinds.get(trouble, "liquidate_refused")
    assert item["amount_fen"] == 20_000
    await fund.job()
    assert await liquidations(story) == 1  # a person decides

    await fund.liquidated(20_000, 5)  # after all
    assert await asked(story) == (1, 1)
    assert await story.open_work() == []
    assert await fund.outstanding_fen() == 0


@pytest.mark.parametrize("trouble", ["unknown", "refused"])
async def test_what_ends_during_trouble_says_so_at_once(
    story: "Story", fund: "Fund", trouble: str
) -> None:
    await fund.invested("a")
    fund.end()
    await fund.job()
    await fund.stuck("liquidate", None, trouble)
    await story.told(story.expired("a"))
    assert await fund.status("a") == ("refund_failed", f"because {trouble}")
    assert len(await story.sent(RefundFailed)) == 1
    await fund.liquidated(10_000)
    assert await asked(story) == (0, 1)


@pytest.mark.parametrize(
    "given", [{"channel": "alipay"}, {"amount_fen": 1}, {"principal_fen": -1}], ids=str
)
async def test_a_success_of_something_else_is_for_a_person(
    story: "Story", fund: "Fund", given: dict[str, Any]
) -> None:
    await end_with(fund, "a")
    await fund.job()
    move = await fund.move("liquidate")
    (verdict,) = await story.tell(fund.success(move, **{"principal_fen": 10_000, **given}))
    assert verdict.fate is Fate.DEAD
    assert await fund.held("a") == "liquidation"


async def test_a_redemption_that_fails_after_the_liquidation_is_nobodys_business(
    story: "Story", fund: "Fund"
) -> None:
    """A refused liquidation was done after all, while the product was on sale again."""
    await fund.invested("a", "b")
    fund.end()
    await fund.job()
    await fund.stuck("liquidate", None, "refused")
    await fund.invested("c", expires_at=fund.ends_at + 2 * DAY)
    await story.told(story.used("a"), story.used("b"))
    assert [await fund.held(name) for name in "ab"] == ["redemption", "redemption"]
    await fund.stuck("redeem", "b", "unknown")
    await fund.liquidated(20_000, 4)
    assert [await fund.held(name) for name in "ab"] == ["redemption", None]
    await fund.stuck("redeem", "a", "refused")
    assert await fund.held("a") is None
    assert await asked(story) == (2, 0)
    assert await fund.status("a") == ("pending", None)
    await fund.stuck("redeem", "b", "refused")
    assert await story.open_work() == []
    assert await fund.outstanding_fen() == 10_000


# ── a second round ──────────────────────────────────────────────────────────────────────────────


async def test_a_subscription_after_the_end_is_liquidated_in_another_round(
    story: "Story", fund: "Fund"
) -> None:
    await fund.invested("a")
    await story.told(fund.paid("b"), fund.issued("b"))
    await fund.stuck("subscribe", "b", "unknown")
    fund.end()
    await fund.job()
    await fund.liquidated(10_000, 5)
    await fund.done("subscribe", "b", finished_at=fund.now())
    await story.told(story.expired("b"))
    assert await fund.held("b") == "liquidation"
    await fund.job()
    assert await liquidations(story) == 2
    await fund.liquidated(10_000, 1)
    assert await asked(story) == (0, 1)
    assert await fund.outstanding_fen() == 0
    assert (await story.balances())["yield"] == 6


async def test_a_subscription_that_is_told_after_the_liquidation_that_took_it(
    story: "Story", fund: "Fund"
) -> None:
    await fund.invested("a")
    await story.told(fund.paid("b"), fund.issued("b"))
    await fund.stuck("subscribe", "b", "unknown")
    fund.end()
    await story.told(story.expired("b"))
    assert await asked(story) == (0, 1)
    await fund.job()
    await fund.liquidated(20_000, 7)
    assert await fund.outstanding_fen() == -10_000
    await fund.done("subscribe", "b", finished_at=fund.now())
    assert await fund.outstanding_fen() == 0
    assert await story.sent(WealthRedeemRequested) == []
    await fund.job()
    assert await liquidations(story) == 1


async def test_what_waits_is_redeemed_when_the_end_moves_away(
    story: "Story", fund: "Fund"
) -> None:
    await end_with(fund, "a")
    assert await fund.held("a") == "liquidation"
    await fund.invested("b", expires_at=fund.ends_at + DAY)
    await fund.job()
    assert await liquidations(story) == 0
    assert await fund.held("a") == "redemption"
    await fund.done("redeem", "a")
    assert await asked(story) == (0, 1)
    fund.pass_time(DAY)
    await fund.job()
    assert await liquidations(story) == 1


async def test_what_was_invested_during_a_liquidation_stays_invested(
    story: "Story", fund: "Fund"
) -> None:
    await end_with(fund, "a")
    await fund.job()
    await story.told(fund.paid("b"), fund.issued("b", expires_at=fund.ends_at + DAY))
    await fund.done("subscribe", "b", finished_at=fund.now())
    await story.told(story.used("b"))
    assert await fund.held("b") == "liquidation"  # no redemption meanwhile
    await fund.liquidated(10_000)
    assert [await fund.held(name) for name in "ab"] == [None, "redemption"]
    assert (await fund.move("subscribe", "b"))["liquidated_by"] is None
    await fund.done("redeem", "b")
    assert await asked(story) == (1, 1)
    assert await fund.outstanding_fen() == 1_000


async def test_products_do_not_touch_each_other(story: "Story", fund: "Fund") -> None:
    await fund.invested("a")
    other = {"product_id": "prd_2"}
    await story.told(fund.paid("b", **other), fund.issued("b", **other))
    await fund.done("subscribe", "b")
    fund.end()
    await story.told(story.expired("a"), story.expired("b"))
    await fund.job()
    assert await liquidations(story) == 2
    for row in await story.rows(WEALTH_MOVES):
        if row["kind"] == "liquidate" and row["product_id"] == "prd_2":
            await story.told(fund.success(row, principal_fen=10_000))
    assert [await fund.held(name) for name in "ab"] == ["liquidation", None]
    assert [await fund.outstanding_fen(product) for product in ("prd_1", "prd_2")] == [10_000, 0]


async def test_accruals_end_with_it(story: "Story", fund: "Fund") -> None:
    await end_with(fund, "a")
    await fund.job()
    await fund.liquidated(10_000, 7)
    (kept,) = await story.rows(ACCRUALS)
    assert (kept["principal_fen"], kept["accrued_fen"]) == (0, 0)
