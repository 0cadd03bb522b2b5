"""The service as a whole: opened from settings, fed by a transport, closed in good order."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shanmen.common.clock import ShiftedClock, SystemClock, write_shift
from shanmen.common.db import Tx
from shanmen.common.events import Event
from shanmen.common.inbox import subscribe
from shanmen.common.testing.clients import background, running_of, settings_for
from shanmen.common.testing.events import eventually, message_of, settled
from shanmen.common.testing.fixtures import OpenTransport
from shanmen.contracts.orders import TicketsIssued
from shanmen.verification import queries
from shanmen.verification.context import open_context
from shanmen.verification.domain import Usage
from shanmen.verification.jobs import JOBS
from shanmen.verification.main import SERVICE
from shanmen.verification.ports import ScanCommand, VerificationContext

Sign = Callable[..., str]


async def listen(_tx: Tx, _event: Event, _ctx: VerificationContext) -> None:
    """Whoever is told."""


LISTENER = replace(
    SERVICE,
    name="listener",
    subscriptions=(subscribe("listener.events", dict.fromkeys(SERVICE.emits, listen)),),
)


async def test_a_ticket_comes_in_as_one_event_and_what_became_of_it_goes_out_as_another(
    *,
    ctx: VerificationContext,
    required_settings: dict[str, Any],
    issued: Callable[..., TicketsIssued],
    sign: Sign,
    local_transport: OpenTransport,
) -> None:
    transport = await local_transport(SERVICE, LISTENER)
    running = running_of(SERVICE, ctx, transport, **required_settings)
    over = issued("tkt_over", valid_until=datetime.now(UTC) - timedelta(hours=1))
    await transport.publish([message_of(issued("tkt_1")), message_of(over)])

    async with background(running):
        await settled(running)
        await ctx.scan_queue.submit(ScanCommand("spt_a", "dev", sign("tkt_1")))
        await settled(running)
    async with background(running):  # the sweep looks as soon as it starts
        await eventually(lambda: len(transport.published) == 4)

    assert {(message.type, message.subject) for message in transport.published[2:]} == {
        ("verification.entitlement_used.v1", "tkt_1@spt_a"),
        ("verification.entitlement_expired.v1", "tkt_over@spt_a"),
    }


async def test_scans_in_hand_are_finished_before_the_context_closes(
    ctx: VerificationContext,
    required_settings: dict[str, Any],
    issue: Callable[..., Awaitable[TicketsIssued]],
    sign: Sign,
) -> None:
    await issue("tkt_1")
    given = settings_for(SERVICE, ctx.db.url, **required_settings)
    async with open_context(given, ctx.db, SystemClock()) as opened:
        scan = asyncio.create_task(
            opened.scan_queue.submit(ScanCommand("spt_a", "dev", sign("tkt_1")))
        )
        await asyncio.sleep(0)  # it is submitted, and has not been answered
        assert not scan.done()

    async with ctx.db.transaction() as tx:
        _, passes = await queries.read_passes(tx, ["tkt_1"], ctx.clock.shift)
    assert passes["tkt_1"][0].usage is Usage.USED
    assert (await scan).status == 201


async def test_the_sweep_looks_as_often_as_its_setting_says(
    *,
    ctx: VerificationContext,
    required_settings: dict[str, Any],
    issue: Callable[..., Awaitable[TicketsIssued]],
    shift_file: Path,
    told: Callable[[VerificationContext], Awaitable[list[tuple[str, dict[str, Any]]]]],
) -> None:
    now, hour = datetime.now(UTC), timedelta(hours=1)
    await issue("tkt_over", valid_until=now - hour)
    await issue("tkt_1", valid_until=now + hour)
    given = settings_for(SERVICE, ctx.db.url, expiry_sweep_s=0.02, **required_settings)

    async def has_told(*tickets: str) -> bool:
        return [data["ticket_no"] for _, data in await told(ctx)] == [*tickets]

    stop = asyncio.Event()
    async with open_context(given, ctx.db, ShiftedClock(shift_file)) as opened:
        sweeping = asyncio.create_task(JOBS[0].run(opened, stop))
        await eventually(lambda: has_told("tkt_over"))  # the first look is over
        write_shift(shift_file, 2 * hour)
        await eventually(lambda: has_told("tkt_over", "tkt_1"), within_s=2)
        stop.set()
        await sweeping
