"""Reading Alipay's bills as a merchant may: the zip, its markers, its rows by column name.

Knows the file from its description alone, and nothing of how the simulator writes it.
"""

import csv
import io
import zipfile
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

_TOP_LINES: Final = 4
_UTF8_NAME: Final = 0x800


@dataclass(frozen=True)
class ReadBill:
    """A bill. `head` and `tail` are the lines around the rows of the detail, markers included."""

    names: tuple[str, str]
    head: list[str]
    columns: list[str]
    rows: list[dict[str, str]]
    tail: list[str]
    summary: dict[str, str]

    def column(self, name: str) -> list[str]:
        """A column's cells, without the tabs that end texts."""
        return [row[name].rstrip("\t") for row in self.rows]

    def fens(self, name: str) -> list[int]:
        """A column of amounts, in fen."""
        return [int(Decimal(row[name]) * 100) for row in self.rows]


def read_bill(content: bytes, encoding: str = "gbk") -> ReadBill:
    """A bill's file. Raises zipfile.BadZipFile, UnicodeDecodeError, or ValueError."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if any(entry.flag_bits & _UTF8_NAME for entry in entries):
            raise ValueError("a name says that it is in UTF-8")
        detail, summary = (archive.read(entry).decode(encoding) for entry in entries)
    first, second = (entry.filename.encode("cp437").decode("gbk") for entry in entries)
    head, columns, rows, tail = _read_file(detail)
    _, _, [only], _ = _read_file(summary)
    return ReadBill((first, second), head, columns, rows, tail, only)


def _read_file(text: str) -> tuple[list[str], list[str], list[dict[str, str]], list[str]]:
    lines = text.split("\r\n")
    if lines.pop():
        raise ValueError("the last line does not end")
    end = next(at for at in range(_TOP_LINES, len(lines)) if lines[at].startswith("#"))
    table = list(csv.reader(lines[_TOP_LINES:end]))
    columns, rows = table[0], table[1:]
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    return lines[:_TOP_LINES], columns, records, lines[end:]
