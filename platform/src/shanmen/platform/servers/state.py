"""Where the project keeps what outlives a run: server data, secrets, notes between commands."""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shanmen.platform.servers.accounts import Account, is_root
from shanmen.platform.servers.errors import ServerInUse, StateUnusable

ROOT_STATE = Path("/var/lib/shanmen")


def checkout() -> Path:
    """The folder that holds this source tree, or the current one when we are installed."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "Makefile").is_file() and (folder / "platform").is_dir():
            return folder
    return Path.cwd()


@dataclass(frozen=True)
class StateDir:
    """One folder of state.

    `throwaway` marks the state of a test: in memory where possible, gone afterwards, and the
    only state on which a server may do without fsync.
    """

    path: Path
    throwaway: bool = False

    @classmethod
    def of_checkout(
        cls, source: Path | None = None, environment: Mapping[str, str] = os.environ
    ) -> "StateDir":
        """The state of a checkout: `.state` inside it, or `SHANMEN_STATE`.

        As root it is `/var/lib/shanmen/<hash of the checkout's path>`: servers run under other
        accounts there, which a checkout under a root-only folder would keep out.
        Raises StateUnusable when it cannot be made.
        """
        source = (source or checkout()).resolve()
        given = environment.get("SHANMEN_STATE", "").strip()
        if given:
            path = Path(given).expanduser().absolute()
        elif is_root():
            path = ROOT_STATE / hashlib.sha256(str(source).encode()).hexdigest()[:10]
        else:
            path = source / ".state"
        _make(path)
        state = cls(path)
        state.write_json("checkout", {"path": str(source)})
        return state

    def directory(self, *names: str, account: Account | None = None) -> Path:
        """A folder below this one, made if need be.

        With an `account` the last folder is that account's and closed to everyone else; raises
        StateUnusable when the account could not get there.
        """
        path = self.path.joinpath(*names)
        _make(path)
        if account is None:
            return path
        os.chown(path, account.uid, account.gid)
        path.chmod(0o700)
        if not account.can_enter(path):
            raise StateUnusable(
                f"The account {account.name!r}, which the server runs under because you are "
                f"root, cannot reach {path}. Choose a folder that it can reach with "
                "SHANMEN_STATE=… (none does for /root)."
            )
        return path

    def secret(self, name: str) -> str:
        """The secret of this name, drawn once and kept in a file that only we can read."""
        folder = self.directory("secrets")
        folder.chmod(0o700)
        path = folder / name
        if not path.exists():
            # A link appears with its content: of two processes one wins, and both read the same.
            draft = _write_private(path, secrets.token_urlsafe(24))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text(encoding="ascii")

    def write_json(self, name: str, value: Any) -> None:
        """Replace the note `name` in one step; only we can read it."""
        path = self.path / f"{name}.json"
        _write_private(path, json.dumps(value, indent=2, ensure_ascii=False)).replace(path)

    def read_json(self, name: str) -> Any:
        """The note `name`, or None when there is none."""
        path = self.path / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def remove(self) -> None:
        """Delete a throwaway state; any other is never deleted by the program."""
        if not self.throwaway:
            raise ValueError(f"{self.path} is not a throwaway state")
        shutil.rmtree(self.path, ignore_errors=True)


class OwnerLock:
    """Says which live process keeps a server, so that no second one starts or stops it.

    The kernel gives the lock back however its holder ends: a lock that can be taken while the
    server runs means that the server was left behind, or left running on purpose.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._file is not None

    def take(self, name: str) -> None:
        """Take the lock, or raise ServerInUse naming the holder of the server `name`."""
        if not self.try_take():
            pid = self._path.read_text(encoding="ascii").strip()
            raise ServerInUse(name, f"process {pid}" if pid else "another process")

    def try_take(self) -> bool:
        """Take the lock if nobody else has it."""
        if self._file is not None:
            return True
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode())
        self._file = file
        return True

    def release(self) -> None:
        """Give the lock back, if it is ours."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _make(path: Path) -> None:
    """Make the folder and its missing parents. As root they can be passed through, not listed,
    by the servers' accounts; folders that are already there keep their modes."""
    mode = 0o711 if is_root() else 0o700
    try:
        for folder in (*reversed(path.parents), path):
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                folder.chmod(mode)
    except OSError as error:
        raise StateUnusable(
            f"The state folder {path} cannot be made: {error.strerror}. "
            "Choose another with SHANMEN_STATE=…"
        ) from error


def _write_private(beside: Path, text: str) -> Path:
    """A new file next to `beside`, readable by us alone, complete on disk."""
    number, name = tempfile.mkstemp(dir=beside.parent, prefix=f".{beside.name}-")
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)
