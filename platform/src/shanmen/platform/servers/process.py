"""Processes that we start, find again and end: by their mark, never by a name or a bare number.

Linux only: a process is known by a variable in its environment, read from /proc. That mark
outlives the process that started it, and tells ours from another that got the same number later.
"""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from shanmen.platform.servers.accounts import Account
from shanmen.platform.servers.errors import ServerFailed

MARK = "SHANMEN_PROCESS"
LOG_LIMIT_BYTES = 20_000_000

Escalation = Sequence[tuple[signal.Signals, float]]
"""Signals from polite to final, each with the seconds it is given."""

POLITE: Escalation = ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0))


def is_ours(pid: int, mark: str) -> bool:
    """Whether this process carries `mark`, or a mark below it as paths go.

    False for one that has ended, and for one whose environment we may not read: it is not ours.
    """
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    prefix = f"{MARK}=".encode()
    wanted = os.fsencode(mark)
    for entry in environment.split(b"\0"):
        if entry.startswith(prefix):
            found = entry.removeprefix(prefix)
            return found == wanted or found.startswith(wanted + b"/")
    return False


def marked_processes(mark: str) -> list[int]:
    """Every live process that carries the mark: the one started and those that it started."""
    return [pid for pid in _all_processes() if is_ours(pid, mark)]


def processes_working_in(directory: Path) -> list[int]:
    """Every live process whose current folder is `directory`."""
    found = []
    for pid in _all_processes():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cwd").readlink() == directory:
                found.append(pid)
    return found


def end_marked(mark: str, *, grace_s: float = 3.0) -> None:
    """End every process that carries the mark, those that ignore a request by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in marked_processes(mark):
            send_signal(pid, number, mark)
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline:
            if not marked_processes(mark):
                return
            time.sleep(0.02)


def send_signal(pid: int, number: signal.Signals, mark: str) -> bool:
    """Signal the process if it is ours. The handle is taken before the look, so that the number
    cannot pass to another process in between."""
    with _handle(pid) as handle:
        if handle is None or not is_ours(pid, mark):
            return False
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        return True


class ManagedProcess:
    """One long-running process, with its log and its number in files beside each other.

    It gets a session of its own, so that Ctrl-C in the terminal reaches whoever started it and
    not itself, and so that it can be left running. Another process of ours can find and stop it
    with an object made of the same folder and name.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.mark = str(folder / name)
        self._pid_file = folder / f"{name}.pid"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The number of the running process; None when it does not run."""
        if self._child is not None:
            return self._child.pid if self._child.poll() is None else None
        try:
            pid = int(self._pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return pid if is_ours(pid, self.mark) else None

    def start(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str],
        working_directory: Path,
        account: Account | None = None,
    ) -> None:
        """Start `command` with exactly this environment and the mark, as `account` if given.

        Raises ServerFailed when the program cannot be executed.
        """
        identity = (account.uid, account.gid, ()) if account else (None, None, None)
        with self._open_log() as log:
            try:
                self._child = subprocess.Popen(  # noqa: S603 - a program that we chose
                    [str(word) for word in command],
                    env={**environment, MARK: self.mark},
                    cwd=working_directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    user=identity[0],
                    group=identity[1],
                    extra_groups=identity[2],
                )
            except OSError as error:
                raise self.failure(f"{command[0]} cannot be started: {error}.") from error
        self._pid_file.write_text(f"{self._child.pid}\n", encoding="ascii")

    def wait(self, timeout_s: float) -> bool:
        """Wait until it has ended; False when it still runs after `timeout_s`."""
        if self._child is not None:
            try:
                self._child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return False
            return True
        pid = self.pid
        if pid is None:
            return True
        with _handle(pid) as handle:
            if handle is None:
                return True
            ended, _, _ = select.select([handle], [], [], timeout_s)
            return bool(ended)

    def stop(self, escalation: Escalation = POLITE) -> None:
        """End it and everything it started; nothing happens when it does not run.

        Raises ServerFailed when it outlives the last signal.
        """
        for number, timeout_s in escalation:
            pid = self.pid
            if pid is None or not send_signal(pid, number, self.mark) or self.wait(timeout_s):
                break
        else:
            raise self.failure(f"{self.name} does not end (process {self.pid}).")
        self._forget()

    def kill(self) -> None:
        """End it and everything it started with SIGKILL, as a crash would."""
        for pid in marked_processes(self.mark):
            send_signal(pid, signal.SIGKILL, self.mark)
        self.wait(5.0)
        self._forget()

    def failure(self, what: str) -> ServerFailed:
        """An error that says `what`, with the end of the log; the caller raises it."""
        return ServerFailed(what, self.log, self.last_log_lines())

    def last_log_lines(self, count: int = 15) -> str:
        """The end of the log, indented; empty when there is none."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 20_000))
            lines = file.read().decode(errors="replace").splitlines()[-count:]
        return "\n".join(f"  {line}" for line in lines)

    def _open_log(self) -> contextlib.AbstractContextManager[int]:
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        return _descriptor(self.log)

    def _forget(self) -> None:
        end_marked(self.mark)
        self._child = None
        self._pid_file.unlink(missing_ok=True)


@contextlib.contextmanager
def _descriptor(log: Path) -> Iterator[int]:
    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        yield number
    finally:
        os.close(number)


@contextlib.contextmanager
def _handle(pid: int) -> Iterator[int | None]:
    try:
        number = os.pidfd_open(pid)
    except OSError:
        yield None
        return
    try:
        yield number
    finally:
        os.close(number)


def _all_processes() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
