"""Where RabbitMQ's server program is, and how it gets onto a Debian machine."""

import logging
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from shanmen.platform.servers.accounts import is_root
from shanmen.platform.servers.errors import ServerMissing

VARIABLE = "SHANMEN_RABBITMQ_BIN"
PACKAGE = "rabbitmq-server"
# Not /usr/sbin/rabbitmq-server: that is a wrapper for the machine's own node.
DEBIAN_PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
POLICY = Path("/usr/sbin/policy-rc.d")
REFUSED = 101
"""Exit code of policy-rc.d for "do not run this action" (Debian's invoke-rc.d)."""

_INSTALL_TIMEOUT_S = 900
_logger = logging.getLogger(__name__)


def find_or_install_rabbitmq(environment: Mapping[str, str] = os.environ) -> Path:
    """The `rabbitmq-server` program; installs Debian's package when it is missing and we may.

    Raises ServerMissing, saying what to install.
    """
    found = find_rabbitmq(environment)
    if found is None and is_root() and shutil.which("apt-get"):
        _install()
        found = find_rabbitmq(environment)
    if found is None:
        raise ServerMissing(
            "rabbitmq-server is not on this machine. Install it (Debian: apt-get install "
            "rabbitmq-server, as root; its own node need not run), or name the folder that holds "
            f"it with {VARIABLE}=…, or use a running server with AMQP_URL=amqp://…"
        )
    return found


def find_rabbitmq(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The `rabbitmq-server` program: of the folder in SHANMEN_RABBITMQ_BIN, of Debian's package,
    else of PATH."""
    given = environment.get(VARIABLE, "").strip()
    if given:
        program = Path(given).expanduser().absolute() / "rabbitmq-server"
        return program if program.is_file() else None
    if DEBIAN_PROGRAM.is_file():
        return DEBIAN_PROGRAM
    on_path = shutil.which("rabbitmq-server", path=environment.get("PATH", os.defpath))
    return Path(on_path) if on_path else None


def _install() -> None:
    _logger.info("installing %s (about a minute)", PACKAGE)
    erlang_is_new = shutil.which("epmd") is None
    with no_service_starts():
        _run("apt-get", "update", "-q")
        _run("apt-get", "install", "-q", "-y", "--no-install-recommends", PACKAGE)
    # Not at the next boot either: its own node, and the epmd that Erlang came with.
    if shutil.which("update-rc.d"):
        _run("update-rc.d", PACKAGE, "disable")
    if erlang_is_new and shutil.which("systemctl"):
        _run("systemctl", "disable", "epmd.service", "epmd.socket")


@contextmanager
def no_service_starts(policy: Path = POLICY) -> Iterator[None]:
    """Keep the packages' own services from starting while they are installed.

    Debian asks /usr/sbin/policy-rc.d before it starts a service. One that is there already is
    the administrator's: it is left alone, and must refuse by itself.
    """
    try:
        policy.touch(mode=0o755, exist_ok=False)
    except FileExistsError:
        told = subprocess.run(  # noqa: S603 - Debian's own question
            [policy, PACKAGE, "start"], check=False, capture_output=True, timeout=30
        )
        if told.returncode != REFUSED:
            raise ServerMissing(
                f"{PACKAGE} is not installed, and {policy} would let its own node start. "
                f"Install it yourself: apt-get install {PACKAGE}"
            ) from None
        yield
        return
    try:
        policy.write_text(f"#!/bin/sh\nexit {REFUSED}\n", encoding="ascii")
        yield
    finally:
        policy.unlink()


def _run(*command: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - constant commands
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_INSTALL_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise ServerMissing(
            f"`{' '.join(command)}` did not end. Install {PACKAGE} yourself."
        ) from error
    if done.returncode != 0:
        last_lines = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
        raise ServerMissing(
            f"`{' '.join(command)}` failed (exit code {done.returncode}). Mend what it says, or "
            f"install {PACKAGE} yourself:\n{last_lines}"
        )
