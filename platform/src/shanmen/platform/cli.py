"""The `shanmen` command: what the Makefile's targets call."""

import asyncio
import sys
from typing import Final

import typer
from rich.console import Console

from shanmen.platform.servers.errors import ServerError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
console: Final = Console(highlight=False)


@app.callback()
def shanmen() -> None:
    """Shanmen 山门: electronic tickets for scenic spots."""


@app.command()
def run() -> None:
    """Start everything in one process, with sample data, until Ctrl-C."""
    from shanmen.platform.run import run_until_stopped  # noqa: PLC0415 - each command pays for its own

    asyncio.run(run_until_stopped(console))


def main() -> None:
    """Run a command; what a person can mend is a sentence and exit code 2, not a traceback."""
    try:
        app()
    except ServerError as error:
        Console(stderr=True, highlight=False).print(
            f"[bold red]shanmen:[/] {error}", soft_wrap=True
        )
        sys.exit(2)
