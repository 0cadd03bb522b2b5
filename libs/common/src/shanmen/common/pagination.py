"""Cursor pagination: `?limit=&cursor=`; the cursor is opaque, and survives inserts."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

from shanmen.common.errors import Invalid

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=200, description="How many items at most.")]
CursorText = Annotated[
    str | None, Query(max_length=200, description="`next_cursor` of the page before.")
]


class Page(BaseModel, Generic[T]):
    """One page; `next_cursor` is null on the last."""

    items: list[T]
    next_cursor: str | None = None


def decode_cursor(cursor: str | None) -> str | None:
    """The key that a cursor stands for. Raises Invalid."""
    if cursor is None:
        return None
    try:
        key = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        key = ""
    if not key.isprintable() or not key:
        raise Invalid("Not a cursor; use `next_cursor` of the page before.", field="cursor")
    return key


def encode_cursor(key: str) -> str:
    """A cursor that continues after `key`."""
    return base64.urlsafe_b64encode(key.encode()).decode()


def page_of(items: Sequence[T], keys: Sequence[str], limit: int) -> Page[T]:
    """A page out of up to `limit + 1` items that were read, with their sort keys."""
    more = len(items) > limit
    return Page[T](
        items=list(items[:limit]), next_cursor=encode_cursor(keys[limit - 1]) if more else None
    )
