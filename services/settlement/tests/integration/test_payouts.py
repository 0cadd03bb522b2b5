"""From a visit to the spot's money: amounts, minimums, and payouts that do not go through."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from shanmen.contracts.gateway import PayoutRequested
from shanmen.contracts.settlement import EntitlementSettled, SettleFailed
from shanmen.contracts.terms import AccountRef
from shanmen.settlement.tables import ENTITLEMENTS, PAYOUT_LINES, PAYOUTS, POSTINGS
from shanmen.settlement.usecases.paying import pay_spot, pay_waiting

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story

SMALL = {"part_fen": 4, "settle_fen": 4, "settlement_fee_fen": 0}
"""Three of these reach Alipay's minimum of 10 fen."""
NOON = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
RECEIVER = {"account_id": "acc_receiver", "channel": "alipay"}


async def visited(story: "Story", name: str = "a", **terms: Any) -> None:
    """An order's ticket was issued on these terms and used."""
    await story.told(story.issued(name, **terms), story.used(name))


async def wait_together(story: "Story") -> None:
    """Three small visits took place at the same moment."""
    for name in "abc":
        await story.told(story.issued(name, **SMALL))
    async with story.context.db.transaction() as tx:
        await tx.execute(update(ENTITLEMENTS).values(used_at=story.context.clock.now()))


async def test_an_admission_asks_for_a_payout_at_once(story: "Story") -> None:
    await visited(story)
    payout = await story.payout()
    (request,) = await story.sent(PayoutRequested)
    assert request == {
        "operation_id": payout["payout_id"],
        "spot_id": "spt_1",
        "account": RECEIVER,
        "amount_fen": 8_900,
        "description": "门票结算 1 张",
    }
    assert payout["payout_id"].replace("_", "").isalnum()
    assert (await story.entitlement())["status"] == "pending"
    assert (await story.balances())["payable:spt_1"] == 8_900


async def test_each_admission_has_a_payout_of_its_own(story: "Story") -> None:
    for name in "abc":
        await visited(story, name)
    assert [payout["amount_fen"] for payout in await story.rows(PAYOUTS)] == [8_900] * 3


async def test_success_settles_and_tells(story: "Story") -> None:
    await visited(story)
    payout_id = (await story.payout())["payout_id"]
    await story.told(story.succeeded(payout_id))
    entitlement = await story.entitlement()
    assert (entitlement["status"], entitlement["reason"]) == ("settled", None)
    assert await story.sent(EntitlementSettled) == [
        {
            "entitlement_id": "ent_a",
            "order_no": "ord_a",
            "spot_id": "spt_1",
            "payout_id": payout_id,
            "paid_fen": 8_900,
            "settled_at": "2026-11-01T04:00:00Z",
        }
    ]


async def test_small_visits_wait_and_are_paid_together(story: "Story") -> None:
    await visited(story, "a", **SMALL)
    await visited(story, "b", **SMALL)
    await visited(story, "other", **SMALL, spot_id="spt_2")
    assert await story.rows(PAYOUTS) == []
    assert (await story.entitlement("a"))["status"] == "pending"
    await visited(story, "c", **SMALL)
    payout = await story.payout()
    assert (payout["spot_id"], payout["amount_fen"]) == ("spt_1", 12)
    assert [
        (line["entitlement_id"], line["amount_fen"]) for line in await story.rows(PAYOUT_LINES)
    ] == [("ent_a", 4), ("ent_b", 4), ("ent_c", 4)]
    await story.told(story.succeeded(payout["payout_id"], amount_fen=12))
    assert {(await story.entitlement(name))["status"] for name in "abc"} == {"settled"}
    assert (await story.rows(POSTINGS))[-1]["order_no"] is None
    assert len(await story.sent(EntitlementSettled)) == 3
    assert (await story.balances())["payable:spt_2"] == 4


async def test_a_waiting_visit_goes_with_the_next_ordinary_one(story: "Story") -> None:
    await visited(story, "a", **SMALL)
    await visited(story, "b")
    assert (await story.payout())["amount_fen"] == 8_904


async def test_visits_for_different_accounts_are_never_paid_together(story: "Story") -> None:
    other = {"account_id": "acc_newer", "channel": "alipay"}
    await visited(story, "a", **SMALL, receive_account=other)
    await visited(story, "b")
    payout = await story.payout()
    assert (payout["account_id"], payout["amount_fen"]) == ("acc_receiver", 8_900)


