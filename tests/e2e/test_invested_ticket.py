"""理财: a combined ticket's money is invested between sale and visit, and comes out to the fen."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from shanmen.platform.checks import check_installation
from shanmen.platform.demo import combined, flow
from shanmen.platform.localclock import CHANNELS, move_world
from shanmen.platform.testing.lives import PLATFORM_FUNDS, Life, live, shown

PRICE_FEN: Final = 20_000
SETTLE_FEN: Final = (9_000, 7_000)


async def _publish(life: Life, other: Life, **more: Any) -> str:
    spots = [life.cast.spot_id, other.cast.spot_id]
    product = await life.cast.operator.post(
        "/v1/products",
        {
            "kind": "combined",
            "name": "理财联票",
            "unit_price_fen": PRICE_FEN,
            "spots": [
                {"spot_id": spot_id, "settle_fen": fen}
                for spot_id, fen in zip(spots, SETTLE_FEN, strict=True)
            ],
            "stock": [{"visit_date": flow.today(life.cast.clock), "total": 50}],
            "refund_rule": {"before_visit": True},
            **more,
        },
    )
    product_id = str(product["product_id"])
    for one in (life, other):
        answer = {"answer": "accept", "version": product["terms_version"]}
        await one.cast.spot.post(f"/v1/products/{product_id}/consents", answer)
    await life.cast.operator.post(f"/v1/products/{product_id}/publish")
    return product_id


async def _until_position(life: Life, product_id: str, **wanted: int) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = await combined.position(life.cast, product_id)
        return found if found and wanted.items() <= found.items() else None

    return await flow.until(look, f"{product_id} never comes to {wanted}")


async def _pass(life: Life, days: int) -> None:
    urls = {name: life.installation.url(name) for name in CHANNELS}
    await move_world(life.installation.state, urls, life.client, timedelta(days=days))


async def _a_whole_life(life: Life, other: Life) -> None:
    product_id = await _publish(life, other)
    order = await life.buy(product_id, 2)
    await _until_position(life, product_id, outstanding_fen=2 * PRICE_FEN)
    here, there = life, replace(other, product_id=product_id)
    await here.admit_soon(order["tickets"][0])
    await there.admit_soon(order["tickets"][0])
    left = next(
        spot for spot in order["tickets"][1]["spots"] if spot["spot_id"] == other.cast.spot_id
    )
    await life.cast.distributor.post(
        f"/v1/orders/{order['order_no']}/refund", {"entitlement_ids": [left["entitlement_id"]]}
    )
    await life.until(
        order, "", lambda o: shown(o) == ["awaiting_visit", "refunded", "settled", "settled"]
    )
    # 20 000 fen split 9 : 7; what a visit takes out is what its spot costs, a refund its part.
    outstanding_fen = 2 * PRICE_FEN - sum(SETTLE_FEN) - 8_750
    await _until_position(life, product_id, outstanding_fen=outstanding_fen)
    await _pass(life, 4)
    done = await life.until(
        order, "no end", lambda o: shown(o) == ["refunded", "refunded", "settled", "settled"]
    )
    assert (done["status"], done["refund_status"]) == ("completed", "partially_refunded")
    ended = await _until_position(life, product_id, outstanding_fen=0)
    assert ended["redeemed_fen"] == ended["invested_fen"] == 2 * PRICE_FEN
    await _assert_yield(life, product_id, ended)


async def _assert_yield(life: Life, product_id: str, ended: dict[str, Any]) -> None:
    """What was realised is what Huijinbao's own books say that it paid."""
    orders = await life.channel("huijinbao", "GET", "orders?biz_type=liquidate&limit=500")
    theirs = [order["yield_fen"] for order in orders["orders"] if order["biz_no"] == product_id]
    assert ended["realised_fen"] == sum(theirs) > 0


async def test_invested_between_sale_and_visit_and_liquidated_with_its_yield(stack: Any) -> None:
    async def script(life: Life) -> None:
        async def with_the_other(other: Life) -> None:
            for channel in CHANNELS:
                await other.fund(channel, PLATFORM_FUNDS)
            await _a_whole_life(life, other)

        await live(
            *(stack.installation, stack.sample, with_the_other),
            pays_by="huijinbao",
            paid_by="huijinbao",
        )

    await live(stack.installation, stack.sample, script)
    report = await check_installation(stack.installation, quiet_within_s=40)
    assert report.ok, report.text()


async def test_trouble_with_the_wealth_product_stops_no_sale_and_parks_no_more_than_it_must(
    stack: Any,
) -> None:
    """A subscription that is refused blocks nothing; a redemption that is refused parks the payout
    that waits for it, until a person lets it go on."""

    async def script(life: Life) -> None:
        async def with_the_other(other: Life) -> None:
            for channel in CHANNELS:
                await other.fund(channel, PLATFORM_FUNDS)
            await _refused(life, other)

        await live(stack.installation, stack.sample, with_the_other, paid_by="huijinbao")

    await live(stack.installation, stack.sample, script)
    report = await check_installation(stack.installation, quiet_within_s=40)
    assert report.ok, report.text()


async def _refused(life: Life, other: Life) -> None:
    product_id = await _publish(life, other)
    await _fault(life, "wealth.subscribe", "processing_then_fail")
    order = await life.buy(product_id)
    assert order["status"] == "issued"
    item = await life.until_item("subscribe_refused", order_no=order["order_no"])
    await life.cast.operator.post(f"/v1/work-items/{item['item_id']}/retry", {"note": "再次申购"})
    await _until_position(life, product_id, outstanding_fen=PRICE_FEN)
    await _fault(life, "wealth.redeem", "processing_then_fail")
    await replace(other, product_id=product_id).admit_soon(order["tickets"][0])
    await life.until(
        order, "not parked", lambda o: shown(o) == ["awaiting_settlement", "awaiting_visit"]
    )
    item = await life.until_item("redeem_refused", order_no=order["order_no"])
    await life.cast.operator.post(
        f"/v1/work-items/{item['item_id']}/release", {"note": "先行打款"}
    )
    await life.until(order, "not paid", lambda o: shown(o) == ["awaiting_visit", "settled"])
    await _until_position(life, product_id, outstanding_fen=PRICE_FEN)


async def _fault(life: Life, method: str, kind: str) -> None:
    body = {"kind": kind, "method": method, "times": 1, "queries": 1}
    await life.channel("huijinbao", "POST", "faults", body)
