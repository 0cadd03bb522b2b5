"""Packed files: unpacked to a bound and no further, whatever they claim."""

import gzip
import io
import zipfile
from datetime import date

import pytest

from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.providers.base import BillDownload
from shanmen.gateway_adapters.providers.bills import (
    BillUnreadable,
    gzip_text,
    records,
    zip_text,
)

LIMIT_BYTES = 100_000
BOMB = b"0," * (10 << 20)
"""20 MiB that fit into some thousands of bytes."""


def packed(content: bytes) -> BillDownload:
    return BillDownload(Channel.ALIPAY, date(2026, 6, 5), "trade", content)


def zipped(content: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", compression) as entries:
        entries.writestr("a.csv", content)
    return archive.getvalue()


def wanted(name: str) -> bool:
    return name == "a.csv"


def test_a_gzip_bomb_is_refused_within_the_bound() -> None:
    file = packed(gzip.compress(BOMB))
    assert len(file.content) < LIMIT_BYTES
    with pytest.raises(BillUnreadable, match=f"no more than {LIMIT_BYTES} bytes"):
        list(records(file, gzip_text(file), limit_bytes=LIMIT_BYTES))


def test_a_zip_bomb_is_refused_by_the_size_it_names() -> None:
    with pytest.raises(BillUnreadable, match=f"no more than {LIMIT_BYTES} bytes"):
        zip_text(packed(zipped(BOMB)), wanted, limit_bytes=LIMIT_BYTES)


def test_a_zip_bomb_that_names_a_small_size_is_refused_too() -> None:
    true_size, small_size = (size.to_bytes(4, "little") for size in (len(BOMB), 10))
    content = zipped(BOMB).replace(true_size, small_size)
    file = packed(content)
    unpack = zip_text(file, wanted, limit_bytes=LIMIT_BYTES)
    with pytest.raises(BillUnreadable, match="cannot be unpacked to its end"):
        list(records(file, unpack, limit_bytes=LIMIT_BYTES))


def test_a_line_that_is_too_long_for_a_cell_is_refused() -> None:
    file = packed(gzip.compress(b"a" * 200_000))
    with pytest.raises(BillUnreadable, match="comma-separated cells are expected"):
        list(records(file, gzip_text(file)))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_entries_are_deflated_or_stored(compression: int) -> None:
    with pytest.raises(BillUnreadable, match="deflated"):
        zip_text(packed(zipped(b"a,b\n", compression)), wanted)


def test_lines_are_numbered_as_they_stand_and_blank_ones_left_out() -> None:
    file = packed(gzip.compress(b'#x\r\n\r\n , \r\na,"b\nc"\r\nd\r\n'))
    found = [(record.line, record.cells) for record in records(file, gzip_text(file))]
    assert found == [(1, ["#x"]), (5, ["a", "b\nc"]), (6, ["d"])]
