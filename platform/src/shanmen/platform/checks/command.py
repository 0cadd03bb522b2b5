"""`shanmen check`: every invariant of the installation that runs, as a table and as JSON."""

import asyncio
import json
from pathlib import Path
from typing import Final

import asyncpg
import httpx
from rich.console import Console
from rich.table import Table

from shanmen.platform.checks.checking import check_installation
from shanmen.platform.checks.findings import Report
from shanmen.platform.installation import Installation
from shanmen.platform.running import running_installation
from shanmen.platform.servers.errors import ServerError

_UNREADABLE: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.CannotConnectNowError,
    httpx.TransportError,
)


async def run_check(
    console: Console, mode: str | None, result_file: Path | None, quiet_within_s: float
) -> bool:
    """Check the running installation and show what was found; True when all is well.

    Raises ServerError when nothing runs, or its books cannot be read.
    """
    installation = running_installation(mode)
    try:
        report = await check_installation(installation, quiet_within_s=quiet_within_s)
    except _UNREADABLE as error:
        raise ServerError(_unreadable(installation, error)) from error
    show_report(console, report)
    if result_file is not None:
        await asyncio.to_thread(_write, result_file, report)
    return report.ok


def show_report(console: Console, report: Report) -> None:
    """A line per invariant, and the rows that offend."""
    table = Table("id", "what must hold")
    for heading in ("checked", "offending"):
        table.add_column(heading, justify="right")
    for finding in report.findings:
        colour = "red" if finding.tally.offending else "green"
        table.add_row(
            finding.id,
            finding.title,
            f"{finding.tally.checked:,}",
            f"[{colour}]{finding.tally.offending:,}[/]",
        )
    console.print(table)
    for finding in report.findings:
        for offence in finding.tally.first:
            console.print(
                f"[red]✗[/] {finding.id}  {offence.row}: {offence.facts}", soft_wrap=True
            )
        hidden = finding.tally.offending - len(finding.tally.first)
        if hidden:
            console.print(f"   {finding.id}  … and {hidden:,} more")
    verdict = "[bold green]Everything holds.[/]" if report.ok else "[bold red]Not all holds.[/]"
    console.print(f"{verdict} ({report.mode}, {report.seconds:.1f} s)")


def _unreadable(installation: Installation, error: Exception) -> str:
    return (
        f"The books of the installation {installation.mode!r} cannot be read "
        f"({type(error).__name__}). Start it with `make run` or `make up`, then check again."
    )


def _write(file: Path, report: Report) -> None:
    text = json.dumps(report.as_json(), ensure_ascii=False, indent=2)
    file.write_text(f"{text}\n", encoding="utf-8")
