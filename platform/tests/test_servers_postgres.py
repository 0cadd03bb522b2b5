"""A real PostgreSQL of our own: its life, its data and its walls between services."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import asyncpg
import pytest

from shanmen.platform.servers.errors import (
    PortTaken,
    ServerError,
    ServerFailed,
    ServerInUse,
    ServerMissing,
)
from shanmen.platform.servers.ports import free_port, is_free
from shanmen.platform.servers.postgres import PORT_VARIABLE, EmbeddedPostgres
from shanmen.platform.servers.postgres_access import ROLE_SETTINGS, postgres_from_environment
from shanmen.platform.servers.process import marked_processes, processes_working_in
from shanmen.platform.servers.state import StateDir
from shanmen.platform.servers.throwaway import throwaway_postgres, throwaway_state

PASSWORD = "it's a \\ secret%/@"
ABANDON = """
import os, sys
from pathlib import Path
from shanmen.platform.servers.postgres import EmbeddedPostgres
from shanmen.platform.servers.state import StateDir
EmbeddedPostgres(StateDir(Path(sys.argv[1]), throwaway=True), port=int(sys.argv[2])).start()
os._exit(9)
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[EmbeddedPostgres]:
    """A running server whose tests leave it running, each with databases of its own."""
    with throwaway_postgres() as server:
        yield server


@pytest.fixture
def state() -> Iterator[StateDir]:
    with throwaway_state() as state:
        yield state


