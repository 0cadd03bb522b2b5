"""Many gates, one ticket: exactly one admits, and the others can say when and where it was."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from shanmen.common.idempotency import Reply
from shanmen.common.testing.events import eventually
from shanmen.contracts.orders import TicketsIssued
from shanmen.verification import queries
from shanmen.verification.domain import Verdict
from shanmen.verification.ports import ScanCommand, VerificationContext
from shanmen.verification.schemas import ScanView
from shanmen.verification.usecases import record_scans

Issue = Callable[..., Awaitable[TicketsIssued]]
Sign = Callable[..., str]
Told = Callable[[VerificationContext], Awaitable[list[tuple[str, dict[str, Any]]]]]
LockIsAwaited = Callable[[VerificationContext], Awaitable[bool]]

GATES = 8
TICKETS = 40


def check_each_admitted_once(scans: list[ScanView]) -> None:
    by_ticket: dict[str | None, list[ScanView]] = defaultdict(list)
    for scan in scans:
        by_ticket[scan.ticket_no].append(scan)
    assert len(by_ticket) == TICKETS
    for of_ticket in by_ticket.values():
        assert len(of_ticket) == GATES
        admitted = [scan for scan in of_ticket if scan.verdict is Verdict.ADMITTED]
        assert len(admitted) == 1
        for scan in of_ticket:
            if scan is admitted[0]:
                continue
            assert scan.code == "already_used"
            assert scan.first_admission is not None
            assert scan.first_admission.scan_id == admitted[0].scan_id
            assert scan.first_admission.at == admitted[0].scanned_at
            assert scan.first_admission.device == admitted[0].device


async def test_eight_gates_scan_each_of_forty_tickets_at_once(
    *,
    ctx: VerificationContext,
    client: httpx.AsyncClient,
    issue: Issue,
    sign: Sign,
    bearer: Callable[..., dict[str, str]],
    told: Told,
) -> None:
    tickets = [f"tkt_{n}" for n in range(TICKETS)]
    await issue(*tickets)
    gates = [bearer("device", "spt_a") for _ in range(GATES)]
    posts = [(sign(ticket_no), gate) for ticket_no in tickets for gate in gates]
    random.shuffle(posts)

    answers = await asyncio.gather(
        *(client.post("/v1/scans", json={"qr": qr}, headers=gate) for qr, gate in posts)
    )

    assert {answer.status_code for answer in answers} == {201}
    check_each_admitted_once([ScanView.model_validate_json(answer.content) for answer in answers])
    used = [data["ticket_no"] for _, data in await told(ctx)]
    assert sorted(used) == sorted(tickets)


async def test_gates_of_two_processes_scan_the_same_tickets(
    ctx: VerificationContext,
    second_ctx: VerificationContext,
    issue: Issue,
    sign: Sign,
    told: Told,
) -> None:
    """No batcher in between: every scan is a transaction of its own, on one of two engines."""
    tickets = [f"tkt_{n}" for n in range(TICKETS)]
    await issue(*tickets)

    async def gate(number: int) -> list[ScanView]:
        process = (ctx, second_ctx)[number % 2]
        scans = []
        for ticket_no in tickets:
            command = ScanCommand("spt_a", f"dev_{number}", sign(ticket_no))
            (answer,) = await record_scans(process, [command])
            assert isinstance(answer, Reply)
            scans.append(ScanView.model_validate_json(answer.body))
        return scans

    by_gate = await asyncio.gather(*(gate(number) for number in range(GATES)))

    check_each_admitted_once([scan for scans in by_gate for scan in scans])
    used = [data["ticket_no"] for _, data in await told(ctx)]
    assert sorted(used) == sorted(tickets)


async def test_lists_that_overlap_in_opposite_order_are_both_answered(
    ctx: VerificationContext, second_ctx: VerificationContext, issue: Issue, sign: Sign
) -> None:
    tickets = [f"tkt_{n}" for n in range(TICKETS)]
    await issue(*tickets)
    forward = [ScanCommand("spt_a", "dev_1", sign(ticket_no)) for ticket_no in tickets]
    backward = [ScanCommand("spt_a", "dev_2", command.qr) for command in reversed(forward)]

    for_first, for_second = await asyncio.gather(
        record_scans(ctx, forward), record_scans(second_ctx, backward)
    )

    verdicts = [
        ScanView.model_validate_json(answer.body).verdict
        for answer in [*for_first, *for_second]
        if isinstance(answer, Reply)
    ]
    assert len(verdicts) == 2 * TICKETS
    assert verdicts.count(Verdict.ADMITTED) == TICKETS


async def test_a_scan_that_meets_an_uncommitted_admission_waits_and_is_refused(
    ctx: VerificationContext,
    second_ctx: VerificationContext,
    issue: Issue,
    sign: Sign,
    lock_is_awaited: LockIsAwaited,
) -> None:
    await issue("tkt_1")
    async with ctx.db.transaction() as tx:
        assert await queries.admit_passes(
            tx, [("tkt_1@spt_a", "scn_first", "dev_1")], ctx.clock.shift
        )
        late = asyncio.create_task(
            record_scans(second_ctx, [ScanCommand("spt_a", "dev_2", sign("tkt_1"))])
        )
        await eventually(lambda: lock_is_awaited(ctx))
        assert not late.done()
    (answer,) = await late

    assert isinstance(answer, Reply)
    scan = ScanView.model_validate_json(answer.body)
    assert scan.code == "already_used"
    assert scan.first_admission is not None
    assert (scan.first_admission.scan_id, scan.first_admission.device) == ("scn_first", "dev_1")


async def test_a_scan_whose_competitor_gives_up_admits(
    ctx: VerificationContext,
    second_ctx: VerificationContext,
    issue: Issue,
    sign: Sign,
    lock_is_awaited: LockIsAwaited,
) -> None:
    await issue("tkt_1")
    async with ctx.db.engine.connect() as tx:
        rolled_back = await tx.begin()
        assert await queries.admit_passes(
            tx, [("tkt_1@spt_a", "scn_first", "dev_1")], ctx.clock.shift
        )
        late = asyncio.create_task(
            record_scans(second_ctx, [ScanCommand("spt_a", "dev_2", sign("tkt_1"))])
        )
        await eventually(lambda: lock_is_awaited(ctx))
        await rolled_back.rollback()
    (answer,) = await late

    assert isinstance(answer, Reply)
    assert ScanView.model_validate_json(answer.body).verdict is Verdict.ADMITTED
