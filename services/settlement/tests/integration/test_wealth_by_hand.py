"""What people do about invested money that is stuck: retry it, or release what waits."""

from typing import TYPE_CHECKING, Any

import pytest

from shanmen.contracts.gateway import (
    PayoutRequested,
    RefundRequested,
    ResumeRequested,
    WealthLiquidateRequested,
    WealthRedeemRequested,
    WealthSubscribeRequested,
)

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Desk, Story
    from services.settlement.tests.integration.conftest import Fund

REQUESTS = {
    "subscribe": WealthSubscribeRequested,
    "redeem": WealthRedeemRequested,
    "liquidate": WealthLiquidateRequested,
}
KINDS = tuple(REQUESTS)


async def trouble(fund: "Fund", kind: str, which: str, *, lapses: bool = True) -> str:
    """A move of order `a` is in trouble; its number."""
    story = fund.story
    if kind == "subscribe":
        await story.told(fund.paid(), fund.issued())
    else:
        await fund.invested("a")
    if kind == "liquidate":
        fund.end()
        await fund.job()
    if lapses and kind != "subscribe":
        await story.told(story.voided())
    name = None if kind == "liquidate" else "a"
    await fund.stuck(kind, name, which)
    return str((await fund.move(kind, name))["move_id"])


async def only_item(desk: "Desk") -> dict[str, Any]:
    (item,) = await desk.open_items()
    return item


async def finish(fund: "Fund", kind: str) -> None:
    if kind == "liquidate":
        await fund.liquidated(10_000)
    else:
        await fund.done(kind, "a")


# ── retry ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_parked_goes_on_under_its_own_number(
    story: "Story", fund: "Fund", desk: "Desk", kind: str
) -> None:
    move_id = await trouble(fund, kind, "unknown")
    item = await only_item(desk)
    answer = await desk.act("ann", item["item_id"], "retry")
    assert (answer.status_code, answer.json()["result_operation_id"]) == (200, move_id)
    assert await story.sent(ResumeRequested) == [{"operation_id": move_id}]
    assert len(await story.sent(REQUESTS[kind])) == 1
    again = await desk.act("ann", item["item_id"], "retry")
    assert (again.status_code, again.json()["code"]) == (409, "operation_in_progress")
    early = await desk.act("ann", item["item_id"], "resolve")
    assert (early.status_code, early.json()["code"]) == (409, "still_stuck")
    await finish(fund, kind)
    assert await desk.open_items() == []


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_refused_is_replaced_by_another_number(
    story: "Story", fund: "Fund", desk: "Desk", kind: str
) -> None:
    move_id = await trouble(fund, kind, "refused")
    answer = await desk.act("ann", (await only_item(desk))["item_id"], "retry")
    assert answer.status_code == 200, answer.text
    another = await fund.move(kind, None if kind == "liquidate" else "a")
    assert answer.json()["result_operation_id"] == another["move_id"] != move_id
    assert await desk.open_items() == []
    numbers = [request["operation_id"] for request in await story.sent(REQUESTS[kind])]
    assert numbers == [move_id, another["move_id"]]
    await finish(fund, kind)
    if kind != "subscribe":
        assert len(await story.sent(RefundRequested)) == 1
        assert await fund.outstanding_fen() == 0


@pytest.mark.parametrize("kind", ["subscribe", "redeem"])
async def test_both_are_booked_when_the_refused_one_moved_after_all(
    story: "Story", fund: "Fund", desk: "Desk", kind: str
) -> None:
    await fund.invested("b")
    await trouble(fund, kind, "refused")
    refused = await fund.move(kind, "a")
    await desk.act("ann", (await only_item(desk))["item_id"], "retry")
    await story.told(fund.success(refused))
    await finish(fund, kind)
    expected = 10_000 + (20_000 if kind == "subscribe" else -10_000)
    assert await fund.outstanding_fen() == expected
    assert len(await story.sent(RefundRequested)) == (0 if kind == "subscribe" else 1)


async def test_a_redemption_is_left_to_the_liquidation_after_the_end(
    story: "Story", fund: "Fund", desk: "Desk"
) -> None:
    await trouble(fund, "redeem", "refused")
    item = await only_item(desk)
    fund.end()
    for _ in range(2):
        answer = await desk.act("ann", item["item_id"], "retry")
        assert (answer.status_code, answer.json()["code"]) == (409, "left_to_liquidation")
        await fund.job()
    await fund.liquidated(10_000)
    assert len(await story.sent(RefundRequested)) == 1
    assert await fund.held() is None
    answer = await desk.act("ann", item["item_id"], "resolve")
    assert answer.status_code == 200, answer.text