async def query(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def nothing_left(server: EmbeddedPostgres, state: StateDir) -> bool:
    data = state.path / "postgres" / "data"
    return (
        server.pid is None
        and marked_processes(str(state.path)) == []
        and processes_working_in(data) == []
        and is_free(server.port)
    )


async def test_durability_is_on_except_for_fsync_in_tests(shared: EmbeddedPostgres) -> None:
    dsn = shared.dsn("postgres")
    assert await query(dsn, "SHOW fsync") == "off"
    assert await query(dsn, "SHOW full_page_writes") == "on"
    assert await query(dsn, "SHOW synchronous_commit") == "on"
    assert await query(dsn, "SHOW data_checksums") == "on"
    assert await query(dsn, "SHOW max_connections") == "300"
    assert await query(dsn, "SHOW server_encoding") == "UTF8"


async def test_a_role_owns_its_database_and_has_its_limits(shared: EmbeddedPostgres) -> None:
    await shared.ensure_role("orders", PASSWORD)
    await shared.ensure_database("orders", "orders")
    own = shared.dsn("orders", role="orders", password=PASSWORD)

    await query(own, "CREATE TABLE ticket (number text)")
    assert await query(own, "SELECT current_user") == "orders"
    for setting, value in ROLE_SETTINGS.items():
        shown = {"60s": "1min"}.get(value, value)
        assert await query(own, f"SHOW {setting}") == shown
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query(own, "CREATE DATABASE another")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query(own, "CREATE ROLE another")


async def test_a_service_cannot_connect_to_another_services_database(
    shared: EmbeddedPostgres,
) -> None:
    for name in ("catalog", "settlement"):
        await shared.ensure_role(name, PASSWORD)
        await shared.ensure_database(name, name)

    assert await query(shared.dsn("settlement", role="settlement", password=PASSWORD), "SELECT 1")
    for foreign in ("settlement", "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="CONNECT"):
            await query(shared.dsn(foreign, role="catalog", password=PASSWORD), "SELECT 1")


async def test_making_a_role_or_database_again_keeps_its_data_and_takes_the_new_password(
    shared: EmbeddedPostgres,
) -> None:
    await shared.ensure_role("again", "first")
    await asyncio.gather(*(shared.ensure_database("again", "again") for _ in range(3)))
    await query(shared.dsn("again", role="again", password="first"), "CREATE TABLE kept ()")

    await shared.ensure_role("again", "second")
    await shared.ensure_database("again", "again")
    renewed = shared.dsn("again", role="again", password="second")
    assert await query(renewed, "SELECT to_regclass('kept')::text") == "kept"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(shared.dsn("again", role="again", password="first"), "SELECT 1")


async def test_passwords_stay_out_of_the_log(shared: EmbeddedPostgres) -> None:
    await shared.ensure_role("quiet", "hush-hush-hush")
    assert "hush-hush-hush" not in shared.log.read_text()


async def test_a_name_that_would_need_quoting_is_refused(shared: EmbeddedPostgres) -> None:
    with pytest.raises(ValueError, match="plain"):
        await shared.ensure_database('x"; DROP DATABASE orders')
    with pytest.raises(ValueError, match="plain"):
        await shared.ensure_role("a b", "password")


async def test_a_wrong_password_is_refused(shared: EmbeddedPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(shared.dsn("postgres", role="shanmen", password="guess"), "SELECT 1")


def test_urls_name_the_driver_the_database_and_the_login(shared: EmbeddedPostgres) -> None:
    url = shared.url("orders", role="orders", password="p@ss")
    assert url == f"postgresql+asyncpg://orders:p%40ss@127.0.0.1:{shared.port}/orders"
    assert shared.dsn("orders").startswith("postgresql://shanmen:")


async def test_data_outlives_stop_kill_and_start(state: StateDir) -> None:
    server = EmbeddedPostgres(state, port=free_port())
    server.start()
    await query(server.dsn("postgres"), "CREATE TABLE stop_kept ()")
    server.stop()
    assert nothing_left(server, state)

    server.start()
    await query(server.dsn("postgres"), "CREATE TABLE kill_kept ()")
    held_open = await asyncpg.connect(server.dsn("postgres"))
    server.kill()
    assert nothing_left(server, state)
    held_open.terminate()

    server.start()
    found = await query(
        server.dsn("postgres"), "SELECT count(*) FROM pg_tables WHERE tablename LIKE '%_kept'"
    )
    assert found == 2
    server.stop()
    assert nothing_left(server, state)


async def test_an_open_session_does_not_delay_stop(state: StateDir) -> None:
    with EmbeddedPostgres(state, port=free_port()) as server:
        connection = await asyncpg.connect(server.dsn("postgres"))
    assert nothing_left(server, state)
    connection.terminate()


def test_a_server_left_behind_by_a_crash_is_taken_over_and_stopped(state: StateDir) -> None:
    port = free_port()
    abandoned = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", ABANDON, str(state.path), str(port)], check=False
    )
    assert abandoned.returncode == 9
    server = EmbeddedPostgres(state, port=port)
    left_behind = server.pid
    assert left_behind is not None

    server.start()
    assert server.pid == left_behind
    server.stop()
    assert nothing_left(server, state)


def test_a_server_left_behind_on_another_port_is_replaced(state: StateDir) -> None:
    subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", ABANDON, str(state.path), str(free_port())], check=False
    )
    server = EmbeddedPostgres(state, port=free_port())
    left_behind = server.pid

    with server:
        assert left_behind is not None
        assert server.pid not in {None, left_behind}
    assert nothing_left(server, state)


def test_a_server_left_behind_with_other_settings_is_replaced(state: StateDir) -> None:
    port = free_port()
    subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", ABANDON, str(state.path), str(port)], check=False
    )
    with (state.path / "postgres" / "postgresql.conf").open("a") as settings:
        settings.write("max_connections = 10\n")
    server = EmbeddedPostgres(state, port=port)
    left_behind = server.pid

    with server:
        assert left_behind is not None
        assert server.pid not in {None, left_behind}


def test_a_pid_file_whose_number_went_to_another_process_does_not_stop_the_start(
    state: StateDir,
) -> None:
    server = EmbeddedPostgres(state, port=free_port())
    server.start()
    server.kill()
    pid_file = state.path / "postgres" / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    # A process of the server's own account is the case that PostgreSQL takes for itself.
    owner = pid_file.stat()
    with subprocess.Popen(
        ["/bin/sleep", "60"], user=owner.st_uid, group=owner.st_gid, cwd="/"
    ) as bystander:
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        try:
            server.start()
            assert bystander.poll() is None
            server.stop()
        finally:
            bystander.kill()


