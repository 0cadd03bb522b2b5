"""The SQL of bills: the channels' files, every version that ever came."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, func, select, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.common.db import Tx
from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.queries.listing import Rows
from shanmen.gateway_adapters.tables import BILLS

_LISTED: Final[Sequence[ColumnElement[Any]]] = [
    *(column for column in BILLS.c if column is not BILLS.c.content),
    func.octet_length(BILLS.c.content).label("size_bytes"),
]


async def keep_bills(tx: Tx, bills: Sequence[Mapping[str, Any]]) -> None:
    """Keep files; one that came before is the newest again."""
    added = upsert(BILLS).values(list(bills))
    await tx.execute(
        added.on_conflict_do_update(
            index_elements=["channel", "bill_date", "bill_type", "sha256"],
            set_={"fetched_at": added.excluded.fetched_at},
        )
    )


async def newest_bills(tx: Tx, channel: Channel, bill_date: date) -> dict[str, Row[Any]]:
    """The newest file of each bill type of a day, with its content."""
    rows = await tx.execute(
        select(BILLS)
        .where(BILLS.c.channel == channel, BILLS.c.bill_date == bill_date)
        .ext(distinct_on(BILLS.c.bill_type))
        .order_by(BILLS.c.bill_type, BILLS.c.fetched_at.desc(), BILLS.c.id.desc())
    )
    return {row.bill_type: row for row in rows}


async def bill_file(
    tx: Tx, channel: Channel, bill_date: date, bill_type: str, sha256: str | None
) -> Row[Any] | None:
    """One file with its content: the newest, or the one of that hash."""
    wanted = select(BILLS).where(
        BILLS.c.channel == channel,
        BILLS.c.bill_date == bill_date,
        BILLS.c.bill_type == bill_type,
    )
    if sha256 is not None:
        wanted = wanted.where(BILLS.c.sha256 == sha256)
    newest_first = wanted.order_by(BILLS.c.fetched_at.desc(), BILLS.c.id.desc())
    return (await tx.execute(newest_first.limit(1))).one_or_none()


async def list_bills(
    tx: Tx,
    *,
    channel: Channel | None,
    first: date | None,
    last: date | None,
    after: int | None,
    limit: int,
) -> Rows:
    """Files without their content, newest day first, one more than `limit`.

    `after` is the id of the last one seen.
    """
    place = (BILLS.c.bill_date, BILLS.c.id)
    wanted = select(*_LISTED).order_by(*(column.desc() for column in place)).limit(limit + 1)
    if channel is not None:
        wanted = wanted.where(BILLS.c.channel == channel)
    if first is not None:
        wanted = wanted.where(BILLS.c.bill_date >= first)
    if last is not None:
        wanted = wanted.where(BILLS.c.bill_date <= last)
    if after is not None:
        seen = select(*place).where(BILLS.c.id == after).scalar_subquery()
        wanted = wanted.where(tuple_(*place) < seen)
    return (await tx.execute(wanted)).all()
