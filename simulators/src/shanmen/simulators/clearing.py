"""When an accepted instruction is carried out: at once, as a rule, or later.

The channel may accept a payment or a payout and finish it afterwards (10003, DEALING). `Later`
says after how many queries or at which moment, and whether it ends well. Trades and transfers
keep it in the columns `ending`, `queries_left` and `due_ms`.
"""

import sqlite3
from dataclasses import dataclass

from shanmen.simulators.books import Books


@dataclass(frozen=True)
class Later:
    """Finish after `queries` queries or at `due_ms`, whichever is first; at least one is set."""

    succeeds: bool
    queries: int | None
    due_ms: int | None

    def columns(self) -> dict[str, object]:
        """The columns that remember it."""
        return {
            "ending": "success" if self.succeeds else "fail",
            "queries_left": self.queries,
            "due_ms": self.due_ms,
        }


def is_finished_by_query(books: Books, table: str, key: str, row: sqlite3.Row) -> bool:
    """Count one query against a waiting row; whether the row has to be finished now."""
    if row["ending"] is None or row["queries_left"] is None:
        return False
    if row["queries_left"] > 0:
        books.write(
            f"UPDATE {table} SET queries_left = queries_left - 1 WHERE {key} = ?", row[key]
        )
        return False
    return True
