"""Wealth products and the positions in them: principal in lots, yield by the day.

A position belongs to an account, a product and the merchant's business number. Its yield of a day
is principal × yield_10k / 10 000, where the principal is what is confirmed when the day ends;
fractions of a fen are carried over, so that the days add up to the floor of the exact sum. Days
are days in China, and are accrued as soon as they are over, by whoever comes next.

A product's money is in an account of its own: principal comes from investors, yield from outside.
"""

import sqlite3
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from shanmen.simulators.books import BalanceTooLow, Books
from shanmen.simulators.moments import china_date

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS products (
    product_code TEXT PRIMARY KEY,
    account_no TEXT NOT NULL UNIQUE REFERENCES accounts,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    yield_10k_e4 INTEGER NOT NULL CHECK (yield_10k_e4 >= 0),
    fast_limit_fen INTEGER
);
CREATE TABLE IF NOT EXISTS product_yields (
    product_code TEXT NOT NULL REFERENCES products,
    date TEXT NOT NULL,
    yield_10k_e4 INTEGER NOT NULL CHECK (yield_10k_e4 >= 0),
    PRIMARY KEY (product_code, date)
);
CREATE TABLE IF NOT EXISTS positions (
    position_id INTEGER PRIMARY KEY AUTOINCREMENT,
    account_no TEXT NOT NULL REFERENCES accounts,
    product_code TEXT NOT NULL REFERENCES products,
    biz_no TEXT NOT NULL,
    yield_fen INTEGER NOT NULL DEFAULT 0,
    yield_paid_fen INTEGER NOT NULL DEFAULT 0 CHECK (yield_paid_fen BETWEEN 0 AND yield_fen),
    fraction_e8 INTEGER NOT NULL DEFAULT 0 CHECK (fraction_e8 BETWEEN 0 AND 99999999),
    accrued_until TEXT NOT NULL,
    UNIQUE (account_no, product_code, biz_no)
);
CREATE INDEX IF NOT EXISTS positions_by_accrual ON positions (accrued_until);
CREATE TABLE IF NOT EXISTS lots (
    lot_id INTEGER PRIMARY KEY AUTOINCREMENT,
    position_id INTEGER NOT NULL REFERENCES positions,
    confirm_date TEXT NOT NULL,
    remaining_fen INTEGER NOT NULL CHECK (remaining_fen >= 0)
);
CREATE INDEX IF NOT EXISTS lots_open ON lots (position_id, lot_id) WHERE remaining_fen > 0;
CREATE TABLE IF NOT EXISTS position_yields (
    position_id INTEGER NOT NULL REFERENCES positions,
    date TEXT NOT NULL,
    principal_fen INTEGER NOT NULL,
    yield_10k_e4 INTEGER NOT NULL,
    yield_fen INTEGER NOT NULL,
    PRIMARY KEY (position_id, date)
);
"""

OPEN: Final = "OPEN"
CLOSED: Final = "CLOSED"

_ONE_DAY: Final = timedelta(days=1)
_E8: Final = 10**8
"""A yield_10k has four decimals and is for 10 000 of principal: together eight decimals."""


@dataclass(frozen=True)
class Taken:
    """Principal taken out of a position; `confirm_date` is that of the newest lot in it."""

    principal_fen: int
    confirm_date: str


@dataclass(frozen=True)
class Holding:
    """What a position, or several, hold at this moment."""

    principal_fen: int
    pending_in_fen: int
    pending_out_fen: int
    accrued_fen: int

    @property
    def total_fen(self) -> int:
        """Everything that is not back on the account yet."""
        return self.principal_fen + self.pending_in_fen + self.pending_out_fen + self.accrued_fen


def find_product(books: Books, product_code: str) -> sqlite3.Row | None:
    """A wealth product by its code."""
    return books.row("SELECT * FROM products WHERE product_code = ?", product_code)


def find_positions(
    books: Books, account_no: str, product_code: str, biz_no: str | None
) -> list[sqlite3.Row]:
    """An account's positions in a product: one by its business number, or all."""
    return books.rows(
        "SELECT * FROM positions WHERE account_no = ?1 AND product_code = ?2"
        " AND (?3 IS NULL OR biz_no = ?3) ORDER BY position_id",
        account_no,
        product_code,
        biz_no,
    )


