"""Reconciling a day of a hundred thousand rows, from the request to its answer.

The bills are the simulated channel's, fetched and read by the gateway; the ledger is settlement's.
What is found is compared with what is different: a fast run that finds anything else is none.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from time import perf_counter
from typing import Any, Final

from shanmen.common.ids import new_id
from shanmen.platform.api_client import ApiClient, ApiRefusal
from shanmen.platform.bench.apart import Apart, set_apart
from shanmen.platform.bench.bookings import (
    PAYEES,
    PAYERS,
    book_at_channel,
    book_at_gateway,
    book_in_ledger,
)
from shanmen.platform.bench.figures import per_second
from shanmen.platform.bench.movements import (
    Movement,
    breaks_of,
    long_day,
    rows_of,
    rows_that_agree,
)
from shanmen.platform.bench.processes import cpu_seconds, peak_memory_mb, settle_down
from shanmen.platform.sample import SHANGHAI, open_account
from shanmen.platform.separate import SeparateProcesses
from shanmen.platform.servers.errors import ServerError

ROWS: Final = 100_000
ODD_EACH: Final = 100
"""Breaks of each class in a day that has any."""

_DAY: Final = timedelta(days=1)
_QUIET_WITHIN_S: Final = 20.0
_PAGE: Final = 200


class FoundWrong(ServerError):
    """A run found something else than what is different: there is nothing to measure."""


@dataclass(frozen=True)
class Wanted:
    """A run to be measured: which day before today, with how many breaks of each class, and
    whether it is kept. The days next to it have a bill if they were wanted before."""

    channel: str
    days_ago: int
    odd_each: int = 0
    dry_run: bool = True


@dataclass(frozen=True)
class Reconciled:
    """What reconciling a day came to.

    `rows` are those of the day's own bills; `rows_around` those of the days next to it, which are
    read as well. `cpu_s` is what it cost each process, and `peak_mb` the most memory that each
    has had resident since it began.
    """

    channel: str
    bill_date: str
    rows: int
    rows_around: int
    seconds: float
    rows_per_second: float
    matched: int
    breaks: int
    cpu_s: dict[str, float]
    peak_mb: dict[str, float]


RUNS: Final[dict[str, Wanted]] = {
    "huijinbao_clean": Wanted("huijinbao", 6),
    "huijinbao_breaks": Wanted("huijinbao", 4, odd_each=ODD_EACH, dry_run=False),
    "huijinbao_between": Wanted("huijinbao", 5, dry_run=False),
    "alipay_clean": Wanted("alipay", 6),
    "alipay_breaks": Wanted("alipay", 4, odd_each=ODD_EACH, dry_run=False),
}
"""In this order: the first two have no rows around them, the third has those of both."""


async def measure_reconciliation(
    platform: SeparateProcesses, tell: Callable[[str], None], *, rows: int = ROWS
) -> dict[str, Reconciled]:
    """Make long days and reconcile them, one after the other.

    Beside the processes of `up`, whose own books are left alone. Raises FoundWrong, ServerError,
    ApiRefusal, httpx.HTTPError.
    """
    tell("Setting services apart, for reconciling")
    async with set_apart(platform) as apart:
        stage = _Stage(apart, tell, rows)
        await stage.open_accounts()
        return {name: await stage.measure(wanted) for name, wanted in RUNS.items()}


def require_right(
    run: Mapping[str, Any],
    found: set[tuple[str, str]] | None,
    channel: str,
    movements: Sequence[Movement],
) -> None:
    """That all rows of the bill came, and each break was found, and no other.

    `found` are class and number of each that was kept, None where nothing was. Raises FoundWrong.
    """
    expected = breaks_of(movements)
    counted = sum(file["rows"] for file in run["files"]), run["matched"], run["breaks"]
    right = rows_of(channel, movements), rows_that_agree(channel, movements), len(expected)
    odd = set[tuple[str, str]]() if found is None else found ^ expected
    if counted != right or odd:
        raise FoundWrong(
            f"Reconciling {channel} counted {counted} rows, matches and breaks, where {right} are "
            f"right. Found or missed wrongly: {sorted(odd)[:5]}."
        )


class _Stage:
    def __init__(self, apart: Apart, tell: Callable[[str], None], rows: int) -> None:
        self._apart = apart
        self._tell = tell
        self._rows = rows
        self._processes = apart.processes
        self._url = apart.installation.url("settlement")
        self._today = apart.installation.clock().now().astimezone(SHANGHAI).date()
        self._rows_of: dict[tuple[str, date], int] = {}

    async def open_accounts(self) -> None:
        """Give the channels somebody to take money from, and to pay it to."""
        for trader in (*PAYERS.values(), *PAYEES.values()):
            await open_account(self._apart.client, self._apart.installation, trader)

    async def measure(self, wanted: Wanted) -> Reconciled:
        """Write a day into all books, and reconcile it. Raises FoundWrong."""
        channel, day = wanted.channel, self._today - wanted.days_ago * _DAY
        movements = long_day(channel, day, rows=self._rows, odd_each=wanted.odd_each)
        rows = rows_of(channel, movements)
        self._tell(f"Booking {len(movements)} movements at {channel}, on {day}")
        await self._book(channel, movements)
        await settle_down(self._processes, within_s=_QUIET_WITHIN_S)
        self._tell(f"Reconciling them: {rows} rows, {len(breaks_of(movements))} breaks")
        before_s, began_at = cpu_seconds(self._processes), perf_counter()
        run = await self._reconcile(wanted, day)
        seconds, after_s = perf_counter() - began_at, cpu_seconds(self._processes)
        found = None if wanted.dry_run else await self._kept_breaks(run)
        require_right(run, found, channel, movements)
        around = sum(self._rows_of.get((channel, day + step), 0) for step in (-_DAY, _DAY))
        self._rows_of[channel, day] = rows
        return Reconciled(
            channel=channel,
            bill_date=day.isoformat(),
            rows=rows,
            rows_around=around,
            seconds=seconds,
            rows_per_second=per_second(rows, seconds),
            matched=run["matched"],
            breaks=run["breaks"],
            cpu_s={name: after_s[name] - before_s[name] for name in after_s},
            peak_mb={
                name: peak_memory_mb(pid)
                for name, pid in self._processes.items()
                if name != "postgres"  # shared memory counts once for each of its processes
            },
        )

    async def _reconcile(self, wanted: Wanted, day: date) -> dict[str, Any]:
        """Ask for it at settlement itself, as the bench's other stages ask services; once."""
        answer = await self._apart.client.post(
            f"{self._url}/v1/reconciliations",
            json={
                "channel": wanted.channel,
                "bill_date": day.isoformat(),
                "dry_run": wanted.dry_run,
                "refetch": True,  # a day next to it may have asked for an empty bill before
            },
            headers={
                "Authorization": f"Bearer {self._apart.token}",
                "Idempotency-Key": new_id("key"),
            },
        )
        if answer.is_error:
            raise ApiRefusal(answer.status_code, answer.json())
        run: dict[str, Any] = answer.json()
        return run

    async def _book(self, channel: str, movements: Sequence[Movement]) -> None:
        url_of = self._apart.installation.database_url
        books = self._apart.books(channel)
        await asyncio.to_thread(book_at_channel, books, channel, movements)
        await book_at_gateway(url_of("gateway-adapters"), channel, movements)
        await book_in_ledger(url_of("settlement"), channel, movements)

    async def _kept_breaks(self, run: dict[str, Any]) -> set[tuple[str, str]]:
        operator = ApiClient(self._apart.client, self._url, self._apart.token)
        found, query = set[tuple[str, str]](), {"run_id": run["run_id"], "limit": _PAGE}
        while True:
            page = await operator.get("/v1/breaks", **query)
            found |= {(each["break_class"], each["number"]) for each in page["items"]}
            if not page["next_cursor"]:
                return found
            query["cursor"] = page["next_cursor"]
