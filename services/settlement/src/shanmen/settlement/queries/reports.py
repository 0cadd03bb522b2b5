"""What reports are made of: sums of the ledger, and the visits, debits and refunds behind them."""

from datetime import datetime

from sqlalchemy import Date, Text, case, cast, func, literal, or_, select, union_all

from shanmen.common.db import Tx
from shanmen.settlement.queries.rows import Records
from shanmen.settlement.queries.settlements import PAYABLE_FEN
from shanmen.settlement.tables import (
    DEBITS,
    ENTITLEMENTS,
    ENTRIES,
    ORPHANED_DEBITS,
    POSTINGS,
    REFUNDS,
)

_DEBIT_FEN = func.sum(ENTRIES.c.debit_fen).label("debit_fen")
_CREDIT_FEN = func.sum(ENTRIES.c.credit_fen).label("credit_fen")
_FAMILY = func.split_part(ENTRIES.c.account, ":", 1)
_GROUP = case((_FAMILY == "cash", ENTRIES.c.account), else_=_FAMILY).label("group")
"""Each channel's cash by itself, other accounts by family."""


async def movements_of(tx: Tx, account: str, start: datetime, end: datetime) -> Records:
    """What was debited and credited to one account, by `kind` of posting."""
    rows = (
        select(POSTINGS.c.kind, _DEBIT_FEN, _CREDIT_FEN)
        .join(ENTRIES, ENTRIES.c.posting_id == POSTINGS.c.posting_id)
        .where(
            ENTRIES.c.account == account,
            ENTRIES.c.occurred_at >= start,
            ENTRIES.c.occurred_at < end,
        )
        .group_by(POSTINGS.c.kind)
    )
    return (await tx.execute(rows)).all()


async def daily_movements(tx: Tx, start: datetime, end: datetime, zone: str) -> Records:
    """What was debited and credited: by `day` in that zone, `group` of accounts, and `kind`."""
    day = cast(func.timezone(literal(zone, Text), POSTINGS.c.occurred_at), Date).label("day")
    rows = (
        select(day, _GROUP, POSTINGS.c.kind, _DEBIT_FEN, _CREDIT_FEN)
        .join(ENTRIES, ENTRIES.c.posting_id == POSTINGS.c.posting_id)
        .where(POSTINGS.c.occurred_at >= start, POSTINGS.c.occurred_at < end)
        .group_by("day", "group", POSTINGS.c.kind)
    )
    return (await tx.execute(rows)).all()


async def group_sums(tx: Tx, before: datetime) -> Records:
    """All that was debited and credited before an instant, by `group` of accounts."""
    rows = (
        select(_GROUP, _DEBIT_FEN, _CREDIT_FEN)
        .where(ENTRIES.c.occurred_at < before)
        .group_by("group")
    )
    return (await tx.execute(rows)).all()


async def visits(tx: Tx, spot_id: str, start: datetime, end: datetime, *, limit: int) -> Records:
    """A spot's visits, oldest first."""
    rows = (
        select(ENTITLEMENTS, PAYABLE_FEN)
        .where(
            ENTITLEMENTS.c.spot_id == spot_id,
            ENTITLEMENTS.c.used_at >= start,
            ENTITLEMENTS.c.used_at < end,
        )
        .order_by(ENTITLEMENTS.c.used_at, ENTITLEMENTS.c.entitlement_id)
        .limit(limit + 1)
    )
    return (await tx.execute(rows)).all()


async def debited_from(
    tx: Tx, account: str, kinds: tuple[str, ...], start: datetime, end: datetime, *, limit: int
) -> Records:
    """The postings of these kinds that debited an account, with `amount_fen`, oldest first."""
    rows = (
        select(POSTINGS, ENTRIES.c.debit_fen.label("amount_fen"))
        .join(ENTRIES, ENTRIES.c.posting_id == POSTINGS.c.posting_id)
        .where(
            ENTRIES.c.account == account,
            ENTRIES.c.occurred_at >= start,
            ENTRIES.c.occurred_at < end,
            ENTRIES.c.debit_fen > 0,
            POSTINGS.c.kind.in_(kinds),
        )
        .order_by(POSTINGS.c.occurred_at, POSTINGS.c.posting_id)
        .limit(limit + 1)
    )
    return (await tx.execute(rows)).all()


async def debits(
    tx: Tx, distributor_id: str, start: datetime, end: datetime, *, limit: int
) -> Records:
    """What a distributor was debited, oldest first; `is_orphan` where no order could take it."""
    taken = select(
        *(DEBITS.c.order_no, DEBITS.c.operation_id, DEBITS.c.channel),
        *(DEBITS.c.price_fen, DEBITS.c.fee_fen, DEBITS.c.paid_at),
        literal(False).label("is_orphan"),
    ).where(
        DEBITS.c.distributor_id == distributor_id,
        DEBITS.c.paid_at >= start,
        DEBITS.c.paid_at < end,
    )
    orphan = ORPHANED_DEBITS.c
    orphaned = select(
        *(orphan.order_no, orphan.operation_id, orphan.channel),
        *(orphan.amount_fen, literal(0), orphan.debited_at, literal(True)),
    ).where(
        orphan.distributor_id == distributor_id,
        orphan.debited_at >= start,
        orphan.debited_at < end,
    )
    both = union_all(taken, orphaned).subquery()
    rows = select(both).order_by(both.c.paid_at, both.c.operation_id).limit(limit + 1)
    return (await tx.execute(rows)).all()


async def refunds(
    tx: Tx, distributor_id: str, start: datetime, end: datetime, *, limit: int
) -> Records:
    """What went back to a distributor, by the channel or outside of it, oldest first."""
    booked = or_(
        POSTINGS.c.key == func.concat("refund:", REFUNDS.c.refund_id),
        POSTINGS.c.key == func.concat("refund_outside:", REFUNDS.c.refund_id),
    )
    rows = (
        select(
            *(REFUNDS.c.refund_id, REFUNDS.c.order_no, REFUNDS.c.entitlement_id),
            *(REFUNDS.c.channel, REFUNDS.c.part_fen, REFUNDS.c.fee_fen, REFUNDS.c.amount_fen),
            *(POSTINGS.c.key, POSTINGS.c.kind, POSTINGS.c.occurred_at),
        )
        .join(POSTINGS, booked)
        .where(
            REFUNDS.c.distributor_id == distributor_id,
            POSTINGS.c.occurred_at >= start,
            POSTINGS.c.occurred_at < end,
        )
        .order_by(POSTINGS.c.occurred_at, POSTINGS.c.posting_id)
        .limit(limit + 1)
    )
    return (await tx.execute(rows)).all()
