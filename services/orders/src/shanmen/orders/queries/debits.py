"""SQL of debits: every number of an order, what was told of it, and pay accounts' shortages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.common.db import Tx
from shanmen.orders.tables import DEBITS, ORDERS, SHORTAGES


async def insert_debits(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep the numbers under which orders are to be debited, for good."""
    if rows:
        await tx.execute(insert(DEBITS), list(rows))


async def order_of_debit(tx: Tx, operation_id: str) -> Row[Any] | None:
    """The order that a debit is or was for, locked; a number is an order's even once replaced."""
    wanted = (
        select(ORDERS)
        .join(DEBITS, DEBITS.c.order_no == ORDERS.c.order_no)
        .where(DEBITS.c.operation_id == operation_id)
    )
    return (await tx.execute(wanted.with_for_update(of=ORDERS))).one_or_none()


async def orphan(tx: Tx, operation_id: str, now: datetime) -> bool:
    """Note that a debit's money belongs to no order; False if that was known."""
    return await _note(tx, operation_id, DEBITS.c.orphaned_at.is_(None), orphaned_at=now)


async def note_told_stuck(tx: Tx, operation_id: str, since: datetime) -> bool:
    """Note that a debit is stuck since then; False if that, or a later parking, was told."""
    told = DEBITS.c.told_stuck_since
    return await _note(tx, operation_id, or_(told.is_(None), told < since), told_stuck_since=since)


async def note_told_short(tx: Tx, operation_id: str, shortage_id: str) -> bool:
    """Note that a debit waits out a shortage; False if it was told in this one."""
    is_news = DEBITS.c.told_shortage_id.is_distinct_from(shortage_id)
    return await _note(tx, operation_id, is_news, told_shortage_id=shortage_id)


async def _note(tx: Tx, operation_id: str, is_news: ColumnElement[bool], **values: object) -> bool:
    noted = update(DEBITS).where(DEBITS.c.operation_id == operation_id, is_news).values(values)
    return (await tx.execute(noted)).rowcount == 1


async def open_shortage(tx: Tx, row: Mapping[str, Any]) -> tuple[str, bool]:
    """The open shortage of a pay account, begun with `row` if there is none; whether it is new."""
    is_open = SHORTAGES.c.ended_at.is_(None)
    wanted = select(SHORTAGES.c.shortage_id).where(
        SHORTAGES.c.account_id == row["account_id"], is_open
    )
    # Mostly one is open, and looking takes no lock that others would wait for.
    found: str | None = await tx.scalar(wanted)
    if found is not None:
        return found, False
    # One that opens at the same moment is waited for, and held until this transaction ends.
    began = upsert(SHORTAGES).values(**row)
    shortage_id: str = (
        await tx.execute(
            began.on_conflict_do_update(
                index_elements=["account_id"],
                index_where=is_open,
                set_={"account_id": began.excluded.account_id},
            ).returning(SHORTAGES.c.shortage_id)
        )
    ).scalar_one()
    return shortage_id, shortage_id == row["shortage_id"]


async def end_shortage(tx: Tx, account_id: str, now: datetime) -> None:
    """A pay account has money again."""
    await tx.execute(
        update(SHORTAGES)
        .where(SHORTAGES.c.account_id == account_id, SHORTAGES.c.ended_at.is_(None))
        .values(ended_at=now)
    )
