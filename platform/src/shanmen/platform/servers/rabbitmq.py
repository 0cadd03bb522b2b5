"""A private RabbitMQ node on loopback: its own name, ports, epmd, cookie, user and data."""

import asyncio
import hashlib
import logging
import os
import signal
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import quote, urlsplit

import aio_pika
from aio_pika.exceptions import AMQPException, ProbableAuthenticationError

from shanmen.platform.servers.accounts import account_to_drop_to
from shanmen.platform.servers.errors import ServerError
from shanmen.platform.servers.ports import (
    LOOPBACK,
    is_free,
    port_from_environment,
    require_free_port,
)
from shanmen.platform.servers.process import Escalation, ManagedProcess
from shanmen.platform.servers.rabbitmq_install import find_or_install_rabbitmq
from shanmen.platform.servers.state import OwnerLock, StateDir

PORT_VARIABLE = "SHANMEN_RABBITMQ_PORT"
DIST_PORT_VARIABLE = "SHANMEN_RABBITMQ_DIST_PORT"
EPMD_PORT_VARIABLE = "SHANMEN_EPMD_PORT"
USER = "shanmen"
READY_TIMEOUT_S = 120.0

QUEUE_SETTLING_S = 2.0
"""For how long after it was declared a quorum queue, and what was confirmed in it, can be lost by
a crash of a node that is alone (seen with 3.10: up to about a second). Ra writes the queue's name
to a table that it flushes when it has rested for half a second; without it the node begins the
queue anew, empty and without a leader. Let new queues rest before what must not be lost."""

SHUTDOWN: Escalation = ((signal.SIGTERM, 60.0), (signal.SIGKILL, 5.0))

SETTINGS: Mapping[str, str] = {
    "vm_memory_high_watermark.absolute": "512MB",
    "disk_free_limit.absolute": "200MB",
    # The log of all quorum queues is held in memory as well; its default of 512 MB is all of it.
    "raft.wal_max_size_bytes": "67108864",
    "log.file": "false",
    "log.console": "true",
    "log.console.level": "info",
    "log.console.use_colors": "off",
}

# One scheduler that sleeps when idle, and the port between nodes on loopback only.
ERLANG_ARGUMENTS = (
    "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
)

_logger = logging.getLogger(__name__)


class RabbitMQ(Protocol):
    """A broker that somebody runs: ours, or the one that `AMQP_URL` names."""

    @property
    def url(self) -> str:
        """The address to connect to, with user and password (`amqp://…`)."""


@dataclass(frozen=True)
class GivenRabbitMQ:
    """A broker that was running before us."""

    url: str


def rabbitmq_from_environment(
    environment: Mapping[str, str] = os.environ,
) -> GivenRabbitMQ | None:
    """The broker that `AMQP_URL` names, or None when it is not set: then start an own one."""
    text = environment.get("AMQP_URL", "").strip()
    if not text:
        return None
    address = urlsplit(text)
    if address.scheme not in {"amqp", "amqps"} or not address.hostname:
        raise ServerError(
            "AMQP_URL is not the address of a broker. Give one like "
            "amqp://user:password@host:5672/, or unset it."
        )
    return GivenRabbitMQ(text)


