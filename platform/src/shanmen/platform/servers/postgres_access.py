"""A PostgreSQL server as its users see it: addresses, roles and databases."""

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from shanmen.platform.servers.errors import ServerError

ROLE_SETTINGS: Mapping[str, str] = {
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
}

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class PostgresAccess:
    """A server that we can log in to as an administrator.

    The address comes from the embedded server, or from `DATABASE_URL`.
    """

    def __init__(self, address: URL) -> None:
        self._address = address

    def url(self, database: str, *, role: str | None = None, password: str | None = None) -> str:
        """The SQLAlchemy URL of a database (`postgresql+asyncpg://…`), for `role` with `password`,
        or for the administrator when none is given."""
        return self._render("postgresql+asyncpg", database, role, password)

    def dsn(self, database: str, *, role: str | None = None, password: str | None = None) -> str:
        """The same as a libpq URL (`postgresql://…`), for asyncpg, psql and pgbench."""
        return self._render("postgresql", database, role, password)

    async def ensure_role(self, name: str, password: str) -> None:
        """A role that may log in and nothing more, with this password and ROLE_SETTINGS."""
        role = _checked(name)
        async with self._administrator() as connection, connection.transaction():
            # A statement that fails is logged, and these hold the password.
            await connection.execute("SET LOCAL log_min_error_statement = panic")
            known = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
            verb = "ALTER" if known else "CREATE"
            literal = await connection.fetchval("SELECT quote_literal($1::text)", password)
            await connection.execute(
                f"{verb} ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION "
                f"PASSWORD {literal}"
            )
            for setting, value in ROLE_SETTINGS.items():
                await connection.execute(f"ALTER ROLE {role} SET {setting} = '{value}'")

    async def ensure_database(self, name: str, owner: str | None = None) -> None:
        """A database that only `owner` (and administrators) can connect to; kept if it exists."""
        database = _checked(name)
        async with self._administrator() as connection:
            known = await connection.fetchval(
                "SELECT 1 FROM pg_database WHERE datname = $1", database
            )
            if not known:
                await connection.execute(f"CREATE DATABASE {database} TEMPLATE template0")
            await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
            if owner is not None:
                await connection.execute(f"ALTER DATABASE {database} OWNER TO {_checked(owner)}")

    async def drop_database(self, name: str) -> None:
        """Remove a database with all that is in it, if it is there."""
        async with self._administrator() as connection:
            await connection.execute(f"DROP DATABASE IF EXISTS {_checked(name)} WITH (FORCE)")

    @asynccontextmanager
    async def _administrator(self) -> AsyncIterator[asyncpg.Connection]:
        database = self._address.database or "postgres"
        connection = await asyncpg.connect(self.dsn(database), timeout=10, command_timeout=60)
        try:
            # One at a time: CREATE DATABASE and REVOKE fail beside their like. Ends with us.
            await connection.execute("SELECT pg_advisory_lock(hashtext('shanmen.platform'))")
            yield connection
        finally:
            await connection.close()

    def _render(self, driver: str, database: str, role: str | None, password: str | None) -> str:
        address = self._address.set(drivername=driver, database=database)
        if role is not None:
            address = address.set(username=role, password=password)
        return address.render_as_string(hide_password=False)


def postgres_from_environment(
    environment: Mapping[str, str] = os.environ,
) -> PostgresAccess | None:
    """The server that `DATABASE_URL` names, or None when it is not set: then start an own one.

    Its user must be allowed to create databases and roles; the database in it is the one to do
    that from. Raises ServerError when it is no PostgreSQL URL.
    """
    text = environment.get("DATABASE_URL", "").strip()
    if not text:
        return None
    try:
        address = make_url(text)
    except ArgumentError:
        address = None
    if address is None or address.get_backend_name() not in {"postgresql", "postgres"}:
        raise ServerError(
            "DATABASE_URL is not a PostgreSQL address. Give one like "
            "postgresql://user:password@host:5432/postgres, or unset it."
        )
    return PostgresAccess(address)


def _checked(name: str) -> str:
    """A name that needs no quoting in SQL; anything else is a programming error."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a plain database or role name")
    return name
