"""Tables as an Excel workbook: a sheet each, the header frozen, amounts and times as such."""

import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import xlsxwriter  # type: ignore[import-untyped] # it ships no types

from shanmen.settlement.views.sheets import BEIJING, Cell, Holds, Sheet

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_FORMATS: Final[Mapping[Holds, str]] = {
    Holds.TEXT: "@",
    Holds.COUNT: "0",
    Holds.FEN: "#,##0.00;[Red]-#,##0.00",
    Holds.TIME: "yyyy-mm-dd hh:mm:ss",
    Holds.DAY: "yyyy-mm-dd",
}
_HEADER: Final = {"bold": True, "bg_color": "#D9E2F3", "bottom": 1, "text_wrap": True}
_TOTALS: Final = {"bold": True, "top": 1}
_AS_TEXT: Final = {
    # What looks like a formula, a link or a number in a text is none.
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "in_memory": True,
}


def workbook_of(sheets: Sequence[Sheet]) -> bytes:
    """A workbook with these sheets. An amount is at most what Excel keeps exactly: 15 digits."""
    buffer = io.BytesIO()
    workbook = xlsxwriter.Workbook(buffer, _AS_TEXT)
    formats = {
        is_total: {
            holds: workbook.add_format({"num_format": shown, **(_TOTALS if is_total else {})})
            for holds, shown in _FORMATS.items()
        }
        for is_total in (False, True)
    }
    header = workbook.add_format(_HEADER)
    for sheet in sheets:
        page = workbook.add_worksheet(sheet.title)
        page.freeze_panes(1, 0)
        for number, column in enumerate(sheet.columns):
            page.set_column(number, number, column.width)
            page.write_string(0, number, column.title, header)
        for row_number, row in enumerate(sheet.rows, start=1):
            _write_row(page, row_number, sheet, row, formats[False])
        if sheet.totals is not None:
            _write_row(page, len(sheet.rows) + 1, sheet, sheet.totals, formats[True])
    workbook.close()
    return buffer.getvalue()


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
