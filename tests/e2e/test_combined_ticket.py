"""联票: one ticket and one QR for several spots, each admitted, paid and refunded by itself."""

from dataclasses import replace
from typing import Any

from shanmen.platform.checks import check_installation
from shanmen.platform.demo import flow
from shanmen.platform.testing.lives import PLATFORM_FUNDS, Life, live, refusal_of, shown

PRICE_FEN = 20_000
SETTLE_FEN = (9_000, 7_000)


async def _publish(life: Life, other: Life) -> str:
    """The platform asks two spots; with both consents the product is on sale."""
    spots = [life.cast.spot_id, other.cast.spot_id]
    product = await life.cast.operator.post(
        "/v1/products",
        {
            "kind": "combined",
            "name": "双城联票",
            "unit_price_fen": PRICE_FEN,
            "spots": [
                {"spot_id": spot_id, "settle_fen": fen}
                for spot_id, fen in zip(spots, SETTLE_FEN, strict=True)
            ],
            "stock": [{"visit_date": flow.today(life.cast.clock), "total": 50}],
            "refund_rule": {"before_visit": True},
        },
    )
    product_id = str(product["product_id"])
    publish = f"/v1/products/{product_id}/publish"
    assert await refusal_of(life.cast.operator.post(publish)) == "consent_missing"
    for one in (life, other):
        answer = {"answer": "accept", "version": product["terms_version"]}
        await one.cast.spot.post(f"/v1/products/{product_id}/consents", answer)
    await life.cast.operator.post(publish)
    return product_id


async def _two_spots(life: Life, other: Life) -> None:
    product_id = await _publish(life, other)
    order = await life.buy(product_id, 2)
    assert order["status"] == "issued"
    first, second = order["tickets"]
    here, there = life, replace(other, product_id=product_id)
    await here.admit_soon(first)
    await there.admit_soon(first)
    await here.admit_soon(second)
    assert await here.admit(first) == "already_used"
    left = next(spot for spot in second["spots"] if spot["spot_id"] == other.cast.spot_id)
    await life.cast.distributor.post(
        f"/v1/orders/{order['order_no']}/refund", {"entitlement_ids": [left["entitlement_id"]]}
    )
    done = await life.until(
        order, "no end", lambda o: shown(o) == ["refunded", "settled", "settled", "settled"]
    )
    assert (done["status"], done["refund_status"]) == ("completed", "partially_refunded")
    assert await there.admit(second) == "voided"
    # 20 000 fen split 9 : 7 by largest remainder; each spot is paid its price less 0.6 %.
    trade = await life.trade(done)
    assert [refund["amount_fen"] for refund in trade["refunds"]] == [8_750]
    assert await life.balance(life.payee) == 2 * (9_000 - 54)
    paid = await other.channel("huijinbao", "GET", f"accounts/{other.payee}")
    assert paid["balance_fen"] == 7_000 - 42


async def _withdrawn(life: Life, other: Life) -> None:
    """A spot that withdraws stops future sales; what was sold before goes on."""
    product_id = await _publish(life, other)
    sold = await life.buy(product_id)
    await other.cast.spot.post(f"/v1/products/{product_id}/consents", {"answer": "withdraw"})
    assert await refusal_of(life.buy(product_id)) == "consent_withdrawn"
    await other.admit_soon(sold["tickets"][0])


async def test_a_combined_ticket_of_two_spots_on_two_channels(stack: Any) -> None:
    async def script(life: Life) -> None:
        async def with_the_other(other: Life) -> None:
            await other.fund("huijinbao", PLATFORM_FUNDS)
            await _two_spots(life, other)
            await _withdrawn(life, other)

        await live(stack.installation, stack.sample, with_the_other, paid_by="huijinbao")

    await live(stack.installation, stack.sample, script)
    report = await check_installation(stack.installation, quiet_within_s=40)
    assert report.ok, report.text()