async def test_small_visits_for_a_replaced_account_go_along_to_the_present_one(
    story: "Story",
) -> None:
    """Nobody may ever visit on a ticket with the old account again."""
    old = {"account_id": "acc_old", "channel": "alipay"}
    before = NOON - timedelta(days=1)
    await visited(story, "a", **SMALL, receive_account=old, issued_at=before)
    await visited(story, "b", **SMALL, receive_account=old, issued_at=before)
    assert await story.rows(PAYOUTS) == []
    await visited(story, "c", **SMALL)
    payout = await story.payout()
    assert (payout["account_id"], payout["amount_fen"]) == ("acc_receiver", 12)
    assert len(await story.rows(PAYOUT_LINES)) == 3


async def test_the_background_pays_the_newest_account_first(story: "Story") -> None:
    """Those for the old one would do by themselves, too; but nobody knows if it still works."""
    old = {"account_id": "acc_old", "channel": "alipay"}
    before = NOON - timedelta(days=1)
    for name in "abc":
        await story.told(story.issued(name, **SMALL, receive_account=old, issued_at=before))
    await story.told(story.issued("d", **SMALL))
    async with story.context.db.transaction() as tx:
        await tx.execute(update(ENTITLEMENTS).values(used_at=story.context.clock.now()))
    await pay_waiting(story.context)
    payout = await story.payout()
    assert (payout["account_id"], payout["amount_fen"]) == ("acc_receiver", 16)


async def test_the_minimum_is_the_channels_own(story: "Story") -> None:
    account = {"account_id": "acc_hjb", "channel": "huijinbao"}
    await visited(story, "a", **SMALL, receive_account=account)
    assert (await story.payout())["amount_fen"] == 4


async def test_what_waits_is_paid_in_the_background_too(story: "Story") -> None:
    """Small visits at one moment do not see each other, and no other visit may follow."""
    await wait_together(story)
    for _ in range(2):
        await pay_waiting(story.context)
    assert (await story.payout())["amount_fen"] == 12
    assert len(await story.sent(PayoutRequested)) == 1


async def test_what_another_transaction_is_paying_is_left_to_it(story: "Story") -> None:
    await wait_together(story)
    async with story.context.db.transaction() as tx:
        await pay_spot(tx, "spt_1", AccountRef.model_validate(RECEIVER), story.context)
        await asyncio.wait_for(pay_waiting(story.context), timeout=2)
    assert (await story.payout())["amount_fen"] == 12
    assert len(await story.sent(PayoutRequested)) == 1


async def test_a_visit_of_which_nothing_is_due_is_settled_by_itself(story: "Story") -> None:
    await story.told(story.paid(price_fen=100, fee_fen=0))
    await visited(story, part_fen=100, settle_fen=100, settlement_fee_fen=100)
    assert (await story.entitlement())["status"] == "settled"
    assert await story.rows(PAYOUTS) == []
    (settled,) = await story.sent(EntitlementSettled)
    assert (settled["payout_id"], settled["paid_fen"]) == (None, 0)
    assert await story.balances() == {"cash:alipay": 100, "fees": 100}


async def test_a_negative_margin_is_paid_from_the_platforms_own(story: "Story") -> None:
    await story.told(story.paid(price_fen=8_000, fee_fen=60))
    await visited(story, part_fen=8_000)
    await story.told(story.succeeded((await story.payout())["payout_id"]))
    assert await story.balances() == {"cash:alipay": -840, "fees": 160, "margin": -1_000}


async def test_a_stuck_payout_waits_for_a_person_and_can_still_be_paid(story: "Story") -> None:
    await visited(story)
    payout_id = (await story.payout())["payout_id"]
    await story.told(story.stuck(payout_id))
    payout, entitlement = await story.payout(), await story.entitlement()
    assert (payout["status"], payout["reason"]) == ("parked", "balance too low")
    assert (entitlement["status"], entitlement["reason"]) == ("settle_failed", "balance too low")
    (told,) = await story.sent(SettleFailed)
    assert (told["entitlement_id"], told["reason"]) == ("ent_a", "balance too low")
    assert (await story.balances())["payable:spt_1"] == 8_900
    await story.told(story.succeeded(payout_id))
    payout, entitlement = await story.payout(), await story.entitlement()
    assert (payout["status"], payout["reason"]) == ("paid", None)
    assert (entitlement["status"], entitlement["reason"]) == ("settled", None)
    assert "payable:spt_1" not in await story.balances()


