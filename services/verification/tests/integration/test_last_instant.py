"""Gates scan, sweeps expire and refunds void while validity runs out: one fate for each pass."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from shanmen.common.broker.protocol import DONE
from shanmen.common.clock import write_shift
from shanmen.common.idempotency import Reply
from shanmen.common.inbox import Inbox
from shanmen.common.testing.events import deliver
from shanmen.contracts.orders import TicketsIssued
from shanmen.contracts.verification import VoidRequested
from shanmen.verification import queries
from shanmen.verification.domain import Pass, Usage
from shanmen.verification.events import SUBSCRIPTIONS
from shanmen.verification.ports import ScanCommand, VerificationContext
from shanmen.verification.schemas import ScanView
from shanmen.verification.usecases import expire_passes, record_scans

Issue = Callable[..., Awaitable[TicketsIssued]]
Sign = Callable[..., str]
Told = Callable[[VerificationContext], Awaitable[list[tuple[str, dict[str, Any]]]]]

GATES: Final = 8
PASSES: Final = 48
DISORDER: Final = 8
"""By how many passes a gate may be early or late."""
LEAD: Final = 5
"""How many passes early the first of the gates is, about."""
STEP: Final = timedelta(minutes=1)
"""Between the ends of two passes' validity."""
FATES: Final = {
    "verification.entitlement_used.v1": Usage.USED,
    "verification.entitlement_expired.v1": Usage.EXPIRED,
    "verification.entitlement_voided.v1": Usage.VOIDED,
}


@dataclass
class Afternoon:
    """All passes end within the hour, and every scan moves the time a little towards it.

    So it is about when the first gate reads a ticket that it ends, on any machine.
    """

    processes: Sequence[VerificationContext]
    shift_file: Path
    code_of: dict[str, str]
    """Codes by ticket number, in the order in which the tickets end."""
    dice: random.Random
    scans: list[ScanView] = field(default_factory=list)
    scanned: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def shuffled(self) -> list[str]:
        """All ticket numbers, roughly in the order of their ends."""
        numbered = enumerate(self.code_of)
        return [
            t
            for _, t in sorted(
                (n + self.dice.uniform(-DISORDER, DISORDER), t) for n, t in numbered
            )
        ]

    async def gate(self, number: int) -> None:
        """Scan every ticket once."""
        for ticket_no in self.shuffled():
            command = ScanCommand("spt_a", f"dev_{number}", self.code_of[ticket_no])
            (answer,) = await record_scans(self.processes[number % 2], [command])
            assert isinstance(answer, Reply)
            self.scans.append(ScanView.model_validate_json(answer.body))
            self.scanned.release()
            write_shift(self.shift_file, STEP * len(self.scans) / GATES)

    async def sweep(self, process: VerificationContext) -> None:
        """Expire what is over, again and again."""
        while not self.over.is_set():
            await expire_passes(process, at_once=3)
            await asyncio.sleep(0)

    async def refund(self, process: VerificationContext) -> None:
        """Ask for each pass to be voided, at the pace of the gates."""
        inbox = Inbox(process.db, SUBSCRIPTIONS[0], process)
        for ticket_no in self.shuffled()[LEAD:]:  # about where the first gate is
            wanted = VoidRequested(
                order_no="ord_1",
                entitlement_ids=(f"{ticket_no}@spt_a",),
                requested_at=process.clock.now(),
            )
            assert await deliver(inbox, wanted) == [DONE]
            for _ in range(GATES // len(self.processes)):
                await self.scanned.acquire()

    async def run(self, *, refunds: bool) -> None:
        """Everybody at once, until every gate has seen every ticket; then a last sweep."""

        async def scan() -> None:
            await asyncio.gather(*(self.gate(number) for number in range(GATES)))
            self.over.set()

        await asyncio.gather(
            scan(),
            *(self.sweep(process) for process in self.processes),
            *(self.refund(process) for process in self.processes if refunds),
        )
        write_shift(self.shift_file, STEP * PASSES * 2)
        await expire_passes(self.processes[0])


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("refunds", [False, True])
async def test_each_pass_has_one_fate_and_it_is_told_once(
    *,
    ctx: VerificationContext,
    second_ctx: VerificationContext,
    issued: Callable[..., TicketsIssued],
    inbox: Inbox[VerificationContext],
    sign: Sign,
    shift_file: Path,
    told: Told,
    seed: int,
    refunds: bool,
) -> None:
    begin = datetime.now(UTC)
    tickets = {f"tkt_{n}": begin + (n - LEAD) * STEP for n in range(PASSES)}
    orders = [issued(t, valid_until=end, order_no="ord_1") for t, end in tickets.items()]
    assert await deliver(inbox, *orders) == [DONE] * PASSES
    codes = {ticket_no: sign(ticket_no) for ticket_no in tickets}
    dice = random.Random(seed)  # noqa: S311 - the same shuffle every time
    afternoon = Afternoon((ctx, second_ctx), shift_file, codes, dice)

    await afternoon.run(refunds=refunds)

    passes = await _passes(ctx, tickets)
    fates = {Usage.USED, Usage.EXPIRED} | ({Usage.VOIDED} if refunds else set())
    assert {held.usage for held in passes} == fates, "nobody raced anybody"
    assert len(afternoon.scans) == GATES * PASSES
    admissions = Counter(scan.ticket_no for scan in afternoon.scans if scan.code is None)
    events = Counter((FATES[kind], data["ticket_no"]) for kind, data in await told(ctx))
    assert events == Counter((held.usage, held.ticket_no) for held in passes)
    assert admissions == Counter(t.ticket_no for t in passes if t.usage is Usage.USED)
    for held in passes:
        _check_time(held)


async def _passes(ctx: VerificationContext, tickets: dict[str, datetime]) -> list[Pass]:
    async with ctx.db.transaction() as tx:
        _, by_ticket = await queries.read_passes(tx, tickets.keys(), ctx.clock.shift)
    passes = [held for of_ticket in by_ticket.values() for held in of_ticket]
    assert {held.ticket_no for held in passes} == set(tickets)
    assert len(passes) == len(tickets)
    return passes


def _check_time(held: Pass) -> None:
    """Nobody enters after the end, and nothing expires before it."""
    if held.admission is not None:
        assert held.admission.at < held.valid_until
    if held.expired_at is not None:
        assert held.expired_at >= held.expires_at
