"""The expiry sweep: what is over expires once, and never what a gate has admitted."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from shanmen.common.idempotency import Reply
from shanmen.common.testing.events import eventually
from shanmen.contracts.orders import TicketsIssued
from shanmen.verification import queries
from shanmen.verification.domain import RefusalCode, Usage, judge
from shanmen.verification.ports import ScanCommand, VerificationContext
from shanmen.verification.schemas import ScanView
from shanmen.verification.usecases import expire_passes, record_scans

Issue = Callable[..., Awaitable[TicketsIssued]]
Sign = Callable[..., str]
Told = Callable[[VerificationContext], Awaitable[list[tuple[str, dict[str, Any]]]]]
LockIsAwaited = Callable[[VerificationContext], Awaitable[bool]]

HOUR = timedelta(hours=1)


async def usage_of(ctx: VerificationContext, *ticket_nos: str) -> list[Usage]:
    async with ctx.db.transaction() as tx:
        _, passes = await queries.read_passes(tx, ticket_nos, ctx.clock.shift)
    return [passes[ticket_no][0].usage for ticket_no in ticket_nos]


async def test_only_unused_passes_past_their_grace_expire(
    ctx: VerificationContext, issue: Issue, told: Told
) -> None:
    now = datetime.now(UTC)
    await issue("tkt_over", valid_until=now - HOUR)
    await issue("tkt_in_grace", valid_until=now - HOUR, expires_at=now + HOUR)
    await issue("tkt_valid")
    await issue("tkt_idle", valid_until=now - HOUR, activated=False)

    assert await expire_passes(ctx) == 2
    assert await expire_passes(ctx) == 0

    assert await usage_of(ctx, "tkt_over", "tkt_in_grace", "tkt_valid", "tkt_idle") == [
        Usage.EXPIRED,
        Usage.UNUSED,
        Usage.UNUSED,
        Usage.EXPIRED,
    ]
    events = await told(ctx)
    assert {kind for kind, _ in events} == {"verification.entitlement_expired.v1"}
    by_ticket = {data["ticket_no"]: data for _, data in events}
    assert set(by_ticket) == {"tkt_over", "tkt_idle"}
    over = by_ticket["tkt_over"]
    assert (over["entitlement_id"], over["order_no"]) == ("tkt_over@spt_a", "ord_1")
    assert datetime.fromisoformat(over["expired_at"]) >= now


async def test_a_gate_refuses_from_the_end_of_validity_though_the_grace_still_runs(
    ctx: VerificationContext, issue: Issue, sign: Sign
) -> None:
    now = datetime.now(UTC)
    await issue("tkt_1", valid_until=now - HOUR, expires_at=now + HOUR)
    (answer,) = await record_scans(ctx, [ScanCommand("spt_a", "dev", sign("tkt_1"))])
    assert isinstance(answer, Reply)
    scan = ScanView.model_validate_json(answer.body)
    assert scan.code == "expired"
    assert scan.valid_until == now - HOUR
    assert await usage_of(ctx, "tkt_1") == [Usage.UNUSED]


async def test_a_sweep_works_in_bounded_transactions(
    ctx: VerificationContext, issue: Issue, told: Told
) -> None:
    await issue(*(f"tkt_{n}" for n in range(7)), valid_until=datetime.now(UTC) - HOUR)
    async with ctx.db.transaction() as tx:
        assert len(await queries.expire_passes(tx, 3, ctx.clock.shift)) == 3
        await tx.rollback()

    assert await expire_passes(ctx, at_once=3) == 7

    assert len(await told(ctx)) == 7


async def test_two_sweeps_share_the_work(
    ctx: VerificationContext, second_ctx: VerificationContext, issue: Issue, told: Told
) -> None:
    await issue(*(f"tkt_{n}" for n in range(200)), valid_until=datetime.now(UTC) - HOUR)

    counts = await asyncio.gather(
        *(expire_passes(process, at_once=10) for process in (ctx, second_ctx))
    )
    left = await expire_passes(ctx)

    assert sum(counts) + left == 200
    assert Counter(data["ticket_no"] for _, data in await told(ctx)).most_common(1)[0][1] == 1


async def test_a_sweep_leaves_what_a_gate_holds_and_the_admission_stands(
    ctx: VerificationContext, second_ctx: VerificationContext, issue: Issue
) -> None:
    """The scan's transaction began before the end, and commits after it."""
    await issue("tkt_1", valid_until=datetime.now(UTC) + timedelta(seconds=0.3))
    async with ctx.db.transaction() as tx:
        assert await queries.admit_passes(tx, [("tkt_1@spt_a", "scn_1", "dev_1")], ctx.clock.shift)
        await _wait_for_the_end(second_ctx, "tkt_1")
        assert await expire_passes(second_ctx) == 0
    assert await expire_passes(second_ctx) == 0
    assert await usage_of(ctx, "tkt_1") == [Usage.USED]


