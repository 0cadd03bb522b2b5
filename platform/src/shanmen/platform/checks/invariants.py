"""What an invariant is: an id, a title, and one or more ways of looking for rows that break it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

from shanmen.platform.checks.findings import Finding, Tally
from shanmen.platform.checks.view import Query, Row, Source, View

Probe: TypeAlias = Callable[[View, Tally], Awaitable[None]]
"""Looks at a view and counts what it sees."""
Judge: TypeAlias = Callable[[str, Mapping[str, Row | None]], Iterable[str]]
"""Given a key and each source's row of it (None where it has none): what is wrong with them."""


@dataclass(frozen=True)
class Invariant:
    """One thing that must hold, and how it is looked for."""

    id: str
    title: str
    probes: Sequence[Probe]

    async def check(self, view: View) -> Finding:
        """Look at everything that could break it."""
        tally = Tally()
        for probe in self.probes:
            await probe(view, tally)
        return Finding(self.id, self.title, tally)


def none_of(owner: str, among: str, offending: str, *values: Any, shifted: bool = False) -> Probe:
    """No row may be found by the query `offending`; its first column names the row.

    `among` is the table, or what stands behind FROM, whose rows count as checked. `$1` … of the
    query take `values`; when `shifted`, the last one is how far the clock is ahead.
    """

    async def probe(view: View, tally: Tally) -> None:
        tally.checked += await view.value(Query(owner, f"SELECT count(*) FROM {among}"))
        given = (*values, view.shift) if shifted else values
        async for row in view.rows(Query(owner, offending, given)):
            (_, name), *facts = row.items()
            tally.offend(str(name), ", ".join(f"{key} {_plain(value)}" for key, value in facts))

    return probe


def _plain(value: Any) -> Any:
    """A sum as a plain number: PostgreSQL's numeric would show an exponent."""
    return f"{value:f}" if isinstance(value, Decimal) else value


def compared(sources: Mapping[str, Source], judge: Judge) -> Probe:
    """What several books say of the same thing must fit together."""

    async def probe(view: View, tally: Tally) -> None:
        async for key, rows in together(view, sources):
            tally.checked += 1
            for facts in judge(key, rows):
                tally.offend(key, facts)

    return probe


async def together(
    view: View, sources: Mapping[str, Source]
) -> AsyncIterator[tuple[str, Mapping[str, Row | None]]]:
    """The rows of several sources by their keys: a merge, as all come in the order of their keys.

    Raises ValueError for a source that does not: its rows would be taken for missing.
    """
    streams = {name: view.rows(source) for name, source in sources.items()}
    heads = {name: await anext(stream, None) for name, stream in streams.items()}
    while keys := [row["key"] for row in heads.values() if row is not None]:
        key = min(keys)
        found = {
            name: row if row is not None and row["key"] == key else None
            for name, row in heads.items()
        }
        yield key, found
        for name, row in found.items():
            if row is not None:
                following = await anext(streams[name], None)
                if following is not None and following["key"] <= key:
                    raise ValueError(f"{name} comes in no order: {following['key']} after {key}")
                heads[name] = following
