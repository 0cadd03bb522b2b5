"""Processes of ours are found and ended with all that they started; others are never touched."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shanmen.platform.servers.errors import ServerFailed
from shanmen.platform.servers.process import ManagedProcess, is_ours, marked_processes

WAITS = "import time; print('ready', flush=True); time.sleep(60)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAITS
WITH_GRANDCHILD = (
    "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'"
    "], start_new_session=True); " + WAITS
)
SHORT = ((signal.SIGTERM, 0.2), (signal.SIGKILL, 5.0))


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ManagedProcess]:
    process = ManagedProcess(tmp_path, "worker")
    yield process
    process.kill()


def start(process: ManagedProcess, code: str) -> int:
    """Start Python with this code, and return its number when it says that it is ready."""
    process.start(
        [sys.executable, "-c", code],
        environment={"PATH": os.defpath},
        working_directory=process.log.parent,
    )
    deadline = time.monotonic() + 20
    while "ready" not in process.last_log_lines() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.pid is not None
    return process.pid


def test_it_runs_in_a_session_of_its_own_until_stopped(process: ManagedProcess) -> None:
    pid = start(process, WAITS)

    assert os.getsid(pid) == pid != os.getsid(0)
    assert is_ours(pid, process.mark)
    process.stop()
    assert process.pid is None
    assert marked_processes(process.mark) == []


def test_one_that_ignores_the_polite_signal_is_ended_all_the_same(process: ManagedProcess) -> None:
    start(process, DEAF)
    process.stop(SHORT)
    assert marked_processes(process.mark) == []


def test_one_that_outlives_every_signal_is_reported(process: ManagedProcess) -> None:
    start(process, DEAF)
    with pytest.raises(ServerFailed, match="does not end"):
        process.stop([(signal.SIGTERM, 0.1)])
    assert process.pid is not None


@pytest.mark.parametrize("end", [ManagedProcess.stop, ManagedProcess.kill])
def test_what_it_started_ends_with_it(process: ManagedProcess, end: object) -> None:
    start(process, WITH_GRANDCHILD)
    assert len(marked_processes(process.mark)) == 2

    assert callable(end)
    end(process)
    assert marked_processes(process.mark) == []


def test_another_object_of_the_same_name_finds_and_stops_it(
    process: ManagedProcess, tmp_path: Path
) -> None:
    pid = start(process, WAITS)
    other = ManagedProcess(tmp_path, "worker")

    assert other.pid == pid
    assert not other.wait(0.01)
    other.stop()
    assert process.pid is None
    assert other.pid is None


def test_a_number_that_went_to_another_process_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "worker.pid").write_text(str(os.getpid()))
    stale = ManagedProcess(tmp_path, "worker")

    assert stale.pid is None
    stale.stop()  # would end this very test
    assert not (tmp_path / "worker.pid").exists()


def test_a_name_that_begins_alike_is_another_process(
    process: ManagedProcess, tmp_path: Path
) -> None:
    pid = start(process, WAITS)

    ManagedProcess(tmp_path, "work").kill()
    assert process.pid == pid
    assert marked_processes(str(tmp_path)) == [pid]


def test_a_failure_carries_the_end_of_the_log(process: ManagedProcess) -> None:
    process.start(
        [sys.executable, "-c", "raise SystemExit('no such tariff')"],
        environment={},
        working_directory=process.log.parent,
    )
    assert process.wait(20)
    assert process.pid is None
    assert "no such tariff" in str(process.failure("It ended."))


def test_a_program_that_is_not_there_is_a_clear_failure(process: ManagedProcess) -> None:
    with pytest.raises(ServerFailed, match="/nowhere/program cannot be started"):
        process.start(["/nowhere/program"], environment={}, working_directory=Path("/"))
