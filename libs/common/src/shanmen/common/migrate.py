"""Alembic migrations per service, run from code: a service's `env.py` is one call to `run_env`."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from shanmen.common.doorbell import WAITERS
from shanmen.common.idempotency import IDEMPOTENCY_KEYS
from shanmen.common.inbox import INBOX
from shanmen.common.outbox import OUTBOX

COMMON_TABLES: Final = (OUTBOX, INBOX, IDEMPOTENCY_KEYS, WAITERS)
_MIGRATION_LOCK: Final = 7_301_001


def with_common_tables(metadata: MetaData) -> MetaData:
    """Add the event layer's tables to a service's metadata."""
    for table in COMMON_TABLES:
        table.to_metadata(metadata)
    return metadata


def alembic_config(migrations: Path, metadata: MetaData, url: str) -> Config:
    """Alembic's configuration for one service's database."""
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    config.attributes["metadata"] = metadata
    return config


def migrate(migrations: Path, metadata: MetaData, url: str) -> None:
    """Bring a database to the newest revision. Concurrent calls wait for each other."""
    config = alembic_config(migrations, metadata, url)
    _outside_any_loop(lambda: command.upgrade(config, "head"))


def check(migrations: Path, metadata: MetaData, url: str) -> None:
    """Raise when the tables in code and the migrations disagree (`alembic check`)."""
    config = alembic_config(migrations, metadata, url)
    _outside_any_loop(lambda: command.check(config))


def run_env() -> None:
    """What a service's `env.py` does."""
    asyncio.run(_run_online())


async def _run_online() -> None:
    attributes = context.config.attributes
    engine = create_async_engine(attributes["url"], poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_run_migrations)
        await connection.commit()
    await engine.dispose()


def _run_migrations(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    context.configure(
        connection=connection,
        target_metadata=context.config.attributes["metadata"],
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _outside_any_loop(work: Callable[[], object]) -> None:
    """Run Alembic in a thread of its own, as its environment starts an event loop."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failures.append(error)

    thread = threading.Thread(target=guarded, name="alembic")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
