"""One state of every book: a read-only snapshot of each database, and Alipay's own books."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeAlias, cast

import asyncpg
import httpx

from shanmen.common.broker.protocol import DeadLetter
from shanmen.common.db import asyncpg_dsn
from shanmen.platform.installation import ALIPAY_PLATFORM_ACCOUNT, Installation
from shanmen.platform.localclock import local_shift
from shanmen.platform.services import SERVICES

PAGE: Final = 1_000
_STATEMENT_TIMEOUT: Final = "120s"

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Query:
    """Rows of one service's database; `$1` … of the text take `values`."""

    owner: str
    text: str
    values: Sequence[Any] = ()


def keyed(owner: str, text: str, values: Sequence[Any] = ()) -> Query:
    """Rows for a comparison: each has a `key` of its own, and they come in its order.

    That is the order which Python and SQLite give to text, whatever the database's own is.
    """
    return Query(owner, f'SELECT * FROM ({text}) AS listed ORDER BY key COLLATE "C"', values)


@dataclass(frozen=True)
class AlipayRows:
    """Rows of Alipay's admin API that are paged by `key`, and come in its order."""

    path: str
    key: str


Source: TypeAlias = Query | AlipayRows

PLATFORM_MOVEMENTS: Final = AlipayRows(
    f"accounts/{ALIPAY_PLATFORM_ACCOUNT}/movements", "business_no"
)
"""What moved between the platform's account and others, per business number."""
STATEMENTS: Final = AlipayRows("statements", "account_no")
"""The balance and the journal's sum of every account at Alipay."""


@dataclass(frozen=True)
class View:
    """Reads the books of one installation. Bounded in memory: rows are streamed."""

    installation: Installation
    alipay: httpx.AsyncClient
    shift: timedelta
    """How far this installation's clock is ahead."""
    restless: Sequence[str]
    """What was still on its way."""
    dead_letters: Sequence[DeadLetter]
    _connections: Mapping[str, asyncpg.Connection] = field(repr=False)

    def rows(self, source: Source) -> AsyncIterator[Row]:
        """The rows of a source, in its order."""
        return self._pages(source) if isinstance(source, AlipayRows) else self._cursor(source)

    async def value(self, query: Query) -> Any:
        """The one value that a query gives."""
        return await self._connections[query.owner].fetchval(query.text, *query.values)

    async def _cursor(self, query: Query) -> AsyncIterator[Row]:
        connection = self._connections[query.owner]
        async for record in connection.cursor(query.text, *query.values, prefetch=PAGE):
            yield cast("Row", record)

    async def _pages(self, source: AlipayRows) -> AsyncIterator[Row]:
        name, after = source.path.rpartition("/")[2], ""
        while True:
            answer = await self.alipay.get(source.path, params={"after": after, "limit": PAGE})
            page = answer.raise_for_status().json()[name]
            for row in page:
                yield {**row, "key": row[source.key]}
            if len(page) < PAGE:
                return
            after = page[-1][source.key]


@asynccontextmanager
async def open_view(
    installation: Installation,
    *,
    restless: Sequence[str] = (),
    dead_letters: Sequence[DeadLetter] = (),
) -> AsyncIterator[View]:
    """A view of this moment. Raises OSError, asyncpg.PostgresError when the books are shut."""
    async with AsyncExitStack() as stack:
        connections: dict[str, asyncpg.Connection] = {}
        for service in SERVICES:
            connection = await asyncpg.connect(
                asyncpg_dsn(installation.database_url(service.name)),
                timeout=10,
                server_settings={"statement_timeout": _STATEMENT_TIMEOUT, "jit": "off"},
            )
            stack.push_async_callback(connection.close)
            await stack.enter_async_context(
                connection.transaction(isolation="repeatable_read", readonly=True)
            )
            # The snapshot is of the first statement: all of them at nearly the same moment.
            await connection.fetchval("SELECT 1")
            connections[service.name] = connection
        alipay = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=f"{installation.url('alipay')}/admin/", trust_env=False, timeout=30
            )
        )
        shift = local_shift(installation.state)
        yield View(installation, alipay, shift, restless, dead_letters, connections)
