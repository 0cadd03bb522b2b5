"""Which operating system account a server runs under: PostgreSQL refuses to run as root."""

import os
import pwd
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """An unprivileged account that root can hand a process and its files to."""

    name: str
    uid: int
    gid: int

    def can_enter(self, directory: Path) -> bool:
        """Whether every folder on the way to `directory`, itself included, lets this account in.

        False when it does not exist. Looks at owner, group and mode; access lists are not
        considered.
        """
        path = directory.resolve()
        return path.is_dir() and all(
            self._may_search(folder.stat()) for folder in (path, *path.parents)
        )

    def _may_search(self, folder: os.stat_result) -> bool:
        if folder.st_uid == self.uid:
            return bool(folder.st_mode & stat.S_IXUSR)
        if folder.st_gid == self.gid:
            return bool(folder.st_mode & stat.S_IXGRP)
        return bool(folder.st_mode & stat.S_IXOTH)


def is_root() -> bool:
    """Whether this process may start others under another account, and must."""
    return os.geteuid() == 0


def account_to_drop_to(preferred: Sequence[str]) -> Account | None:
    """The first of `preferred` that exists, else `nobody`; None when we are not root."""
    if not is_root():
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    name = next((name for name in (*preferred, "nobody") if name in known), None)
    if name is None:
        return None
    return Account(name, known[name].pw_uid, known[name].pw_gid)
