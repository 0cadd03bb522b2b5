"""Secrets of an installation: made in one place, kept in `.env` alone, each opening one door."""

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from shanmen.common.auth import hash_token
from shanmen.common.broker.protocol import Ladder
from shanmen.common.broker.topology import DEAD, EVENTS, retry_name
from shanmen.orders.qr import TicketSigner
from shanmen.platform.servers.postgres import EmbeddedPostgres
from shanmen.platform.servers.postgres_access import ROLE_SETTINGS
from shanmen.platform.servers.postgres_binaries import find_postgres
from shanmen.platform.servers.state import StateDir
from shanmen.platform.servers.throwaway import throwaway_postgres, throwaway_state
from shanmen.platform.services import SERVICES
from shanmen.verification.qr import load_ticket_keys

Container = Mapping[str, Any]

PLAIN: Final = {"SHANMEN_ADDRESS", "SHANMEN_PORT", "LOG_LEVEL"}
"""What env.example may give a value to."""
OPTIONAL: Final = re.compile(
    r"(ALIPAY|HUIJINBAO)_SIMULATOR_|SHANMEN_SIMULATOR_|SHANMEN_SMS_|SMS$|OPERATIONS_PHONE$"
)
USED: Final = re.compile(r"(?<!\$)\$\{(\w+)(?::([-?])([^}]*))?\}")
SECRET: Final = re.compile(r"PASSWORD|TOKEN|KEY|SECRET|^ALIPAY|^HUIJINBAO|SEED")

DATABASES: Final = "deploy/postgres/10-databases.sh"
USERS: Final = "deploy/rabbitmq/start.sh"


# ── the compose file and .env ────────────────────────────────────────────────────────────────────


def test_the_file_holds_no_secret(compose: Mapping[str, Any]) -> None:
    for name, container in compose["services"].items():
        for variable, value in container.get("environment", {}).items():
            literal = USED.sub("", value)
            if SECRET.search(variable) and variable != "TICKET_KEY_ID":
                assert literal == "", f"{name}: {variable}"
            assert not urlsplit(literal).password, f"{name}: {variable}"


def test_the_example_names_every_variable_and_no_secret(
    root: Path, example: Mapping[str, str]
) -> None:
    used = {found[0] for found in USED.findall((root / "docker-compose.yml").read_text("utf-8"))}
    assert used == example.keys()
    assert {name for name, value in example.items() if value} == PLAIN


def test_nothing_starts_on_the_example_and_the_refusal_names_what_is_missing(
    root: Path, compose: Mapping[str, Any], env: Mapping[str, str], interpolate: Any
) -> None:
    uses = USED.findall((root / "docker-compose.yml").read_text("utf-8"))
    needed = {name for name, how, _ in uses if how == "?"}
    assert {name for name in env if name not in PLAIN and not OPTIONAL.match(name)} == needed
    for name in needed:
        with pytest.raises(KeyError, match=f"set {name} in .env"):
            interpolate(compose["services"], {**env, name: ""})


def test_every_secret_is_made_and_made_anew(
    root: Path, env: Mapping[str, str], example: Mapping[str, str], env_file: Path
) -> None:
    assert env.keys() == example.keys()
    assert all(env.values())
    secret = [value for name, value in env.items() if name not in PLAIN]
    assert len(set(secret)) == len(secret)
    # Nothing but the blanks of the example was changed.
    kept = re.sub(r"='.*'$", "=", env_file.read_text("utf-8"), flags=re.MULTILINE)
    assert kept == (root / "deploy/env.example").read_text("utf-8")


def test_catalog_knows_each_service_by_its_own_token(env: Mapping[str, str]) -> None:
    hashes = json.loads(env["SERVICE_TOKEN_HASHES"])
    assert hashes == {
        service.name: hash_token(env[f"{_prefix(service.name)}_SERVICE_TOKEN"])
        for service in SERVICES
        if service.name != "catalog"
    }


def test_gates_accept_the_tickets_that_orders_signs(env: Mapping[str, str]) -> None:
    signer = TicketSigner.from_seed(env["TICKET_KEY_ID"], env["TICKET_SIGNING_KEY"])
    version, key_id, ticket_no, signature = signer.payload("TKT1").split(".")
    key = load_ticket_keys(json.loads(env["TICKET_PUBLIC_KEYS"]))[key_id]
    key.verify(
        base64.urlsafe_b64decode(f"{signature}=="), f"{version}.{key_id}.{ticket_no}".encode()
    )


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def state() -> Iterator[StateDir]:
    """A folder of state for the server below."""
    with throwaway_state() as made:
        yield made


@pytest.fixture(scope="module")
def server(state: StateDir) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL with nothing in it yet: roles belong to a whole server."""
    with throwaway_postgres(state) as running:
        yield running


def make_databases(
    root: Path, server: EmbeddedPostgres, state: StateDir, passwords: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run the script as PostgreSQL's image does, with psql pointed at our server."""
    address = make_url(server.dsn("postgres"))
    programs = find_postgres(state, None).directory
    environment = {
        **passwords,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": str(address.host),
        "PGPORT": str(address.port),
        "PGPASSWORD": str(address.password),
        "POSTGRES_USER": str(address.username),
        "POSTGRES_DB": "postgres",
    }
    return subprocess.run(
        [str(root / DATABASES)],
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=environment,
    )


