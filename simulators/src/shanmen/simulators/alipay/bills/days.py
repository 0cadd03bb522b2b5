"""The bill of a day: when there is one, and making it."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from shanmen.simulators.alipay.bills import files
from shanmen.simulators.alipay.bills.layouts import LAYOUTS
from shanmen.simulators.alipay.bills.spoilers import HONEST, SPOILERS
from shanmen.simulators.books import Books
from shanmen.simulators.moments import DAY_MS, china_date, china_midnight_ms, china_time

_READY_AFTER_MS: Final = 9 * 60 * 60_000
_YEARS_KEPT: Final = 6


@dataclass(frozen=True)
class Bill:
    """A bill's file, and how many rows of detail it has."""

    content: bytes
    rows: int


def is_ready(books: Books, day: date) -> bool:
    """Whether the bill of a day is there: from 09:00 of the next."""
    return books.now_ms >= china_midnight_ms(day) + DAY_MS + _READY_AFTER_MS


def is_kept(books: Books, day: date) -> bool:
    """Whether a day is not too long ago: bills go back six years."""
    today = china_date(books.now_ms)
    return (day.year + _YEARS_KEPT, day.month, day.day) >= (today.year, today.month, today.day)


def make(books: Books, account_no: str, day: date, bill_type: str, spoilt_by: str | None) -> Bill:
    """The bill of a day; `bill_type` is one of `LAYOUTS`, `spoilt_by` names one of `SPOILERS`."""
    layout = LAYOUTS[bill_type]
    spoiler = SPOILERS.get(spoilt_by or "", HONEST)
    account = books.account(account_no)
    if account is None:
        raise LookupError(f"there is no account {account_no} to make a bill of")
    first_ms = china_midnight_ms(day)
    lines = layout.read(books, account_no, first_ms, first_ms + DAY_MS)
    told = spoiler.lines(lines, layout.foreign(china_time(first_ms)))
    pen = files.Pen(layout, files.Heading(account["user_id"], day, books.now_ms), spoiler)
    return Bill(pen.write(told), pen.tally.lines)
