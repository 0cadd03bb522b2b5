"""Money that goes back: voided and expired entitlements, debits that no order could take."""

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from shanmen.common.db import Tx
from shanmen.contracts.gateway import RefundRequested
from shanmen.contracts.orders import TicketsIssued
from shanmen.contracts.settlement import EntitlementForfeited, EntitlementRefunded, RefundFailed
from shanmen.contracts.terms import RefundRule
from shanmen.settlement.tables import ENTITLEMENTS, ORPHANED_DEBITS, POSTINGS, REFUNDS

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story

PAYER = {"account_id": "acc_payer", "channel": "alipay"}
REFUND: dict[str, Any] = {"kind": "refund", "amount_fen": 10_000}
KIND = {"kind": "refund"}
WITH_FEE = RefundRule(refunds_fee=True)
NOTHING_ON_EXPIRY = RefundRule(on_expiry=False)


async def asked(story: "Story", fact: str = "voided", **terms: Any) -> str:
    """An order was paid and issued on these terms, and lapsed; returns its refund's number."""
    await story.told(story.paid(), story.issued(**terms), getattr(story, fact)())
    return str((await story.refund())["refund_id"])


def three_parts(story: "Story", **terms: Any) -> TicketsIssued:
    """An order of 10000 fen and a fee of 100, whose ticket admits to three spots."""
    issued = story.issued(**terms)
    (ticket,) = issued.tickets
    (first,) = ticket.entitlements
    parts = {"ent_a": 3_333, "ent_b": 3_333, "ent_c": 3_334}
    entitlements = tuple(
        first.model_copy(update={"entitlement_id": key, "part_fen": part_fen})
        for key, part_fen in parts.items()
    )
    tickets = (ticket.model_copy(update={"entitlements": entitlements}),)
    return issued.model_copy(update={"tickets": tickets})


@pytest.mark.parametrize("fact", ["voided", "expired"])
async def test_a_part_goes_back_to_the_account_that_was_debited(story: "Story", fact: str) -> None:
    refund_id = await asked(story, fact)
    (request,) = await story.sent(RefundRequested)
    assert request == {
        "operation_id": refund_id,
        "order_no": "ord_a",
        "original_operation_id": "deb_a",
        "account": PAYER,
        "amount_fen": 10_000,
        "description": "订单 ord_a 退款",
    }
    assert (await story.entitlement())["status"] == "pending"
    await story.told(story.succeeded(refund_id, **REFUND))
    refund, entitlement = await story.refund(), await story.entitlement()
    assert (refund["status"], entitlement["status"]) == ("refunded", "refunded")
    (told,) = await story.sent(EntitlementRefunded)
    assert (told["refund_id"], told["refunded_fen"]) == (refund_id, 10_000)
    assert await story.balances() == {"cash:alipay": 60, "fees": 60}


async def test_the_fee_goes_back_too_where_the_product_says_so(story: "Story") -> None:
    refund_id = await asked(story, refund_rule=WITH_FEE)
    refund = await story.refund()
    assert (refund["part_fen"], refund["fee_fen"], refund["amount_fen"]) == (10_000, 60, 10_060)
    await story.told(story.succeeded(refund_id, kind="refund", amount_fen=10_060))
    assert await story.balances() == {}


async def test_shares_of_the_fee_add_up_to_it(story: "Story") -> None:
    await story.told(story.paid(fee_fen=100), three_parts(story, refund_rule=WITH_FEE))
    for name in "cab":
        lapsed = story.voided(name).model_copy(update={"order_no": "ord_a"})
        await story.told(lapsed)
    refunds = {row["entitlement_id"]: row for row in await story.rows(REFUNDS)}
    assert {key: row["fee_fen"] for key, row in refunds.items()} == {
        "ent_a": 33,
        "ent_b": 33,
        "ent_c": 34,
    }
    for row in refunds.values():
        await story.told(
            story.succeeded(row["refund_id"], kind="refund", amount_fen=row["amount_fen"])
        )
    assert await story.balances() == {}


async def test_what_expired_is_kept_where_the_product_says_so(story: "Story") -> None:
    await story.told(story.paid(), story.issued(refund_rule=NOTHING_ON_EXPIRY), story.expired())
    assert (await story.entitlement())["status"] == "forfeited"
    assert await story.rows(REFUNDS) == await story.sent(RefundRequested) == []
    (told,) = await story.sent(EntitlementForfeited)
    assert told["entitlement_id"] == "ent_a"
    assert await story.balances() == {"cash:alipay": 10_060, "fees": 60, "margin": 10_000}


async def test_what_is_voided_goes_back_even_if_expiry_would_forfeit_it(story: "Story") -> None:
    await asked(story, refund_rule=NOTHING_ON_EXPIRY)
    await story.told(story.expired())  # too late to matter
    assert (await story.refund())["status"] == "requested"
    assert await story.sent(EntitlementForfeited) == []


