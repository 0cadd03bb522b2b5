"""Whole installations for tests: one process, and separate processes on a real broker."""

import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from shanmen.platform.api_client import ApiClient
from shanmen.platform.checks import check_installation
from shanmen.platform.demo import flow
from shanmen.platform.demo.narrator import Narrator
from shanmen.platform.installation import PORT_VARIABLES, Installation
from shanmen.platform.sample import Sample
from shanmen.platform.servers.postgres import EmbeddedPostgres
from shanmen.platform.servers.rabbitmq import EmbeddedRabbitMQ
from shanmen.platform.servers.state import StateDir
from shanmen.platform.servers.throwaway import throwaway_state

QUICK = {
    # What takes minutes at a real channel takes fractions of a second at a simulated one.
    "gateway-adapters": {
        "query_delays_s": [0.2, 0.4, 0.8, 1.6, 3.2],
        "absent_grace_s": 0.6,
        "throttle_delays_s": [0.2, 0.5, 1.0],
        "operation_window_s": 8.0,
        "recheck_ages_s": [0.5, 1.5, 3.0, 6.0, 12.0, 24.0],
    },
    "orders": {"deadline_sweep_s": 0.5},
    "verification": {"expiry_sweep_s": 0.5},
    "settlement": {"pay_waiting_s": 0.5},
}
SHANMEN = Path(os.environ.get("VIRTUAL_ENV", ".venv")) / "bin" / "shanmen"
START_WITHIN_S = 60.0
QUIET_WITHIN_S = 40.0


@dataclass(frozen=True)
class Stack:
    """A running installation, as an outsider sees it."""

    mode: str
    installation: Installation
    environment: dict[str, str]

    @property
    def sample(self) -> Sample:
        """The sample parties and their tokens."""
        return Sample(**self.installation.state.read_json(f"sample-{self.mode}"))

    def pid(self, process: str) -> int:
        """The number of a process of the separate-process mode, such as `orders-worker`."""
        folder = self.installation.state.path / "processes"
        return int((folder / f"{process}.pid").read_text())

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a `shanmen` command against this installation."""
        return subprocess.run(
            [SHANMEN, *command],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_WITHIN_S,
            check=False,
        )


@dataclass(frozen=True)
class Scene:
    """A stack with freshly onboarded parties and a published product."""

    stack: Stack
    client: httpx.AsyncClient
    cast: flow.Cast
    product_id: str

    async def alipay(self, path: str) -> Any:
        """Something out of Alipay's own books."""
        answer = await self.client.get(f"{self.stack.installation.url('alipay')}/admin/{path}")
        return answer.raise_for_status().json()

    def order_body(self, product_id: str, quantity: int) -> dict[str, Any]:
        """An order for today."""
        return flow.order_body(self.cast, product_id, quantity)

    def as_principal(self, token: str) -> ApiClient:
        """The API as whoever holds this token."""
        return ApiClient(self.client, self.stack.installation.url("edge"), token)


def command_environment(free_port: Callable[[], int]) -> dict[str, str]:
    """What a `shanmen` command needs, with ports that nobody else has."""
    ports: dict[str, int] = {}
    for name in PORT_VARIABLES:
        while (port := free_port()) in ports.values():
            continue
        ports[name] = port
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        **{PORT_VARIABLES[name]: str(port) for name, port in ports.items()},
    }


@pytest.fixture
def run_command(
    postgres_server: EmbeddedPostgres, free_port: Callable[[], int]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a `shanmen` command that has a world of its own, on the test's PostgreSQL."""

    def run(*command: str, within_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SHANMEN, *command],
            env={
                **command_environment(free_port),
                "DATABASE_URL": postgres_server.dsn("postgres"),
            },
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    return run


def _environment(
    state: StateDir,
    postgres: EmbeddedPostgres,
    rabbitmq: EmbeddedRabbitMQ | None,
    free_port: Callable[[], int],
) -> dict[str, str]:
    return {
        **command_environment(free_port),
        "SHANMEN_STATE": str(state.path),
        "DATABASE_URL": postgres.dsn("postgres"),
        "SHANMEN_OVERRIDES": json.dumps(QUICK),
        **({"AMQP_URL": rabbitmq.url} if rabbitmq else {}),
    }


def _stack(mode: str, state: StateDir, environment: dict[str, str], postgres: Any) -> Stack:
    ports = {name: int(environment[variable]) for name, variable in PORT_VARIABLES.items()}
    amqp_url = environment.get("AMQP_URL", "")
    return Stack(mode, Installation(mode, state, postgres, ports, amqp_url), environment)


@pytest.fixture(scope="session")
def single_stack(
    postgres_server: EmbeddedPostgres, free_port: Callable[[], int]
) -> Iterator[Stack]:
    """`shanmen run` as a user starts it, stopped as a user stops it."""
    with throwaway_state() as state:
        environment = _environment(state, postgres_server, None, free_port)
        stack = _stack("single", state, environment, postgres_server)
        log = state.path / "run.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [SHANMEN, "run"], env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            _await_line(log, "Ctrl-C stops everything", process)
            yield stack
        finally:
            process.terminate()
            assert process.wait(30) == 0, log.read_text()


@pytest.fixture(scope="session")
def separate_stack(
    postgres_server: EmbeddedPostgres,
    rabbitmq_server: EmbeddedRabbitMQ,
    free_port: Callable[[], int],
) -> Iterator[Stack]:
    """`shanmen up`, and `shanmen down` at the end."""
    with throwaway_state() as state:
        environment = _environment(state, postgres_server, rabbitmq_server, free_port)
        stack = _stack("up", state, environment, postgres_server)
        started = stack.run("up")
        try:
            assert started.returncode == 0, started.stdout + started.stderr
            yield stack
        finally:
            stopped = stack.run("down")
            assert stopped.returncode == 0, stopped.stdout + stopped.stderr


@pytest.fixture(params=["single", "separate"])
def stack(request: pytest.FixtureRequest) -> Stack:
    """Each mode in turn."""
    found: Stack = request.getfixturevalue(f"{request.param}_stack")
    return found


@pytest.fixture
async def scene(stack: Stack) -> AsyncIterator[Scene]:
    """Fresh parties and a product on each mode in turn."""
    async for found in _scene(stack):
        yield found


@pytest.fixture
async def separate_scene(separate_stack: Stack) -> AsyncIterator[Scene]:
    """Fresh parties and a product on separate processes."""
    async for found in _scene(separate_stack):
        yield found


async def _scene(stack: Stack) -> AsyncIterator[Scene]:
    """At the end of every flow, all invariants hold (`shanmen check`)."""
    narrator = Narrator(Console(quiet=True))
    async with httpx.AsyncClient(trust_env=False, timeout=40) as client:
        cast = await flow.onboard(stack.installation, client, stack.sample, narrator)
        product_id = await flow.publish(cast, narrator)
        yield Scene(stack, client, cast, product_id)
    report = await check_installation(stack.installation, quiet_within_s=QUIET_WITHIN_S)
    assert report.ok, report.text()


def _await_line(log: Path, line: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while line not in log.read_text():
        assert process.poll() is None, f"ended early:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"not up:\n{log.read_text()}"
        time.sleep(0.05)