async def test_each_service_gets_a_database_that_no_other_can_enter(
    root: Path, server: EmbeddedPostgres, state: StateDir, containers: Mapping[str, Container]
) -> None:
    passwords = {
        name: value
        for name, value in containers["postgres"]["environment"].items()
        if name.endswith("_DATABASE_PASSWORD")
    }

    bad = {**passwords, "SETTLEMENT_DATABASE_PASSWORD": "it's"}
    refused = make_databases(root, server, state, bad)
    assert refused.returncode != 0
    assert "SETTLEMENT_DATABASE_PASSWORD" in refused.stderr
    assert "it's" not in refused.stderr
    assert await _roles(server) == []

    made = make_databases(root, server, state, passwords)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    addresses = {
        service.name: urlsplit(containers[service.name]["environment"]["DATABASE_URL"])
        for service in SERVICES
    }
    assert await _roles(server) == sorted(str(one.username) for one in addresses.values())
    for name, address in addresses.items():
        role, password = str(address.username), address.password
        connection = await asyncpg.connect(server.dsn(role, role=role, password=password))
        try:
            await connection.execute("CREATE TABLE own (id int)")
            for setting, value in ROLE_SETTINGS.items():
                assert await connection.fetchval("SELECT current_setting($1)", setting) in {
                    value,
                    "1min",
                }
        finally:
            await connection.close()
        others = [one.path.removeprefix("/") for other, one in addresses.items() if other != name]
        for database in (*others, "postgres", "template1"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asyncpg.connect(server.dsn(database, role=role, password=password))
    log = server._process.log.read_text("utf-8")
    assert not any(password in log for password in passwords.values())


async def _roles(server: EmbeddedPostgres) -> list[str]:
    connection = await asyncpg.connect(server.dsn("postgres"))
    try:
        rows = await connection.fetch(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE 'shanmen!_%' ESCAPE '!'"
            " AND NOT (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication) ORDER BY 1"
        )
    finally:
        await connection.close()
    return [row["rolname"] for row in rows]


# ── RabbitMQ ─────────────────────────────────────────────────────────────────────────────────────


def start_broker(
    root: Path, folder: Path, passwords: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run the script up to where the broker would take over; there it tells its environment."""
    (definitions,) = re.findall(
        r"^definitions=(\S+)$", (root / USERS).read_text("utf-8"), re.MULTILINE
    )
    script = (root / USERS).read_text("utf-8").replace(definitions, str(folder / "users.json"))
    broker = folder / "docker-entrypoint.sh"
    broker.write_text('#!/bin/sh\necho "$@"\nenv\n')
    broker.chmod(0o755)
    environment = {**passwords, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["/bin/sh", "-c", script, "start.sh", "rabbitmq-server"],
        check=False,
        capture_output=True,
        encoding="utf-8",
        env=environment,
    )


def test_each_service_is_a_user_that_reads_its_own_queues_only(
    root: Path, tmp_path: Path, containers: Mapping[str, Container]
) -> None:
    passwords = containers["rabbitmq"]["environment"]
    started = start_broker(root, tmp_path, passwords)
    assert started.returncode == 0, started.stderr
    assert started.stdout.startswith("rabbitmq-server\n")
    assert not any(password in started.stdout for password in passwords.values())
    kept = tmp_path / "users.json"
    assert kept.stat().st_mode & 0o077 == 0
    definitions = json.loads(kept.read_text("utf-8"))

    addresses = {
        service.name: urlsplit(containers[service.name]["environment"]["AMQP_URL"])
        for service in SERVICES
    }
    assert [vhost["name"] for vhost in definitions["vhosts"]] == ["shanmen"]
    assert {user["name"]: user["password"] for user in definitions["users"]} == {
        str(one.username): one.password for one in addresses.values()
    }
    assert {user["tags"] for user in definitions["users"]} == {""}
    permissions = {entry["user"]: entry for entry in definitions["permissions"]}
    shared = {EVENTS, DEAD, *(retry_name(delay_s) for delay_s in Ladder().delays_s)}
    for service in SERVICES:
        may = permissions[service.name]
        queues = {subscription.queue.name for subscription in service.subscriptions}
        own = queues | {f"{queue}.dead" for queue in queues}
        for name in shared | own:
            for right in ("configure", "read", "write"):
                assert re.search(may[right], name), f"{service.name} may not {right} {name}"
        assert re.search(may["write"], "amq.default")
        assert not re.search(may["configure"], "amq.default")
        for other in SERVICES:
            for subscription in other.subscriptions:
                if other is not service:
                    for right in ("configure", "read", "write"):
                        assert not re.search(may[right], subscription.queue.name)


def test_a_password_that_would_break_an_address_is_refused(
    root: Path, tmp_path: Path, containers: Mapping[str, Container]
) -> None:
    passwords = containers["rabbitmq"]["environment"]
    for bad in ("", 'x"}', "a@b", "$(id)"):
        refused = start_broker(root, tmp_path, {**passwords, "ORDERS_BROKER_PASSWORD": bad})
        assert refused.returncode != 0
        assert "ORDERS_BROKER_PASSWORD" in refused.stderr
        assert not (tmp_path / "users.json").exists()


def test_the_broker_reads_what_the_script_writes_into_memory(
    root: Path, containers: Mapping[str, Container]
) -> None:
    (written,) = re.findall(
        r"^definitions=(\S+)$", (root / USERS).read_text("utf-8"), re.MULTILINE
    )
    conf = (root / "deploy/rabbitmq/rabbitmq.conf").read_text("utf-8")
    assert f"load_definitions = {written}\n" in conf
    tmpfs = containers["rabbitmq"]["tmpfs"]
    (mount,) = [one for one in tmpfs if one.startswith(f"{Path(written).parent}:")]
    assert "mode=0700" in mount


def _written_by(script: str) -> str:
    (path,) = re.findall(r"^definitions=(\S+)$", script, re.MULTILINE)
    return str(path)


def _prefix(service: str) -> str:
    return service.upper().replace("-", "_")
