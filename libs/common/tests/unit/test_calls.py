"""How long a client would wait, and what a cursor may be."""

import base64

import pytest

from shanmen.common.errors import Invalid
from shanmen.common.http.calls import wait_seconds
from shanmen.common.pagination import decode_cursor, encode_cursor, page_of


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("wait=5", 5),
        ("wait=30", 30),
        ("wait=31", 30),
        ("wait=9999", 30),
        ("wait=0", 0),
        ("respond-async, wait=10", 10),
        ("respond-async,wait=10", 10),
        ("wait=10; foo=bar", 10),
        ("handling=lenient, wait=7, return=minimal", 7),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("wait=ten", 0),
        ("await=5", 0),
        ("wait=12345", 0),
        ("return=minimal", 0),
    ],
)
def test_prefer_wait(prefer: str | None, seconds: int) -> None:
    assert wait_seconds(prefer) == seconds


@pytest.mark.parametrize("key", ["thg_01M82", "2026-11-22T00:00:00+00:00|7", "等待支付"])
def test_a_cursor_comes_back_as_the_key_it_was_made_of(key: str) -> None:
    assert decode_cursor(encode_cursor(key)) == key


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "no base64 !",
        "YQ",
        "YQ==\n",
        "等",
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b"a\x00b").decode(),
    ],
)
def test_what_is_no_cursor(cursor: str) -> None:
    with pytest.raises(Invalid) as refused:
        decode_cursor(cursor)
    assert refused.value.members["errors"][0]["field"] == "cursor"


def test_no_cursor_is_the_beginning() -> None:
    assert decode_cursor(None) is None


@pytest.mark.parametrize(
    ("found", "limit", "shown", "more"), [(0, 2, 0, False), (2, 2, 2, False), (3, 2, 2, True)]
)
def test_a_page_knows_whether_another_follows(
    found: int, limit: int, shown: int, more: bool
) -> None:
    items = [f"k{number}" for number in range(found)]
    page = page_of(items, items, limit)
    assert page.items == items[:shown]
    assert decode_cursor(page.next_cursor) == (items[shown - 1] if more else None)
