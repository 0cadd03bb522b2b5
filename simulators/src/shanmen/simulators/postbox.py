"""The queue of notifications: sent until the merchant accepts them, on the channel's schedule.

A notification is written in the same transaction as the fact that it tells. Each channel adds
the columns that say what is told, and makes the message of one sending itself.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from shanmen.simulators import faults
from shanmen.simulators.books import Books
from shanmen.simulators.moments import utc_time

NOTIFICATION_KINDS: Final = frozenset(
    {"notify_duplicate", "notify_late", "notify_missing", "notify_reordered", "notify_forged"}
)
"""Faults of a notification."""

_KINDS: Final = dict.fromkeys(NOTIFICATION_KINDS, faults.Kind[None, None]())
_LEASE_MS: Final = 60_000
"""A sending that never reported back, because the process died, is repeated after this."""
_LATE_MS: Final = 5_000


def schema(addressee: str, table: str) -> str:
    """The table of notifications; `addressee` is the column that names a row of `table`."""
    return f"""
CREATE TABLE IF NOT EXISTS notifications (
    notification_id INTEGER PRIMARY KEY AUTOINCREMENT,
    notify_id TEXT NOT NULL UNIQUE,
    method TEXT NOT NULL,
    {addressee} TEXT NOT NULL REFERENCES {table},
    url TEXT NOT NULL,
    number TEXT NOT NULL,
    parent_number TEXT NOT NULL,
    account_no TEXT NOT NULL,
    fields TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'new',
    fault TEXT,
    is_forged INTEGER NOT NULL DEFAULT 0,
    copies_left INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    finished_ms INTEGER
);
CREATE INDEX IF NOT EXISTS notifications_open ON notifications (status, next_ms)
    WHERE status IN ('new', 'pending');
"""


def enqueue(books: Books, *, fields: Mapping[str, object], **columns: str) -> None:
    """Queue a notification; it is sent soon after the transaction is committed.

    `columns` are `method`, `url`, `number`, `parent_number`, `account_no` and the addressee;
    `fields` is what is told, and lacks what is added at each sending.
    """
    books.insert(
        "notifications",
        notify_id=books.next_number("00222"),
        **columns,
        fields=json.dumps(dict(fields), ensure_ascii=False),
        next_ms=books.now_ms,
        created_ms=books.now_ms,
    )
    books.leaves_work = True


@dataclass(frozen=True)
class Postbox:
    """How a channel sends: whom to (a column), and how long it waits before each resending."""

    addressee: str
    waits_ms: tuple[int, ...]

    def take_due(self, books: Books, limit: int) -> list[sqlite3.Row]:
        """The notifications to send now; each is leased, and comes back without a result."""
        for row in books.rows("SELECT * FROM notifications WHERE status = 'new'"):
            _admit(books, row)
        due = books.rows(
            "SELECT * FROM notifications WHERE status = 'pending' AND next_ms <= ?"
            " ORDER BY next_ms, notification_id LIMIT ?",
            books.now_ms,
            limit,
        )
        for row in due:
            _update(books, row, next_ms=books.now_ms + _LEASE_MS)
        return due

    def next_due_ms(self, books: Books) -> int | None:
        """When the next sending is due, if any is pending."""
        row = books.row("SELECT min(next_ms) AS at_ms FROM notifications WHERE status = 'pending'")
        return None if row is None else row["at_ms"]

    def record_result(
        self, books: Books, row: sqlite3.Row, *, is_accepted: bool, schedule_scale: float
    ) -> None:
        """Note how a sending went, and plan the next one if there has to be one."""
        attempts = row["attempts"] + 1
        if row["is_forged"]:
            _update(books, row, status="forged", attempts=attempts, finished_ms=books.now_ms)
        elif is_accepted and row["copies_left"]:
            _update(
                books,
                row,
                attempts=attempts,
                copies_left=row["copies_left"] - 1,
                next_ms=books.now_ms,
            )
        elif is_accepted:
            _update(books, row, status="delivered", attempts=attempts, finished_ms=books.now_ms)
            self._release_overtaken(books, row)
        elif attempts > len(self.waits_ms):
            _update(books, row, status="given_up", attempts=attempts, finished_ms=books.now_ms)
        else:
            wait_ms = round(self.waits_ms[attempts - 1] * schedule_scale)
            _update(books, row, attempts=attempts, next_ms=books.now_ms + wait_ms)
        books.leaves_work = True

    def _release_overtaken(self, books: Books, row: sqlite3.Row) -> None:
        """A later notification has arrived: the ones held back for reordering may go now."""
        books.write(
            "UPDATE notifications SET next_ms = ? WHERE status = 'pending' AND attempts = 0"
            f" AND fault = 'notify_reordered' AND {self.addressee} = ? AND notification_id < ?",
            books.now_ms,
            row[self.addressee],
            row["notification_id"],
        )


def described(row: sqlite3.Row) -> dict[str, object]:
    """A notification as the admin API shows it."""
    return {
        "notify_id": row["notify_id"],
        "method": row["method"],
        "number": row["number"],
        "url": row["url"],
        "status": row["status"],
        "fault": row["fault"],
        "attempts": row["attempts"],
        "fields": json.loads(row["fields"]),
        "created_at": utc_time(row["created_ms"]),
        "next_at": utc_time(row["next_ms"]) if row["status"] == "pending" else None,
        "finished_at": utc_time(row["finished_ms"]),
    }


def _admit(books: Books, row: sqlite3.Row) -> None:
    """Make a new notification ready to send, as honestly as the ordered faults allow."""
    subject = faults.Subject(
        method=row["method"],
        numbers={row["number"], row["parent_number"]},
        parties=lambda: faults.Parties(row["account_no"], None),
    )
    _update(books, row, status="pending")
    fault = faults.take(books, subject, _KINDS)
    if fault is not None:
        _update(books, row, fault=fault.kind)
        _TREATMENTS[fault.kind](books, row, fault)


def _duplicate(books: Books, row: sqlite3.Row, fault: faults.Fault) -> None:
    _update(books, row, copies_left=fault.options.get("copies", 1))


def _late(books: Books, row: sqlite3.Row, fault: faults.Fault) -> None:
    _update(books, row, next_ms=books.now_ms + (fault.delay_ms or _LATE_MS))


def _missing(books: Books, row: sqlite3.Row, _fault: faults.Fault) -> None:
    _update(books, row, status="suppressed", finished_ms=books.now_ms)


def _forge(books: Books, row: sqlite3.Row, fault: faults.Fault) -> None:
    """Send one with a wrong signature first; the honest one follows."""
    forged = dict(row)
    del forged["notification_id"]
    forged |= {
        "notify_id": books.next_number("00222"),
        "status": "pending",
        "fault": fault.kind,
        "is_forged": 1,
    }
    books.insert("notifications", **forged)
    _update(books, row, next_ms=books.now_ms + (fault.delay_ms or 0))


_TREATMENTS: Final[dict[str, Callable[[Books, sqlite3.Row, faults.Fault], None]]] = {
    "notify_duplicate": _duplicate,
    "notify_late": _late,
    "notify_missing": _missing,
    "notify_reordered": _late,
    "notify_forged": _forge,
}


def _update(books: Books, row: sqlite3.Row, **columns: object) -> None:
    assignments = ", ".join(f"{name} = ?" for name in columns)
    books.write(
        f"UPDATE notifications SET {assignments} WHERE notification_id = ?",
        *columns.values(),
        row["notification_id"],
    )
