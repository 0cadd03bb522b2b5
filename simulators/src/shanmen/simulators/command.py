"""The command line of a channel's simulator."""

import argparse
import ipaddress
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp

from shanmen.simulators.serving import build_server
from shanmen.simulators.settings import Settings

_TOKEN_VARIABLE: Final = "SHANMEN_SIMULATOR_ADMIN_TOKEN"  # noqa: S105 - the name, not the token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def run(module: str, create_app: Callable[[Settings], ASGIApp]) -> None:
    """Read the command line of `python -m <module>`, then serve until told to stop."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the books and the key")
    parser.add_argument("--seed-file", type=Path, help="accounts and the like to create")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--notify-scale", type=float, default=1.0, help="factor on the waits between resendings"
    )
    given = parser.parse_args()
    token = os.environ.get(_TOKEN_VARIABLE)
    if not _is_loopback(given.host) and not token:
        parser.error(f"{given.host} is not loopback: set {_TOKEN_VARIABLE} to guard /admin")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = Settings(
        data_dir=given.data,
        seed_file=given.seed_file,
        admin_token=token or None,
        notify_scale=given.notify_scale,
    )
    build_server(create_app(settings), given.host, given.port).run()
