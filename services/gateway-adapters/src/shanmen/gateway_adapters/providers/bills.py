"""Reading the files of a bill (账单): what channels share, whatever their columns are.

A file is packed text: comma-separated rows under a header row, with lines of remarks around them
that begin with `#`. Columns are found by their names, wherever they are. What cannot be read is
`BillUnreadable`, which names the place, and nothing is guessed.
"""

import csv
import gzip
import io
import re
import unicodedata
import zipfile
import zlib
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Final

from shanmen.common.money import from_yuan
from shanmen.contracts.bills import BillDirection, BillLine
from shanmen.gateway_adapters.providers.base import BillDownload

TEXT_LIMIT_BYTES: Final = 256 << 20
"""The longest text that is unpacked from one, whatever it claims to hold."""
REMARK: Final = "#"

_ENCODINGS: Final = ("utf-8-sig", "gb18030")
_PIECE_BYTES: Final = 1 << 18
_SHOWN: Final = 40
_FEN = re.compile(r"\d{1,15}", re.ASCII)
_BROKEN: Final = (
    *(EOFError, OSError, zlib.error, zipfile.BadZipFile),
    *(RuntimeError, NotImplementedError),  # encrypted, or of a later version
    ValueError,  # names that are no text, and offsets outside of the file
)

Unpack = Callable[[], IO[bytes]]


class BillUnreadable(ValueError):
    """A bill that cannot be read to its end; the text names the place and what was expected."""

    def __init__(
        self,
        file: BillDownload,
        expected: str,
        *,
        line: int | None = None,
        column: str | None = None,
    ) -> None:
        place = [f"{file.channel} bill {file.bill_type} of {file.bill_date}"]
        place += [] if line is None else [f"line {line}"]
        place += [] if column is None else [f"column {column}"]
        super().__init__(f"{', '.join(place)}: {expected}")
        self.line = line
        self.column = column


@dataclass
class Totals:
    """What the rows of a file add up to."""

    rows_in: int = 0
    rows_out: int = 0
    sum_in_fen: int = 0
    sum_out_fen: int = 0

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.rows_in + self.rows_out

    def add(self, line: BillLine) -> None:
        """Count a row."""
        if line.direction is BillDirection.IN:
            self.rows_in += 1
            self.sum_in_fen += line.amount_fen
        else:
            self.rows_out += 1
            self.sum_out_fen += line.amount_fen


@dataclass(frozen=True)
class Record:
    """A line of a file, cut into its cells; `line` is its place, the first being 1."""

    line: int
    cells: list[str]

    @property
    def text(self) -> str:
        """The whole line, of a remark."""
        return ",".join(self.cells).strip()


class Row:
    """A record under a header: cells by the names of their columns."""

    __slots__ = ("_cells", "_columns", "_file", "line")

    def __init__(self, file: BillDownload, columns: dict[str, int], record: Record) -> None:
        self._file = file
        self._columns = columns
        self._cells = record.cells
        self.line = record.line

    def text(self, name: str) -> str:
        """A cell's text, without the space or tab around it."""
        return self._cells[self._columns[name]].strip()

    def yuan(self, name: str, *, blank: str = "") -> int:
        """An amount in yuan, as fen; a blank cell is `blank`. Raises BillUnreadable."""
        try:
            return from_yuan(self.text(name) or blank)
        except ValueError:
            raise self.unreadable(name, "an amount in yuan such as 12.30") from None

    def fen(self, name: str) -> int:
        """An amount in fen. Raises BillUnreadable."""
        text = self.text(name)
        if not _FEN.fullmatch(text):
            raise self.unreadable(name, "a whole number of fen")
        return int(text)

    def moment(self, name: str, read: Callable[[str], datetime]) -> datetime:
        """A moment, in UTC; `read` makes an aware one or raises ValueError."""
        try:
            return read(self.text(name)).astimezone(UTC)
        except (ValueError, OverflowError):
            raise self.unreadable(name, "a date and time") from None

    def unreadable(self, name: str, expected: str) -> BillUnreadable:
        """What is wrong with a cell."""
        found = self.text(name)
        shown = found if len(found) <= _SHOWN else f"{found[: _SHOWN - 1]}…"
        return BillUnreadable(
            self._file, f"{expected} is expected, found {shown!r}", line=self.line, column=name
        )


