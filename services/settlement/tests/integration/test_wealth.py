"""Invested money (理财) on its main path, from a sale to the end of the product."""

from typing import TYPE_CHECKING

from shanmen.contracts.gateway import (
    PayoutRequested,
    RefundRequested,
    WealthLiquidateRequested,
    WealthRedeemRequested,
    WealthSubscribeRequested,
)
from shanmen.settlement.tables import DEBITS, WEALTH_MOVES

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story
    from services.settlement.tests.integration.conftest import Fund


async def test_from_a_sale_to_the_end_of_the_product(story: "Story", fund: "Fund") -> None:
    await story.told(fund.paid("a"), fund.paid("b"), fund.issued("a"), fund.issued("b"))
    (asked, _) = await story.sent(WealthSubscribeRequested)
    assert (asked["product_id"], asked["order_no"], asked["amount_fen"]) == (
        *("prd_1", "ord_a"),
        10_000,
    )
    await fund.done("subscribe", "a", "b")
    assert (await story.balances())["wealth:prd_1"] == 20_000

    await story.told(story.used("a"))
    assert await fund.held("a") == "redemption"
    assert await story.sent(PayoutRequested) == []
    (asked,) = await story.sent(WealthRedeemRequested)
    assert (asked["order_no"], asked["amount_fen"]) == ("ord_a", 9_000)
    await fund.done("redeem", "a")
    payout = await story.payout()
    assert (payout["channel"], payout["amount_fen"]) == ("huijinbao", 8_900)
    await story.told(story.succeeded(payout["payout_id"], channel="huijinbao"))
    assert (await story.entitlement("a"))["status"] == "settled"

    fund.end()
    await story.told(story.expired("b"))
    assert await fund.held("b") == "liquidation"
    assert await story.sent(RefundRequested) == []
    await fund.job()
    (asked,) = await story.sent(WealthLiquidateRequested)
    assert asked["product_id"] == "prd_1"
    await fund.liquidated(11_000, 77)
    refund = await story.refund()
    await story.told(story.succeeded(refund["refund_id"], kind="refund", amount_fen=10_000))
    assert (await story.entitlement("b"))["status"] == "refunded"
    assert await story.balances() == {
        "cash:alipay": 2 * 10_060 - 10_000,
        "cash:huijinbao": -8_900 + 77,
        "fees": 2 * 60 + 100,
        "margin": 1_000,
        "yield": 77,
    }
    assert await story.open_work() == []
    await fund.job()
    assert len(await story.sent(WealthLiquidateRequested)) == 1
    moves = await story.rows(WEALTH_MOVES)
    (liquidation_id,) = [row["move_id"] for row in moves if row["kind"] == "liquidate"]
    assert {row["liquidated_by"] for row in moves if row["kind"] == "subscribe"} == {
        liquidation_id
    }


async def test_a_debit_keeps_what_it_paid_for(story: "Story", fund: "Fund") -> None:
    await story.told(fund.paid("a"))
    (debit,) = await story.rows(DEBITS)
    kept = {name: debit[name] for name in ("product_id", "product_name", "kind", "invests")}
    assert kept == {
        "product_id": "prd_1",
        "product_name": "江南三景联票",
        "kind": "combined",
        "invests": True,
    }
