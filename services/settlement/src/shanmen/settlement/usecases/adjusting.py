"""Breaks that a person deals with: adjusting (调账), and clearing suspense (销账)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shanmen.common.db import Tx
from shanmen.common.errors import NotFound
from shanmen.settlement.domain.ledger import PostingKind
from shanmen.settlement.domain.reconciliation import posting_for_adjustment
from shanmen.settlement.domain.suspense import posting_for_clearing
from shanmen.settlement.errors import ItemResolved, NothingInSuspense, NothingToAdjust
from shanmen.settlement.queries import ledger, payouts, reconciliation, refunds, suspense
from shanmen.settlement.queries.rows import Record


async def adjust(tx: Tx, break_id: str, *, by: str, at: datetime) -> None:
    """Book what the bill says against suspense. Raises ItemResolved, NothingToAdjust."""
    row = await reconciliation.resolve_break(tx, break_id, how="adjusted", by=by, at=at)
    if row is None:
        raise ItemResolved("This break is resolved already.")
    if not row.cash_effect_fen:
        raise NothingToAdjust(
            "The bill of our own account agrees with the ledger, only another bill does not: have "
            "the channel correct that one, or resolve this."
        )
    posting = posting_for_adjustment(
        break_id=break_id,
        channel=row.channel,
        cash_effect_fen=row.cash_effect_fen,
        occurred_at=at,
    )
    await ledger.record(tx, [posting])


async def accept_break(tx: Tx, break_id: str, *, by: str, at: datetime) -> None:
    """A person has looked at what changes no balance: no run opens it again."""
    await reconciliation.resolve_break(tx, break_id, how="accepted", by=by, at=at)


async def require_in_suspense(tx: Tx, key: str) -> Record:
    """What a posting left in suspense. Raises NotFound, NothingInSuspense."""
    found = await suspense.open_item(tx, key)
    if found is not None:
        return found
    if await ledger.posting(tx, key) is None:
        raise NotFound("posting", key)
    raise NothingInSuspense(f"{key} left nothing in suspense, or is cleared already.")


async def book_clearing(tx: Tx, action: Mapping[str, Any], *, at: datetime) -> None:
    """Move what a posting left in suspense. Raises NotFound, NothingInSuspense."""
    key = str(action["subject_id"])
    await _lock(tx, key)
    found = await require_in_suspense(tx, key)
    clearing = posting_for_clearing(
        key=key,
        order_no=found.order_no,
        amount_fen=int(found.amount_fen),
        to=action["account_id"],
        occurred_at=at,
    )
    await ledger.record(tx, [clearing])


async def _lock(tx: Tx, key: str) -> None:
    """Settling outside explains what is unexplained, too: whoever does either holds its row."""
    kind, _, operation_id = key.partition(":")
    if kind == PostingKind.UNEXPLAINED and await payouts.lock_payout(tx, operation_id) is None:
        await refunds.lock_refund(tx, operation_id)
