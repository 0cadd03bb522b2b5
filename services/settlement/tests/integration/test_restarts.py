"""Payouts and refunds that a person starts again, or settles outside: never paid twice."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from shanmen.common.db import Tx
from shanmen.common.errors import NotFound
from shanmen.contracts.gateway import PayoutRequested, RefundRequested, ResumeRequested
from shanmen.contracts.settlement import EntitlementRefunded, EntitlementSettled
from shanmen.contracts.terms import AccountRef
from shanmen.settlement.errors import (
    AmountBelowMinimum,
    MoneyUnexplained,
    NumberStillAlive,
    OperationFinished,
    OperationInProgress,
    OperationReplaced,
    ReceiverMissing,
)
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.tables import ORPHANED_DEBITS, PAYOUT_LINES, PAYOUTS, REFUNDS
from shanmen.settlement.usecases.restarting import (
    refund_outside,
    restart_payout,
    restart_refund,
    settle_payout_outside,
)

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story

PRESENT = AccountRef(account_id="acc_present", channel="alipay")
REFUND: dict[str, Any] = {"kind": "refund", "amount_fen": 10_000}
END_OF_VISIT = {"cash:alipay": 1_160, "fees": 160, "margin": 1_000}
END_OF_REFUND = {"cash:alipay": 60, "fees": 60}

Effect = Callable[[Tx, SettlementContext], Awaitable[Any]]


async def do(story: "Story", effect: Effect) -> Any:
    """What a use case answers, in a transaction of its own."""
    async with story.context.db.transaction() as tx:
        return await effect(tx, story.context)


def restart(payout_id: str, receiver: AccountRef | None = PRESENT) -> Effect:
    return lambda tx, ctx: restart_payout(tx, ctx, payout_id, receiver)


def outside(story: "Story", payout_id: str) -> Effect:
    at = story.context.clock.now()
    return lambda tx, ctx: settle_payout_outside(tx, ctx, payout_id, at=at)


def again(refund_id: str) -> Effect:
    return lambda tx, ctx: restart_refund(tx, ctx, refund_id)


def refunded_outside(story: "Story", refund_id: str) -> Effect:
    at = story.context.clock.now()
    return lambda tx, ctx: refund_outside(tx, ctx, refund_id, at=at)


async def payout_asked(story: "Story", name: str = "a") -> str:
    """An order was paid, issued and used; returns its payout's number."""
    await story.told(story.paid(name), story.issued(name), story.used(name))
    return str((await story.entitlement(name))["payout_id"])


async def refund_asked(story: "Story", name: str = "a") -> str:
    """An order was paid, issued and voided; returns its refund's number."""
    await story.told(story.paid(name), story.issued(name), story.voided(name))
    rows = [row for row in await story.rows(REFUNDS) if row["order_no"] == f"ord_{name}"]
    return str(rows[0]["refund_id"])


# ── payouts ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_parked_payout_goes_on_under_its_own_number(story: "Story") -> None:
    payout_id = await payout_asked(story)
    await story.told(story.stuck(payout_id))
    assert await story.open_work() == [("payout_short", payout_id)]
    assert await do(story, restart(payout_id, None)) == payout_id
    assert await story.sent(ResumeRequested) == [{"operation_id": payout_id}]
    payout = await story.payout()
    assert (payout["status"], payout["reason"]) == ("requested", None)
    assert (await story.entitlement())["status"] == "settle_failed"
    await story.told(story.stuck(payout_id, "still too low"))
    assert (await story.entitlement())["reason"] == "still too low"
    await do(story, restart(payout_id))
    await story.told(story.succeeded(payout_id))
    assert (await story.entitlement())["status"] == "settled"
    assert await story.open_work() == []
    assert await story.balances() == END_OF_VISIT
    assert len(await story.sent(PayoutRequested)) == 1