def open_position(books: Books, account_no: str, product_code: str, biz_no: str) -> int:
    """The id of a position, made where it does not exist yet."""
    books.write(
        "INSERT OR IGNORE INTO positions (account_no, product_code, biz_no, accrued_until)"
        " VALUES (?, ?, ?, ?)",
        account_no,
        product_code,
        biz_no,
        china_date(books.now_ms).isoformat(),
    )
    [row] = find_positions(books, account_no, product_code, biz_no)
    position_id: int = row["position_id"]
    return position_id


def next_confirm_date(books: Books) -> str:
    """When money that comes in now starts to earn: the next day."""
    return (china_date(books.now_ms) + _ONE_DAY).isoformat()


def add_lot(books: Books, position_id: int, principal_fen: int, confirm_date: str) -> None:
    """Put principal into a position, earning from `confirm_date`."""
    books.insert(
        "lots", position_id=position_id, confirm_date=confirm_date, remaining_fen=principal_fen
    )


def take_principal(books: Books, position_id: int, principal_fen: int) -> Taken:
    """Take principal out of a position, oldest lot first. Raises BalanceTooLow.

    What is not confirmed yet can be taken as well: it has earned nothing.
    """
    missing_fen, confirm_date = principal_fen, ""
    for lot in books.rows(
        "SELECT * FROM lots WHERE position_id = ? AND remaining_fen > 0 ORDER BY lot_id",
        position_id,
    ):
        part_fen = min(missing_fen, lot["remaining_fen"])
        if not part_fen:
            break
        books.write(
            "UPDATE lots SET remaining_fen = remaining_fen - ? WHERE lot_id = ?",
            part_fen,
            lot["lot_id"],
        )
        missing_fen -= part_fen
        confirm_date = max(confirm_date, lot["confirm_date"])
    if missing_fen:
        raise BalanceTooLow(f"position {position_id}")
    return Taken(principal_fen, confirm_date or china_date(books.now_ms).isoformat())


def take_everything(books: Books, position_id: int) -> tuple[Taken, int]:
    """Take all principal out of a position, and the yield that is still owed, in fen."""
    row = books.row(
        "SELECT coalesce(sum(remaining_fen), 0) AS all_fen FROM lots"
        " WHERE position_id = ? AND remaining_fen > 0",
        position_id,
    )
    taken = take_principal(books, position_id, row["all_fen"] if row else 0)
    position = books.row("SELECT * FROM positions WHERE position_id = ?", position_id)
    owed_fen: int = position["yield_fen"] - position["yield_paid_fen"] if position else 0
    pay_yield(books, position_id, owed_fen)
    return taken, owed_fen


def pay_yield(books: Books, position_id: int, amount_fen: int) -> None:
    """Count yield as paid; a negative amount takes that back."""
    books.write(
        "UPDATE positions SET yield_paid_fen = yield_paid_fen + ? WHERE position_id = ?",
        amount_fen,
        position_id,
    )


def holding(
    books: Books, account_no: str, product_code: str | None = None, biz_no: str | None = None
) -> Holding:
    """What an account holds, in one position or in all that fit."""
    today = china_date(books.now_ms).isoformat()
    row = books.row(
        "WITH named AS (SELECT * FROM positions WHERE account_no = ?1"
        " AND (?2 IS NULL OR product_code = ?2) AND (?3 IS NULL OR biz_no = ?3))"
        " SELECT (SELECT coalesce(sum(remaining_fen), 0) FROM lots JOIN named USING (position_id)"
        " WHERE remaining_fen > 0 AND confirm_date <= ?4) AS principal_fen,"
        " (SELECT coalesce(sum(remaining_fen), 0) FROM lots JOIN named USING (position_id)"
        " WHERE remaining_fen > 0 AND confirm_date > ?4) AS pending_in_fen,"
        " (SELECT coalesce(sum(amount_fen), 0) FROM orders JOIN named USING (position_id)"
        " WHERE status = 'P' AND biz_type IN ('redeem', 'liquidate')) AS pending_out_fen,"
        " (SELECT coalesce(sum(yield_fen - yield_paid_fen), 0) FROM named) AS accrued_fen",
        account_no,
        product_code,
        biz_no,
        today,
    )
    return Holding(**dict(row)) if row else Holding(0, 0, 0, 0)


