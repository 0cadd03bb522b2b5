"""Reading the ledger: at any time, as it is recorded now or was recorded once."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shanmen.common.db import Tx
from shanmen.common.errors import Invalid, NotFound
from shanmen.settlement.domain.ledger import balance_fen
from shanmen.settlement.queries import ledger
from shanmen.settlement.queries.ledger import Cut, Place
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.usecases.auditing import SETTLED_S

_INSTANT: Final = timedelta(microseconds=1)
"""The least difference of two times in the database."""

_ROWS_AT_ONCE: Final = 1000


@dataclass(frozen=True)
class AccountPeriod:
    """An account from an instant until before another, as recorded under numbers up to `upto`."""

    account: str
    start: datetime
    end: datetime
    upto: int | None = None

    @property
    def opening(self) -> Cut:
        """All that comes before."""
        return Cut(self.start, self.upto)

    @property
    def closing(self) -> Cut:
        """All that comes before its end."""
        return Cut(self.end, self.upto)


@dataclass(frozen=True)
class Line:
    """An entry of an account with its fact, and the balance after it."""

    entry: Record
    balance_fen: int

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.entry.occurred_at, self.entry.posting_id)


@dataclass(frozen=True)
class AccountStatement:
    """One page of an account's statement; the balances are those of the whole period."""

    opening_fen: int
    lines: Sequence[Line]
    closing_fen: int


async def cut_at(tx: Tx, at: datetime | None, recorded_by: datetime | None) -> Cut:
    """What had occurred at an instant, and was recorded by another. Raises Invalid."""
    return Cut(at + _INSTANT if at is not None else None, await number_by(tx, recorded_by))


async def number_by(tx: Tx, recorded_by: datetime | None) -> int | None:
    """The number up to which postings were recorded by an instant; None for all there are.

    Raises Invalid where more with lower numbers may still turn up: the answer could not be had
    again.
    """
    if recorded_by is None:
        return None
    number = await ledger.last_number(tx, recorded_by, settled_s=SETTLED_S)
    if number is None:
        raise Invalid(
            f"Give a time that is {SETTLED_S} s ago or more: what is recorded is certain then.",
            field="recorded_by",
        )
    return number


async def read_statement(
    tx: Tx, wanted: AccountPeriod, *, after: Place | None, limit: int
) -> AccountStatement:
    """A page of an account's statement, with one line more if there is another page.

    Raises Invalid for a period without an end after its start, NotFound for an account to which
    nothing was ever posted.
    """
    if wanted.start >= wanted.end:
        raise Invalid("A period ends after it begins.", field="to")
    if not await ledger.has_entries(tx, wanted.account):
        raise NotFound("account", wanted.account)
    opening_fen = _balance_fen(wanted, await ledger.sums_of(tx, wanted.account, wanted.opening))
    before_fen = opening_fen
    if after is not None:
        before_fen = _balance_fen(
            wanted, await ledger.sums_of(tx, wanted.account, wanted.closing, after)
        )
    rows = await ledger.entries_from(
        tx, wanted.account, wanted.closing, start=wanted.start, after=after, limit=limit
    )
    closing = await ledger.sums_of(tx, wanted.account, wanted.closing)
    return AccountStatement(
        opening_fen, _lines(wanted, rows, before_fen), _balance_fen(wanted, closing)
    )


async def read_whole_statement(
    tx: Tx, wanted: AccountPeriod, *, rows_at_once: int = _ROWS_AT_ONCE
) -> AsyncIterator[AccountStatement]:
    """A statement of any length, page by page. Raises as `read_statement` does."""
    page = await read_statement(tx, wanted, after=None, limit=rows_at_once)
    while True:
        lines = page.lines[:rows_at_once]
        yield replace(page, lines=lines)
        if len(page.lines) <= rows_at_once:
            return
        last = lines[-1]
        rows = await ledger.entries_from(
            tx,
            wanted.account,
            wanted.closing,
            start=wanted.start,
            after=last.place,
            limit=rows_at_once,
        )
        page = replace(page, lines=_lines(wanted, rows, last.balance_fen))


async def read_whole_trial_balance(
    tx: Tx, cut: Cut, *, prefix: str, include_zero: bool, rows_at_once: int = _ROWS_AT_ONCE
) -> AsyncIterator[Records]:
    """All accounts with their sums, page by page."""
    after: str | None = None
    while True:
        rows = await ledger.account_sums(
            tx, cut, prefix=prefix, include_zero=include_zero, after=after, limit=rows_at_once
        )
        yield rows[:rows_at_once]
        if len(rows) <= rows_at_once:
            return
        after = rows[rows_at_once - 1].account


def _lines(wanted: AccountPeriod, rows: Records, before_fen: int) -> Sequence[Line]:
    lines, running_fen = [], before_fen
    for row in rows:
        running_fen += balance_fen(wanted.account, row.debit_fen, row.credit_fen)
        lines.append(Line(row, running_fen))
    return lines


def _balance_fen(wanted: AccountPeriod, sums: Record) -> int:
    return balance_fen(wanted.account, int(sums.debit_fen), int(sums.credit_fen))
