"""The commands: each says what it does, and each that a document names is there."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

RULE = re.compile(r"^(?P<target>[A-Za-z][\w-]*):(?!=)(?P<rest>.*)$", re.MULTILINE)
NAMED = re.compile(r"(?:`|^\s*(?:\$ )?)make (?P<target>[a-z][a-z-]*)", re.MULTILINE)


@pytest.fixture(scope="module")
def targets(root: Path) -> Mapping[str, str]:
    """Every target that people call, with the rest of its line."""
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    return {rule["target"]: rule["rest"] for rule in RULE.finditer(makefile)}


def test_every_command_is_described(targets: Mapping[str, str]) -> None:
    silent = [target for target, rest in targets.items() if not re.search(r" ## \w", rest)]
    assert not silent, f"Say after ` ## ` what these do: {silent}"


def test_help_lists_every_command(targets: Mapping[str, str], root: Path) -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "-C", str(root), "help"],  # noqa: S607 - the user's own
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    listed = re.findall(r"^  make (\S+) +\S", shown.stdout, re.MULTILINE)
    assert listed == [*targets]


def test_every_command_is_phony(targets: Mapping[str, str], root: Path) -> None:
    """A file called `test` or `docs` must not keep a command from running."""
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    phony = {
        name
        for line in re.findall(r"^\.PHONY:(.*)$", makefile, re.MULTILINE)
        for name in line.split()
    }
    assert targets.keys() <= phony


def test_documents_name_commands_that_exist(
    targets: Mapping[str, str], texts: Mapping[str, str]
) -> None:
    unknown = {
        f"{name}: make {named['target']}"
        for name, text in texts.items()
        if name.endswith(".md") or name == ".ci/run"
        for named in NAMED.finditer(text)
        if named["target"] not in targets
    }
    assert not unknown, f"Correct the document, or write the command: {unknown}"


def test_ci_runs_what_a_person_runs(root: Path) -> None:
    commands = [
        line
        for line in (root / ".ci/run").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith(("#", "set ", "cd ", "export "))
    ]
    assert commands == ["exec make test"]
