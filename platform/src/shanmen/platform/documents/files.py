"""Writes the generated documents, and says which of them are not what the code says.

Generated folders hold nothing else: a file in them that the code does not account for is stale.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from shanmen.platform.documents.api import api_documents
from shanmen.platform.documents.events import event_documents
from shanmen.platform.documents.states import state_documents

GENERATED: Final = ("docs/api", "docs/events", "docs/states")
"""The folders, below the checkout, that hold generated documents only."""


def write_documents(root: Path) -> list[Path]:
    """Bring the generated documents below `root` up to date; returns what was changed."""
    wanted, changed = documents(), stale_documents(root)
    for path in changed:
        text = wanted.get(path.relative_to(root).as_posix())
        if text is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return changed


def stale_documents(root: Path) -> list[Path]:
    """Generated documents below `root` that are missing, differ, or should not be there."""
    wanted = {root / name: text for name, text in documents().items()}
    present = {
        path for folder in GENERATED for path in (root / folder).rglob("*") if path.is_file()
    }
    differing = {
        path
        for path, text in wanted.items()
        if path not in present or path.read_text(encoding="utf-8") != text
    }
    return sorted(differing | (present - wanted.keys()))


@cache  # the code that they describe does not change under us
def documents() -> Mapping[str, str]:
    """Every generated document: its path below the checkout, and its whole text."""
    return {**api_documents(), **event_documents(), **state_documents()}
