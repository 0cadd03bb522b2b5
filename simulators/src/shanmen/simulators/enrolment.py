"""Planting a channel's seed: what a seed file describes and the books lack."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from shanmen.simulators.books import Books
from shanmen.simulators.fields import BadInput, Fields

Section = tuple[str, str, Callable[[Books, object], str]]
"""A list in the seed file: its name, which is also the table's, the key, and what creates one."""


def read_seed(path: Path) -> object:
    """The content of a seed file, an object with a list per section. Raises BadInput."""
    try:
        content: object = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"the seed file {path} cannot be read: {error}") from error
    return content


def plant(books: Books, seed: object, sections: Iterable[Section]) -> None:
    """Create what the seed describes and the books lack; what exists stays as it is.

    Raises BadInput, and then nothing of the seed is kept.
    """
    fields = Fields(seed, "the seed file")
    planned = [(fields.items(name), name, key, put) for name, key, put in sections]
    fields.finish()
    for items, table, key, put in planned:
        for item in items:
            number = item.get(key) if isinstance(item, dict) else None
            if books.row(f"SELECT 1 FROM {table} WHERE {key} = ?", str(number)) is None:
                put(books, item)


def require_account(books: Books, account_no: str) -> None:
    """Raises BadInput where there is no such account."""
    if books.account(account_no) is None:
        raise BadInput(f"there is no account {account_no}; create it first")
