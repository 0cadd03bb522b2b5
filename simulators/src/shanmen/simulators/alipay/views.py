"""The books as the admin API shows them: integer fen, times in RFC 3339."""

import sqlite3
from collections.abc import Iterable

from shanmen.simulators.alipay.books import Books
from shanmen.simulators.alipay.wire import utc_time

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
    return _shown_all(
        books.rows(
            "SELECT * FROM entries WHERE account_no = ? AND entry_id > ?"
            " ORDER BY entry_id LIMIT ?",
            account_no,
            after,
            limit,
        )
    )


def listed(
    books: Books, table: str, after: int, limit: int, status: str | None
) -> list[dict[str, object]]:
    """A table's rows in the order they came, each with its `position` to go on from."""
    condition, values = ("", ()) if status is None else (" AND status = ?", (status,))
    return _shown_all(
        books.rows(
            f"SELECT rowid AS position, * FROM {table} WHERE rowid > ?{condition}"
            " ORDER BY rowid LIMIT ?",
            after,
            *values,
            limit,
        )
    )


def trade(books: Books, out_trade_no: str) -> dict[str, object] | None:
    """One trade with its refunds, by the merchant's number or the channel's."""
    row = books.row("SELECT * FROM trades WHERE out_trade_no = ?1 OR trade_no = ?1", out_trade_no)
    if row is None:
        return None
    refunds = books.rows(
        "SELECT * FROM refunds WHERE trade_no = ? ORDER BY rowid", row["trade_no"]
    )
    return {**shown(row), "refunds": _shown_all(refunds)}


def transfer(books: Books, out_biz_no: str) -> dict[str, object] | None:
    """One payout, by the merchant's number or the channel's."""
    row = books.row("SELECT * FROM transfers WHERE out_biz_no = ?1 OR order_id = ?1", out_biz_no)
    return None if row is None else shown(row)


def _shown_all(rows: Iterable[sqlite3.Row]) -> list[dict[str, object]]:
    return [shown(row) for row in rows]
