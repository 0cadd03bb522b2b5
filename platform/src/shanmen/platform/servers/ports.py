"""Which ports the private servers listen on: fixed ones, below the range that the kernel hands
out for outgoing connections (32768 and up on Linux), so that no connection can sit on them."""

import errno
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

from shanmen.platform.servers.errors import PortTaken, ServerError

LOOPBACK = "127.0.0.1"

DEFAULT_PORTS: Mapping[str, int] = {
    "SHANMEN_POSTGRES_PORT": 21432,
    "SHANMEN_EPMD_PORT": 21669,
    "SHANMEN_RABBITMQ_PORT": 21672,
    "SHANMEN_RABBITMQ_DIST_PORT": 21673,
    "SHANMEN_PORT": 18080,
    "SHANMEN_CATALOG_PORT": 18081,
    "SHANMEN_ORDERS_PORT": 18082,
    "SHANMEN_SETTLEMENT_PORT": 18083,
    "SHANMEN_VERIFICATION_PORT": 18084,
    "SHANMEN_GATEWAY_PORT": 18085,
    "SHANMEN_ALIPAY_PORT": 18090,
    "SHANMEN_SMS_PORT": 18091,
    "SHANMEN_HUIJINBAO_PORT": 18092,
}
TEST_PORTS = range(20_000, 32_000)

_LISTENING = "0A"  # proc(5), /proc/net/tcp, column `st`


def port_from_environment(variable: str, environment: Mapping[str, str] = os.environ) -> int:
    """The port that `variable` names, else its default; ServerError when it is no port number."""
    text = environment.get(variable, "").strip()
    if not text:
        return DEFAULT_PORTS[variable]
    if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= 65_535:
        raise ServerError(f"{variable}={text!r} is not a port. Give a number from 1024 to 65535.")
    return int(text)


def require_free_port(port: int, variable: str) -> None:
    """Raise PortTaken, naming who holds the port where that can be seen, unless it is free."""
    if not is_free(port):
        raise PortTaken(port, variable, holder_of(port))


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections in TIME_WAIT after the last run do not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def free_port() -> int:
    """A free port for a test's server. Drawn at random, so that test runs side by side rarely
    draw the same one between this look and the server's own bind."""
    for _ in range(200):
        port = TEST_PORTS.start + secrets.randbelow(len(TEST_PORTS))
        if is_free(port):
            return port
    raise ServerError(f"No free port among {TEST_PORTS.start}-{TEST_PORTS.stop - 1}.")


def holder_of(port: int) -> str | None:
    """`name (process 123)` of the process that listens on `port`; None where /proc hides it."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not sockets:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(entry.readlink()) in sockets for entry in (process / "fd").iterdir()):
                name = (process / "comm").read_text().strip()
                return f"{name} (process {process.name})"
        except OSError:  # ended meanwhile, or another user's
            continue
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == _LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(columns[9])
    return inodes
