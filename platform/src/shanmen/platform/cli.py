"""The `shanmen` command: what the Makefile's targets call."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from shanmen.platform.servers.errors import ServerError

if TYPE_CHECKING:
    from shanmen.platform.separate import ProcessStatus

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
dead_letters = typer.Typer(no_args_is_help=True, help="Events that were given up on.")
app.add_typer(dead_letters, name="dead-letters")
clock = typer.Typer(no_args_is_help=True, help="The time of this installation.")
app.add_typer(clock, name="clock")
audit = typer.Typer(help="The trail of what people did.")
app.add_typer(audit, name="audit")


@audit.callback()
def trail() -> None:
    """Commands about the audit trail."""


console: Final = Console(highlight=False)


@app.callback()
def shanmen() -> None:
    """Shanmen 山门: electronic tickets for scenic spots."""


@app.command()
def run() -> None:
    """Start everything in one process, with sample data, until Ctrl-C."""
    from shanmen.platform.run import run_until_stopped  # noqa: PLC0415 - each command pays for its own

    asyncio.run(run_until_stopped(console))


@app.command()
def demo(
    json: Annotated[
        Path | None, typer.Option(help="also write the result, read back, to this file")
    ] = None,
) -> None:
    """Drive the whole single-ticket flow and compare all books; exits 1 if any disagree."""
    from shanmen.platform.demo.command import run_demo  # noqa: PLC0415

    if not asyncio.run(run_demo(console, json)):
        raise typer.Exit(1)


@app.command()
def up() -> None:
    """Start every service as processes of its own, and leave them running."""
    from shanmen.platform.separate import SeparateProcesses  # noqa: PLC0415

    processes = SeparateProcesses()
    console.print("Starting Shanmen 山门 as separate processes …")
    sample = asyncio.run(processes.start())
    _show_status(processes.status())
    console.print(f"\n  Operator token     {sample.operator_token}", soft_wrap=True)
    console.print(f"  Distributor token  {sample.distributor_token}", soft_wrap=True)
    console.print(f"  Gate token         {sample.gate_token}", soft_wrap=True)
    console.print(f"  Product            {sample.product_id}")
    console.print(f"  Logs               {processes.state.path}\n\n`make down` stops everything.")


@app.command()
def down() -> None:
    """Drain and stop what `up` started."""
    from shanmen.platform.separate import SeparateProcesses  # noqa: PLC0415

    asyncio.run(SeparateProcesses().stop())
    console.print("Stopped; the next start has the same data.")


@app.command()
def status() -> None:
    """Show the processes of `up`; exits 1 when one of them does not run."""
    from shanmen.platform.separate import SeparateProcesses  # noqa: PLC0415

    rows = SeparateProcesses().status()
    _show_status(rows)
    if any(row.pid is None and row.address != "given" for row in rows):
        raise typer.Exit(1)


@app.command()
def check(
    mode: Annotated[str | None, typer.Option(help="single or up; else the one that runs")] = None,
    json: Annotated[Path | None, typer.Option(help="also write the report to this file")] = None,
    quiet_within: Annotated[
        float, typer.Option(min=0, help="seconds to wait until nothing is on its way")
    ] = 30,
) -> None:
    """Look whether every invariant holds in the running installation; exits 1 if one does not."""
    from shanmen.platform.checks.command import run_check  # noqa: PLC0415

    if not asyncio.run(run_check(console, mode, json, quiet_within)):
        raise typer.Exit(1)


@app.command()
def bench(
    json: Annotated[Path | None, typer.Option(help="also write all figures to this file")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="a part by itself, such as reconciliation; repeatable")
    ] = None,
) -> None:
    """Measure the processes of `up` against bare PostgreSQL; slow is no failure."""
    from shanmen.platform.bench.command import PARTS, run_bench  # noqa: PLC0415

    asyncio.run(run_bench(console, json, only=only or PARTS))


@clock.command("show")
def show_clock() -> None:
    """Show what time it is for this installation."""
    from shanmen.platform.localclock import local_shift  # noqa: PLC0415
    from shanmen.platform.servers.state import StateDir  # noqa: PLC0415

    _show_clock(local_shift(StateDir.of_checkout()))


@clock.command("advance")
def advance(
    duration: Annotated[str, typer.Argument(help="how far: 90s, 15m, 36h, 3d")],
) -> None:
    """Move this installation's time forward, channels included; there is no way back."""
    from shanmen.platform.running import move_time  # noqa: PLC0415

    _show_clock(asyncio.run(move_time(duration)))


def _show_clock(ahead: timedelta) -> None:
    now = datetime.now(UTC) + ahead
    console.print(f"{now.isoformat(timespec='seconds')}, ahead by {ahead}")


def _show_status(rows: "Sequence[ProcessStatus]") -> None:
    table = Table("process", "pid", "address")
    for row in rows:
        table.add_row(row.name, str(row.pid or "not running"), row.address)
    console.print(table)


@dead_letters.command("list")
def list_parked(
    queue: Annotated[str | None, typer.Argument(help="one queue only")] = None,
) -> None:
    """List the events that were given up on, with their reasons."""
    from shanmen.platform.deadletters import list_dead_letters  # noqa: PLC0415

    table = Table("queue", "id", "type", "subject", "refusals", "since", "reason")
    for letter in asyncio.run(list_dead_letters(queue)):
        since = letter.parked_at.isoformat(timespec="seconds")
        refusals = str(letter.refusals)
        table.add_row(
            letter.queue, letter.id, letter.type, letter.subject, refusals, since, letter.reason
        )
    console.print(table)


@dead_letters.command("redrive")
def redrive(
    queue: Annotated[str, typer.Argument(help="such as orders.events")],
    ids: Annotated[list[str] | None, typer.Argument(help="only these; all without")] = None,
) -> None:
    """Send parked events back to their queue, after their cause is mended."""
    from shanmen.platform.deadletters import redrive_dead_letters  # noqa: PLC0415

    moved = asyncio.run(redrive_dead_letters(queue, ids or None))
    console.print(f"{moved} event(s) sent back to {queue}.")


@audit.command("verify")
def verify_audit(
    head: Annotated[
        str | None, typer.Option(help="a head noted earlier, seq:hash, that must still be there")
    ] = None,
) -> None:
    """Look whether the audit trail is whole; exits 1 and names the first bad row if not."""
    from shanmen.platform.trail import verify_trail  # noqa: PLC0415

    end, fault = asyncio.run(verify_trail(head))
    if fault is not None:
        console.print(f"[bold red]Row {fault.seq}:[/] {fault.problem}.")
        raise typer.Exit(1)
    console.print(f"The audit trail is whole. Note its head: {end.seq}:{end.hash}", soft_wrap=True)


@app.command()
def docs() -> None:
    """Write docs/api, docs/events and docs/states anew."""
    from shanmen.platform.documents.files import write_documents  # noqa: PLC0415
    from shanmen.platform.servers.state import checkout  # noqa: PLC0415

    changed = write_documents(checkout())
    console.print(f"{len(changed)} document(s) changed.")


def main() -> None:
    """Run a command; what a person can mend is a sentence and exit code 2, not a traceback."""
    try:
        app()
    except ServerError as error:
        Console(stderr=True, highlight=False).print(
            f"[bold red]shanmen:[/] {error}", soft_wrap=True
        )
        sys.exit(2)
