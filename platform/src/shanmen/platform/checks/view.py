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
from shanmen.platform.installation import (
    ALIPAY_PLATFORM_ACCOUNT,
    HUIJINBAO_PLATFORM_ACCOUNT,
    Installation,
)
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
class ChannelRows:
    """Rows of a simulated channel's admin API that are paged by `key`, and come in its order."""

    channel: str
    path: str
    key: str


Source: TypeAlias = Query | ChannelRows

PLATFORM_ACCOUNTS: Final[Mapping[str, str]] = {
    "alipay": ALIPAY_PLATFORM_ACCOUNT,
    "huijinbao": HUIJINBAO_PLATFORM_ACCOUNT,
}
"""The platform's own account at each channel."""


def platform_movements(channel: str) -> ChannelRows:
    """What moved between the platform's account and others, per business number."""
    return ChannelRows(channel, f"accounts/{PLATFORM_ACCOUNTS[channel]}/movements", "business_no")


def statements(channel: str) -> ChannelRows:
    """The balance and the journal's sum of every account at a channel."""
    return ChannelRows(channel, "statements", "account_no")


@dataclass(frozen=True)
class View:
    """Reads the books of one installation. Bounded in memory: rows are streamed."""

    installation: Installation
    channels: httpx.AsyncClient
    shift: timedelta
    """How far this installation's clock is ahead."""
    restless: Sequence[str]
    """What was still on its way."""
    dead_letters: Sequence[DeadLetter]
    _connections: Mapping[str, asyncpg.Connection] = field(repr=False)

    def rows(self, source: Source) -> AsyncIterator[Row]:
        """The rows of a source, in its order."""
        return self._pages(source) if isinstance(source, ChannelRows) else self._cursor(source)

    async def value(self, query: Query) -> Any:
        """The one value that a query gives."""
        return await self._connections[query.owner].fetchval(query.text, *query.values)

    async def _cursor(self, query: Query) -> AsyncIterator[Row]:
        connection = self._connections[query.owner]
        async for record in connection.cursor(query.text, *query.values, prefetch=PAGE):
            yield cast("Row", record)

    async def _pages(self, source: ChannelRows) -> AsyncIterator[Row]:
        name, after = source.path.rpartition("/")[2], ""
        url = f"{self.installation.url(source.channel)}/admin/{source.path}"
        while True:
            answer = await self.channels.get(url, params={"after": after, "limit": PAGE})
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
        channels = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=30))
        shift = local_shift(installation.state)
        yield View(installation, channels, shift, restless, dead_letters, connections)
