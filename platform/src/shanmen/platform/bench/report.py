"""The bench's result, as JSON and as tables for a person."""

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from shanmen.platform.bench.figures import Latency, ratio
from shanmen.platform.bench.pgbench import Yard
from shanmen.platform.bench.reconciliation import Reconciled
from shanmen.platform.bench.stages import LOAD, StageResult

POSTINGS_EACH: Final = 3
"""Of a lifecycle: its debit, its admission and its payout are booked."""

LIBRARIES: Final = ("aio-pika", "asyncpg", "fastapi", "pydantic", "sqlalchemy", "uvicorn")

_TITLES: Final[Mapping[str, str]] = {
    "placements_spread": "placements, spread",
    "placements_hot": "placements, hot",
    "lifecycles": "lifecycles",
    "scans": "scans",
    "scans_half": "scans at half of it",
}
_RUN_TITLES: Final[Mapping[str, str]] = {
    "huijinbao_clean": "Huijinbao",
    "huijinbao_breaks": "Huijinbao, with breaks",
    "huijinbao_between": "Huijinbao, between such days",
    "alipay_clean": "Alipay",
    "alipay_breaks": "Alipay, with breaks",
}
_RECONCILERS: Final[Mapping[str, str]] = {
    "gateway-adapters-api": "gateway MB",
    "settlement-api": "settlement MB",
}
_SHORT_TITLES: Final[Mapping[str, str]] = {
    "placements_spread": "placed",
    "placements_hot": "placed, hot",
    "lifecycles": "lifecycle",
    "scans": "scan",
    "scans_half": "scan, half",
}


@dataclass(frozen=True)
class Result:
    """Everything that was measured; `yardstick` is None where there is no pgbench, or none was
    wanted."""

    stages: Mapping[str, StageResult]
    memory_mb: Mapping[str, float]
    yardstick: Mapping[str, Yard] | None
    server: Mapping[str, str]
    reconciliation: Mapping[str, Reconciled]

    def ratios(self) -> dict[str, float | None]:
        """Our rates as parts of bare PostgreSQL's, for what both do."""
        ours = {name: stage.per_second for name, stage in self.stages.items()}
        if "lifecycles" in ours:
            ours["postings"] = ours["lifecycles"] * POSTINGS_EACH
        return {
            name: ratio(ours[name], yard.per_second)
            for name, yard in (self.yardstick or {}).items()
            if name in ours
        }

    def as_json(self) -> dict[str, Any]:
        """All figures, in the units that their names end with."""
        figures = {
            "machine": machine(),
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in LIBRARIES},
            },
            "postgresql": dict(self.server),
            "stages": {name: asdict(stage) for name, stage in self.stages.items()},
            "memory_mb": dict(self.memory_mb),
            "reconciliation": {name: asdict(run) for name, run in self.reconciliation.items()},
            "yardstick": {name: asdict(yard) for name, yard in (self.yardstick or {}).items()},
            "ratios": self.ratios(),
        }
        rounded: dict[str, Any] = _rounded(figures)
        return rounded


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": pages // (1024 * 1024),
        "kernel": platform.release(),
        "architecture": platform.machine(),
    }


def show(console: Console, result: Result) -> None:
    """Print the tables."""
    if result.stages:
        console.print(_speed_table(result))
        console.print(_cost_table(result))
    if result.reconciliation:
        console.print(_reconciliation_table(result.reconciliation))
    for name, stage in result.stages.items():
        for reason, count in stage.refused.items():
            console.print(f"[yellow]{_TITLES[name]}: {count} × {reason}[/]")


def _speed_table(result: Result) -> Table:
    yardstick, ratios = result.yardstick or {}, result.ratios()
    table = Table("", title="Speed")
    for heading in ("per second", "p50 ms", "p99 ms", "drained", "pgbench", "ratio"):
        table.add_column(heading, justify="right")
    for name, stage in result.stages.items():
        table.add_row(
            _TITLES[name],
            f"{stage.per_second:.0f}",
            *_percentiles(_whole(stage)),
            f"{stage.settling_s:.1f} s",
            *_against(yardstick.get(name), ratios.get(name)),
        )
        for until, latency in list(stage.latencies.items())[:-1]:
            table.add_row(f"  until {until}", "", *_percentiles(latency), "", "", "")
    if "lifecycles" in result.stages:
        lives = result.stages["lifecycles"].per_second
        table.add_row(
            f"postings, {POSTINGS_EACH} each",
            f"{lives * POSTINGS_EACH:.0f}",
            *("", "", ""),
            *_against(yardstick.get("postings"), ratios.get("postings")),
        )
    return table


def _cost_table(result: Result) -> Table:
    table = Table("process", title="CPU ms per operation, and memory")
    for name in result.stages:
        table.add_column(_SHORT_TITLES[name], justify="right")
    table.add_column("MB", justify="right")
    columns = [stage.cpu_ms_each for stage in result.stages.values()]
    for process, memory_mb in result.memory_mb.items():
        figures = (_figure(column.get(process)) for column in columns)
        table.add_row(process, *figures, f"{memory_mb:.0f}")
    sums = (sum(ms for name, ms in column.items() if name != LOAD) for column in columns)
    table.add_row("all of these", *map(_figure, sums), "", style="bold")
    table.add_row("the load itself", *(_figure(column.get(LOAD)) for column in columns), "")
    return table


def _reconciliation_table(runs: Mapping[str, Reconciled]) -> Table:
    table = Table("a day of", title="Reconciliation, and the most memory that it took")
    for heading in ("rows", "breaks", "s", "rows/s", *_RECONCILERS.values()):
        table.add_column(heading, justify="right")
    for name, run in runs.items():
        table.add_row(
            _RUN_TITLES[name],
            *(str(run.rows), str(run.breaks)),
            *(f"{run.seconds:.1f}", f"{run.rows_per_second:.0f}"),
            *(f"{run.peak_mb[process]:.0f}" for process in _RECONCILERS),
        )
    return table


def _whole(stage: StageResult) -> Latency | None:
    """The latency of whole operations: what is named last."""
    return list(stage.latencies.values())[-1]


def _percentiles(latency: Latency | None) -> tuple[str, str]:
    if latency is None:
        return "–", "–"
    return f"{latency.p50_ms:.1f}", f"{latency.p99_ms:.1f}"


def _against(yard: Yard | None, share: float | None) -> tuple[str, str]:
    return f"{yard.per_second:.0f}" if yard else "–", f"{share:.3f}" if share else "–"


def _rounded(value: Any) -> Any:
    """The same with three decimals: more is noise."""
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return value


def _figure(ms: float | None) -> str:
    return "–" if ms is None else f"{ms:.2f}"
