"""Scans over lists: each command gets its own answer, whatever its neighbours are."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from shanmen.common.errors import Refusal
from shanmen.common.idempotency import Claim, KeyInUse, KeyReused, Reply
from shanmen.contracts.orders import TicketsIssued
from shanmen.verification import queries
from shanmen.verification.domain import Pass, Usage, Verdict, judge
from shanmen.verification.ports import ScanCommand, VerificationContext
from shanmen.verification.schemas import ScanView
from shanmen.verification.tables import PASSES, SCANS
from shanmen.verification.usecases import record_scans

Issue = Callable[..., Awaitable[TicketsIssued]]
Sign = Callable[..., str]
Told = Callable[[VerificationContext], Awaitable[list[tuple[str, dict[str, Any]]]]]

HOUR = timedelta(hours=1)
FOREIGN_KEY = Ed25519PrivateKey.generate()


def view(answer: Reply | Refusal) -> ScanView:
    assert isinstance(answer, Reply)
    assert answer.status == 201
    return ScanView.model_validate_json(answer.body)


async def count_scans(ctx: VerificationContext) -> int:
    async with ctx.db.transaction() as tx:
        return int(await tx.scalar(select(func.count()).select_from(SCANS)) or 0)


async def test_one_list_with_every_kind_of_answer(
    ctx: VerificationContext, issue: Issue, sign: Sign, told: Told
) -> None:
    now = datetime.now(UTC)
    await issue("tkt_good")
    await issue("tkt_idle", activated=False)
    await issue("tkt_early", valid_from=now + HOUR)
    await issue("tkt_late", valid_until=now - HOUR)
    await issue("tkt_there", spots=("spt_b",))
    scanned = {
        "tkt_good": None,
        "tkt_idle": "not_activated",
        "tkt_early": "not_yet_valid",
        "tkt_late": "expired",
        "tkt_there": "wrong_spot",
        "tkt_never": "unknown_ticket",
    }
    codes = {sign(ticket_no): code for ticket_no, code in scanned.items()}
    codes |= {sign("tkt_good", key=FOREIGN_KEY): "forged", "https://example.com/": "unreadable"}

    answers = await record_scans(ctx, [ScanCommand("spt_a", "dev_1", qr) for qr in codes])

    assert [view(answer).code for answer in answers] == list(codes.values())
    assert [view(answer).verdict for answer in answers].count(Verdict.ADMITTED) == 1
    assert [view(answer).ticket_no for answer in answers] == [*scanned, None, None]
    assert await count_scans(ctx) == len(codes)
    admitted = view(answers[0])
    assert await told(ctx) == [
        (
            "verification.entitlement_used.v1",
            {
                "entitlement_id": "tkt_good@spt_a",
                "ticket_no": "tkt_good",
                "order_no": "ord_1",
                "spot_id": "spt_a",
                "used_at": admitted.scanned_at.isoformat().replace("+00:00", "Z"),
                "scan_id": admitted.scan_id,
                "device": "dev_1",
            },
        )
    ]


async def test_of_two_scans_in_one_list_the_first_admits_and_the_second_learns_of_it(
    ctx: VerificationContext, issue: Issue, sign: Sign, told: Told
) -> None:
    await issue("tkt_1")
    commands = [ScanCommand("spt_a", f"dev_{n}", sign("tkt_1")) for n in (1, 2, 3)]

    first, *others = [view(answer) for answer in await record_scans(ctx, commands)]

    assert first.verdict is Verdict.ADMITTED
    for other in others:
        assert other.code == "already_used"
        assert other.first_admission is not None
        assert other.first_admission.model_dump() == {
            "scan_id": first.scan_id,
            "at": first.scanned_at,
            "device": "dev_1",
            "spot_id": "spt_a",
        }
    assert len(await told(ctx)) == 1


async def test_a_combined_ticket_admits_once_at_each_of_its_spots(
    ctx: VerificationContext, issue: Issue, sign: Sign
) -> None:
    await issue("tkt_1", spots=("spt_a", "spt_b"))
    gates = ["spt_a", "spt_b", "spt_c", "spt_b", "spt_a"]

    answers = await record_scans(ctx, [ScanCommand(g, "dev", sign("tkt_1")) for g in gates])

    assert [view(answer).code for answer in answers] == [
        None,
        None,
        "wrong_spot",
        "already_used",
        "already_used",
    ]


async def test_the_time_that_decides_is_the_databases(
    ctx: VerificationContext, issue: Issue, sign: Sign
) -> None:
    await issue("tkt_1")
    async with ctx.db.transaction() as tx:
        before = await tx.scalar(select(func.clock_timestamp()))
    (answer,) = await record_scans(ctx, [ScanCommand("spt_a", "dev", sign("tkt_1"))])
    async with ctx.db.transaction() as tx:
        after = await tx.scalar(select(func.now()))
        _, passes = await queries.read_passes(tx, ["tkt_1"], ctx.clock.shift)
    assert before is not None
    assert after is not None
    assert before <= view(answer).scanned_at <= after
    admission = passes["tkt_1"][0].admission
    assert admission is not None
    assert admission.at == view(answer).scanned_at


async def test_one_bad_command_does_not_fail_its_neighbours(
    ctx: VerificationContext, issue: Issue, sign: Sign, told: Told
) -> None:
    await issue(*(f"tkt_{n}" for n in range(5)))
    commands = [ScanCommand("spt_a", f"dev_{n}", sign(f"tkt_{n}")) for n in range(5)]
    commands[2] = replace(commands[2], device="dev\x00")  # what PostgreSQL's text cannot hold

    with pytest.raises(DBAPIError):
        await record_scans(ctx, commands)
    assert await count_scans(ctx) == 0
    assert await told(ctx) == []

    answers = await asyncio.gather(
        *(ctx.scan_queue.submit(command) for command in commands), return_exceptions=True
    )

    assert [isinstance(answer, Reply) for answer in answers] == [True, True, False, True, True]
    assert isinstance(answers[2], DBAPIError)
    assert await count_scans(ctx) == 4
    assert [data["ticket_no"] for _, data in await told(ctx)] == [
        "tkt_0",
        "tkt_1",
        "tkt_3",
        "tkt_4",
    ]


async def test_keys_are_claimed_for_the_whole_list(
    ctx: VerificationContext, issue: Issue, sign: Sign
) -> None:
    await issue("tkt_1", "tkt_2")
    one = ScanCommand("spt_a", "dev", sign("tkt_1"), Claim("device:dev", "k1", "print1"))
    two = ScanCommand("spt_a", "dev", sign("tkt_2"), Claim("device:dev", "k2", "print2"))
    other = replace(one, claim=Claim("device:dev", "k1", "another print"))

    first, same_key, second = await record_scans(ctx, [one, one, two])
    again, reused, fresh = await record_scans(ctx, [one, other, replace(two, claim=None)])

    assert view(first).verdict is Verdict.ADMITTED
    assert view(second).verdict is Verdict.ADMITTED
    assert isinstance(same_key, KeyInUse)
    assert isinstance(first, Reply)
    assert again == first.as_replay()
    assert isinstance(reused, KeyReused)
    assert view(fresh).code == "already_used"
    assert await count_scans(ctx) == 3


@pytest.mark.parametrize("shift", [timedelta(), timedelta(hours=36)])
async def test_the_judge_and_the_update_agree_on_every_pass_there_can_be(
    ctx: VerificationContext, shift: timedelta
) -> None:
    """The update decides and the judge explains; a row on which they differ would be a lie."""
    now = datetime.now(UTC) + shift
    windows = {"early": (HOUR, 2 * HOUR), "now": (-HOUR, HOUR), "over": (-2 * HOUR, -HOUR)}
    drafts = [
        Pass(
            entitlement_id=f"{usage}-{activated}-{name}",
            ticket_no=f"{usage}-{activated}-{name}",
            order_no="ord_1",
            spot_id="spt_a",
            usage=Usage.UNUSED,
            activated=activated,
            valid_from=now + since,
            valid_until=now + until,
            expires_at=now + until,
        )
        for usage in Usage
        for activated in (True, False)
        for name, (since, until) in windows.items()
    ]
    async with ctx.db.transaction() as tx:
        await queries.open_passes(tx, drafts)
        await _spend(tx)
        tickets = [draft.ticket_no for draft in drafts]
        at, passes = await queries.read_passes(tx, tickets, shift)
        held = [each for of_ticket in passes.values() for each in of_ticket]
        judged = {each.entitlement_id for each in held if judge([each], "spt_a", at).code is None}

        admitted = await queries.admit_passes(
            tx, [(each.entitlement_id, each.entitlement_id, "dev") for each in held], shift
        )

    assert len(held) == 24
    assert {each.usage for each in held} == set(Usage)
    assert admitted == judged == {"unused-True-now"}


async def _spend(tx: Any) -> None:
    """Bring the passes whose name says so into the other statuses."""
    marks: dict[Usage, dict[str, Any]] = {
        Usage.USED: {"used_at": func.now(), "used_scan_id": "scn_0", "used_device": "dev_0"},
        Usage.EXPIRED: {"expired_at": func.now()},
        Usage.VOIDED: {"voided_at": func.now()},
    }
    for usage, values in marks.items():
        named = PASSES.c.entitlement_id.startswith(f"{usage}-")
        await tx.execute(PASSES.update().where(named).values(usage=usage, **values))
