"""Payouts, and the visits that wait for one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update

from shanmen.common.db import Tx, among
from shanmen.settlement.domain.statuses import (
    PAYOUT,
    SETTLEMENT,
    PayoutStatus,
    Settlement,
)
from shanmen.settlement.queries.rows import ANYBODY, Record, Records, Tenant, of
from shanmen.settlement.queries.settlements import PAYABLE_FEN
from shanmen.settlement.tables import ENTITLEMENTS, PAYOUT_LINES, PAYOUTS

_WAITING = (
    ENTITLEMENTS.c.used_at.is_not(None)
    & ENTITLEMENTS.c.payout_id.is_(None)
    & ENTITLEMENTS.c.settled_at.is_(None)
    & ENTITLEMENTS.c.held_for.is_(None)
)
"""Visited, held for nothing, and in no payout: the condition of the partial index
`entitlements_waiting_ix`."""


async def lock_waiting(tx: Tx, spot_id: str, account_id: str) -> Records:
    """A spot's visits that are in no payout, but for those that another transaction is paying.

    With those for accounts that this one has replaced since: they were too small to be paid by
    themselves, and no more may ever come.
    """
    of_spot = (ENTITLEMENTS.c.spot_id == spot_id) & _WAITING
    own = ENTITLEMENTS.c.account_id == account_id
    newest = select(func.max(ENTITLEMENTS.c.issued_at)).where(of_spot, own).scalar_subquery()
    wanted = (
        select(ENTITLEMENTS.c.entitlement_id, PAYABLE_FEN)
        .where(of_spot, own | (ENTITLEMENTS.c.issued_at < newest))
        .order_by(ENTITLEMENTS.c.entitlement_id)
        .with_for_update(skip_locked=True)
    )
    return (await tx.execute(wanted)).all()


async def waiting_sums(tx: Tx) -> Records:
    """What waits to be paid out: one row per spot and account, the newest account first.

    `amount_fen` is what could be paid at most: all that waits for the spot.
    """
    by = (ENTITLEMENTS.c.spot_id, ENTITLEMENTS.c.account_id, ENTITLEMENTS.c.channel)
    of_account_fen = func.sum(PAYABLE_FEN.element)
    of_spot_fen = func.sum(of_account_fen).over(partition_by=ENTITLEMENTS.c.spot_id)
    sums = (
        select(*by, of_spot_fen.label("amount_fen"))
        .where(_WAITING)
        .group_by(*by)
        .order_by(func.max(ENTITLEMENTS.c.issued_at).desc())
    )
    return (await tx.execute(sums)).all()


async def open_payout(tx: Tx, payout: Mapping[str, Any], entitlement_ids: Sequence[str]) -> None:
    """Add a payout, its lines, and its number to what it pays, in one statement."""
    added = insert(PAYOUTS).values(**payout).returning(PAYOUTS.c.payout_id).cte("added")
    covered = (
        update(ENTITLEMENTS)
        .where(among(ENTITLEMENTS.c.entitlement_id, entitlement_ids), _WAITING)
        .values(payout_id=payout["payout_id"], version=ENTITLEMENTS.c.version + 1)
        .returning(
            ENTITLEMENTS.c.payout_id,
            ENTITLEMENTS.c.entitlement_id,
            PAYABLE_FEN,
        )
        .cte("covered")
    )
    await tx.execute(
        insert(PAYOUT_LINES)
        .from_select(["payout_id", "entitlement_id", "amount_fen"], select(*covered.c))
        .add_cte(added)
    )


async def payout(tx: Tx, payout_id: str, tenant: Tenant = ANYBODY) -> Record | None:
    """One payout, if it is the tenant's."""
    wanted = select(PAYOUTS).where(PAYOUTS.c.payout_id == payout_id, *of(PAYOUTS, tenant))
    return (await tx.execute(wanted)).one_or_none()


async def change_payout(
    tx: Tx,
    payout_id: str,
    target: PayoutStatus,
    *,
    reason: str | None = None,
    finished_at: datetime | None = None,
) -> Record | None:
    """Move a payout to `target`; None if there is no such payout, or its status forbids it."""
    changed = (
        update(PAYOUTS)
        .where(PAYOUTS.c.payout_id == payout_id, among(PAYOUTS.c.status, PAYOUT.sources(target)))
        .values(status=target, reason=reason, finished_at=finished_at)
        .returning(PAYOUTS)
    )
    row: Record | None = (await tx.execute(changed)).one_or_none()
    return row


async def lock_payout(tx: Tx, payout_id: str) -> Record | None:
    """One payout, which nobody else can change until this transaction ends."""
    wanted = select(PAYOUTS).where(PAYOUTS.c.payout_id == payout_id).with_for_update()
    return (await tx.execute(wanted)).one_or_none()