class Header:
    """The header row of a file: where each column is."""

    def __init__(self, file: BillDownload, record: Record, needed: Sequence[str]) -> None:
        """Raises BillUnreadable unless every column that is needed is there, once."""
        self._file = file
        self.width = len(record.cells)
        names = [_plain(cell) for cell in record.cells]
        for name in needed:
            if names.count(_plain(name)) != 1:
                problem = "is missing" if _plain(name) not in names else "is there twice"
                seen = ", ".join(cell.strip() for cell in record.cells)
                detail = f"the column {problem}; the header row is {seen[:200]!r}"
                raise BillUnreadable(file, detail, line=record.line, column=name)
        self._columns = {name: names.index(_plain(name)) for name in needed}

    def row(self, record: Record) -> Row:
        """A record as a row under this header. Raises BillUnreadable if it has other columns."""
        if len(record.cells) < self.width or any(map(str.strip, record.cells[self.width :])):
            expected = f"a row of {self.width} cells is expected, found {len(record.cells)}"
            raise BillUnreadable(self._file, expected, line=record.line)
        return Row(self._file, self._columns, record)


def is_remark(record: Record, header: Header | None) -> bool:
    """Whether a line is about the rows. A row whose first cell begins like one is as wide as the
    header."""
    begins_so = record.cells[0].startswith(REMARK)
    return begins_so and (header is None or len(record.cells) < header.width)


def records(
    file: BillDownload, unpack: Unpack, *, limit_bytes: int = TEXT_LIMIT_BYTES
) -> Iterator[Record]:
    """The lines of a packed file that are not blank. Raises BillUnreadable.

    The whole of it is unpacked once before the first line: to see that it is whole, not too long,
    and which encoding it is in.
    """
    encoding = _encoding(file, unpack, limit_bytes)
    with io.TextIOWrapper(unpack(), encoding, newline="") as text:
        reader = csv.reader(text, strict=True)
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield Record(reader.line_num, cells)
        except csv.Error as error:
            detail = f"comma-separated cells are expected: {error}"
            raise BillUnreadable(file, detail, line=reader.line_num) from error


def gzip_text(file: BillDownload) -> Unpack:
    """How to unpack a gzip file."""
    return lambda: io.BufferedReader(gzip.GzipFile(fileobj=io.BytesIO(file.content)))


def zip_text(
    file: BillDownload,
    is_wanted: Callable[[str], bool],
    *,
    limit_bytes: int = TEXT_LIMIT_BYTES,
) -> Unpack:
    """How to unpack the one wanted entry of a zip file whose names are GBK.

    Raises BillUnreadable.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(file.content), metadata_encoding="gb18030")
    except _BROKEN as error:
        raise BillUnreadable(file, f"a whole zip file is expected: {error}") from error
    found = [entry for entry in archive.infolist() if is_wanted(entry.filename)]
    if len(found) != 1:
        names = ", ".join(archive.namelist()[:5]) or "nothing"
        detail = f"a zip file with one detail file (明细) is expected; in it there is {names}"
        raise BillUnreadable(file, detail)
    if found[0].compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise BillUnreadable(file, "a zip entry that is deflated or stored is expected")
    if found[0].file_size > limit_bytes:
        raise _too_long(file, limit_bytes)
    return lambda: archive.open(found[0])


def _encoding(file: BillDownload, unpack: Unpack, limit_bytes: int) -> str:
    """The first encoding that the whole text is in."""
    decoders = {name: getincrementaldecoder(name)() for name in _ENCODINGS}
    length = 0
    for piece in _pieces(file, unpack):
        length += len(piece)
        if length > limit_bytes:
            raise _too_long(file, limit_bytes)
        for name in list(decoders):
            try:
                decoders[name].decode(piece, final=not piece)
            except UnicodeDecodeError:
                del decoders[name]
    if not length:
        raise BillUnreadable(file, "a header row and rows are expected, the file is empty")
    if not decoders:
        raise BillUnreadable(file, "text in UTF-8 or GB18030 is expected")
    return next(iter(decoders))


def _pieces(file: BillDownload, unpack: Unpack) -> Iterator[bytes]:
    """The text as it is unpacked, with an empty piece at its end."""
    try:
        with unpack() as packed:
            while piece := packed.read(_PIECE_BYTES):
                yield piece
        yield b""
    except _BROKEN as error:
        detail = f"a whole packed file is expected, it cannot be unpacked to its end: {error}"
        raise BillUnreadable(file, detail) from error


def _too_long(file: BillDownload, limit_bytes: int) -> BillUnreadable:
    return BillUnreadable(file, f"no more than {limit_bytes} bytes of text are expected")


def _plain(name: str) -> str:
    """A column's name whatever the width of its brackets and signs."""
    return unicodedata.normalize("NFKC", name).strip()
