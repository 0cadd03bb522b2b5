"""What becomes of subscriptions and redemptions, and of the payouts and refunds that wait."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from shanmen.common.broker.protocol import Fate
from shanmen.contracts.gateway import (
    PayoutRequested,
    RefundRequested,
    SmsRequested,
    WealthRedeemRequested,
    WealthSubscribeRequested,
)
from shanmen.contracts.settlement import EntitlementSettled, RefundFailed, SettleFailed
from shanmen.contracts.terms import RefundRule
from shanmen.settlement.tables import PAYOUTS, POSTINGS, REFUNDS, WEALTH_MOVES

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story
    from services.settlement.tests.integration.conftest import Fund

HUIJINBAO, ALIPAY, REFUND = "payout on huijinbao", "payout on alipay", "refund"
ENDS = (HUIJINBAO, ALIPAY, REFUND)
WAITING = (HUIJINBAO, REFUND)
FAILED = {HUIJINBAO: "settle_failed", REFUND: "refund_failed"}


def issued(fund: "Fund", end: str, name: str = "a", **given: Any) -> Any:
    """An order whose part ends this way."""
    if end == ALIPAY:
        given["receive_account"] = fund.story.issued().tickets[0].entitlements[0].receive_account
    return fund.issued(name, **given)


async def ends(story: "Story", end: str, name: str = "a") -> None:
    await story.told(story.voided(name) if end == REFUND else story.used(name))


async def asked(story: "Story") -> int:
    """How many payouts and refunds the gateway was asked for."""
    return len(await story.sent(PayoutRequested)) + len(await story.sent(RefundRequested))


async def outcome(fund: "Fund", kind: str, which: Sequence[str], name: str = "a") -> None:
    """What the gateway tells of a move, one after another."""
    for each in which:
        if each == "done":
            await fund.done(kind, name)
        else:
            await fund.stuck(kind, name, each)


# ── while a subscription is under way ───────────────────────────────────────────────────────────

NEVER_DONE = [["unknown"], ["funds"], ["refused"], ["funds", "refused"]]


@pytest.mark.parametrize("which", NEVER_DONE, ids="-".join)
@pytest.mark.parametrize("end", ENDS)
async def test_what_waited_goes_on_when_nothing_certain_is_invested(
    story: "Story", fund: "Fund", end: str, which: list[str]
) -> None:
    await story.told(fund.paid(), issued(fund, end))
    await ends(story, end)
    assert await fund.held() == (None if end == ALIPAY else "subscription")
    assert await asked(story) == (1 if end == ALIPAY else 0)
    await outcome(fund, "subscribe", which)
    assert (await fund.held(), await asked(story)) == (None, 1)
    assert await fund.status() == ("pending", None)
    assert await story.sent(WealthRedeemRequested) == []
    (item,) = await story.open_work()
    short = "subscribe_short" if which[-1] == "funds" else "subscribe_stuck"
    assert item[0] == ("subscribe_refused" if which[-1] == "refused" else short)


@pytest.mark.parametrize("which", [*NEVER_DONE], ids="-".join)
@pytest.mark.parametrize("end", ENDS)
async def test_what_ends_after_that_does_not_wait(
    story: "Story", fund: "Fund", end: str, which: list[str]
) -> None:
    await story.told(fund.paid(), issued(fund, end))
    await outcome(fund, "subscribe", which)
    await ends(story, end)
    assert (await fund.held(), await asked(story)) == (None, 1)
    assert await story.sent(WealthRedeemRequested) == []


@pytest.mark.parametrize("which", [["unknown"], ["funds"], ["refused"]], ids="-".join)
@pytest.mark.parametrize("end", ENDS)
async def test_a_late_subscription_is_redeemed_of_what_ended_before_it(
    story: "Story", fund: "Fund", end: str, which: list[str]
) -> None:
    await story.told(fund.paid(), issued(fund, end))
    await outcome(fund, "subscribe", which)
    await ends(story, end)
    await fund.done("subscribe", "a")
    (request,) = await story.sent(WealthRedeemRequested)
    assert request["amount_fen"] == (10_000 if end == REFUND else 9_000)
    assert (await fund.held(), await asked(story)) == (None, 1)
    assert await story.open_work() == []
    await fund.done("redeem", "a")
    assert (await fund.held(), await asked(story)) == (None, 1)
    assert await fund.outstanding_fen() == (0 if end == REFUND else 1_000)


@pytest.mark.parametrize("end", ENDS)
async def test_what_waits_for_a_subscription_then_waits_for_its_redemption(
    story: "Story", fund: "Fund", end: str
) -> None:
    await story.told(fund.paid(), issued(fund, end))
    await ends(story, end)
    await fund.done("subscribe", "a")
    assert await fund.held() == (None if end == ALIPAY else "redemption")
    assert len(await story.sent(WealthRedeemRequested)) == 1
    await fund.done("redeem", "a")
    assert (await fund.held(), await asked(story)) == (None, 1)


async def test_a_shortage_is_told_once_and_ends_with_a_subscription(
    story: "Story", fund: "Fund"
) -> None:
    names = ("a", "b", "c")
    await story.told(*(fund.paid(name) for name in names))
    await outcome(fund, "subscribe", ["funds"], "a")
    await outcome(fund, "subscribe", ["funds"], "b")
    assert [sms["template"] for sms in await story.sent(SmsRequested)] == ["subscribe_short"]
    await fund.done("subscribe", "a")
    await outcome(fund, "subscribe", ["funds"], "c")
    assert len(await story.sent(SmsRequested)) == 2


@pytest.mark.parametrize("given", [{"invests": False}, {"price_fen": 0, "fee_fen": 0}])
async def test_nothing_is_invested_of_what_is_not_to_be(
    story: "Story", fund: "Fund", given: dict[str, Any]
) -> None:
    part_fen = given.get("price_fen", 10_000)
    settle_fen, fee_fen = (0, 0) if part_fen == 0 else (9_000, 100)
    await story.told(
        fund.paid(**given),
        fund.issued(part_fen=part_fen, settle_fen=settle_fen, settlement_fee_fen=fee_fen),
        story.used(),
    )
    assert await story.sent(WealthSubscribeRequested) == []
    assert await fund.held() is None


# ── redemptions ─────────────────────────────────────────────────────────────────────────────────

TROUBLES = ["unknown", "funds", "refused"]


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("end", WAITING)
async def test_a_redemption_in_trouble_keeps_what_waits_for_it_and_says_why(
    story: "Story", fund: "Fund", end: str, trouble: str
) -> None:
    await fund.invested("a")
    await ends(story, end)
    assert await fund.held() == "redemption"
    await outcome(fund, "redeem", [trouble])
    assert await fund.status() == (FAILED[end], f"because {trouble}")
    assert (await fund.held(), await asked(story)) == ("redemption", 0)
    failures = await story.sent(SettleFailed if end == HUIJINBAO else RefundFailed)
    assert [failure["reason"] for failure in failures] == [f"because {trouble}"]
    (item,) = await story.open_work()
    kinds = {"unknown": "redeem_stuck", "funds": "redeem_short", "refused": "redeem_refused"}
    assert item == (kinds[trouble], (await fund.move("redeem", "a"))["move_id"])

    await fund.done("redeem", "a")  # after all
    assert (await fund.held(), await asked(story)) == (None, 1)
    assert await story.open_work() == []
    if end == REFUND:
        refund = await story.refund()
        await story.told(story.succeeded(refund["refund_id"], kind="refund", amount_fen=10_000))
        assert await fund.status() == ("refunded", None)
    else:
        payout = await story.payout()
        await story.told(story.succeeded(payout["payout_id"], channel="huijinbao"))
        assert await fund.status() == ("settled", None)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_payout_elsewhere_does_not_mind(
    story: "Story", fund: "Fund", trouble: str
) -> None:
    await story.told(fund.paid(), issued(fund, ALIPAY))
    await fund.done("subscribe", "a")
    await ends(story, ALIPAY)
    assert (await story.payout())["channel"] == "alipay"
    await outcome(fund, "redeem", [trouble])
    assert await fund.status() == ("pending", None)
    assert len(await story.open_work()) == 1
    await fund.done("redeem", "a")
    assert (await story.open_work(), await asked(story)) == ([], 1)


async def test_a_visit_that_pays_nothing_is_settled_and_redeemed(
    story: "Story", fund: "Fund"
) -> None:
    await fund.invested("a", settle_fen=500, settlement_fee_fen=500)
    await story.told(story.used())
    assert len(await story.sent(EntitlementSettled)) == 1
    (request,) = await story.sent(WealthRedeemRequested)
    assert request["amount_fen"] == 500
    assert await fund.held() is None


async def test_a_visit_below_cost_redeems_what_it_brought_in(story: "Story", fund: "Fund") -> None:
    await fund.invested("a", part_fen=8_000)
    await story.told(story.used())
    (request,) = await story.sent(WealthRedeemRequested)
    assert request["amount_fen"] == 8_000
    await fund.done("redeem", "a")
    assert (await story.payout())["amount_fen"] == 8_900


async def test_what_is_forfeited_stays_invested_until_the_liquidation(
    story: "Story", fund: "Fund"
) -> None:
    await fund.invested("a", refund_rule=RefundRule(on_expiry=False))
    await story.told(story.expired())
    assert await fund.status() == ("forfeited", None)
    assert await story.sent(WealthRedeemRequested) == []
    assert await fund.outstanding_fen() == 10_000
    fund.end()
    await fund.job()
    await fund.liquidated(10_000, 5)
    assert await fund.outstanding_fen() == 0
    assert await fund.status() == ("forfeited", None)


async def test_an_order_of_several_parts_redeems_each(story: "Story", fund: "Fund") -> None:
    """Two tickets of one order: one is visited, one refunded, at different spots."""
    first = fund.issued("a", part_fen=6_000, settle_fen=5_000)
    second = fund.issued("b", part_fen=4_000, settle_fen=3_500, spot_id="spt_2")
    both = first.model_copy(update={"tickets": (*first.tickets, *second.tickets)})
    await story.told(fund.paid("a"), both)
    await fund.done("subscribe", "a")
    await story.told(story.used("a"), story.voided("b"))
    assert [request["amount_fen"] for request in await story.sent(WealthRedeemRequested)] == [
        *(5_000, 4_000)
    ]
    for row in await story.rows(WEALTH_MOVES):
        if row["kind"] == "redeem":
            await story.told(fund.success(row))
    assert await fund.outstanding_fen() == 1_000
    assert len(await story.rows(PAYOUTS)) == len(await story.rows(REFUNDS)) == 1


# ── what does not fit ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["subscribe", "redeem"])
@pytest.mark.parametrize(
    "given",
    [
        {"channel": "alipay"},
        {"amount_fen": 1},
        {"principal_fen": 1},
        {"yield_fen": -1},
        {"kind": "liquidate"},
    ],
    ids=str,
)
async def test_a_success_of_something_else_is_for_a_person(
    story: "Story", fund: "Fund", kind: str, given: dict[str, Any]
) -> None:
    await story.told(fund.paid(), fund.issued())
    if kind == "redeem":
        await fund.done("subscribe", "a")
        await story.told(story.used())
    before = len(await story.rows(POSTINGS))
    move = await fund.move(kind, "a")
    (verdict,) = await story.tell(fund.success(move, **given))
    assert verdict.fate is Fate.DEAD
    assert len(await story.rows(POSTINGS)) == before
    assert (await fund.move(kind, "a"))["status"] == "requested"


@pytest.mark.parametrize("kind", ["subscribe", "redeem", "liquidate"])
async def test_news_of_an_unknown_move_come_too_early(story: "Story", kind: str) -> None:
    given = {"kind": kind, "channel": "huijinbao"}
    for event in (
        story.succeeded("sub_unknown", **given),
        story.stuck("sub_unknown", **given),
        story.failed("sub_unknown", **given),
    ):
        (verdict,) = await story.tell(event)
        assert verdict.fate is Fate.RETRY


async def test_what_is_done_cannot_have_failed(story: "Story", fund: "Fund") -> None:
    await fund.invested("a")
    move = await fund.move("subscribe", "a")
    (parked, refused) = (fund.trouble(move, "unknown"), fund.trouble(move, "refused"))
    assert [verdict.fate for verdict in await story.tell(parked, refused)] == ["done", "dead"]
    assert await story.open_work() == []


async def test_a_repeated_answer_changes_nothing(story: "Story", fund: "Fund") -> None:
    await fund.invested("a")
    await story.told(story.used())
    for kind in ("subscribe", "redeem"):
        move = await fund.move(kind, "a")
        await story.told(fund.success(move), fund.success(move))
    assert await fund.outstanding_fen() == 1_000
    assert await asked(story) == 1