async def test_a_refused_payout_frees_no_money(story: "Story") -> None:
    await visited(story)
    payout_id = (await story.payout())["payout_id"]
    await story.told(story.stuck(payout_id), story.failed(payout_id), story.stuck(payout_id))
    assert (await story.payout())["status"] == "failed"
    entitlement = await story.entitlement()
    assert (entitlement["status"], entitlement["reason"]) == ("settle_failed", "payee unknown")
    reasons = [told["reason"] for told in await story.sent(SettleFailed)]
    assert reasons == ["balance too low", "payee unknown"]
    await visited(story, "b")
    assert [p["amount_fen"] for p in await story.rows(PAYOUTS)] == [8_900, 8_900]


async def test_news_that_comes_late_never_overrides_success(story: "Story") -> None:
    await visited(story)
    payout_id = (await story.payout())["payout_id"]
    await story.told(story.succeeded(payout_id), story.stuck(payout_id))
    (verdict,) = await story.tell(story.failed(payout_id))
    assert (verdict.fate, verdict.reason) == ("dead", f"payout {payout_id} is paid already")
    assert (await story.payout())["status"] == "paid"
    assert (await story.entitlement())["status"] == "settled"
    assert await story.sent(SettleFailed) == []


@pytest.mark.parametrize("differing", [{"amount_fen": 8_901}, {"channel": "huijinbao"}])
async def test_another_amount_or_channel_than_asked_for_is_for_a_person(
    story: "Story", differing: dict[str, Any]
) -> None:
    await visited(story)
    payout_id = (await story.payout())["payout_id"]
    (verdict,) = await story.tell(story.succeeded(payout_id, **differing))
    assert verdict.fate == "dead"
    assert (await story.payout())["status"] == "requested"
    assert (await story.entitlement())["status"] == "pending"


async def test_operations_of_others_are_none_of_our_business(story: "Story") -> None:
    await story.told(
        story.succeeded("deb_a", kind="debit"),
        story.stuck("deb_a", kind="debit"),
        story.failed("deb_b", kind="debit"),
    )


@pytest.mark.parametrize("given_back", ["pending", "refunded", "forfeited", "refund_failed"])
async def test_a_visit_after_the_money_was_given_back_is_for_a_person(
    story: "Story", given_back: str
) -> None:
    await story.told(story.issued())
    async with story.context.db.transaction() as tx:
        reason = "channel down" if given_back == "refund_failed" else None
        given_up = {"status": given_back, "reason": reason, "lapsed_at": story.context.clock.now()}
        await tx.execute(update(ENTITLEMENTS).values(given_up))
    (verdict,) = await story.tell(story.used())
    assert (verdict.fate, verdict.reason) == ("dead", "ent_a is used, and lapsed before")
    assert await story.rows(PAYOUTS) == []
    assert await story.rows(POSTINGS) == []


async def test_the_database_refuses_a_second_payout_of_a_visit(story: "Story") -> None:
    await visited(story)
    first = await story.payout()
    again = {"payout_id": "pay_again", "entitlement_id": "ent_a", "amount_fen": 8_900}
    async with story.context.db.transaction() as tx:
        await tx.execute(insert(PAYOUTS).values({**first, "payout_id": "pay_again"}))
        with pytest.raises(IntegrityError, match="payout_lines_live_ix"):
            await tx.execute(insert(PAYOUT_LINES).values(again))
        await tx.rollback()


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"status": "settled", "settled_at": "now"}, "entitlements_unused_check"),
        ({"status": "refunded", "used_at": "now"}, "entitlements_(used|lapsed)_check"),
        ({"status": "refunded"}, "entitlements_lapsed_check"),
        ({"status": "forfeited"}, "entitlements_lapsed_check"),
        ({"used_at": "now", "lapsed_at": "now"}, "entitlements_used_or_lapsed_check"),
        ({"settlement_fee_fen": 9_001}, "entitlements_payable_check"),
        ({"status": "settled", "used_at": "now"}, "entitlements_settled_check"),
    ],
)
async def test_the_database_refuses_money_both_ways(
    story: "Story", changes: dict[str, Any], constraint: str
) -> None:
    await story.told(story.issued())
    now = story.context.clock.now()
    values = {name: now if value == "now" else value for name, value in changes.items()}
    with pytest.raises(IntegrityError, match=constraint):
        async with story.context.db.transaction() as tx:
            await tx.execute(update(ENTITLEMENTS).values(**values))
