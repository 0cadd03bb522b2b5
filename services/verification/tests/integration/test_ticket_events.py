"""What orders tells, and what it does to passes; in whatever order it arrives."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from shanmen.common.broker.protocol import DONE, Fate
from shanmen.common.idempotency import Reply
from shanmen.common.inbox import Inbox
from shanmen.common.testing.events import deliver, message_of
from shanmen.contracts.orders import TicketActivated, TicketsIssued
from shanmen.contracts.verification import VoidRequested
from shanmen.verification import queries
from shanmen.verification.domain import Pass, Usage
from shanmen.verification.ports import ScanCommand, VerificationContext
from shanmen.verification.schemas import ScanView
from shanmen.verification.usecases import expire_passes, record_scans

Issue = Callable[..., Awaitable[TicketsIssued]]
Sign = Callable[..., str]
Told = Callable[[VerificationContext], Awaitable[list[tuple[str, dict[str, Any]]]]]
VerificationInbox = Inbox[VerificationContext]

NOW = datetime.now(UTC)


def activated(ticket_no: str, order_no: str = "ord_1") -> TicketActivated:
    return TicketActivated(order_no=order_no, ticket_no=ticket_no, activated_at=NOW)


def void(*entitlement_ids: str, order_no: str = "ord_1") -> VoidRequested:
    return VoidRequested(order_no=order_no, entitlement_ids=entitlement_ids, requested_at=NOW)


async def passes_of(ctx: VerificationContext, ticket_no: str) -> list[Pass]:
    async with ctx.db.transaction() as tx:
        _, passes = await queries.read_passes(tx, [ticket_no], ctx.clock.shift)
    return passes.get(ticket_no, [])


async def test_every_entitlement_of_an_order_gets_its_pass(
    ctx: VerificationContext, issue: Issue
) -> None:
    event = await issue("tkt_1", "tkt_2", spots=("spt_a", "spt_b"))

    for ticket in event.tickets:
        held = await passes_of(ctx, ticket.ticket_no)
        assert held == [
            Pass(
                entitlement_id=entitlement.entitlement_id,
                ticket_no=ticket.ticket_no,
                order_no="ord_1",
                spot_id=entitlement.spot_id,
                usage=Usage.UNUSED,
                activated=True,
                valid_from=entitlement.valid_from,
                valid_until=entitlement.valid_until,
                expires_at=entitlement.expires_at,
            )
            for entitlement in ticket.entitlements
        ]


async def test_tickets_issued_again_change_nothing(
    ctx: VerificationContext, inbox: VerificationInbox, issue: Issue, sign: Sign
) -> None:
    event = await issue("tkt_1")
    await record_scans(ctx, [ScanCommand("spt_a", "dev", sign("tkt_1"))])
    used = await passes_of(ctx, "tkt_1")

    assert await deliver(inbox, event) == [DONE]  # another event id: the inbox does not know it

    assert used[0].usage is Usage.USED
    assert await passes_of(ctx, "tkt_1") == used


async def test_a_second_pass_of_a_ticket_for_one_spot_is_not_swallowed(
    ctx: VerificationContext,
    inbox: VerificationInbox,
    issue: Issue,
    issued: Callable[..., TicketsIssued],
) -> None:
    await issue("tkt_1")
    impostor = issued("tkt_1")
    (ticket,) = impostor.tickets
    other = ticket.entitlements[0].model_copy(update={"entitlement_id": "ent_other"})
    tickets = (ticket.model_copy(update={"entitlements": (other,)}),)

    (verdict,) = await deliver(inbox, impostor.model_copy(update={"tickets": tickets}))

    assert verdict.fate is Fate.RETRY
    assert [held.entitlement_id for held in await passes_of(ctx, "tkt_1")] == ["tkt_1@spt_a"]


async def test_activation_opens_every_gate_of_the_ticket(
    ctx: VerificationContext, inbox: VerificationInbox, issue: Issue
) -> None:
    await issue("tkt_1", "tkt_2", spots=("spt_a", "spt_b"), activated=False)

    assert await deliver(inbox, activated("tkt_1"), activated("tkt_1")) == [DONE, DONE]

    assert [held.activated for held in await passes_of(ctx, "tkt_1")] == [True, True]
    assert [held.activated for held in await passes_of(ctx, "tkt_2")] == [False, False]


async def test_events_that_come_before_the_tickets_are_for_later(
    ctx: VerificationContext,
    inbox: VerificationInbox,
    issued: Callable[..., TicketsIssued],
    told: Told,
) -> None:
    early = [message_of(activated("tkt_1")), message_of(void("tkt_2@spt_a"))]

    verdicts = await deliver(inbox, *early)
    assert [verdict.fate for verdict in verdicts] == [Fate.RETRY, Fate.RETRY]
    assert all(verdict.reason.startswith("not yet") for verdict in verdicts)
    assert await told(ctx) == []

    assert await deliver(inbox, issued("tkt_1", "tkt_2", activated=False)) == [DONE]
    assert await deliver(inbox, *early) == [DONE, DONE]
    assert [held.activated for held in await passes_of(ctx, "tkt_1")] == [True]
    assert [held.usage for held in await passes_of(ctx, "tkt_2")] == [Usage.VOIDED]


async def test_voiding_waits_until_all_its_entitlements_are_there(
    ctx: VerificationContext, inbox: VerificationInbox, issue: Issue, told: Told
) -> None:
    await issue("tkt_1")
    (verdict,) = await deliver(inbox, void("tkt_1@spt_a", "tkt_2@spt_a"))
    assert verdict.fate is Fate.RETRY
    assert [held.usage for held in await passes_of(ctx, "tkt_1")] == [Usage.UNUSED]
    assert await told(ctx) == []


async def test_only_what_is_still_unused_is_voided_and_told(
    ctx: VerificationContext, inbox: VerificationInbox, issue: Issue, sign: Sign, told: Told
) -> None:
    await issue("tkt_used", "tkt_unused")
    await issue("tkt_over", valid_until=NOW - timedelta(hours=1), order_no="ord_1")
    await record_scans(ctx, [ScanCommand("spt_a", "dev", sign("tkt_used"))])
    await expire_passes(ctx)
    before = len(await told(ctx))
    wanted = void("tkt_used@spt_a", "tkt_unused@spt_a", "tkt_over@spt_a", "tkt_unused@spt_a")

    assert await deliver(inbox, wanted) == [DONE]
    assert await deliver(inbox, wanted) == [DONE]

    (voided,) = (await told(ctx))[before:]
    assert voided[0] == "verification.entitlement_voided.v1"
    assert voided[1]["entitlement_id"] == "tkt_unused@spt_a"
    assert (voided[1]["ticket_no"], voided[1]["order_no"]) == ("tkt_unused", "ord_1")
    (held,) = await passes_of(ctx, "tkt_unused")
    assert held.usage is Usage.VOIDED
    assert held.voided_at == datetime.fromisoformat(voided[1]["voided_at"])
    assert [each.usage for each in await passes_of(ctx, "tkt_used")] == [Usage.USED]
    assert [each.usage for each in await passes_of(ctx, "tkt_over")] == [Usage.EXPIRED]


async def test_an_order_cannot_touch_the_tickets_of_another(
    ctx: VerificationContext, inbox: VerificationInbox, issue: Issue
) -> None:
    await issue("tkt_1", activated=False)
    verdicts = await deliver(
        inbox,
        activated("tkt_1", order_no="ord_9"),
        void("tkt_1@spt_a", order_no="ord_9"),
    )
    assert [verdict.fate for verdict in verdicts] == [Fate.RETRY, Fate.RETRY]
    (held,) = await passes_of(ctx, "tkt_1")
    assert (held.usage, held.activated) == (Usage.UNUSED, False)


async def test_a_voided_ticket_is_refused_at_the_gate(
    ctx: VerificationContext, inbox: VerificationInbox, issue: Issue, sign: Sign
) -> None:
    await issue("tkt_1")
    await deliver(inbox, void("tkt_1@spt_a"))
    (answer,) = await record_scans(ctx, [ScanCommand("spt_a", "dev", sign("tkt_1"))])
    assert isinstance(answer, Reply)
    assert ScanView.model_validate_json(answer.body).code == "voided"


async def test_a_visit_and_a_void_at_the_same_moment_have_one_winner(
    ctx: VerificationContext, inbox: VerificationInbox, issue: Issue, sign: Sign, told: Told
) -> None:
    tickets = [f"tkt_{n}" for n in range(40)]
    await issue(*tickets)

    async def visit(ticket_no: str) -> None:
        await ctx.scan_queue.submit(ScanCommand("spt_a", "dev", sign(ticket_no)))

    async def refund(ticket_no: str) -> None:
        assert await deliver(inbox, void(f"{ticket_no}@spt_a")) == [DONE]

    await asyncio.gather(*(do(ticket) for ticket in tickets for do in (visit, refund)))

    outcomes: dict[str, list[str]] = {}
    for kind, data in await told(ctx):
        outcomes.setdefault(data["ticket_no"], []).append(kind)
    assert set(outcomes) == set(tickets)
    assert {len(kinds) for kinds in outcomes.values()} == {1}
    for ticket_no, (kind,) in outcomes.items():
        (held,) = await passes_of(ctx, ticket_no)
        expected = Usage.USED if kind.endswith("used.v1") else Usage.VOIDED
        assert held.usage is expected
