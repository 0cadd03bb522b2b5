"""Telling each step of the demo as it happens."""

from typing import Any

from rich.console import Console, JustifyMethod
from rich.table import Table


class Narrator:
    """Writes the story of the demo to a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def chapter(self, number: str, term: str, title: str) -> None:
        """A new step."""
        self._console.print(f"\n[bold]{number}. {term}[/]  {title}")

    def call(self, who: str, what: str, outcome: str) -> None:
        """Somebody called the API."""
        self._console.print(f"   [cyan]{who:<12}[/] {what:<34} {outcome}", soft_wrap=True)

    def money(self, what: str) -> None:
        """Money moved."""
        self._console.print(f"   [green]¥[/]            {what}", soft_wrap=True)

    def note(self, what: str) -> None:
        """Something worth knowing."""
        self._console.print(f"   [dim]             {what}[/]", soft_wrap=True)

    def table(self, title: str, columns: list[str], rows: list[list[Any]]) -> None:
        """Facts, read back."""
        table = Table(title=title, title_justify="left", title_style="bold")
        for column in columns:
            justify: JustifyMethod = "right" if column.endswith("fen") else "left"
            table.add_column(column, justify=justify, no_wrap=True)
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        self._console.print()
        self._console.print(table, soft_wrap=True)

    def verdict(self, ok: bool, text: str) -> None:
        """How it ended."""
        self._console.print(f"\n[bold {'green' if ok else 'red'}]{text}[/]")