async def test_a_refused_payout_is_paid_by_another_to_the_present_account(story: "Story") -> None:
    refused = await payout_asked(story)
    await story.told(story.failed(refused))
    assert await story.open_work() == [("payout_refused", refused)]
    another = await do(story, restart(refused))
    assert another != refused
    request = (await story.sent(PayoutRequested))[-1]
    assert (request["operation_id"], request["account"]) == (another, PRESENT.model_dump())
    assert request["amount_fen"] == 8_900
    assert [(line["payout_id"], line["live"]) for line in await story.rows(PAYOUT_LINES)] == [
        (refused, False),
        (another, True),
    ]
    await story.told(story.succeeded(another))
    assert {row["payout_id"]: row["status"] for row in await story.rows(PAYOUTS)} == {
        refused: "failed",
        another: "paid",
    }
    (settled,) = await story.sent(EntitlementSettled)
    assert settled["payout_id"] == another
    assert await story.balances() == END_OF_VISIT


async def test_a_replacement_may_be_refused_and_replaced_in_turn(story: "Story") -> None:
    number = await payout_asked(story)
    for _ in range(3):
        await story.told(story.failed(number))
        number = await do(story, restart(number))
    await story.told(story.succeeded(number))
    assert await story.balances() == END_OF_VISIT
    assert [line["live"] for line in await story.rows(PAYOUT_LINES)] == [False] * 3 + [True]


async def test_a_refused_payout_needs_a_receiver_that_takes_the_amount(story: "Story") -> None:
    await story.told(
        story.issued(
            part_fen=4,
            settle_fen=4,
            settlement_fee_fen=0,
            receive_account={"account_id": "acc_hjb", "channel": "huijinbao"},
        ),
        story.used(),
    )
    payout_id = (await story.payout())["payout_id"]
    await story.told(story.failed(payout_id, channel="huijinbao"))
    with pytest.raises(ReceiverMissing):
        await do(story, restart(payout_id, None))
    with pytest.raises(AmountBelowMinimum):
        await do(story, restart(payout_id))
    assert len(await story.rows(PAYOUTS)) == 1


async def test_what_a_payout_is_not_fit_for_is_refused(story: "Story") -> None:
    with pytest.raises(NotFound):
        await do(story, restart("pay_unknown"))
    payout_id = await payout_asked(story)
    with pytest.raises(OperationInProgress):
        await do(story, restart(payout_id))
    with pytest.raises(NumberStillAlive):
        await do(story, outside(story, payout_id))
    await story.told(story.stuck(payout_id))
    with pytest.raises(NumberStillAlive):
        await do(story, outside(story, payout_id))
    await story.told(story.succeeded(payout_id))
    with pytest.raises(OperationFinished):
        await do(story, restart(payout_id))
    with pytest.raises(OperationFinished):
        await do(story, outside(story, payout_id))
    assert await story.balances() == END_OF_VISIT


async def test_a_payout_settled_outside_is_the_owners_money(story: "Story") -> None:
    payout_id = await payout_asked(story)
    await story.told(story.failed(payout_id))
    await do(story, outside(story, payout_id))
    assert (await story.entitlement())["status"] == "settled"
    (settled,) = await story.sent(EntitlementSettled)
    assert (settled["payout_id"], settled["paid_fen"]) == (None, 8_900)
    assert await story.balances() == {**END_OF_VISIT, "cash:alipay": 10_060, "owner": 8_900}
    for effect in (restart(payout_id), outside(story, payout_id)):
        with pytest.raises(OperationReplaced):
            await do(story, effect)


# ── refunds ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_parked_refund_goes_on_under_its_own_number(story: "Story") -> None:
    refund_id = await refund_asked(story)
    await story.told(story.stuck(refund_id, kind="refund"))
    assert await do(story, again(refund_id)) == refund_id
    assert await story.sent(ResumeRequested) == [{"operation_id": refund_id}]
    await story.told(story.succeeded(refund_id, **REFUND))
    assert (await story.entitlement())["status"] == "refunded"
    assert await story.balances() == END_OF_REFUND
    assert len(await story.sent(RefundRequested)) == 1


