"""deploy/Dockerfile makes an image of one service, pinned, without secrets, for no root."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from shanmen.platform.services import SERVICES

FOLDERS: Final = {
    "libs": "libs/common/src",
    "services": "services",
    "simulators": "simulators/src",
}
"""What of each folder that is copied ends up in an image."""


@pytest.fixture(scope="session")
def dockerfile(root: Path) -> str:
    """The Dockerfile, its continued lines joined."""
    return (root / "deploy/Dockerfile").read_text("utf-8").replace("\\\n", " ")


def instructions(dockerfile: str, name: str) -> list[str]:
    """What follows an instruction, each time, blanks made single."""
    found = re.findall(rf"^{name} +(.+)$", dockerfile, re.MULTILINE)
    return [" ".join(words.split()) for words in found]


def test_hadolint_has_nothing_to_say(root: Path) -> None:
    checked = subprocess.run(
        [str(Path(sys.executable).parent / "hadolint"), str(root / "deploy/Dockerfile")],
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert (checked.returncode, checked.stdout) == (0, "")


def test_it_runs_as_the_user_that_containers_run_as(
    dockerfile: str, processes: Mapping[str, Mapping[str, Any]]
) -> None:
    last_stage = dockerfile.rpartition("\nFROM ")[2]
    (user,) = instructions(last_stage, "USER")
    assert user == "10001:10001"
    assert {container["user"] for container in processes.values()} == {user}
    # A user that is named late would have run the instructions after it, were there any.
    assert not re.search(r"^(RUN|COPY|ADD) ", last_stage.partition("\nUSER ")[2], re.MULTILINE)


def test_the_base_is_pinned_and_of_our_python(dockerfile: str, root: Path) -> None:
    (base,) = [word for word in instructions(dockerfile, "ARG") if word.startswith("BASE_IMAGE=")]
    version = re.fullmatch(r"BASE_IMAGE=python:(\d+\.\d+)\.\d+-slim-bookworm", base)
    assert version is not None
    tools = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]
    assert version[1] == tools["mypy"]["python_version"]
    stages = {words.split()[0] for words in instructions(dockerfile, "FROM")}
    assert stages == {"${BASE_IMAGE}", "packages"}


def test_it_is_told_which_service_and_nothing_else(dockerfile: str) -> None:
    told = {words.partition("=")[0] for words in instructions(dockerfile, "ARG")}
    assert told == {"BASE_IMAGE", "SERVICE"}


def test_packages_come_by_their_hashes_and_alone(dockerfile: str) -> None:
    (packages, ours) = [
        words for words in instructions(dockerfile, "RUN") if "pip install" in words
    ]
    assert "--require-hashes" in packages
    assert "requirements/runtime.txt" in packages
    assert "--no-deps" in packages
    assert "--no-deps --no-build-isolation" in ours


def test_what_is_taken_out_again_is_needed_by_no_service(dockerfile: str, root: Path) -> None:
    (removed,) = re.findall(r"pip uninstall --yes +(.+)$", dockerfile, re.MULTILINE)
    names = set(removed.split())
    pinned = re.findall(r"^([\w.-]+)(?:\[.*?\])?==", _lock(root), re.MULTILINE)
    assert names - {"pip", "setuptools"} <= set(pinned)
    modules = {name.replace("-", "_") for name in names}
    for folder in FOLDERS.values():
        for file in (root / folder).rglob("*.py"):
            if "src" in file.parts and "testing" not in file.parts:
                assert not _imports(file) & modules, file


def test_it_copies_what_the_build_is_given(dockerfile: str, root: Path) -> None:
    given = {
        line.removeprefix("!").rstrip("/")
        for line in (root / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    assert given == {
        "requirements/runtime.txt",
        *("libs/common/pyproject.toml", "libs/common/src"),
        *("services/*/pyproject.toml", "services/*/src"),
        *("simulators/pyproject.toml", "simulators/src"),
    }
    copied = {
        words.split()[0]
        for words in instructions(dockerfile, "COPY")
        if not words.startswith("--from=")
    }
    assert copied == {"requirements/runtime.txt", *FOLDERS}
    for pattern in given:
        assert list(root.glob(pattern)), pattern


def test_every_service_can_be_named(root: Path) -> None:
    folders = {path.parent.name for path in (root / "services").glob("*/pyproject.toml")}
    assert folders == {service.name for service in SERVICES}


def _lock(root: Path) -> str:
    return (root / "requirements/runtime.txt").read_text("utf-8")


def _imports(file: Path) -> set[str]:
    """The top-level modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found