async def test_where_nothing_is_due_nobody_is_asked(story: "Story") -> None:
    terms: dict[str, Any] = {"part_fen": 0, "settle_fen": 0, "settlement_fee_fen": 0}
    await story.told(story.paid(price_fen=0, fee_fen=60), story.issued(**terms), story.voided())
    assert (await story.entitlement())["status"] == "refunded"
    assert await story.sent(RefundRequested) == []
    (told,) = await story.sent(EntitlementRefunded)
    assert (told["refund_id"], told["refunded_fen"]) == ((await story.refund())["refund_id"], 0)
    assert await story.balances() == {"cash:alipay": 60, "fees": 60}


async def test_a_lapsed_part_told_again_goes_back_once(story: "Story") -> None:
    await asked(story)
    await story.told(story.voided(), story.expired())
    assert len(await story.sent(RefundRequested)) == 1


@pytest.mark.parametrize("fact", ["voided", "expired"])
async def test_what_was_used_never_goes_back(story: "Story", fact: str) -> None:
    await story.told(story.paid(), story.issued(), story.used())
    (verdict,) = await story.tell(getattr(story, fact)())
    assert (verdict.fate, verdict.reason) == ("dead", "ent_a lapsed, and is used before")
    assert await story.rows(REFUNDS) == []


async def test_what_goes_back_is_not_used_any_more(story: "Story") -> None:
    await asked(story)
    (verdict,) = await story.tell(story.used())
    assert (verdict.fate, verdict.reason) == ("dead", "ent_a is used, and lapsed before")
    assert "payable:spt_1" not in await story.balances()


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [("funds", "refund_short"), ("unknown", "refund_stuck"), ("config", "refund_stuck")],
)
async def test_a_stuck_refund_waits_for_a_person_and_can_still_go_back(
    story: "Story", outcome: str, kind: str
) -> None:
    refund_id = await asked(story)
    await story.told(story.stuck(refund_id, "余额不足", outcome=outcome, **KIND))
    refund, entitlement = await story.refund(), await story.entitlement()
    assert (refund["status"], refund["reason"]) == ("parked", "余额不足")
    assert (entitlement["status"], entitlement["reason"]) == ("refund_failed", "余额不足")
    (told,) = await story.sent(RefundFailed)
    assert (told["entitlement_id"], told["reason"]) == ("ent_a", "余额不足")
    assert await story.open_work() == [(kind, refund_id)]
    await story.told(story.succeeded(refund_id, **REFUND))
    assert (await story.entitlement())["status"] == "refunded"
    assert (await story.entitlement())["reason"] is None
    assert await story.open_work() == []


async def test_a_refused_refund_stays_refused_and_is_work(story: "Story") -> None:
    refund_id = await asked(story)
    await story.told(
        story.stuck(refund_id, "系统错误", **KIND),
        story.failed(refund_id, "退款金额超限", **KIND),
        story.stuck(refund_id, "系统错误", **KIND),
    )
    assert (await story.refund())["status"] == "failed"
    assert (await story.entitlement())["reason"] == "退款金额超限"
    assert await story.open_work() == [("refund_refused", refund_id)]
    reasons = [told["reason"] for told in await story.sent(RefundFailed)]
    assert reasons == ["系统错误", "退款金额超限"]


async def test_news_that_comes_late_never_overrides_success(story: "Story") -> None:
    refund_id = await asked(story)
    await story.told(story.succeeded(refund_id, **REFUND), story.stuck(refund_id, **KIND))
    (verdict,) = await story.tell(story.failed(refund_id, **KIND))
    assert (verdict.fate, verdict.reason) == ("dead", f"refund {refund_id} is refunded already")
    await story.told(story.succeeded(refund_id, **REFUND))
    assert await story.open_work() == []
    assert await story.sent(RefundFailed) == []
    assert len(await story.sent(EntitlementRefunded)) == 1


@pytest.mark.parametrize("differing", [{"amount_fen": 9_999}, {"channel": "huijinbao"}])
async def test_another_amount_or_channel_than_asked_for_is_for_a_person(
    story: "Story", differing: dict[str, Any]
) -> None:
    refund_id = await asked(story)
    (verdict,) = await story.tell(story.succeeded(refund_id, **{**REFUND, **differing}))
    assert verdict.fate == "dead"
    assert (await story.refund())["status"] == "requested"
    assert len(await story.rows(POSTINGS)) == 1


async def test_news_of_an_unknown_refund_waits(story: "Story") -> None:
    for news in (
        story.succeeded("ref_x", **REFUND),
        story.stuck("ref_x", **KIND),
        story.failed("ref_x", **KIND),
    ):
        (verdict,) = await story.tell(news)
        assert verdict.fate == "retry"


# ── debits that no order could take ─────────────────────────────────────────────────────────────


