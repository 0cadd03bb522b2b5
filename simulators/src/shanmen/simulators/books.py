"""A channel's books: the journal of its accounts, and the one way in which money moves.

Amounts are integer fen, moments integer milliseconds since the epoch. Each channel has a table
`accounts` of its own making, with at least `account_no` and `balance_fen`, and one journal line
per movement and account.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shanmen.simulators.moments import china_date

JOURNAL_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    entry_id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_no TEXT NOT NULL REFERENCES accounts,
    kind TEXT NOT NULL,
    channel_no TEXT NOT NULL,
    business_no TEXT NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    counterparty_no TEXT,
    balance_after_fen INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    UNIQUE (account_no, kind, channel_no)
);
CREATE INDEX IF NOT EXISTS entries_by_business ON entries (account_no, business_no);
CREATE INDEX IF NOT EXISTS entries_by_time ON entries (account_no, at_ms);
CREATE TABLE IF NOT EXISTS counter (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1), last INTEGER NOT NULL
);
INSERT OR IGNORE INTO counter VALUES (1, 0);
"""

_OUTSIDE: Final = None
"""Counterparty of money that enters or leaves the channel."""


class BalanceTooLow(Exception):
    """The paying account holds less than the amount; nothing has moved."""


@dataclass(frozen=True)
class _Reason:
    """Why money moves; `kind` and `channel_no` together happen once."""

    kind: str
    channel_no: str
    business_no: str


class Books:
    """One transaction's view of the books, at one moment. Lives inside one store job.

    `movements` counts what has moved so far; `leaves_work` is set by whoever writes something
    that the background has to see to.
    """

    def __init__(self, connection: sqlite3.Connection, now_ms: int) -> None:
        self.connection = connection
        self.now_ms = now_ms
        self.movements = 0
        self.leaves_work = False

    def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        """The first row of a query, if there is one."""
        found: sqlite3.Row | None = self.connection.execute(sql, values).fetchone()
        return found

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """All rows of a query."""
        return self.connection.execute(sql, values).fetchall()

    def each(self, sql: str, *values: object) -> Iterator[sqlite3.Row]:
        """The rows of a query one by one, for when they may be many."""
        return self.connection.execute(sql, values)

    def write(self, sql: str, *values: object) -> int:
        """Execute one writing statement; how many rows it touched."""
        return self.connection.execute(sql, values).rowcount

    def insert(self, table: str, **columns: object) -> None:
        """Insert one row; table and column names come from code, never from a request."""
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        self.write(f"INSERT INTO {table} ({names}) VALUES ({marks})", *columns.values())

    def next_number(self, infix: str) -> str:
        """A new number of the channel: the China date, `infix`, and a running number."""
        row = self.row("UPDATE counter SET last = last + 1 RETURNING last")
        if row is None:
            raise LookupError("the counter row is missing from the books")
        return f"{china_date(self.now_ms):%Y%m%d}{infix}{row['last']:012d}"

    def account(self, account_no: str) -> sqlite3.Row | None:
        """An account by its number."""
        return self.row("SELECT * FROM accounts WHERE account_no = ?", account_no)

    def pay(
        self,
        *,
        kind: str,
        channel_no: str,
        business_no: str,
        payer_no: str,
        payee_no: str,
        amount_fen: int,
    ) -> None:
        """Move money between two accounts, with a journal line for each.

        Raises BalanceTooLow; sqlite3.IntegrityError if `kind` + `channel_no` moved before.
        """
        reason = _Reason(kind, channel_no, business_no)
        self._post(reason, payer_no, -amount_fen, payee_no)
        self._post(reason, payee_no, amount_fen, payer_no)
        self.movements += 1

    def add_from_outside(
        self, *, kind: str, reference: str, account_no: str, amount_fen: int
    ) -> None:
        """Top an account up, or take money off it when negative, as seen from outside.

        Raises BalanceTooLow; sqlite3.IntegrityError if `kind` + `reference` happened before.
        """
        self._post(_Reason(kind, reference, reference), account_no, amount_fen, _OUTSIDE)
        self.movements += 1

    def _post(
        self,
        reason: _Reason,
        account_no: str,
        change_fen: int,
        counterparty_no: str | None,
    ) -> None:
        updated = self.row(
            "UPDATE accounts SET balance_fen = balance_fen + ?1"
            " WHERE account_no = ?2 AND balance_fen + ?1 >= 0 RETURNING balance_fen",
            change_fen,
            account_no,
        )
        if updated is None:
            raise BalanceTooLow(account_no)
        self.insert(
            "entries",
            account_no=account_no,
            **vars(reason),
            direction="in" if change_fen > 0 else "out",
            amount_fen=abs(change_fen),
            counterparty_no=counterparty_no,
            balance_after_fen=updated["balance_fen"],
            at_ms=self.now_ms,
        )
