"""Events arrive in any order and any number of times; what comes of them is the same."""

import asyncio
from collections import deque
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from shanmen.common.broker.protocol import Fate
from shanmen.common.events import Event, Message
from shanmen.common.inbox import Inbox
from shanmen.common.testing.events import deliver, message_of
from shanmen.contracts.gateway import PayoutRequested, RefundRequested
from shanmen.contracts.settlement import EntitlementRefunded, EntitlementSettled
from shanmen.contracts.terms import RefundRule
from shanmen.settlement.events import SUBSCRIPTIONS
from shanmen.settlement.tables import (
    DEBITS,
    ENTITLEMENTS,
    PAYOUT_LINES,
    PAYOUTS,
    POSTINGS,
    REFUNDS,
)

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story

FACTS = ("paid", "issued", "used", "succeeded")
END = {"cash:alipay": 1_160, "fees": 160, "margin": 1_000}
"""10060 fen came in and 8900 went out; nothing is held or owed any more."""


async def payout_of(story: "Story", name: str) -> str | None:
    """The payout that an order's visit is in."""
    rows = {row["order_no"]: row for row in await story.rows(ENTITLEMENTS)}
    return rows[f"ord_{name}"]["payout_id"] if f"ord_{name}" in rows else None


async def tell_until_done(story: "Story", name: str, order: tuple[str, ...]) -> int:
    """Tell an order's facts in this order, the refused ones again later; returns the refusals.

    The gateway's answer names the payout. Told before there is one, it names one that settlement
    does not know.
    """
    waiting, refusals = deque(order), 0
    while waiting:
        fact = waiting.popleft()
        event: Event
        if fact == "succeeded":
            known = [
                row for row in await story.rows(ENTITLEMENTS) if row["ticket_no"] == f"T-{name}"
            ]
            event = story.succeeded((known and known[0]["payout_id"]) or "pay_unknown")
        elif fact == "forfeitable":
            event = story.issued(name, refund_rule=RefundRule(on_expiry=False))
        else:
            event = getattr(story, fact)(name)
        (verdict,) = await story.tell(event)
        assert verdict.fate in {Fate.DONE, Fate.RETRY}, verdict.reason
        if verdict.fate is Fate.RETRY:
            assert verdict.reason.startswith("not yet: "), verdict.reason
            refusals += 1
            waiting.append(fact)
    return refusals


async def test_every_order_of_arrival_ends_the_same(story: "Story") -> None:
    for number, order in enumerate(permutations(FACTS), start=1):
        name = "-".join(order)
        refusals = await tell_until_done(story, name, order)
        entitlement = await story.entitlement(name)
        assert (name, entitlement["status"]) == (name, "settled")
        payouts = await story.rows(PAYOUTS)
        assert [(row["status"], row["amount_fen"]) for row in payouts] == [
            ("paid", 8_900)
        ] * number
        assert await story.balances() == {account: fen * number for account, fen in END.items()}
        assert len(await story.rows(POSTINGS)) == 3 * number
        assert len(await story.sent(PayoutRequested)) == number
        assert len(await story.sent(EntitlementSettled)) == number
        in_time = order.index("issued") < order.index("used") < order.index("succeeded")
        assert (name, refusals == 0) == (name, in_time)


@pytest.mark.parametrize("lapse", ["voided", "expired"])
async def test_every_order_of_arrival_of_a_refund_ends_the_same(
    story: "Story", lapse: str
) -> None:
    facts = ("paid", "issued", lapse)
    for number, order in enumerate(permutations(facts), start=1):
        name = "-".join(order)
        refusals = await tell_until_done(story, name, order)
        assert (name, refusals == 0) == (name, order[-1] == lapse)
        refund_id = (await story.rows(REFUNDS))[-1]["refund_id"]
        await story.told(story.succeeded(refund_id, kind="refund", amount_fen=10_000))
        assert (name, (await story.entitlement(name))["status"]) == (name, "refunded")
        assert len(await story.sent(RefundRequested)) == number
        assert len(await story.sent(EntitlementRefunded)) == number
        assert await story.balances() == {"cash:alipay": 60 * number, "fees": 60 * number}