async def test_a_scan_that_waits_for_a_sweep_is_refused(
    ctx: VerificationContext,
    second_ctx: VerificationContext,
    issue: Issue,
    lock_is_awaited: LockIsAwaited,
) -> None:
    """The scan's transaction began before the end; the sweep was faster all the same."""
    await issue("tkt_1", valid_until=datetime.now(UTC) + timedelta(seconds=0.3))
    async with ctx.db.transaction() as scan:
        at, passes = await queries.read_passes(scan, ["tkt_1"], ctx.clock.shift)
        assert judge(passes["tkt_1"], "spt_a", at).code is None
        await _wait_for_the_end(second_ctx, "tkt_1")
        async with second_ctx.db.transaction() as sweep:
            assert len(await queries.expire_passes(sweep, 10, ctx.clock.shift)) == 1
            admission = asyncio.create_task(
                queries.admit_passes(scan, [("tkt_1@spt_a", "scn_1", "dev_1")], ctx.clock.shift)
            )
            await eventually(lambda: lock_is_awaited(second_ctx))
        assert await admission == set()
        at, passes = await queries.read_passes(scan, ["tkt_1"], ctx.clock.shift)
        assert judge(passes["tkt_1"], "spt_a", at).code is RefusalCode.EXPIRED
    assert await usage_of(ctx, "tkt_1") == [Usage.EXPIRED]


async def test_scans_and_sweeps_across_the_last_instant_have_one_winner_each(
    ctx: VerificationContext,
    second_ctx: VerificationContext,
    issue: Issue,
    sign: Sign,
    told: Told,
) -> None:
    tickets = [f"tkt_{n}" for n in range(150)]
    await issue(*tickets, valid_until=datetime.now(UTC) + timedelta(seconds=0.4))
    over = asyncio.Event()

    async def gate() -> None:
        for ticket_no in tickets:
            await record_scans(ctx, [ScanCommand("spt_a", "dev", sign(ticket_no))])
        over.set()

    async def sweeper() -> None:
        while not over.is_set():
            await expire_passes(second_ctx, at_once=5)
        await expire_passes(second_ctx)

    await asyncio.gather(gate(), sweeper())
    await _wait_for_the_end(ctx, tickets[0])
    await expire_passes(second_ctx)

    usages = Counter(await usage_of(ctx, *tickets))
    assert set(usages) <= {Usage.USED, Usage.EXPIRED}
    events = Counter(data["ticket_no"] for _, data in await told(ctx))
    assert events == Counter(tickets)
    kinds = Counter(kind for kind, _ in await told(ctx))
    assert kinds["verification.entitlement_used.v1"] == usages[Usage.USED]
    assert kinds["verification.entitlement_expired.v1"] == usages[Usage.EXPIRED]


async def _wait_for_the_end(ctx: VerificationContext, ticket_no: str) -> None:
    """Until the database's clock has passed the end of a ticket's validity."""

    async def is_over() -> bool:
        async with ctx.db.transaction() as tx:
            at, passes = await queries.read_passes(tx, [ticket_no], ctx.clock.shift)
        return at >= passes[ticket_no][0].expires_at

    await eventually(is_over)
