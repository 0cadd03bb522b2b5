"""The books as the admin API shows them: integer fen, times in RFC 3339."""

import sqlite3
from collections.abc import Iterable

from shanmen.simulators.books import Books
from shanmen.simulators.moments import utc_time

_HIDDEN = frozenset({"fingerprint", "ending", "queries_left", "due_ms"})


def shown(row: sqlite3.Row) -> dict[str, object]:
    """One row: columns in milliseconds become `…_at` times, inner ones are left out."""
    return {
        (f"{name.removesuffix('_ms')}_at" if name.endswith("_ms") else name): (
            utc_time(value) if name.endswith("_ms") else value
        )
        for name, value in dict(row).items()
        if name not in _HIDDEN
    }


def entries(books: Books, account_no: str, after: int, limit: int) -> list[dict[str, object]]:
    """An account's journal in order, from behind entry `after`."""
    return shown_all(
        books.rows(
            "SELECT * FROM entries WHERE account_no = ? AND entry_id > ?"
            " ORDER BY entry_id LIMIT ?",
            account_no,
            after,
            limit,
        )
    )


def movements(books: Books, account_no: str, after: str, limit: int) -> list[dict[str, object]]:
    """What moved between an account and others, summed up per business number and in its order.

    `net_fen` is positive for what came in; a payment that was undone has two moves and nets zero.
    """
    return shown_all(
        books.rows(
            "SELECT business_no, count(*) AS moves,"
            " sum(CASE direction WHEN 'in' THEN amount_fen ELSE -amount_fen END) AS net_fen,"
            " group_concat(DISTINCT kind) AS kinds,"
            " min(counterparty_no) AS counterparty_no,"
            " count(DISTINCT counterparty_no) AS counterparties"
            " FROM entries WHERE account_no = ? AND business_no > ?"
            " AND counterparty_no IS NOT NULL"
            " GROUP BY business_no ORDER BY business_no LIMIT ?",
            account_no,
            after,
            limit,
        )
    )


def statements(books: Books, after: str, limit: int) -> list[dict[str, object]]:
    """Every account's balance, and what its journal says that it should be, by account number."""
    return shown_all(
        books.rows(
            "SELECT account_no, balance_fen, coalesce(sum("
            " CASE direction WHEN 'in' THEN amount_fen ELSE -amount_fen END), 0) AS journal_fen,"
            " coalesce(sum(CASE WHEN counterparty_no IS NULL THEN 0"
            " WHEN direction = 'in' THEN amount_fen ELSE -amount_fen END), 0) AS traded_fen"
            " FROM (SELECT account_no, balance_fen FROM accounts WHERE account_no > ?"
            " ORDER BY account_no LIMIT ?) LEFT JOIN entries USING (account_no)"
            " GROUP BY account_no, balance_fen ORDER BY account_no",
            after,
            limit,
        )
    )


def listed(
    books: Books, table: str, after: int, limit: int, status: str | None
) -> list[dict[str, object]]:
    """A table's rows in the order they came, each with its `position` to go on from."""
    condition, values = ("", ()) if status is None else (" AND status = ?", (status,))
    return shown_all(
        books.rows(
            f"SELECT rowid AS position, * FROM {table} WHERE rowid > ?{condition}"
            " ORDER BY rowid LIMIT ?",
            after,
            *values,
            limit,
        )
    )


def shown_all(rows: Iterable[sqlite3.Row]) -> list[dict[str, object]]:
    """Each of these rows as `shown` shows it."""
    return [shown(row) for row in rows]
