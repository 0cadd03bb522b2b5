"""CSV for people who open it in Excel."""

import csv
import io
from datetime import UTC, date, datetime

import pytest

from shanmen.settlement.api.downloads import Form, form_of
from shanmen.settlement.views.delimited import book_text, row_line
from shanmen.settlement.views.sheets import (
    Book,
    Cell,
    Column,
    Holds,
    Sheet,
    fen_column,
    time_column,
)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", '=HYPERLINK("x")']
)
def test_no_text_is_taken_for_a_formula(text: str) -> None:
    line = row_line([Column("a")], [text])
    assert next(csv.reader(io.StringIO(line, newline=""))) == [f"'{text}"]


@pytest.mark.parametrize(
    ("column", "cell", "written"),
    [
        (fen_column("a"), -5, "-0.05"),
        (fen_column("a"), 123456, "1234.56"),
        (fen_column("a"), None, '""'),
        (Column("a", Holds.COUNT), 3, "3"),
        (time_column("a"), datetime(2026, 11, 1, 16, 30, tzinfo=UTC), "2026-11-02 00:30:00"),
        (Column("a", Holds.DAY), date(2026, 11, 2), "2026-11-02"),
        (Column("a"), "a,b", '"a,b"'),
        (Column("a"), 'say "no"', '"say ""no"""'),
    ],
)
def test_cells_are_written_for_people(column: Column, cell: Cell, written: str) -> None:
    assert row_line([column], [cell]) == f"{written}\r\n"


def test_tables_stand_one_under_another() -> None:
    one = Sheet("汇总", [Column("项目"), fen_column("金额")], [("手续费", 60)], ("合计", 60))
    other = Sheet("明细", [Column("票务编号")], [("T-1",)])
    assert "".join(book_text(Book("日报", [("产品", "=1+1")], [one, other]))) == (
        "\ufeff日报\r\n产品,'=1+1\r\n\r\n汇总\r\n项目,金额 (元)\r\n手续费,0.60\r\n合计,0.60\r\n"
        "\r\n明细\r\n票务编号\r\nT-1\r\n"
    )


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form.JSON),
        ("*/*", Form.JSON),
        ("text/csv", Form.CSV),
        ("TEXT/CSV; q=0.9, application/json", Form.CSV),
        ("application/json, text/csv", Form.JSON),
        ("text/html, text/csv", Form.CSV),
    ],
)
def test_the_first_form_that_is_accepted(accept: str, form: Form) -> None:
    assert form_of(accept, frozenset(Form)) is form