async def test_another_takes_the_place_of_a_refused_refund(story: "Story") -> None:
    refused = await refund_asked(story)
    await story.told(story.failed(refused, kind="refund"))
    another = await do(story, again(refused))
    first, second = await story.sent(RefundRequested)
    assert second == {**first, "operation_id": another}
    await story.told(story.succeeded(another, **REFUND))
    (told,) = await story.sent(EntitlementRefunded)
    assert told["refund_id"] == another
    assert await story.balances() == END_OF_REFUND
    with pytest.raises(OperationReplaced):
        await do(story, again(refused))
    with pytest.raises(OperationReplaced):
        await do(story, refunded_outside(story, refused))


async def test_what_a_refund_is_not_fit_for_is_refused(story: "Story") -> None:
    with pytest.raises(NotFound):
        await do(story, again("ref_unknown"))
    refund_id = await refund_asked(story)
    with pytest.raises(OperationInProgress):
        await do(story, again(refund_id))
    await story.told(story.stuck(refund_id, kind="refund"))
    with pytest.raises(NumberStillAlive):
        await do(story, refunded_outside(story, refund_id))
    await story.told(story.succeeded(refund_id, **REFUND))
    for effect in (again(refund_id), refunded_outside(story, refund_id)):
        with pytest.raises(OperationFinished):
            await do(story, effect)


async def test_a_refund_given_outside_is_the_owners_money(story: "Story") -> None:
    refund_id = await refund_asked(story)
    await story.told(story.failed(refund_id, kind="refund"))
    await do(story, refunded_outside(story, refund_id))
    assert (await story.entitlement())["status"] == "refunded"
    assert await story.balances() == {"cash:alipay": 10_060, "fees": 60, "owner": 10_000}
    with pytest.raises(OperationReplaced):
        await do(story, again(refund_id))


@pytest.mark.parametrize("way", ["another refund", "outside"])
async def test_an_orphans_refused_refund_can_be_mended(story: "Story", way: str) -> None:
    await story.told(story.orphaned())
    refund_id = (await story.refund())["refund_id"]
    await story.told(story.failed(refund_id, kind="refund"))
    if way == "outside":
        await do(story, refunded_outside(story, refund_id))
    else:
        another = await do(story, again(refund_id))
        await story.told(story.succeeded(another, kind="refund", amount_fen=10_060))
    assert "custody:ord_a" not in await story.balances()
    (orphan,) = await story.rows(ORPHANED_DEBITS)
    assert orphan["refunded_at"] is not None
    with pytest.raises(OperationReplaced):
        await do(story, again(refund_id))


# ── money that moved under a dead number ────────────────────────────────────────────────────────


async def test_a_payout_paid_after_its_refusal_is_for_a_person(story: "Story") -> None:
    payout_id = await payout_asked(story)
    await story.told(story.failed(payout_id), story.succeeded(payout_id))
    assert await story.open_work() == [("payout_refused", payout_id)]
    balances = await story.balances()
    assert (balances["cash:alipay"], balances["suspense"]) == (1_160, -8_900)
    with pytest.raises(MoneyUnexplained):
        await do(story, restart(payout_id))
    await do(story, outside(story, payout_id))
    assert await story.balances() == END_OF_VISIT


async def test_a_refund_moved_after_its_replacement_is_not_lost_sight_of(story: "Story") -> None:
    refused = await refund_asked(story)
    await story.told(story.failed(refused, kind="refund"))
    another = await do(story, again(refused))
    for _ in range(2):
        await story.told(story.succeeded(refused, **REFUND))
    await story.told(story.succeeded(another, **REFUND))
    assert (await story.balances())["suspense"] == -10_000
    assert ("refund_refused", refused) in await story.open_work()
    assert len(await story.sent(EntitlementRefunded)) == 1


