"""docker-compose.yml as an installation sees it: with the secrets of a freshly made `.env`."""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

Container = Mapping[str, Any]
Interpolate = Callable[[Any, Mapping[str, str]], Any]

VARIABLE: Final = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::(?P<how>[-?])(?P<word>[^}]*))?\})"
)


@pytest.fixture(scope="session")
def compose(root: Path) -> Mapping[str, Any]:
    """The file as it is kept, its anchors resolved."""
    parsed: dict[str, Any] = yaml.safe_load((root / "docker-compose.yml").read_text("utf-8"))
    return parsed


@pytest.fixture(scope="session")
def env_file(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `.env` that `deploy/make_env.py --simulators` makes."""
    made = subprocess.run(
        [sys.executable, str(root / "deploy/make_env.py"), "--simulators"],
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    path = tmp_path_factory.mktemp("installation") / ".env"
    path.write_text(made.stdout, "utf-8")
    return path


@pytest.fixture(scope="session")
def env(env_file: Path) -> Mapping[str, str]:
    """The same, read as Compose reads it."""
    return read_env(env_file.read_text("utf-8"))


@pytest.fixture(scope="session")
def example(root: Path) -> Mapping[str, str]:
    """`deploy/env.example`, read alike."""
    return read_env((root / "deploy/env.example").read_text("utf-8"))


@pytest.fixture(scope="session")
def interpolate() -> Interpolate:
    """Puts variables in, as Compose does; KeyError with the file's own words for a missing one."""
    return put_in


@pytest.fixture(scope="session")
def containers(compose: Mapping[str, Any], env: Mapping[str, str]) -> Mapping[str, Container]:
    """Every container as it would be started, by name."""
    resolved: dict[str, Container] = put_in(compose["services"], env)
    return resolved


@pytest.fixture(scope="session")
def processes(containers: Mapping[str, Container]) -> Mapping[str, Container]:
    """The containers that run this project's own code."""
    return {name: one for name, one in containers.items() if one["image"].startswith("shanmen/")}


def read_env(text: str) -> dict[str, str]:
    """Lines `NAME=value` or `NAME='value'`; what is quoted is taken as it stands."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    pairs = (line.partition("=") for line in lines)
    return {name: value.removeprefix("'").removesuffix("'") for name, _, value in pairs}


def put_in(node: Any, values: Mapping[str, str]) -> Any:
    """A piece of the file with its `$$`, `${A}`, `${A:-default}` and `${A:?message}` replaced."""
    if isinstance(node, dict):
        return {key: put_in(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [put_in(item, values) for item in node]
    if isinstance(node, str):
        return VARIABLE.sub(lambda match: _value_of(match, values), node)
    return node


def _value_of(match: re.Match[str], values: Mapping[str, str]) -> str:
    if match["dollar"]:
        return "$"
    value = values.get(match["name"], "")
    if value or match["how"] is None:
        return value
    if match["how"] == "?":
        raise KeyError(match["word"])
    return match["word"]