async def test_an_orphaned_debit_goes_back_in_full_fee_included(story: "Story") -> None:
    await story.told(story.orphaned())
    assert await story.balances() == {"cash:alipay": 10_060, "custody:ord_a": 10_060}
    refund = await story.refund()
    assert (refund["entitlement_id"], refund["amount_fen"]) == (None, 10_060)
    (request,) = await story.sent(RefundRequested)
    assert (request["original_operation_id"], request["account"]) == ("deb_a", PAYER)
    await story.told(story.succeeded(refund["refund_id"], kind="refund", amount_fen=10_060))
    assert await story.balances() == {}
    (orphan,) = await story.rows(ORPHANED_DEBITS)
    assert orphan["refunded_at"] is not None
    assert await story.sent(EntitlementRefunded) == []


async def test_an_orphans_stuck_refund_is_work_too(story: "Story") -> None:
    await story.told(story.orphaned())
    refund_id = (await story.refund())["refund_id"]
    await story.told(story.stuck(refund_id, **KIND))
    assert await story.open_work() == [("refund_short", refund_id)]
    assert await story.sent(RefundFailed) == []


async def test_an_orphan_of_an_order_that_another_debit_paid_is_apart(story: "Story") -> None:
    await story.told(story.paid(), story.issued(), story.orphaned(operation_id="deb_second"))
    refund = await story.refund()
    await story.told(story.succeeded(refund["refund_id"], kind="refund", amount_fen=10_060))
    assert await story.balances() == {"cash:alipay": 10_060, "custody:ord_a": 10_000, "fees": 60}


async def test_an_orphan_told_again_goes_back_once(story: "Story") -> None:
    await story.told(story.orphaned(), story.orphaned())
    assert len(await story.sent(RefundRequested)) == 1


@pytest.mark.parametrize("facts", [("paid", "orphaned"), ("orphaned", "paid")])
async def test_a_debit_pays_an_order_or_goes_back(story: "Story", facts: tuple[str, str]) -> None:
    first, second = (getattr(story, fact)() for fact in facts)
    await story.told(first)
    (verdict,) = await story.tell(second)
    assert verdict.fate == "dead"
    assert len(await story.rows(POSTINGS)) == 1


# ── what the database itself refuses ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({}, "refunds_of_entitlement_ix"),
        ({"entitlement_id": "ent_b"}, "refunds of deb_a exceed what was debited"),
        ({"entitlement_id": "ent_b", "part_fen": 61, "amount_fen": 61}, "exceed what was debited"),
        ({"entitlement_id": "ent_b", "original_operation_id": "deb_none"}, "exceed"),
        ({"amount_fen": 9_999}, "refunds_sum_check"),
        ({"status": "parked"}, "refunds_reason_check"),
        ({"live": False}, "refunds_live_check"),
        ({"status": "refunded"}, "refunds_finished_check"),
        ({"part_fen": 0, "amount_fen": 0}, "refunds_nothing_due_check"),
    ],
)
async def test_the_database_refuses_a_second_refund_and_more_than_was_debited(
    story: "Story", changes: dict[str, Any], constraint: str
) -> None:
    await asked(story)
    await story.told(story.issued("b"))
    another = {**await story.refund(), "refund_id": "ref_another", **changes}
    with pytest.raises(IntegrityError, match=constraint):
        async with story.context.db.transaction() as tx:
            await tx.execute(insert(REFUNDS).values(another))


async def test_refunds_added_at_the_same_moment_stay_within_the_debit(story: "Story") -> None:
    """Neither transaction sees what the other is about to commit; the debit makes them queue."""
    await asked(story)
    await story.told(story.issued("b"), story.issued("c"))
    usual = {**await story.refund(), "part_fen": 60, "amount_fen": 60}

    async def add(tx: Tx, name: str) -> None:
        own = {"refund_id": f"ref_{name}", "entitlement_id": f"ent_{name}"}
        await tx.execute(insert(REFUNDS).values({**usual, **own}))

    async def add_alone(name: str) -> None:
        async with story.context.db.transaction() as tx:
            await add(tx, name)

    async with story.context.db.transaction() as tx:
        await add(tx, "b")
        other = asyncio.create_task(add_alone("c"))
        await asyncio.wait([other], timeout=0.2)
        assert not other.done()
    with pytest.raises(IntegrityError, match="exceed what was debited"):
        await other
    assert len(await story.rows(REFUNDS)) == 2


async def test_the_database_lets_all_of_a_debit_go_back(story: "Story") -> None:
    await asked(story)
    await story.told(story.issued("b"))
    rest = {"refund_id": "ref_b", "entitlement_id": "ent_b", "part_fen": 60, "amount_fen": 60}
    async with story.context.db.transaction() as tx:
        await tx.execute(insert(REFUNDS).values({**await story.refund(), **rest}))
    assert len(await story.rows(REFUNDS)) == 2


async def test_a_refunded_entitlement_cannot_become_used(story: "Story") -> None:
    await asked(story)
    with pytest.raises(IntegrityError, match="entitlements_used_or_lapsed_check"):
        async with story.context.db.transaction() as tx:
            await tx.execute(update(ENTITLEMENTS).values(used_at=story.context.clock.now()))
