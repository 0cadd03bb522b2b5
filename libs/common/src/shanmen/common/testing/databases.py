"""A database per test, as cheap as a copy: each service is migrated once, into a template."""

import itertools
import os
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from shanmen.common.db import asyncpg_dsn
from shanmen.common.migrate import migrate
from shanmen.common.service import Service
from shanmen.common.testing.servers import PostgresServer


class TemplateDatabases:
    """Makes databases on one server, for one test session."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._templates: dict[str, str] = {}
        self._numbers = itertools.count(1)

    async def fresh(self, service: Service[Any, Any]) -> str:
        """The URL of a new database with the service's tables, all empty."""
        return await self._create(self._name(service.name), await self._template(service))

    async def empty(self) -> str:
        """The URL of a new database without any table."""
        return await self._create(self._name("empty"), "template0")

    async def drop(self, url: str) -> None:
        """Drop a database, whoever is still connected to it."""
        await self._administer(f'DROP DATABASE IF EXISTS "{make_url(url).database}" WITH (FORCE)')

    async def _template(self, service: Service[Any, Any]) -> str:
        name = self._templates.get(service.name)
        if name is None:
            name = self._name(f"{service.name}_template")
            migrate(service.migrations, service.metadata, await self._create(name, "template0"))
            self._templates[service.name] = name
        return name

    async def _create(self, name: str, template: str) -> str:
        # Copying files is quicker than writing them to the log, as long as they are this few.
        await self._administer(
            f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY = FILE_COPY'
        )
        return self._server.url(name)

    async def _administer(self, statement: str) -> None:
        connection = await asyncpg.connect(asyncpg_dsn(self._server.url("postgres")), timeout=10)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _name(self, kind: str) -> str:
        return f"test_{os.getpid()}_{kind.replace('-', '_')}_{next(self._numbers)}"
