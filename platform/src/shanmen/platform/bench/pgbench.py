"""The yardstick: bare PostgreSQL doing the same durable work on the same server.

pgbench drives it, in a database of its own, which is empty again afterwards.
"""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import asyncpg
from sqlalchemy.engine import make_url

from shanmen.platform.servers.postgres_access import PostgresAccess
from shanmen.platform.servers.postgres_binaries import DEBIAN_VERSIONS

DATABASE: Final = "shanmen_yardstick"
STATEMENTS: Final[Mapping[str, str]] = {
    "placements_spread": "order_multi_spread.sql",
    "placements_hot": "order_multi_hot.sql",
    "scans": "scan.sql",
    "postings": "ledger_spread.sql",
}
"""What one transaction of each file counts as."""

OPTIONS: Final = ("-n", "-c", "16", "-j", "2", "-M", "prepared")
DURABILITY: Final = ("fsync", "synchronous_commit", "full_page_writes")

_TPS: Final = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_LATENCY: Final = re.compile(r"^latency average = ([0-9.]+) ms", re.MULTILINE)


class YardstickFailed(Exception):
    """pgbench ended without a figure; the text says why."""


@dataclass(frozen=True)
class Yard:
    """What bare PostgreSQL does of one kind of work."""

    per_second: float
    mean_ms: float


def find_pgbench(server_pid: int | None) -> Path | None:
    """The pgbench beside a server's own program, else one on PATH, else Debian's newest."""
    places: list[Path] = []
    if server_pid is not None:
        places.append(Path(f"/proc/{server_pid}/exe").resolve().parent)
    places += [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    places += sorted(DEBIAN_VERSIONS.glob("*/bin"), reverse=True)
    found = (shutil.which("pgbench", path=str(place)) for place in places)
    return next((Path(program) for program in found if program), None)


@asynccontextmanager
async def yardstick_database(postgres: PostgresAccess) -> AsyncIterator[str]:
    """The database with fresh tables, as a libpq URL; its tables go at the end."""
    await postgres.ensure_database(DATABASE)
    dsn = postgres.dsn(DATABASE)
    schema = (files(__package__) / "yardstick" / "schema.sql").read_text(encoding="utf-8")
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=120)
    try:
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await connection.execute(schema)
        # As it would be in steady use, so that no first cleaning falls into the measurement.
        await connection.execute("VACUUM (ANALYZE)")
        yield dsn
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    finally:
        await connection.close()


async def measure_yard(pgbench: Path, dsn: str, file: str, *, seconds: int) -> Yard:
    """Run one file for so many seconds. Raises YardstickFailed."""
    with as_file(files(__package__) / "yardstick" / file) as script:
        process = await asyncio.create_subprocess_exec(
            str(pgbench),
            *(*OPTIONS, "-T", str(seconds), "-f", str(script)),
            env=_login(dsn),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the bench, which ends this
        )
        try:
            async with asyncio.timeout(seconds + 30):
                told, complaint = await process.communicate()
        except TimeoutError:
            raise YardstickFailed(f"pgbench did not end with {file}.") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode != 0:
        raise YardstickFailed(f"pgbench failed with {file}:\n{complaint.decode()}")
    return read_yard(told.decode())


def read_yard(output: str) -> Yard:
    """The figures in what pgbench prints. Raises YardstickFailed."""
    per_second, mean_ms = _TPS.search(output), _LATENCY.search(output)
    if per_second is None or mean_ms is None:
        raise YardstickFailed(f"pgbench printed no figures:\n{output}")
    return Yard(float(per_second[1]), float(mean_ms[1]))


async def server_settings(postgres: PostgresAccess) -> dict[str, str]:
    """The server's version, and whether what it confirms is durable."""
    await postgres.ensure_database(DATABASE)
    connection = await asyncpg.connect(postgres.dsn(DATABASE), timeout=10)
    try:
        names = ("server_version", *DURABILITY)
        return {name: await connection.fetchval(f"SHOW {name}") for name in names}
    finally:
        await connection.close()


def _login(dsn: str) -> dict[str, str]:
    """How to log in, in the environment: arguments are seen by every user of the machine."""
    url = make_url(dsn)
    return {
        "PATH": os.defpath,
        "PGHOST": url.host or "",
        "PGPORT": str(url.port or 5432),
        "PGUSER": url.username or "",
        "PGPASSWORD": str(url.password or ""),
        "PGDATABASE": url.database or "",
    }
