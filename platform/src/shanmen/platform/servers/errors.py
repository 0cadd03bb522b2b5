"""Why a private server is not running. Every message ends with what to do.

ServerError
├── PortTaken         another process listens there
├── ServerMissing     the program is not on this machine
├── ServerFailed      it was started and did not come up, or did not stop
├── ServerInUse       another live process of this project has started it and keeps it
└── StateUnusable     the folder that should hold its data cannot be used
"""

from pathlib import Path

from shanmen.common.errors import ShanmenError


class ServerError(ShanmenError):
    """Root of what can go wrong with a private server; its text is meant for a person."""


class PortTaken(ServerError):
    """Another process listens on `port`; `variable` is the setting that moves ours elsewhere."""

    def __init__(self, port: int, variable: str, holder: str | None) -> None:
        who = holder or "another process"
        super().__init__(
            f"Port {port} is taken by {who}. Stop it, or choose another port with {variable}=…"
        )
        self.port = port
        self.variable = variable


class ServerMissing(ServerError):
    """A program that is needed is not installed and cannot be installed from here."""


class ServerFailed(ServerError):
    """A server that ended, or did not answer in time; carries the end of its log."""

    def __init__(self, what: str, log: Path, last_lines: str) -> None:
        lines = f"\nThe end of its log {log}:\n{last_lines}" if last_lines else f"\nLog: {log}"
        super().__init__(f"{what}{lines}")
        self.log = log


class ServerInUse(ServerError):
    """Another live process has started this server and will stop it."""

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(
            f"{name} is already running for {holder}. Stop that first (Ctrl-C in its terminal, "
            "or `make down`), or give this one a state folder of its own with SHANMEN_STATE=…"
        )


class StateUnusable(ServerError):
    """The state folder cannot be made, or the server's account cannot reach it."""