async def test_a_refund_moved_after_its_refusal_is_explained_by_hand(story: "Story") -> None:
    refund_id = await refund_asked(story)
    await story.told(story.failed(refund_id, kind="refund"), story.succeeded(refund_id, **REFUND))
    with pytest.raises(MoneyUnexplained):
        await do(story, again(refund_id))
    await do(story, refunded_outside(story, refund_id))
    assert await story.balances() == END_OF_REFUND


# ── races, with exact counts ────────────────────────────────────────────────────────────────────

NAMES = [f"{number:02}" for number in range(12)]


async def race(story: "Story", *effects: Effect) -> list[Any]:
    """What several people at once are answered, refusals included."""
    return await asyncio.gather(*(do(story, effect) for effect in effects), return_exceptions=True)


async def test_two_people_who_replace_a_payout_open_one(story: "Story") -> None:
    for count, name in enumerate(NAMES, start=1):
        refused = await payout_asked(story, name)
        await story.told(story.failed(refused))
        answers = await race(story, restart(refused), restart(refused), restart(refused))
        assert sorted(type(answer).__name__ for answer in answers) == [
            "OperationReplaced",
            "OperationReplaced",
            "str",
        ]
        assert len(await story.sent(PayoutRequested)) == 2 * count
        live = [line for line in await story.rows(PAYOUT_LINES) if line["live"]]
        assert len(live) == count


async def test_two_people_who_replace_a_refund_open_one(story: "Story") -> None:
    for count, name in enumerate(NAMES, start=1):
        refused = await refund_asked(story, name)
        await story.told(story.failed(refused, kind="refund"))
        answers = await race(story, again(refused), again(refused), again(refused))
        assert sorted(type(answer).__name__ for answer in answers) == [
            "OperationReplaced",
            "OperationReplaced",
            "str",
        ]
        assert len(await story.sent(RefundRequested)) == 2 * count


async def test_of_another_payout_and_outside_there_is_one(story: "Story") -> None:
    for name in NAMES:
        refused = await payout_asked(story, name)
        await story.told(story.failed(refused))
        answers = await race(story, restart(refused), outside(story, refused))
        assert [isinstance(answer, OperationReplaced) for answer in answers].count(True) == 1
        if isinstance(answers[0], str):
            await story.told(story.succeeded(answers[0]))
    balances = await story.balances()
    assert not any(account.startswith("payable:") for account in balances)
    assert len(await story.sent(EntitlementSettled)) == len(NAMES)
    assert balances["cash:alipay"] - balances.get("owner", 0) == 1_160 * len(NAMES)


async def test_a_restart_and_the_channels_late_success_pay_once(story: "Story") -> None:
    """Resuming goes on under the same number; what succeeded meanwhile is over."""
    for name in NAMES:
        payout_id = await payout_asked(story, name)
        await story.told(story.stuck(payout_id))
        succeeded = story.succeeded(payout_id)
        answers, verdicts = await asyncio.gather(
            race(story, restart(payout_id)), story.tell(succeeded)
        )
        assert answers == [payout_id] or isinstance(answers[0], OperationFinished)
        assert [verdict.fate for verdict in verdicts] == ["done"]
    assert {row["status"] for row in await story.rows(PAYOUTS)} == {"paid"}
    assert len(await story.sent(EntitlementSettled)) == len(NAMES)
    assert await story.balances() == {
        account: fen * len(NAMES) for account, fen in END_OF_VISIT.items()
    }


async def test_of_a_visit_and_a_refund_there_is_one(story: "Story") -> None:
    """Verification decides which; told both, settlement carries out the first."""
    for name in NAMES:
        await story.told(story.paid(name), story.issued(name))
        told = await asyncio.gather(story.tell(story.used(name)), story.tell(story.voided(name)))
        assert sorted(verdict.fate for (verdict,) in told) == ["dead", "done"]
    payouts, refunds = await story.rows(PAYOUTS), await story.rows(REFUNDS)
    assert len(payouts) + len(refunds) == len(NAMES)
    assert len(await story.sent(PayoutRequested)) == len(payouts)
    assert len(await story.sent(RefundRequested)) == len(refunds)
