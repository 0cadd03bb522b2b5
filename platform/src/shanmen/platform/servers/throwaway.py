"""Servers for a test run: in memory where there is room, gone afterwards, never in the way."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shanmen.platform.servers.accounts import is_root
from shanmen.platform.servers.ports import free_port
from shanmen.platform.servers.postgres import EmbeddedPostgres
from shanmen.platform.servers.process import end_marked
from shanmen.platform.servers.rabbitmq import EmbeddedRabbitMQ
from shanmen.platform.servers.state import OwnerLock, StateDir

PREFIX = "shanmen-test-"
MEMORY = Path("/dev/shm")  # noqa: S108 - memory disk; the folder in it is made by mkdtemp
ROOM_BYTES = 2_000_000_000
SETTLED_S = 60.0
"""A folder younger than this may be about to be locked by the run that made it."""


@contextmanager
def throwaway_state() -> Iterator[StateDir]:
    """A state folder for one test run, deleted at its end. What a killed run left behind, its
    servers included, is cleared away first."""
    base = _base()
    _clear_leftovers(base)
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    path.chmod(0o711 if is_root() else 0o700)
    lock = OwnerLock(path / "lock")
    lock.take("this test run")
    state = StateDir(path, throwaway=True)
    try:
        yield state
    finally:
        end_marked(str(path))
        state.remove()
        lock.release()


@contextmanager
def throwaway_postgres(state: StateDir | None = None) -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL without fsync, on a free port; its data is gone afterwards."""
    if state is None:
        with throwaway_state() as own, throwaway_postgres(own) as server:
            yield server
        return
    with EmbeddedPostgres(state, port=free_port()) as server:
        yield server


@contextmanager
def throwaway_rabbitmq(state: StateDir | None = None) -> Iterator[EmbeddedRabbitMQ]:
    """A running RabbitMQ on free ports; its data is gone afterwards."""
    if state is None:
        with throwaway_state() as own, throwaway_rabbitmq(own) as server:
            yield server
        return
    server = EmbeddedRabbitMQ(
        state, port=free_port(), dist_port=free_port(), epmd_port=free_port()
    )
    with server:
        yield server


def _base() -> Path:
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM_BYTES:
        return MEMORY
    return Path(tempfile.gettempdir())


def _clear_leftovers(base: Path) -> None:
    for path in base.glob(f"{PREFIX}*"):
        found = path.stat()
        if found.st_uid != os.geteuid() or time.time() - found.st_mtime < SETTLED_S:
            continue
        lock = OwnerLock(path / "lock")
        if lock.try_take():
            end_marked(str(path))
            shutil.rmtree(path, ignore_errors=True)
            lock.release()
