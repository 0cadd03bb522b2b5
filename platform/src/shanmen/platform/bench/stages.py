"""The stages of the bench, one after the other, each begun when the one before is worked off."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from shanmen.platform.bench.cast import Cast
from shanmen.platform.bench.connection import Address
from shanmen.platform.bench.figures import Latency, cpu_ms_each, per_second
from shanmen.platform.bench.jobs import (
    Bounds,
    Job,
    Lifecycles,
    Placements,
    Purchases,
    Scans,
)
from shanmen.platform.bench.load_process import LoadReport, carry_out_apart
from shanmen.platform.bench.processes import cpu_seconds, settle_down
from shanmen.platform.servers.ports import LOOPBACK

CONNECTIONS: Final = 32
LIFE_CONNECTIONS: Final = 64
MOST_PLACEMENTS: Final = 50_000
LIVES: Final = 400
LIFE_S: Final = 30.0
PURCHASES: Final = 500
TICKETS_EACH: Final = 20
MOST_SCANS: Final = 6_000
SETTLE_DOWN_S: Final = 20.0
LAST_RESORT_S: Final = 180.0

LOAD: Final = "load"
"""The name under which the load's own CPU time stands beside the processes'."""


@dataclass(frozen=True)
class StageResult:
    """What one stage came to.

    `cpu_ms_each` is per operation and process, and counts until all that follows from the
    operations is done as well, which took `settling_s` after the last of them.
    """

    operations: int
    seconds: float
    per_second: float
    latencies: Mapping[str, Latency | None]
    refused: Mapping[str, int]
    settling_s: float
    cpu_ms_each: Mapping[str, float]


class Stages:
    """Runs the stages against services at these ports, measuring these processes.

    `tell` hears what is being done, before each stage.
    """

    def __init__(
        self,
        ports: Mapping[str, int],
        cast: Cast,
        processes: Callable[[], Mapping[str, int]],
        tell: Callable[[str], None],
    ) -> None:
        self._ports = ports
        self._cast = cast
        self._processes = processes
        self._tell = tell
        self._run = f"bench-{datetime.now(UTC):%Y%m%d%H%M%S}"

    async def placements_spread(self, seconds: float) -> StageResult:
        """Orders over all products in turn."""
        self._tell(f"Placing orders, spread over {len(self._cast.spread_products)} products")
        return await self._measure(self._placements("spread", self._cast.spread_products, seconds))

    async def placements_hot(self, seconds: float) -> StageResult:
        """Orders of one product."""
        self._tell("Placing orders of one hot product")
        return await self._measure(self._placements("hot", [self._cast.hot_product], seconds))

    async def lifecycles(self) -> StageResult:
        """Tickets from their order to the spot's payout."""
        self._tell(f"Living {LIVES} whole lifecycles, from order to payout")
        return await self._measure(
            Lifecycles(
                bounds=Bounds(LIFE_CONNECTIONS, LIVES, LIFE_S),
                orders=self._address("orders"),
                verification=self._address("verification"),
                settlement=self._address("settlement"),
                token=self._cast.distributor_token,
                gate_token=self._cast.gate_token,
                spot_token=self._cast.spot_token,
                product_id=self._cast.spread_products[0],
                run=f"{self._run}-life",
            )
        )

    async def scans(self, seconds: float) -> dict[str, StageResult]:
        """`scans` at full speed, and `scans_half` at half of what that came to."""
        self._tell(f"Buying {PURCHASES * TICKETS_EACH} tickets to scan")
        bought = await self._carry_out(
            Purchases(
                bounds=Bounds(CONNECTIONS, PURCHASES, 2 * LIFE_S),
                orders=self._address("orders"),
                verification=self._address("verification"),
                token=self._cast.distributor_token,
                gate_token=self._cast.gate_token,
                product_id=self._cast.gate_product,
                quantity=TICKETS_EACH,
                run=f"{self._run}-tickets",
            )
        )
        if bought.measured.refused:
            self._tell(f"Some were not to be had: {dict(bought.measured.refused)}")
        await settle_down(self._processes(), within_s=SETTLE_DOWN_S)
        qrs = bought.measured.qrs
        self._tell("Scanning at full speed")
        full = await self._measure(self._scans("full", qrs[:MOST_SCANS], seconds))
        rate = full.per_second / 2
        self._tell(f"Scanning at half of that, {rate:.0f} a second")
        half = self._scans("half", qrs[MOST_SCANS:], seconds, rate=rate)
        return {"scans": full, "scans_half": await self._measure(half)}

    def _placements(self, name: str, product_ids: Sequence[str], seconds: float) -> Placements:
        return Placements(
            bounds=Bounds(CONNECTIONS, MOST_PLACEMENTS, seconds),
            orders=self._address("orders"),
            token=self._cast.distributor_token,
            product_ids=product_ids,
            run=f"{self._run}-{name}",
        )

    def _scans(
        self, name: str, qrs: Sequence[str], seconds: float, *, rate: float | None = None
    ) -> Scans:
        return Scans(
            bounds=Bounds(CONNECTIONS, len(qrs), seconds),
            verification=self._address("verification"),
            gate_token=self._cast.gate_token,
            qrs=qrs,
            run=f"{self._run}-{name}",
            rate=rate,
        )

    async def _measure(self, job: Job) -> StageResult:
        processes = self._processes()
        await settle_down(processes, within_s=SETTLE_DOWN_S)
        before_s = cpu_seconds(processes)
        report = await self._carry_out(job)
        settling_s = await settle_down(processes, within_s=SETTLE_DOWN_S)
        measured = report.measured
        cpu = cpu_ms_each(before_s, cpu_seconds(processes), measured.operations)
        cpu |= cpu_ms_each({LOAD: 0.0}, {LOAD: report.cpu_s}, measured.operations)
        return StageResult(
            operations=measured.operations,
            seconds=measured.seconds,
            per_second=per_second(measured.operations, measured.seconds),
            latencies=measured.latencies,
            refused=measured.refused,
            settling_s=settling_s,
            cpu_ms_each=cpu,
        )

    async def _carry_out(self, job: Job) -> LoadReport:
        return await carry_out_apart(job, within_s=LAST_RESORT_S)

    def _address(self, service: str) -> Address:
        return LOOPBACK, self._ports[service]
