"""What the tidy tests look at: the files of this checkout that git keeps, or is about to."""

import ast
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def root(pytestconfig: pytest.Config) -> Path:
    """The checkout."""
    return pytestconfig.rootpath


@pytest.fixture(scope="session")
def kept(root: Path) -> Sequence[str]:
    """Every file, as a path below the checkout."""
    # The owner of a checkout need not be the one who tests it.
    git = ["git", "-c", "safe.directory=*", "-C", str(root)]
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    names = listed.stdout.rstrip("\0").split("\0")
    return sorted(name for name in names if (root / name).is_file())


@pytest.fixture(scope="session")
def texts(root: Path, kept: Sequence[str]) -> Mapping[str, str]:
    """The text of every file; what is not text has none."""
    found = {}
    for name in kept:
        content = (root / name).read_bytes()
        if b"\0" not in content:
            found[name] = content.decode()
    return found


@pytest.fixture(scope="session")
def modules(texts: Mapping[str, str]) -> Mapping[str, ast.Module]:
    """Every Python file, parsed."""
    return {name: ast.parse(text, name) for name, text in texts.items() if name.endswith(".py")}