async def test_every_order_of_arrival_of_a_forfeit_ends_the_same(story: "Story") -> None:
    for number, order in enumerate(permutations(("paid", "forfeitable", "expired")), start=1):
        name = "-".join(order)
        await tell_until_done(story, name, order)
        assert (name, (await story.entitlement(name))["status"]) == (name, "forfeited")
        assert await story.balances() == {
            "cash:alipay": 10_060 * number,
            "fees": 60 * number,
            "margin": 10_000 * number,
        }


async def test_all_at_once_in_one_batch(story: "Story") -> None:
    """A batch with an event that is too early: its neighbours take effect all the same."""
    verdicts = await story.tell(story.used("b"), story.paid(), story.issued(), story.used())
    assert [verdict.fate for verdict in verdicts] == ["retry", "done", "done", "done"]
    assert (await story.entitlement())["payout_id"] == (await story.payout())["payout_id"]


async def test_a_repeated_delivery_changes_nothing(story: "Story") -> None:
    told = [message_of(event) for event in (story.paid(), story.issued(), story.used())]
    await story.told(*told)
    told.append(message_of(story.succeeded((await story.payout())["payout_id"])))
    await story.told(*told, *told)
    await story.tell(*told, *told)
    assert await story.balances() == END
    assert len(await story.sent(EntitlementSettled)) == 1


async def test_a_fact_told_again_in_another_event_changes_nothing(story: "Story") -> None:
    for _ in range(2):
        await story.told(story.paid(), story.issued(), story.used())
    payout_id = (await story.payout())["payout_id"]
    for _ in range(2):
        await story.told(story.succeeded(payout_id), story.stuck(payout_id))
    assert await story.balances() == END
    assert (await story.entitlement())["version"] == 4  # issued, used, in a payout, settled
    assert len(await story.sent(EntitlementSettled)) == 1


@pytest.mark.parametrize("same_event", [True, False], ids=["one event", "two events"])
async def test_two_consumers_at_once_pay_a_visit_once(story: "Story", same_event: bool) -> None:
    names = [f"{number:02}" for number in range(20)]
    await story.told(*(story.issued(name) for name in names))
    visits = [story.used(name) for name in names]
    first = [message_of(visit) for visit in visits]
    second: list[Message] = first if same_event else [message_of(visit) for visit in visits]
    inboxes = [Inbox(story.context.db, SUBSCRIPTIONS[0], story.context) for _ in range(2)]
    verdicts = await asyncio.gather(
        *(
            deliver(inbox, message)
            for pair in zip(first, second, strict=True)
            for inbox, message in zip(inboxes, pair, strict=True)
        )
    )
    assert {verdict.fate for (verdict,) in verdicts} == {Fate.DONE}
    assert len(await story.rows(PAYOUT_LINES)) == len(names)
    assert sum(payout["amount_fen"] for payout in await story.rows(PAYOUTS)) == 8_900 * len(names)
    assert len(await story.rows(POSTINGS)) == len(names)
    assert len(await story.sent(PayoutRequested)) == len(await story.rows(PAYOUTS))


async def test_a_second_debit_of_an_order_is_for_a_person(story: "Story") -> None:
    await story.told(story.paid())
    (verdict,) = await story.tell(story.paid(operation_id="deb_other"))
    assert (verdict.fate, verdict.reason) == ("dead", "ord_a was debited by deb_a already")
    assert len(await story.rows(DEBITS)) == len(await story.rows(POSTINGS)) == 1


async def test_the_debit_is_remembered_for_refunds(story: "Story") -> None:
    await story.told(story.paid())
    (debit,) = await story.rows(DEBITS)
    assert (debit["operation_id"], debit["account_id"], debit["channel"]) == (
        "deb_a",
        "acc_payer",
        "alipay",
    )
    assert (debit["price_fen"], debit["fee_fen"]) == (10_000, 60)
