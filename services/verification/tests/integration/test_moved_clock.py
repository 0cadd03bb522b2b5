"""A person moves the installation's time: gates, the sweep and what they tell move with it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from shanmen.common.clock import write_shift
from shanmen.common.idempotency import Reply
from shanmen.common.inbox import Inbox
from shanmen.common.testing.events import deliver
from shanmen.contracts.orders import TicketsIssued
from shanmen.contracts.verification import VoidRequested
from shanmen.verification import queries
from shanmen.verification.domain import Usage
from shanmen.verification.ports import ScanCommand, VerificationContext
from shanmen.verification.schemas import ScanView
from shanmen.verification.usecases import expire_passes, record_scans

Issue = Callable[..., Awaitable[TicketsIssued]]
Sign = Callable[..., str]
Told = Callable[[VerificationContext], Awaitable[list[tuple[str, dict[str, Any]]]]]

HOUR = timedelta(hours=1)


async def scan(ctx: VerificationContext, qr: str) -> ScanView:
    (answer,) = await record_scans(ctx, [ScanCommand("spt_a", "dev", qr)])
    assert isinstance(answer, Reply)
    return ScanView.model_validate_json(answer.body)


async def test_gates_and_the_sweep_judge_by_the_moved_time(
    *, ctx: VerificationContext, issue: Issue, sign: Sign, shift_file: Path, told: Told
) -> None:
    now = datetime.now(UTC)
    await issue("tkt_1", valid_until=now + HOUR, expires_at=now + 3 * HOUR)
    await issue("tkt_later", valid_from=now + HOUR, valid_until=now + 9 * HOUR)
    assert await expire_passes(ctx) == 0
    assert (await scan(ctx, sign("tkt_later"))).code == "not_yet_valid"

    write_shift(shift_file, 2 * HOUR)
    assert (await scan(ctx, sign("tkt_1"))).code == "expired"
    assert await expire_passes(ctx) == 0, "the offline grace runs by the moved time, too"
    admitted = await scan(ctx, sign("tkt_later"))
    assert admitted.code is None
    assert now + 2 * HOUR <= admitted.scanned_at < now + 3 * HOUR

    write_shift(shift_file, 4 * HOUR)
    assert await expire_passes(ctx) == 1
    (_, used), (kind, expired) = await told(ctx)
    assert datetime.fromisoformat(used["used_at"]) == admitted.scanned_at
    assert kind == "verification.entitlement_expired.v1"
    assert datetime.fromisoformat(expired["expired_at"]) >= now + 4 * HOUR
    async with ctx.db.transaction() as tx:
        _, passes = await queries.read_passes(tx, ["tkt_1"], ctx.clock.shift)
    assert passes["tkt_1"][0].usage is Usage.EXPIRED
    assert passes["tkt_1"][0].expired_at == datetime.fromisoformat(expired["expired_at"])


async def test_a_void_is_told_with_the_moved_time(
    ctx: VerificationContext,
    inbox: Inbox[VerificationContext],
    issue: Issue,
    shift_file: Path,
    told: Told,
) -> None:
    now = datetime.now(UTC)
    await issue("tkt_1", order_no="ord_1", valid_until=now + 99 * HOUR)
    write_shift(shift_file, 36 * HOUR)
    wanted = VoidRequested(
        order_no="ord_1", entitlement_ids=("tkt_1@spt_a",), requested_at=now + 36 * HOUR
    )
    await deliver(inbox, wanted)
    ((_, voided),) = await told(ctx)
    assert datetime.fromisoformat(voided["voided_at"]) >= now + 36 * HOUR


async def test_what_a_gate_would_answer_now_is_asked_at_the_moved_time(
    client: httpx.AsyncClient,
    issue: Issue,
    shift_file: Path,
    bearer: Callable[..., dict[str, str]],
) -> None:
    await issue("tkt_1", valid_until=datetime.now(UTC) + HOUR)
    answers = []
    for shift in (timedelta(), 2 * HOUR):
        write_shift(shift_file, shift)
        shown = await client.get("/v1/passes/tkt_1", headers=bearer("spot", "spt_a"))
        answers.append(shown.json()["passes"][0]["now"]["code"])
    assert answers == [None, "expired"]
