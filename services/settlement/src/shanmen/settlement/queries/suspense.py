"""Suspense (待查): what is in it, posting by posting, and not explained yet."""

from typing import Final

from sqlalchemy import and_, func, literal, or_, select

from shanmen.common.db import Tx, among
from shanmen.settlement.domain.ledger import SUSPENSE, PostingKind
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.tables import BREAKS, ENTRIES, POSTINGS

_LEAVES_SOMETHING: Final = (PostingKind.ADJUSTMENT, PostingKind.UNEXPLAINED)

_NAME = func.substr(POSTINGS.c.key, func.strpos(POSTINGS.c.key, ":") + 1)
_OTHER = POSTINGS.alias("other")
_OTHER_ENTRY = ENTRIES.alias("other_entry")
_SETTLED_OUTSIDE = (
    select(_OTHER.c.key)
    .join(_OTHER_ENTRY, _OTHER_ENTRY.c.posting_id == _OTHER.c.posting_id)
    .where(
        or_(
            _OTHER.c.key == literal("payout_outside:").concat(_NAME),
            _OTHER.c.key == literal("refund_outside:").concat(_NAME),
        ),
        _OTHER_ENTRY.c.account == SUSPENSE,
    )
    .exists()
)
_CLEARED = (
    select(_OTHER.c.key)
    .where(_OTHER.c.key == literal("clearing:").concat(POSTINGS.c.key))
    .exists()
)
_CASH = ENTRIES.alias("cash_entry")
_OPEN = (
    select(
        *(POSTINGS.c.key, POSTINGS.c.kind, POSTINGS.c.order_no, POSTINGS.c.occurred_at),
        (ENTRIES.c.credit_fen - ENTRIES.c.debit_fen).label("amount_fen"),
        func.coalesce(BREAKS.c.number, _NAME).label("number"),
        func.split_part(_CASH.c.account, ":", 2).label("channel"),
    )
    .join(ENTRIES, ENTRIES.c.posting_id == POSTINGS.c.posting_id)
    .join(
        _CASH,
        and_(_CASH.c.posting_id == POSTINGS.c.posting_id, _CASH.c.account.like("cash:%")),
    )
    .outerjoin(BREAKS, and_(POSTINGS.c.kind == PostingKind.ADJUSTMENT, BREAKS.c.break_id == _NAME))
    .where(
        ENTRIES.c.account == SUSPENSE,
        among(POSTINGS.c.kind, _LEAVES_SOMETHING),
        ~_CLEARED,
        ~and_(POSTINGS.c.kind == PostingKind.UNEXPLAINED, _SETTLED_OUTSIDE),
    )
)


async def open_items(tx: Tx) -> Records:
    """All that waits to be explained, oldest first; `amount_fen` is below zero where it left."""
    rows = _OPEN.order_by(POSTINGS.c.occurred_at, POSTINGS.c.posting_id)
    return (await tx.execute(rows)).all()


async def open_item(tx: Tx, key: str) -> Record | None:
    """What a posting left in suspense; None if it is explained, or left nothing."""
    return (await tx.execute(_OPEN.where(POSTINGS.c.key == key))).one_or_none()
