"""A private PostgreSQL server on loopback, of the machine's or a package's programs."""

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg
from sqlalchemy.engine import URL

from shanmen.platform.servers.accounts import account_to_drop_to
from shanmen.platform.servers.errors import ServerFailed
from shanmen.platform.servers.ports import (
    LOOPBACK,
    holder_of,
    port_from_environment,
    require_free_port,
)
from shanmen.platform.servers.postgres_access import PostgresAccess
from shanmen.platform.servers.postgres_binaries import PostgresBinaries, find_postgres
from shanmen.platform.servers.process import (
    Escalation,
    ManagedProcess,
    is_ours,
    processes_working_in,
)
from shanmen.platform.servers.state import OwnerLock, StateDir

PORT_VARIABLE = "SHANMEN_POSTGRES_PORT"
ADMINISTRATOR = "shanmen"
READY_TIMEOUT_S = 120.0
"""Long, because recovery after a crash on a slow disk is work and not a hang."""

# PostgreSQL's fast shutdown, then its immediate one, which recovers at the next start.
SHUTDOWN: Escalation = (
    (signal.SIGINT, 30.0),
    (signal.SIGQUIT, 10.0),
    (signal.SIGKILL, 5.0),
)

SETTINGS: Mapping[str, str] = {
    "listen_addresses": f"'{LOOPBACK}'",
    "unix_socket_directories": "''",
    "max_connections": "300",
    "shared_buffers": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "password_encryption": "'scram-sha-256'",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_destination": "'stderr'",
    "logging_collector": "off",
    "log_statement": "'none'",
    "log_min_duration_statement": "-1",
    "log_line_prefix": "'%m [%p] %q%u@%d '",
    "cluster_name": "'shanmen'",
}

_logger = logging.getLogger(__name__)