class EmbeddedRabbitMQ:
    """A RabbitMQ node of our own; data, settings and log live in `<state>/<name>/`.

    `start`, `stop` and `kill` block. As a context manager it starts on entry and stops on exit.
    A node that was left running is taken over by the next `start`.
    """

    def __init__(
        self,
        state: StateDir,
        *,
        port: int | None = None,
        dist_port: int | None = None,
        epmd_port: int | None = None,
        name: str = "rabbitmq",
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.port = port or port_from_environment(PORT_VARIABLE, environment)
        self._dist_port = dist_port or port_from_environment(DIST_PORT_VARIABLE, environment)
        self._epmd_port = epmd_port or port_from_environment(EPMD_PORT_VARIABLE, environment)
        self._state = state
        self._environment = environment
        self._password = state.secret(f"{name}-password")
        self._cookie = state.secret(f"{name}-cookie")
        self._account = account_to_drop_to(["rabbitmq"])
        self._folder = state.directory(name)
        self._process = ManagedProcess(self._folder, name)
        self._lock = OwnerLock(self._folder / "lock")

    @property
    def url(self) -> str:
        """The address to connect to, with user and password (`amqp://…`)."""
        return f"amqp://{USER}:{quote(self._password, safe='')}@{LOOPBACK}:{self.port}/"

    @property
    def pid(self) -> int | None:
        """The number of the node's process; None when it does not run."""
        return self._process.pid

    @property
    def log(self) -> Path:
        """Where the node writes what it has to say."""
        return self._process.log

    def start(self) -> None:
        """Start the node, and return when it accepts connections.

        Installs Debian's package first where it is missing and we may. Raises PortTaken,
        ServerMissing, ServerFailed, ServerInUse or StateUnusable; what was started for nothing
        is stopped again.
        """
        self._lock.take("RabbitMQ")
        try:
            if not self._taken_over():
                self._launch()
                self._wait_until_ready()
        except BaseException:
            self._process.stop(SHUTDOWN)
            self._lock.release()
            raise

    def stop(self) -> None:
        """Shut the node and its epmd down and return when they have ended, also if another
        process of ours started them and has ended since."""
        self._lock.take("RabbitMQ")
        try:
            self._process.stop(SHUTDOWN)
        finally:
            self._lock.release()

    def kill(self) -> None:
        """End every process of the node at once, as a crash of the machine would."""
        self._process.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _taken_over(self) -> bool:
        unchanged = self._settings_file.is_file() and (
            self._settings_file.read_text(encoding="utf-8") == self._settings_text()
        )
        if self._process.pid is not None and unchanged and self._answers():
            _logger.info("RabbitMQ already runs (process %s)", self._process.pid)
            return True
        self._process.stop(SHUTDOWN)
        return False

    def _launch(self) -> None:
        require_free_port(self.port, PORT_VARIABLE)
        require_free_port(self._dist_port, DIST_PORT_VARIABLE)
        require_free_port(self._epmd_port, EPMD_PORT_VARIABLE)
        program = find_or_install_rabbitmq(self._environment)
        # Looked up again: the package that brings the program brings its account.
        self._account = account_to_drop_to(["rabbitmq"])
        home = self._state.directory(self._folder.name, "node", account=self._account)
        self._write_for_node(home / ".erlang.cookie", self._cookie, mode=0o400)
        self._write_for_node(self._settings_file, self._settings_text(), mode=0o600)
        self._write_for_node(self._folder / "enabled_plugins", "[].\n", mode=0o600)
        self._process.start(
            [program],
            environment=self._node_environment(home),
            working_directory=home,
            account=self._account,
        )

    @property
    def _settings_file(self) -> Path:
        return self._folder / "rabbitmq.conf"

    def _settings_text(self) -> str:
        settings = {
            "listeners.tcp.local": f"{LOOPBACK}:{self.port}",
            # The only user there is; being set, it also means that `guest` is not made.
            "default_user": USER,
            "default_pass": self._password,
            **SETTINGS,
        }
        lines = [f"{name} = {value}\n" for name, value in settings.items()]
        return "# Written at every start; changes made here are lost.\n" + "".join(lines)

    def _write_for_node(self, path: Path, text: str, *, mode: int) -> None:
        """A file that the node's account alone can read, under the folder that we own."""
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        if self._account is not None:
            os.chown(path, self._account.uid, self._account.gid)

    def _node_environment(self, home: Path) -> dict[str, str]:
        # The name is part of where the data lies: it must be the same at every start.
        name = hashlib.sha256(str(home).encode()).hexdigest()[:10]
        return {
            "PATH": os.defpath,
            "LC_ALL": "C.UTF-8",
            "HOME": str(home),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": f"shanmen-{name}@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self._settings_file),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "config"),
            "RABBITMQ_SCHEMA_DIR": str(home / "schema"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_ARGUMENTS,
            # Makes the start script become the node instead of a shell that waits for it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while is_free(self.port) or not self._answers():
            if self._process.pid is None:
                raise self._process.failure(
                    "RabbitMQ ended while starting. Mend what its log names and start again."
                )
            if time.monotonic() > deadline:
                raise self._process.failure(
                    f"RabbitMQ does not accept connections after {READY_TIMEOUT_S:.0f} s."
                )
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Whether a connection can be opened now. Raises ServerFailed when it never will be."""
        # A thread of its own, because the caller may have an event loop running.
        with ThreadPoolExecutor(max_workers=1) as executor:
            return executor.submit(lambda: asyncio.run(self._try_connection())).result()

    async def _try_connection(self) -> bool:
        try:
            connection = await aio_pika.connect(self.url, timeout=5)
        except ProbableAuthenticationError as error:
            raise self._process.failure(
                f"RabbitMQ refuses the password kept in {self._state.path / 'secrets'}: the data "
                f"in {self._folder / 'node'} was made with another. Put the old one back, or move "
                "the data away to begin anew."
            ) from error
        except (OSError, TimeoutError, AMQPException):
            return False
        await connection.close()
        return True