def accrue(books: Books) -> None:
    """Give every position the yield of the days that are over."""
    today = china_date(books.now_ms)
    for position in books.rows(
        "SELECT positions.*, products.account_no AS fund_no FROM positions"
        " JOIN products USING (product_code) WHERE accrued_until < ?",
        today.isoformat(),
    ):
        _accrue_position(books, position, today)


def _accrue_position(books: Books, position: sqlite3.Row, today: date) -> None:
    lots = books.rows(
        "SELECT * FROM lots WHERE position_id = ? AND remaining_fen > 0", position["position_id"]
    )
    rates = _Rates(books, position["product_code"])
    day = date.fromisoformat(position["accrued_until"])
    fraction_e8, earned_fen = position["fraction_e8"], 0
    while lots and day < today:
        principal_fen = sum(
            lot["remaining_fen"] for lot in lots if lot["confirm_date"] <= day.isoformat()
        )
        if principal_fen:
            rate_e4 = rates.of(day)
            yield_fen, fraction_e8 = divmod(fraction_e8 + principal_fen * rate_e4, _E8)
            earned_fen += yield_fen
            earned = _Day(day.isoformat(), principal_fen, rate_e4, yield_fen)
            _book_yield(books, position, earned)
        day += _ONE_DAY
    books.write(
        "UPDATE positions SET yield_fen = yield_fen + ?, fraction_e8 = ?, accrued_until = ?"
        " WHERE position_id = ?",
        earned_fen,
        fraction_e8,
        today.isoformat(),
        position["position_id"],
    )


class _Rates:
    """A product's yields: those given for a date, and the product's own for all others."""

    def __init__(self, books: Books, product_code: str) -> None:
        product = find_product(books, product_code)
        self._usual: int = product["yield_10k_e4"] if product else 0
        self._given: dict[str, int] = {
            row["date"]: row["yield_10k_e4"]
            for row in books.rows(
                "SELECT * FROM product_yields WHERE product_code = ?", product_code
            )
        }

    def of(self, day: date) -> int:
        return self._given.get(day.isoformat(), self._usual)


@dataclass(frozen=True)
class _Day:
    """What a position earned on one day."""

    date: str
    principal_fen: int
    yield_10k_e4: int
    yield_fen: int


def _book_yield(books: Books, position: sqlite3.Row, earned: _Day) -> None:
    books.insert("position_yields", position_id=position["position_id"], **vars(earned))
    if earned.yield_fen:
        books.add_from_outside(
            kind="yield",
            reference=f"{position['position_id']}/{earned.date}",
            account_no=position["fund_no"],
            amount_fen=earned.yield_fen,
        )


def yield_rows(
    books: Books, account_no: str, product_code: str, biz_no: str | None, days: tuple[str, str]
) -> list[sqlite3.Row]:
    """The yield per day, both ends included, over the positions that fit."""
    return books.rows(
        "SELECT date, sum(position_yields.principal_fen) AS principal_fen, yield_10k_e4,"
        " sum(position_yields.yield_fen) AS yield_fen"
        " FROM position_yields JOIN positions USING (position_id)"
        " WHERE account_no = ?1 AND product_code = ?2 AND (?3 IS NULL OR biz_no = ?3)"
        " AND date BETWEEN ?4 AND ?5 GROUP BY date, yield_10k_e4 ORDER BY date",
        account_no,
        product_code,
        biz_no,
        *days,
    )


def yield_10k(e4: int) -> str:
    """A 万份收益 as it is written: yuan per 10 000 yuan and day, four decimals."""
    return f"{e4 // 10_000}.{e4 % 10_000:04d}"
