"""The bench from set-up to report."""

import asyncio
import json
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console

from shanmen.platform.api_client import ApiRefusal
from shanmen.platform.bench.cast import ensure_cast
from shanmen.platform.bench.load_process import LoadFailed
from shanmen.platform.bench.pgbench import (
    STATEMENTS,
    Yard,
    YardstickFailed,
    find_pgbench,
    measure_yard,
    server_settings,
    yardstick_database,
)
from shanmen.platform.bench.processes import memory_mb, settle_down
from shanmen.platform.bench.reconciliation import Reconciled, measure_reconciliation
from shanmen.platform.bench.report import Result, show
from shanmen.platform.bench.stages import SETTLE_DOWN_S, StageResult, Stages
from shanmen.platform.run import stop_on_signals
from shanmen.platform.sample import Sample
from shanmen.platform.separate import MODE, SeparateProcesses
from shanmen.platform.servers.errors import ServerError
from shanmen.platform.servers.process import ManagedProcess

SECONDS: Final = 8.0
YARD_SECONDS: Final = 10
SIMULATORS: Final = ("alipay", "huijinbao", "sms")
PARTS: Final = ("placements", "lifecycles", "scans", "reconciliation", "yardstick")
"""What can be measured by itself."""


class BenchFailed(ServerError):
    """The bench could not be carried out; says nothing about speed."""


async def run_bench(
    console: Console,
    result_file: Path | None,
    *,
    only: Collection[str] = PARTS,
    seconds: float = SECONDS,
    yard_seconds: int = YARD_SECONDS,
) -> dict[str, Any]:
    """Measure the separate processes against pgbench; prints tables and returns all figures.

    Processes that run are used as they are; else they are started, and stopped again at the end.
    Of PARTS `only` some may be wanted. A stage begins operations for at most `seconds`, pgbench
    runs `yard_seconds` for each kind of work. Slow is no failure. Raises ServerError when
    something cannot run.
    """
    unknown = set(only) - set(PARTS)
    if unknown:
        raise BenchFailed(
            f"There is no part {', '.join(sorted(unknown))}. There are: {', '.join(PARTS)}."
        )
    stop = asyncio.create_task(stop_on_signals().wait())
    measuring = asyncio.create_task(_measure_all(console, only, seconds, yard_seconds))
    await asyncio.wait({stop, measuring}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not measuring.done():
        console.print("\nInterrupted; stopping …")
        measuring.cancel()
        await asyncio.wait({measuring})
        raise BenchFailed("Interrupted: there is no result.")
    try:
        result = measuring.result()
    except (ApiRefusal, httpx.HTTPError, LoadFailed, YardstickFailed) as error:
        raise BenchFailed(f"The bench could not be carried out: {error}") from error
    show(console, result)
    figures = result.as_json()
    if result_file is not None:
        text = json.dumps(figures, ensure_ascii=False, indent=2) + "\n"
        await asyncio.to_thread(result_file.write_text, text, encoding="utf-8")
    return figures


async def _measure_all(
    console: Console, only: Collection[str], seconds: float, yard_seconds: int
) -> Result:
    platform = SeparateProcesses()
    was_up = all(row.pid is not None or row.address == "given" for row in platform.status())
    began_at = time.monotonic()

    def tell(what: str) -> None:
        console.print(f"[dim]{time.monotonic() - began_at:4.0f} s[/]  {what} …")

    try:
        tell("Using the processes that run" if was_up else "Starting all processes")
        sample = await platform.start()
        stages = await _measure_stages(platform, sample, tell, only, seconds)
        memory = memory_mb(processes_of(platform))
        reconciled: Mapping[str, Reconciled] = {}
        if "reconciliation" in only:
            reconciled = await measure_reconciliation(platform, tell)
        yardstick = None
        if "yardstick" in only:
            tell("Bare PostgreSQL, the yardstick")
            yardstick = await _measure_yardstick(console, platform, yard_seconds)
        server = await server_settings(platform.installation.postgres)
    finally:
        if not was_up:
            tell("Stopping all processes")
            await platform.stop()
    return Result(stages, memory, yardstick, server, reconciled)


async def _measure_stages(
    platform: SeparateProcesses,
    sample: Sample,
    tell: Callable[[str], None],
    only: Collection[str],
    seconds: float,
) -> dict[str, StageResult]:
    results: dict[str, StageResult] = {}
    if not {"placements", "lifecycles", "scans"} & set(only):
        return results
    tell("Looking after products and parties")
    async with httpx.AsyncClient(trust_env=False, timeout=40) as client:
        cast = await ensure_cast(platform.installation, client, sample)
    stages = Stages(platform.ports, cast, lambda: processes_of(platform), tell)
    if "placements" in only:
        results["placements_spread"] = await stages.placements_spread(seconds)
        results["placements_hot"] = await stages.placements_hot(seconds)
    if "lifecycles" in only:
        results["lifecycles"] = await stages.lifecycles()
    if "scans" in only:
        results |= await stages.scans(seconds)
    return results


async def _measure_yardstick(
    console: Console, platform: SeparateProcesses, seconds: int
) -> Mapping[str, Yard] | None:
    processes = processes_of(platform)
    pgbench = find_pgbench(processes.get("postgres"))
    if pgbench is None:
        console.print(
            "[yellow]pgbench is not on this machine, so there are no ratios. It comes with "
            "PostgreSQL (Debian: apt-get install postgresql).[/]"
        )
        return None
    async with yardstick_database(platform.installation.postgres) as dsn:
        await settle_down(processes, within_s=SETTLE_DOWN_S)
        return {
            name: await measure_yard(pgbench, dsn, file, seconds=seconds)
            for name, file in STATEMENTS.items()
        }


def processes_of(platform: SeparateProcesses) -> dict[str, int]:
    """Every process of the installation that is ours, by name."""
    folder = platform.state.directory(f"simulators-{MODE}")
    running = {row.name: row.pid for row in platform.status()}
    running |= {f"{name} (simulated)": ManagedProcess(folder, name).pid for name in SIMULATORS}
    return {name: pid for name, pid in running.items() if pid is not None}
