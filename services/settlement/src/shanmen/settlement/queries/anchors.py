"""Digests of the ledger, so that the audit trail vouches for every posting."""

from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy import Text, cast, extract, func, select

from shanmen.common.db import Tx
from shanmen.settlement.queries.rows import Record
from shanmen.settlement.tables import AUDIT, ENTRIES, POSTINGS

ANCHORED: Final = "ledger.anchored"

_LINE = cast(
    func.jsonb_build_array(
        *(POSTINGS.c.posting_id, POSTINGS.c.key, POSTINGS.c.kind, POSTINGS.c.order_no),
        extract("epoch", POSTINGS.c.occurred_at),
        *(ENTRIES.c.account, ENTRIES.c.debit_fen, ENTRIES.c.credit_fen),
    ),
    Text,
)
_LINES = func.string_agg(_LINE, func.chr(10)).aggregate_order_by(
    POSTINGS.c.posting_id, ENTRIES.c.account
)


async def last_anchor(tx: Tx) -> str | None:
    """What the newest anchor says, as JSON; None before the first."""
    rows = select(AUDIT.c.details).where(AUDIT.c.action == ANCHORED)
    details: str | None = await tx.scalar(rows.order_by(AUDIT.c.seq.desc()).limit(1))
    return details


async def anchors(tx: Tx) -> AsyncIterator[Record]:
    """All anchors in order: `seq` and `details`."""
    rows = select(AUDIT.c.seq, AUDIT.c.details).where(AUDIT.c.action == ANCHORED)
    async for row in await tx.stream(rows.order_by(AUDIT.c.seq)):
        yield row


async def range_after(tx: Tx, posting_id: int, *, settled_s: int, most: int) -> Record:
    """The next postings after `posting_id`: their number as `postings`, and their last id, null
    if there are none.

    Only those are looked at that began long enough ago: a number may become visible later than
    the next one.
    """
    horizon = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, settled_s)
    wanted = (
        select(POSTINGS.c.posting_id)
        .where(POSTINGS.c.posting_id > posting_id, POSTINGS.c.recorded_at < horizon)
        .order_by(POSTINGS.c.posting_id)
        .limit(most)
        .subquery()
    )
    sums = select(func.max(wanted.c.posting_id).label("last_id"), func.count().label("postings"))
    return (await tx.execute(sums.select_from(wanted))).one()


async def digest(tx: Tx, after: int, upto: int) -> Record:
    """Of the postings after `after` up to `upto`: their number, debits, and SHA-256 as hex."""
    whole = func.coalesce(_LINES, "")
    sums = (
        select(
            func.count(POSTINGS.c.posting_id.distinct()).label("postings"),
            cast(func.coalesce(func.sum(ENTRIES.c.debit_fen), 0), Text).label("debit_fen"),
            func.encode(func.sha256(func.convert_to(whole, "UTF8")), "hex").label("sha256"),
        )
        .select_from(POSTINGS)
        .outerjoin(ENTRIES, ENTRIES.c.posting_id == POSTINGS.c.posting_id)
        .where(POSTINGS.c.posting_id > after, POSTINGS.c.posting_id <= upto)
    )
    return (await tx.execute(sums)).one()
