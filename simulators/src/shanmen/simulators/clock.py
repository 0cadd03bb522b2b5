"""How far a channel's day has been moved ahead of the clock on the wall; kept in its books."""

from typing import Final

from shanmen.simulators.books import Books

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS clock (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1), ahead_ms INTEGER NOT NULL
);
INSERT OR IGNORE INTO clock VALUES (1, 0);
"""


def ahead_ms(books: Books) -> int:
    """By how much the day has been moved so far."""
    row = books.row("SELECT ahead_ms FROM clock")
    return 0 if row is None else int(row["ahead_ms"])


def move(books: Books, by_ms: int) -> int:
    """Move the day further ahead, for good; by how much it has been moved then."""
    books.write("UPDATE clock SET ahead_ms = ahead_ms + ?", by_ms)
    return ahead_ms(books)
