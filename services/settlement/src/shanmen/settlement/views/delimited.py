"""Tables as CSV that Excel opens as it should: UTF-8 with a mark, and no text taken for a formula.

RFC 4180. What begins like a formula is set behind an apostrophe (OWASP, CSV Injection).
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from shanmen.common.money import to_yuan
from shanmen.settlement.views.sheets import BEIJING, Book, Cell, Column, Holds

MEDIA_TYPE: Final = "text/csv"
MARK: Final = "\ufeff"
"""Tells Excel that this is UTF-8; it comes once, first."""

_BEGINS_A_FORMULA: Final = tuple("=+-@\t\r\n＝＋－＠")  # full width ones do, too


def header_line(columns: Sequence[Column]) -> str:
    """The titles of the columns."""
    return _line(column.title for column in columns)


def row_line(columns: Sequence[Column], row: Sequence[Cell]) -> str:
    """One row."""
    return _line(_text(column, cell) for column, cell in zip(columns, row, strict=True))


def book_text(book: Book) -> Iterator[str]:
    """What the report is, and its tables one under another, each below its title."""
    yield MARK + _line([book.title])
    for label, text in book.about:
        yield _line([label, _plain(text)])
    for sheet in book.sheets:
        yield "\r\n" + _line([sheet.title]) + header_line(sheet.columns)
        for row in sheet.rows:
            yield row_line(sheet.columns, row)
        if sheet.totals is not None:
            yield row_line(sheet.columns, sheet.totals)


def _text(column: Column, cell: Cell) -> str:
    if cell is None:
        return ""
    if column.holds is Holds.FEN and isinstance(cell, int):
        return to_yuan(cell)
    if isinstance(cell, datetime):
        return cell.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(cell, str):
        return _plain(cell)
    return str(cell)


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text


def _line(cells: Iterable[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
