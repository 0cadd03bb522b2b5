"""The queue of notifications: written in the same transaction as the fact that they tell."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shanmen.simulators.alipay.books import Books

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS notifications (
    notification_id INTEGER PRIMARY KEY AUTOINCREMENT,
    notify_id TEXT NOT NULL UNIQUE,
    method TEXT NOT NULL,
    app_id TEXT NOT NULL REFERENCES apps,
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


@dataclass(frozen=True)
class Notice:
    """What a merchant is to be told, by the method that caused it.

    `number` is the business number (of a refund, its request number) and `parent_number` the
    trade's; `fields` lacks what is added at each sending.
    """

    method: str
    app_id: str
    url: str
    number: str
    parent_number: str
    account_no: str
    fields: Mapping[str, str]


def enqueue(books: Books, notice: Notice) -> None:
    """Queue a notification; it is sent soon after the transaction is committed."""
    books.insert(
        "notifications",
        notify_id=books.next_number("00222"),
        **{
            **vars(notice),
            "fields": json.dumps(dict(notice.fields), ensure_ascii=False),
        },
        next_ms=books.now_ms,
        created_ms=books.now_ms,
    )
    books.leaves_work = True