def test_a_second_start_while_the_first_lives_is_refused(state: StateDir) -> None:
    with EmbeddedPostgres(state, port=free_port()) as first:
        second = EmbeddedPostgres(state, port=first.port)
        with pytest.raises(ServerInUse, match=f"process {os.getpid()}"):
            second.start()
        with pytest.raises(ServerInUse):
            second.stop()
        assert first.pid is not None


def test_a_taken_port_is_said_before_anything_is_made(state: StateDir) -> None:
    with socket.socket() as listener:
        port = free_port()
        listener.bind(("127.0.0.1", port))
        listener.listen()
        server = EmbeddedPostgres(state, port=port)
        with pytest.raises(PortTaken, match=f"{os.getpid()}.*{PORT_VARIABLE}="):
            server.start()
    assert not (state.path / "postgres" / "data").exists()
    with server:  # and nothing was left locked
        assert server.pid is not None


def test_a_server_that_ends_while_starting_shows_its_log(state: StateDir) -> None:
    server = EmbeddedPostgres(state, port=free_port())
    server.start()
    server.stop()
    (state.path / "postgres" / "data" / "global" / "pg_control").unlink()

    with pytest.raises(ServerFailed, match="pg_control"):
        server.start()
    assert nothing_left(server, state)


def test_a_lost_password_is_a_clear_failure(state: StateDir) -> None:
    with EmbeddedPostgres(state, port=free_port()):
        pass
    (state.path / "secrets" / "postgres-password").unlink()

    server = EmbeddedPostgres(state, port=free_port())
    with pytest.raises(ServerFailed, match="refuses the password"):
        server.start()
    assert nothing_left(server, state)


async def test_the_packages_programs_serve_where_the_machine_has_none(state: StateDir) -> None:
    environment = {"SHANMEN_POSTGRES_BIN": "wheel"}
    with EmbeddedPostgres(state, port=free_port(), environment=environment) as server:
        version = await query(server.dsn("postgres"), "SHOW server_version_num")
        assert str(version) >= "180000"
        assert await query(server.dsn("postgres"), "SELECT lower('ÄÖ')") == "äö"
    assert nothing_left(server, state)


def test_programs_of_another_version_than_the_data_are_not_used(state: StateDir) -> None:
    data = state.directory("postgres", "data")
    (data / "PG_VERSION").write_text("14\n")

    server = EmbeddedPostgres(state, port=free_port())
    with pytest.raises(ServerMissing, match=r"PostgreSQL 14 .*existing data"):
        server.start()


def test_a_folder_without_the_programs_is_refused_by_name(state: StateDir) -> None:
    environment = {"SHANMEN_POSTGRES_BIN": "/nowhere"}
    server = EmbeddedPostgres(state, port=free_port(), environment=environment)
    with pytest.raises(ServerMissing, match="SHANMEN_POSTGRES_BIN=/nowhere"):
        server.start()


def test_a_given_server_is_used_as_it_is() -> None:
    given = postgres_from_environment(
        {"DATABASE_URL": "postgresql+asyncpg://admin:p%40ss@db.example:5555/main?ssl=require"}
    )
    assert given is not None
    assert given.url("orders") == (
        "postgresql+asyncpg://admin:p%40ss@db.example:5555/orders?ssl=require"
    )
    assert given.dsn("orders", role="orders", password="x") == (
        "postgresql://orders:x@db.example:5555/orders?ssl=require"
    )
    assert postgres_from_environment({}) is None


@pytest.mark.parametrize("text", ["mysql://host/db", "nonsense", "sqlite:///file"])
def test_an_address_that_is_no_postgresql_is_refused(text: str) -> None:
    with pytest.raises(ServerError, match="DATABASE_URL"):
        postgres_from_environment({"DATABASE_URL": text})
