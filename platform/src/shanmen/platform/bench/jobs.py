"""What the load process does to the services, through their public API, and what it brings back.

Each job carries itself out within its own bounds. It lies in values that survive as JSON: a plan
goes to the load process that way, and a Measured comes back.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Final, Protocol

from shanmen.platform.bench import calls
from shanmen.platform.bench.connection import Address, Caller
from shanmen.platform.bench.driving import Step, Tally, drive
from shanmen.platform.bench.figures import Latency, latency_of

SETTLED_WITHIN_S: Final = 45.0
POLL_S: Final = 0.25


@dataclass(frozen=True)
class Bounds:
    """What keeps a job in check: connections at once, operations, and seconds to begin them in."""

    connections: int
    most: int
    seconds: float


@dataclass(frozen=True)
class Measured:
    """What one job came to: successes, the seconds they took all together, what each took by
    itself up to some point, failures by reason, and the ticket codes that were bought."""

    operations: int
    seconds: float
    latencies: Mapping[str, Latency | None]
    refused: Mapping[str, int]
    qrs: Sequence[str] = ()


class Job(Protocol):
    """A piece of load."""

    async def carry_out(self) -> Measured:
        """Do it; ends by itself."""


@dataclass(frozen=True)
class Placements:
    """Place unpaid orders of one ticket each, over the products in turn."""

    bounds: Bounds
    orders: Address
    token: str
    product_ids: Sequence[str]
    run: str

    async def carry_out(self) -> Measured:
        """See Job."""

        def worker() -> Step:
            seller = Caller(self.orders, self.token)

            async def step(number: int) -> str | None:
                product_id = self.product_ids[number % len(self.product_ids)]
                return await calls.place(seller, f"{self.run}-{number}", product_id)

            return step

        return _measured("placed", await _drive(worker, self.bounds))


@dataclass(frozen=True)
class Purchases:
    """Buy tickets and wait until the gate knows them; `most` counts orders."""

    bounds: Bounds
    orders: Address
    verification: Address
    token: str
    gate_token: str
    product_id: str
    quantity: int
    run: str

    async def carry_out(self) -> Measured:
        """See Job; the tickets' codes come back as `qrs`."""
        qrs: list[str] = []

        def worker() -> Step:
            seller = Caller(self.orders, self.token)
            gate = Caller(self.verification, self.gate_token)

            async def step(number: int) -> str | None:
                order_no = f"{self.run}-{number}"
                tickets = await calls.buy(seller, order_no, self.product_id, self.quantity)
                if isinstance(tickets, str):
                    return tickets
                if not await calls.is_known(gate, tickets[-1]["ticket_no"]):
                    return "issued, and not known at the gate in time"
                qrs.extend(ticket["qr"] for ticket in tickets)
                return None

            return step

        return _measured("issued", await _drive(worker, self.bounds), qrs)


@dataclass(frozen=True)
class Scans:
    """Scan each code once: at full speed, or at a `rate` per second."""

    bounds: Bounds
    verification: Address
    gate_token: str
    qrs: Sequence[str]
    run: str
    rate: float | None = None

    async def carry_out(self) -> Measured:
        """See Job."""

        def worker() -> Step:
            gate = Caller(self.verification, self.gate_token)

            async def step(number: int) -> str | None:
                return await calls.scan(gate, self.qrs[number], f"{self.run}-{number}")

            return step

        return _measured("scanned", await _drive(worker, self.bounds, self.rate))


@dataclass(frozen=True)
class Lifecycles:
    """Whole lives of tickets: bought and debited, issued, scanned at once, and the spot paid."""

    bounds: Bounds
    orders: Address
    verification: Address
    settlement: Address
    token: str
    gate_token: str
    spot_token: str
    product_id: str
    run: str

    async def carry_out(self) -> Measured:
        """See Job. Time ends when the last settlement is seen, which is POLL_S coarse."""
        began_at, since = perf_counter(), datetime.now(UTC).isoformat()
        begun: dict[str, float] = {}
        issued_s: list[float] = []

        def worker() -> Step:
            seller = Caller(self.orders, self.token)
            gate = Caller(self.verification, self.gate_token)

            async def step(number: int) -> str | None:
                placed_at, order_no = perf_counter(), f"{self.run}-{number}"
                tickets = await calls.buy(seller, order_no, self.product_id, 1)
                if isinstance(tickets, str):
                    return tickets
                issued_s.append(perf_counter() - placed_at)
                begun[tickets[0]["spots"][0]["entitlement_id"]] = placed_at
                return await calls.scan_until_known(gate, tickets[0]["qr"], order_no)

            return step

        spot = Caller(self.settlement, self.spot_token)
        admitted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(
                _watch(lambda: calls.settled_since(spot, since), begun, admitted)
            )
            tally = await _drive(worker, self.bounds)
            admitted.set_result(len(tally.latencies_s))
        seen_at = watching.result()
        lacking = admitted.result() - len(seen_at)
        return Measured(
            operations=len(seen_at),
            seconds=max(seen_at.values(), default=began_at) - began_at,
            latencies={
                "issued": latency_of(issued_s),
                "admitted": latency_of(tally.latencies_s),
                "settled": latency_of([at - begun[key] for key, at in seen_at.items()]),
            },
            refused=dict(tally.refused + Counter({"not settled in time": lacking})),
        )


async def _watch(
    settled: Callable[[], Awaitable[Sequence[str]]],
    ours: Mapping[str, float],
    expected: "asyncio.Future[int]",
) -> dict[str, float]:
    """When each of ours was first seen settled; ends with as many as expected, or too late."""
    seen_at: dict[str, float] = {}
    deadline: float | None = None
    while True:
        for key in await settled():
            if key in ours:
                seen_at.setdefault(key, perf_counter())
        if expected.done():
            deadline = deadline or perf_counter() + SETTLED_WITHIN_S
            if len(seen_at) >= expected.result() or perf_counter() > deadline:
                return seen_at
        await asyncio.sleep(POLL_S)


async def _drive(worker: Callable[[], Step], bounds: Bounds, rate: float | None = None) -> Tally:
    return await drive(
        worker, workers=bounds.connections, most=bounds.most, seconds=bounds.seconds, rate=rate
    )


def _measured(name: str, tally: Tally, qrs: Sequence[str] = ()) -> Measured:
    latencies = {name: latency_of(tally.latencies_s)}
    return Measured(len(tally.latencies_s), tally.seconds, latencies, dict(tally.refused), qrs)