async def test_a_liquidation_is_not_retried_before_a_new_end(
    story: "Story", fund: "Fund", desk: "Desk"
) -> None:
    await trouble(fund, "liquidate", "refused")
    item = await only_item(desk)
    await story.told(fund.paid("b"))
    answer = await desk.act("ann", item["item_id"], "retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "operation_in_progress")
    await fund.done("subscribe", "b")
    await story.told(fund.issued("b", expires_at=fund.ends_at.replace(year=2027)))
    answer = await desk.act("ann", item["item_id"], "retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "product_goes_on")
    await fund.job()
    assert await fund.held() == "redemption"
    answer = await desk.act("ann", item["item_id"], "resolve")
    assert answer.status_code == 200, answer.text


# ── release ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("which", ["unknown", "refused"])
@pytest.mark.parametrize("kind", ["redeem", "liquidate"])
async def test_what_waits_goes_on_from_cash(
    story: "Story", fund: "Fund", desk: "Desk", kind: str, which: str
) -> None:
    await trouble(fund, kind, which)
    item = await only_item(desk)
    answer = await desk.act("ann", item["item_id"], "release")
    assert answer.status_code == 200, answer.text
    assert await fund.held() is None
    assert len(await story.sent(RefundRequested)) == 1
    assert await fund.outstanding_fen() == 10_000
    # What is parked may still move, and stays on the list.
    assert len(await desk.open_items()) == (1 if which == "unknown" else 0)
    refund = await story.refund()
    await story.told(story.succeeded(refund["refund_id"], kind="refund", amount_fen=10_000))
    assert await fund.status() == ("refunded", None)
    if which == "unknown":
        again = await desk.act("ann", item["item_id"], "release")
        assert (again.status_code, again.json()["code"]) == (409, "nothing_held")
        await finish(fund, kind)
    else:
        fund.end()
        await fund.job()
        await fund.liquidated(10_000)
    assert await desk.open_items() == []
    assert await fund.outstanding_fen() == 0
    assert len(await story.sent(RefundRequested)) == 1


async def test_a_released_payout_is_paid_once(story: "Story", fund: "Fund", desk: "Desk") -> None:
    await fund.invested("a")
    await story.told(story.used())
    await fund.stuck("redeem", "a", "unknown")
    await desk.act("ann", (await only_item(desk))["item_id"], "release")
    assert await fund.status() == ("settle_failed", "because unknown")
    payout = await story.payout()
    await story.told(story.succeeded(payout["payout_id"], channel="huijinbao"))
    await fund.done("redeem", "a")
    assert await fund.status() == ("settled", None)
    assert len(await story.sent(PayoutRequested)) == 1


@pytest.mark.parametrize("action", ["retry", "release"])
async def test_a_large_one_needs_a_second_person(
    story: "Story", fund: "Fund", desk: "Desk", action: str
) -> None:
    await fund.invested("a", part_fen=900_000)
    await story.told(story.voided())
    await fund.stuck("redeem", "a", "refused")
    item = await only_item(desk)
    asked = await desk.act("ann", item["item_id"], action)
    assert asked.status_code == 202, asked.text
    assert len(await story.sent(WealthRedeemRequested)) == 1
    await desk.grant("bob")
    answer = await desk.approve("bob", asked.json()["action_id"], 900_000)
    assert (answer.status_code, answer.json()["status"]) == (200, "executed")
    assert await desk.open_items() == []
    assert len(await story.sent(WealthRedeemRequested)) == (2 if action == "retry" else 1)
    assert len(await story.sent(RefundRequested)) == (0 if action == "retry" else 1)


# ── resolve ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_refused_subscription_is_over(fund: "Fund", desk: "Desk") -> None:
    await trouble(fund, "subscribe", "refused")
    answer = await desk.act("ann", (await only_item(desk))["item_id"], "resolve")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", ["redeem", "liquidate"])
@pytest.mark.parametrize("lapses", [True, False])
async def test_a_refused_one_is_over_when_nothing_waits_for_it(
    story: "Story", fund: "Fund", desk: "Desk", kind: str, lapses: bool
) -> None:
    if kind == "redeem" and not lapses:
        alipay = story.issued().tickets[0].entitlements[0].receive_account
        await fund.invested("a", receive_account=alipay)
        await story.told(story.used())
        await fund.stuck("redeem", "a", "refused")
    else:
        await trouble(fund, kind, "refused", lapses=lapses)
    answer = await desk.act("ann", (await only_item(desk))["item_id"], "resolve")
    assert answer.status_code == (409 if lapses else 200), answer.text
    if kind == "liquidate" and not lapses:
        await fund.job()  # it is tried again, as the money must come out
        assert len(await story.sent(WealthLiquidateRequested)) == 2
