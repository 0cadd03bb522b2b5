"""Writing a bill: two CSVs in a zip, contents and names in GBK."""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, TextIO

from shanmen.simulators.alipay.bills.layouts import Layout
from shanmen.simulators.alipay.bills.lines import Line, Tally
from shanmen.simulators.alipay.bills.spoilers import Spoiler
from shanmen.simulators.moments import CHINA

_ACCOUNT_SUFFIX: Final = "0156"
"""What bills add to the number of an account."""
_AMOUNT: Final = "元）"
_LINE_END: Final = "\r\n"
_ON_ONE_LINE: Final = dict.fromkeys(map(ord, "\r\n\t"), " ")


@dataclass(frozen=True)
class Heading:
    """Whose bill it is, which day's, and when it was made."""

    user_id: str
    day: date
    made_ms: int

    @property
    def account(self) -> str:
        """The account as bills write it."""
        return self.user_id + _ACCOUNT_SUFFIX


class _GbkInfo(zipfile.ZipInfo):
    """An entry whose name is in GBK. `zipfile` itself knows ASCII and flagged UTF-8 only."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - the name is zipfile's
        return self.filename.encode("gbk", "replace"), self.flag_bits


@dataclass
class Pen:
    """Writes one bill. Lines are written as they come, none is kept; `tally` adds them up."""

    layout: Layout
    heading: Heading
    spoiler: Spoiler
    tally: Tally = field(default_factory=Tally)

    def write(self, lines: Iterable[Line]) -> bytes:
        """The whole file."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            with self._entry(archive, "明细") as text:
                self._write_detail(text, lines)
            with self._entry(archive, "明细(汇总)") as text:
                self._write_summary(text)
        return self.spoiler.content(packed.getvalue())

    @contextmanager
    def _entry(self, archive: zipfile.ZipFile, kind: str) -> Iterator[TextIO]:
        heading, title = self.heading, self.layout.title
        entry = _GbkInfo(f"{heading.account}_{heading.day:%Y%m%d}_{title}{kind}.csv")
        entry.compress_type = zipfile.ZIP_DEFLATED
        with (
            archive.open(entry, "w") as raw,
            io.TextIOWrapper(raw, self.spoiler.encoding, "replace", newline="") as text,
        ):
            yield text

    def _write_detail(self, text: TextIO, lines: Iterable[Line]) -> None:
        title = f"{self.layout.title}明细"
        self._write_head(text, title)
        _write_lines(text, _marker(f"{title}列表", 41, 40))
        columns = self.spoiler.columns(self.layout.columns)
        writer = csv.writer(text, lineterminator=_LINE_END)
        writer.writerow(columns)
        for line in lines:
            self.tally.add(line)
            cells = {**line.cells, **self.layout.amounts(line.amount_fen)}
            writer.writerow([_cell(column, cells.get(column, "")) for column in columns])
        totals = self.layout.totals(self.spoiler.tally(self.tally))
        _write_lines(text, _marker(f"{title}列表结束", 41, 36), *totals)
        self._write_foot(text)

    def _write_summary(self, text: TextIO) -> None:
        title = f"{self.layout.title}汇总"
        self._write_head(text, title)
        _write_lines(text, _marker(f"{title}列表", 41, 40))
        writer = csv.writer(text, lineterminator=_LINE_END)
        writer.writerow(self.layout.summary_columns)
        writer.writerow(self.layout.summary(self.tally))
        _write_lines(text, _marker(f"{title}列表结束", 40, 37))
        self._write_foot(text)

    def _write_head(self, text: TextIO, title: str) -> None:
        day = self.heading.day
        first, end = (f"{at:%Y年%m月%d日} 00:00:00" for at in (day, day + timedelta(days=1)))
        _write_lines(
            text,
            f"#支付宝{title}查询",
            f"#账号：[{self.heading.account}]",
            f"#起始日期：[{first}]   终止日期：[{end}]",
        )

    def _write_foot(self, text: TextIO) -> None:
        made = datetime.fromtimestamp(self.heading.made_ms / 1000, CHINA)
        _write_lines(text, f"#导出时间：[{made:%Y年%m月%d日 %H:%M:%S}]")


def _write_lines(text: TextIO, *lines: str) -> None:
    text.writelines(line + _LINE_END for line in lines)


def _marker(words: str, before: int, after: int) -> str:
    return f"#{'-' * before}{words}{'-' * after}"


def _cell(column: str, value: str) -> str:
    """A cell as it stands in the file: text ends with a tab, so that no program takes it for a
    number; an amount that a line does not have is nought."""
    if column.endswith(_AMOUNT):
        return value or "0.00"
    return value.translate(_ON_ONE_LINE) + "\t"
