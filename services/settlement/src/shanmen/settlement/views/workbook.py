"""A report as an Excel workbook: a sheet for each table, below what the report is.

Amounts and times are such. Set to be read on a screen (header frozen, columns to filter) and on
paper (A4 across, the header on each page).
"""

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import xlsxwriter  # type: ignore[import-untyped] # it ships no types

from shanmen.settlement.views.sheets import BEIJING, Book, Cell, Holds, Sheet

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_FORMATS: Final[Mapping[Holds, str]] = {
    Holds.TEXT: "@",
    Holds.COUNT: "0",
    Holds.FEN: "#,##0.00;[Red]-#,##0.00",
    Holds.TIME: "yyyy-mm-dd hh:mm:ss",
    Holds.DAY: "yyyy-mm-dd",
}
HEADER_ROW: Final = 2
"""Counted from zero: the report's title and what it is about come first."""
_A4: Final = 9
_FOOTER: Final = "&L&A&R第 &P 页, 共 &N 页"
_TITLE: Final = {"bold": True, "font_size": 14}
_ABOUT: Final = {"font_color": "#595959"}
_HEADER: Final = {"bold": True, "bg_color": "#D9E2F3", "bottom": 1, "text_wrap": True}
_TOTALS: Final = {"bold": True, "top": 1}
_AS_TEXT: Final = {
    # What looks like a formula, a link or a number in a text is none.
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "in_memory": True,
}


def workbook_of(book: Book) -> bytes:
    """A report as a workbook. An amount is at most what Excel keeps exactly: 15 digits."""
    buffer = io.BytesIO()
    workbook = xlsxwriter.Workbook(buffer, _AS_TEXT)
    workbook.set_properties({"title": book.title})
    formats = {
        is_total: {
            holds: workbook.add_format({"num_format": shown, **(_TOTALS if is_total else {})})
            for holds, shown in _FORMATS.items()
        }
        for is_total in (False, True)
    }
    what = "    ".join(f"{label}: {text}" for label, text in book.about)
    title, about = workbook.add_format(_TITLE), workbook.add_format(_ABOUT)
    header = workbook.add_format(_HEADER)
    for sheet in book.sheets:
        page = workbook.add_worksheet(sheet.title)
        page.write_string(0, 0, f"{book.title}  {sheet.title}", title)
        page.write_string(1, 0, what, about)
        for number, column in enumerate(sheet.columns):
            page.set_column(number, number, column.width)
            page.write_string(HEADER_ROW, number, column.title, header)
        first_row = HEADER_ROW + 1
        for row_number, row in enumerate(sheet.rows, start=first_row):
            _write_row(page, row_number, sheet, row, formats[False])
        if sheet.totals is not None:
            _write_row(page, first_row + len(sheet.rows), sheet, sheet.totals, formats[True])
        _set(page, sheet)
    workbook.close()
    return buffer.getvalue()


def _set(page: Any, sheet: Sheet) -> None:
    """How a sheet is shown and printed."""
    page.freeze_panes(HEADER_ROW + 1, 0)
    if sheet.rows:
        page.autofilter(HEADER_ROW, 0, HEADER_ROW + len(sheet.rows), len(sheet.columns) - 1)
    page.set_landscape()
    page.set_paper(_A4)
    page.fit_to_pages(1, 0)
    page.repeat_rows(HEADER_ROW)
    page.set_footer(_FOOTER)


def _write_row(
    page: Any, row_number: int, sheet: Sheet, row: Sequence[Cell], formats: Mapping[Holds, Any]
) -> None:
    for number, (column, cell) in enumerate(zip(sheet.columns, row, strict=True)):
        shown = formats[column.holds]
        if cell is None:
            page.write_blank(row_number, number, None, shown)
        elif isinstance(cell, str):
            page.write_string(row_number, number, cell, shown)
        elif isinstance(cell, datetime):
            local = cell.astimezone(BEIJING).replace(tzinfo=None)  # Excel knows no time zones
            page.write_datetime(row_number, number, local, shown)
        elif not isinstance(cell, int):
            page.write_datetime(row_number, number, cell, shown)
        elif column.holds is Holds.FEN:
            page.write_number(row_number, number, Decimal(cell).scaleb(-2), shown)
        else:
            page.write_number(row_number, number, cell, shown)