class EmbeddedPostgres(PostgresAccess):
    """A PostgreSQL server of our own; data, settings and log live in `<state>/<name>/`.

    `start` and `stop` block; roles and databases are made with the coroutines of PostgresAccess.
    As a context manager it starts on entry and stops on exit. A server that was left running, by
    a crash or by a command that leaves it so, is taken over by the next `start`.
    """

    def __init__(
        self,
        state: StateDir,
        *,
        port: int | None = None,
        name: str = "postgres",
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.port = port or port_from_environment(PORT_VARIABLE, environment)
        super().__init__(
            URL.create(
                "postgresql",
                username=ADMINISTRATOR,
                password=state.secret(f"{name}-password"),
                host=LOOPBACK,
                port=self.port,
                database="postgres",
            )
        )
        self._state = state
        self._environment = environment
        self._account = account_to_drop_to(["postgres"])
        self._folder = state.directory(name)
        self._data = self._folder / "data"
        self._process = ManagedProcess(self._folder, name)
        self._lock = OwnerLock(self._folder / "lock")

    @property
    def pid(self) -> int | None:
        """The number of the server's main process; None when it does not run."""
        return self._process.pid

    @property
    def log(self) -> Path:
        """Where the server writes what it has to say."""
        return self._process.log

    def start(self) -> None:
        """Start the server, and return when it accepts connections.

        Raises PortTaken, ServerMissing, ServerFailed, ServerInUse or StateUnusable; what was
        started for nothing is stopped again.
        """
        self._lock.take("PostgreSQL")
        try:
            if not self._taken_over():
                require_free_port(self.port, PORT_VARIABLE)
                self._launch()
                self._wait_until_ready()
        except BaseException:
            self._process.stop(SHUTDOWN)
            self._lock.release()
            raise

    def stop(self) -> None:
        """Shut the server down and return when it has ended, also if another process of ours
        started it and has ended since; nothing happens when it does not run."""
        self._lock.take("PostgreSQL")
        try:
            self._process.stop(SHUTDOWN)
        finally:
            self._lock.release()

    def kill(self) -> None:
        """End every process of the server at once, as a crash of the machine would."""
        self._process.kill()
        self._wait_for_orphans()

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
        """Whether a server of ours already runs as it should; one that runs otherwise is ended."""
        if self._process.pid is None:
            self._process.stop(SHUTDOWN)
            return False
        unchanged = self._settings_file.is_file() and (
            self._settings_file.read_text(encoding="utf-8") == self._settings_text()
        )
        if unchanged and self._answers():
            _logger.info("PostgreSQL already runs (process %s)", self._process.pid)
            return True
        self._process.stop(SHUTDOWN)
        return False

    def _launch(self) -> None:
        self._wait_for_orphans()
        binaries = find_postgres(
            self._state,
            self._account,
            data_major=self._data_major(),
            environment=self._environment,
        )
        if self._data_major() is None:
            self._create_cluster(binaries)
        self._drop_foreign_pid_file()
        self._settings_file.write_text(self._settings_text(), encoding="utf-8")
        self._settings_file.chmod(0o644)
        self._process.start(
            [
                binaries.directory / "postgres",
                f"--config-file={self._settings_file}",
                "-D",
                self._data,
            ],
            environment=self._plain_environment(),
            working_directory=self._data,
            account=self._account,
        )

    @property
    def _settings_file(self) -> Path:
        return self._folder / "postgresql.conf"

    def _settings_text(self) -> str:
        settings = {**SETTINGS, "port": str(self.port)}
        if self._state.throwaway:
            settings["fsync"] = "off"
        lines = [f"{name} = {value}\n" for name, value in settings.items()]
        return "# Written at every start; changes made here are lost.\n" + "".join(lines)

    def _data_major(self) -> int | None:
        version = self._data / "PG_VERSION"
        return int(version.read_text(encoding="ascii")) if version.is_file() else None

    def _create_cluster(self, binaries: PostgresBinaries) -> None:
        """Make the data folder under another name first: one that is called `data` is whole."""
        _logger.info("creating a PostgreSQL %s data folder in %s", binaries.major, self._data)
        draft = self._folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        self._state.directory(self._folder.name, draft.name, account=self._account)
        password = self._folder / "initial-password"
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(f"{self._address.password}\n", encoding="ascii")
        if self._account is not None:
            os.chown(password, self._account.uid, self._account.gid)
        try:
            self._run_initdb(binaries, draft, password)
        finally:
            password.unlink()
        draft.rename(self._data)

    def _run_initdb(self, binaries: PostgresBinaries, data: Path, password: Path) -> None:
        account = self._account
        options = [
            f"--username={ADMINISTRATOR}",
            "--auth=scram-sha-256",
            f"--pwfile={password}",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--data-checksums",
            *(["--no-sync"] if self._state.throwaway else []),
        ]
        done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
            [binaries.directory / "initdb", "-D", data, *options],
            env=self._plain_environment(),
            cwd=data,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=() if account else None,
        )
        if done.returncode != 0:
            last_lines = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise ServerFailed(
                f"initdb could not create {data} (exit code {done.returncode}).",
                self._process.log,
                last_lines,
            )

    def _plain_environment(self) -> dict[str, str]:
        """Nothing of ours: no PG* variable that would redirect it, no secret that it needs not."""
        return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": str(self._folder)}

    def _wait_for_orphans(self) -> None:
        """Sessions notice the death of their main process by themselves; until the last has gone
        the memory they share keeps a new server from starting."""
        deadline = time.monotonic() + 10.0
        while processes_working_in(self._data) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _drop_foreign_pid_file(self) -> None:
        """After a crash the number in `postmaster.pid` can belong to any process by now; if one
        of the same account got it, PostgreSQL would refuse to start. Ours have all ended here."""
        pid_file = self._data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text(encoding="ascii").split()[0])
        except (OSError, ValueError, IndexError):
            return
        if not is_ours(pid, self._process.mark) and not processes_working_in(self._data):
            pid_file.unlink(missing_ok=True)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self._answers():
            if self._process.pid is None:
                raise self._process.failure(self._why_it_ended())
            if time.monotonic() > deadline:
                raise self._process.failure(
                    f"PostgreSQL does not accept connections after {READY_TIMEOUT_S:.0f} s."
                )
            time.sleep(0.03)

    def _why_it_ended(self) -> str:
        holder = holder_of(self.port)
        if holder:
            return (
                f"PostgreSQL ended while starting: port {self.port} is taken by {holder}. "
                f"Choose another with {PORT_VARIABLE}=…"
            )
        return "PostgreSQL ended while starting. Mend what its log names and start again."

    def _answers(self) -> bool:
        """Whether a session can be opened now. Raises ServerFailed when it never will be."""
        # A thread of its own, because the caller may have an event loop running.
        with ThreadPoolExecutor(max_workers=1) as executor:
            return executor.submit(lambda: asyncio.run(self._try_session())).result()

    async def _try_session(self) -> bool:
        try:
            async with self._administrator() as connection:
                # Open to every role when made: services have no business in these.
                await connection.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
        except asyncpg.InvalidPasswordError as error:
            raise self._process.failure(
                f"PostgreSQL refuses the password kept in {self._state.path / 'secrets'}: the "
                f"data in {self._data} was made with another. Put the old one back, or move the "
                "data away to begin anew."
            ) from error
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True
