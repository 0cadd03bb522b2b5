"""Sending notifications until the merchant accepts them.

Alipay's rule: a form is posted to the merchant, signed over all fields but `sign` and
`sign_type`; anything but the seven characters `success` means that it comes again, with the same
`notify_id`, after 4 min, 10 min, 10 min, 1 h, 2 h, 6 h and 15 h.
"""

import json
import sqlite3
from collections.abc import Callable
from typing import Final

from shanmen.simulators.alipay import faults
from shanmen.simulators.alipay.books import Books
from shanmen.simulators.alipay.methods.call import Parties
from shanmen.simulators.alipay.signing import SigningKey, notification_content
from shanmen.simulators.alipay.wire import china_time, utc_time

ACCEPTED: Final = b"success"

_MINUTE_MS: Final = 60_000
_WAITS_MS: Final = tuple(
    minutes * _MINUTE_MS for minutes in (4, 10, 10, 60, 2 * 60, 6 * 60, 15 * 60)
)
_LEASE_MS: Final = 60_000
"""A sending that never reported back, because the process died, is repeated after this."""
_LATE_MS: Final = 5_000


def take_due(books: Books, limit: int) -> list[sqlite3.Row]:
    """The notifications to send now; each is leased, and comes back if no result is recorded."""
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


def next_due_ms(books: Books) -> int | None:
    """When the next sending is due, if any is pending."""
    row = books.row("SELECT min(next_ms) AS at_ms FROM notifications WHERE status = 'pending'")
    return None if row is None else row["at_ms"]


def record_result(
    books: Books, row: sqlite3.Row, *, is_accepted: bool, schedule_scale: float
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
        _release_overtaken(books, row)
    elif attempts > len(_WAITS_MS):
        _update(books, row, status="given_up", attempts=attempts, finished_ms=books.now_ms)
    else:
        wait_ms = round(_WAITS_MS[attempts - 1] * schedule_scale)
        _update(books, row, attempts=attempts, next_ms=books.now_ms + wait_ms)
    books.leaves_work = True


def form(row: sqlite3.Row, key: SigningKey, now_ms: int) -> dict[str, str]:
    """The signed form of one sending."""
    fields: dict[str, str] = json.loads(row["fields"])
    fields |= {
        "notify_id": row["notify_id"],
        "app_id": row["app_id"],
        "charset": "utf-8",
        "sign_type": "RSA2",
    }
    if "msg_method" in fields:
        fields |= {"version": "1.1", "utc_timestamp": str(now_ms)}
    else:
        fields |= {
            "version": "1.0",
            "auth_app_id": row["app_id"],
            "notify_time": china_time(now_ms),
        }
    content = notification_content(fields)
    fields["sign"] = key.sign(content + b"&forged=1" if row["is_forged"] else content)
    return fields


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
        parties=lambda: Parties(row["account_no"], None),
    )
    _update(books, row, status="pending")
    fault = faults.take_for_notification(books, subject)
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


def _release_overtaken(books: Books, row: sqlite3.Row) -> None:
    """A later notification has arrived: the ones held back for reordering may go now."""
    books.write(
        "UPDATE notifications SET next_ms = ? WHERE status = 'pending' AND attempts = 0"
        " AND fault = 'notify_reordered' AND app_id = ? AND notification_id < ?",
        books.now_ms,
        row["app_id"],
        row["notification_id"],
    )


def _update(books: Books, row: sqlite3.Row, **columns: object) -> None:
    assignments = ", ".join(f"{name} = ?" for name in columns)
    books.write(
        f"UPDATE notifications SET {assignments} WHERE notification_id = ?",
        *columns.values(),
        row["notification_id"],
    )
