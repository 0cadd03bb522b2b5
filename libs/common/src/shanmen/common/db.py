"""PostgreSQL through SQLAlchemy Core: one engine per process, transactions in the use case."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import ARRAY, ColumnElement, MetaData, any_, bindparam
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

Tx = AsyncConnection
"""An open transaction. Whoever holds one may write, and may call nothing outside."""

DATABASE_ERRORS: Final = (DBAPIError, PoolTimeoutError, OSError)
"""Everything that a statement, a full pool or a connection can fail with."""

POOL_WAIT_S: Final = 1.0
"""Longer than this for a connection means overload: answer 503 rather than queue."""

NAMING_CONVENTION: Final[Mapping[str, str]] = {
    "ix": "%(table_name)s_%(column_0_N_name)s_ix",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}

_AFTER_COMMIT: Final = "shanmen.after_commit"
_DATABASE: Final = "shanmen.database"


def build_metadata() -> MetaData:
    """Metadata whose constraints all have predictable names, so that migrations can drop them."""
    return MetaData(naming_convention=dict(NAMING_CONVENTION))


class Database:
    """One service's database in one process.

    `outbox_written` is set after every commit that added outbox rows; the relay waits on it.
    """

    def __init__(
        self, url: str, *, pool_size: int = 10, application_name: str = "shanmen"
    ) -> None:
        self.url = url
        self.outbox_written = asyncio.Event()
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_WAIT_S,
            pool_recycle=1800,
            # A wedged socket must surface as an error: every wait has its limit.
            connect_args={
                "timeout": 5,
                "command_timeout": 20,
                "server_settings": {
                    "application_name": application_name,
                    "statement_timeout": "15000",
                    "lock_timeout": "5000",
                    "idle_in_transaction_session_timeout": "60000",
                    "tcp_keepalives_idle": "10",
                    "jit": "off",
                },
            },
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """A transaction that commits when the block ends and rolls back when it raises."""
        async with self.engine.connect() as tx:
            # The connection may come with what a rolled back transaction left on it.
            tx.info[_AFTER_COMMIT] = callbacks = dict[str, Callable[[], None]]()
            tx.info[_DATABASE] = self
            async with tx.begin():
                yield tx
        for callback in callbacks.values():
            callback()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Tx]:
        """A read-only transaction; several reads see one state."""
        async with self.engine.connect() as connection:
            tx = await connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            async with tx.begin():
                yield tx

    async def close(self) -> None:
        """Close the pool."""
        await self.engine.dispose()


def after_commit(tx: Tx, name: str, callback: Callable[[], None]) -> None:
    """Call back once, in this process, when the transaction has committed: a wake-up, no more."""
    tx.info[_AFTER_COMMIT][name] = callback


def flag_outbox_written(tx: Tx) -> None:
    """Wake the relay of this process once the transaction has committed."""
    after_commit(tx, "outbox", tx.info[_DATABASE].outbox_written.set)


def asyncpg_dsn(url: str) -> str:
    """The same database address for a bare asyncpg connection (LISTEN, administration)."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


def among(column: ColumnElement[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """`column = ANY(values)`: one array parameter, so one statement for lists of any length."""
    return column == any_(bindparam(None, list(values), type_=ARRAY(column.type)))
