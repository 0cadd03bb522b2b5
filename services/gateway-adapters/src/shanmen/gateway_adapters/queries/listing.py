"""Lists of what was requested, newest first, page by page."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Row,
    select,
    tuple_,
)

from shanmen.common.db import Tx

Rows = Sequence[Row[Any]]


async def newest(
    tx: Tx,
    key: Column[str],
    *,
    filters: Mapping[str, str | None],
    after: str | None,
    limit: int,
    conditions: Sequence[ColumnElement[bool]] = (),
) -> Rows:
    """Rows of the table of `key`, by `requested_at`."""
    table = key.table
    age = (table.c.requested_at, key)
    wanted = select(table).where(*conditions).order_by(*(column.desc() for column in age))
    wanted = wanted.limit(limit + 1)
    for name, value in filters.items():
        if value is not None:
            wanted = wanted.where(table.c[name] == value)
    if after is not None:
        seen = select(*age).where(key == after).scalar_subquery()
        wanted = wanted.where(tuple_(*age) < seen)
    return (await tx.execute(wanted)).all()
