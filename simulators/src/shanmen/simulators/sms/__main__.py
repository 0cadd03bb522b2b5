"""`python -m shanmen.simulators.sms`: the SMS gateway in a process of its own."""

import argparse
import logging
import os
from pathlib import Path
from typing import Final

from shanmen.simulators.serving import build_server
from shanmen.simulators.sms.app import Settings, create_app

_SECRET_VARIABLE: Final = "SHANMEN_SMS_SECRET"  # noqa: S105 - the name, not the secret


def main() -> None:
    """Read the command line, then serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m shanmen.simulators.sms")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the messages")
    parser.add_argument("--host", default="127.0.0.1")
    given = parser.parse_args()
    secret = os.environ.get(_SECRET_VARIABLE)
    if not secret:
        parser.error(f"set {_SECRET_VARIABLE} to the secret that senders sign with")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    app = create_app(Settings(data_dir=given.data, secret=secret))
    build_server(app, given.host, given.port).run()


if __name__ == "__main__":
    main()