async def unpaid_lines(tx: Tx, payout_id: str) -> Records:
    """What a payout was to pay and no other pays, nor anybody else paid."""
    wanted = (
        select(PAYOUT_LINES.c.entitlement_id, PAYOUT_LINES.c.amount_fen)
        .join(ENTITLEMENTS, ENTITLEMENTS.c.entitlement_id == PAYOUT_LINES.c.entitlement_id)
        .where(
            PAYOUT_LINES.c.payout_id == payout_id,
            PAYOUT_LINES.c.live,
            ENTITLEMENTS.c.status == Settlement.SETTLE_FAILED,
        )
        .order_by(PAYOUT_LINES.c.entitlement_id)
        .with_for_update()
    )
    return (await tx.execute(wanted)).all()


async def replace_payout(
    tx: Tx, payout_id: str, payout: Mapping[str, Any], lines: Records
) -> None:
    """Let another payout pay these lines of a refused one."""
    entitlement_ids = [line.entitlement_id for line in lines]
    new_id = payout["payout_id"]
    await tx.execute(
        update(PAYOUT_LINES)
        .where(
            PAYOUT_LINES.c.payout_id == payout_id,
            among(PAYOUT_LINES.c.entitlement_id, entitlement_ids),
        )
        .values(live=False)
    )
    await tx.execute(insert(PAYOUTS).values(**payout))
    await tx.execute(
        insert(PAYOUT_LINES),
        [
            {
                "payout_id": new_id,
                "entitlement_id": line.entitlement_id,
                "amount_fen": line.amount_fen,
            }
            for line in lines
        ],
    )
    await tx.execute(
        update(ENTITLEMENTS)
        .where(among(ENTITLEMENTS.c.entitlement_id, entitlement_ids))
        .values(payout_id=new_id, version=ENTITLEMENTS.c.version + 1)
    )


async def settle_lines(tx: Tx, payout_id: str, settled_at: datetime) -> Records:
    """Settle what a payout paid; one row per entitlement, with the `amount_fen` of its line."""
    return await _change_lines(
        tx,
        payout_id,
        SETTLEMENT.sources(Settlement.SETTLED),
        status=Settlement.SETTLED,
        reason=None,
        settled_at=settled_at,
    )


async def fail_lines(tx: Tx, payout_id: str, reason: str) -> Records:
    """Mark what a payout did not pay; those marked before get the new reason."""
    return await _change_lines(
        tx,
        payout_id,
        SETTLEMENT.sources(Settlement.SETTLE_FAILED) | {Settlement.SETTLE_FAILED},
        status=Settlement.SETTLE_FAILED,
        reason=reason,
    )


async def _change_lines(
    tx: Tx, payout_id: str, sources: frozenset[Settlement], **values: Any
) -> Records:
    changed = (
        update(ENTITLEMENTS)
        .where(
            PAYOUT_LINES.c.payout_id == payout_id,
            PAYOUT_LINES.c.live,
            PAYOUT_LINES.c.entitlement_id == ENTITLEMENTS.c.entitlement_id,
            among(ENTITLEMENTS.c.status, sources),
        )
        .values(version=ENTITLEMENTS.c.version + 1, **values)
        .returning(
            ENTITLEMENTS.c.entitlement_id,
            ENTITLEMENTS.c.order_no,
            ENTITLEMENTS.c.spot_id,
            PAYOUT_LINES.c.amount_fen,
        )
    )
    return (await tx.execute(changed)).all()


async def page(
    tx: Tx,
    tenant: Tenant,
    *,
    spot_id: str | None,
    status: PayoutStatus | None,
    after: str | None,
    limit: int,
) -> Records:
    """Payouts of a tenant, without their lines."""
    rows = select(PAYOUTS).where(*of(PAYOUTS, tenant))
    if spot_id is not None:
        rows = rows.where(PAYOUTS.c.spot_id == spot_id)
    if status is not None:
        rows = rows.where(PAYOUTS.c.status == status)
    if after is not None:
        rows = rows.where(PAYOUTS.c.payout_id < after)
    return (await tx.execute(rows.order_by(PAYOUTS.c.payout_id.desc()).limit(limit + 1))).all()


async def lines_of(tx: Tx, payout_id: str) -> Records:
    """What one payout pays, oldest entitlement first."""
    rows = (
        select(PAYOUT_LINES, ENTITLEMENTS.c.ticket_no, ENTITLEMENTS.c.order_no)
        .join(ENTITLEMENTS, ENTITLEMENTS.c.entitlement_id == PAYOUT_LINES.c.entitlement_id)
        .where(PAYOUT_LINES.c.payout_id == payout_id)
        .order_by(PAYOUT_LINES.c.entitlement_id)
    )
    return (await tx.execute(rows)).all()
