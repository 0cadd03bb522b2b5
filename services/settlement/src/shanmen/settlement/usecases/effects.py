"""What each action of a person does, by the kind of what it is about."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from shanmen.common.db import Tx
from shanmen.contracts.gateway import ResumeRequested
from shanmen.contracts.terms import AccountRef
from shanmen.settlement.domain.ledger import posting_for_owner
from shanmen.settlement.domain.work import Direction, ManualAction, WorkFamily, WorkKind
from shanmen.settlement.errors import ItemResolved, StillStuck
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import actions, ledger, work
from shanmen.settlement.usecases.adjusting import accept_break, adjust, book_clearing
from shanmen.settlement.usecases.correcting import book_correction
from shanmen.settlement.usecases.restarting import (
    refund_outside,
    restart_payout,
    restart_refund,
    settle_payout_outside,
)
from shanmen.settlement.usecases.unblocking import release_waiting, retry_move

Values: TypeAlias = Mapping[str, Any]
"""An action's columns."""

Effect: TypeAlias = Callable[[Tx, SettlementContext, Values, datetime], Awaitable[str | None]]

Booking: TypeAlias = Callable[[Tx, Values, datetime], Awaitable[None]]


async def carry_out(
    tx: Tx, ctx: SettlementContext, action: Values, *, by: str, at: datetime
) -> str | None:
    """Do what an action says; returns the operation that is in charge from now on, if any.

    Raises StillStuck, PostingCorrected, and the Conflicts of restarting when what was stuck went
    on by itself.
    """
    wanted = ManualAction(action["action"])
    if wanted in _BOOKINGS:
        await _BOOKINGS[wanted](tx, action, at)
        return None
    family = WorkKind(action["kind"]).family
    if wanted is ManualAction.RESOLVE:
        await _resolve(tx, action, family, by=by, at=at)
        return None
    return await _EFFECTS[wanted, family](tx, ctx, action, at)


async def _resume(tx: Tx, ctx: SettlementContext, action: Values, _: datetime) -> str:
    operation_id = str(action["operation_id"])
    await ctx.outbox.add(tx, [ResumeRequested(operation_id=operation_id)])
    return operation_id


async def _pay(tx: Tx, ctx: SettlementContext, action: Values, _: datetime) -> str:
    receiver = None
    if action["kind"] == WorkKind.PAYOUT_REFUSED:
        receiver = AccountRef(account_id=action["account_id"], channel=action["channel"])
    return await restart_payout(tx, ctx, action["subject_id"], receiver)


async def _refund(tx: Tx, ctx: SettlementContext, action: Values, _: datetime) -> str:
    return await restart_refund(tx, ctx, action["subject_id"])


async def _declare_paid(tx: Tx, ctx: SettlementContext, action: Values, at: datetime) -> None:
    await settle_payout_outside(tx, ctx, action["subject_id"], at=at)


async def _declare_refunded(tx: Tx, ctx: SettlementContext, action: Values, at: datetime) -> None:
    await refund_outside(tx, ctx, action["subject_id"], at=at)


async def _retry_move(tx: Tx, ctx: SettlementContext, action: Values, _: datetime) -> str:
    return await retry_move(tx, ctx, action["subject_id"])


async def _release_waiting(tx: Tx, ctx: SettlementContext, action: Values, _: datetime) -> str:
    return await release_waiting(tx, ctx, action["subject_id"])


async def _adjust(tx: Tx, _: SettlementContext, action: Values, at: datetime) -> str:
    await adjust(tx, action["subject_id"], by=action["requested_by"], at=at)
    return str(action["operation_id"])


_EFFECTS: Final[Mapping[tuple[ManualAction, WorkFamily], Effect]] = {
    (ManualAction.RETRY, WorkFamily.DEBIT): _resume,
    (ManualAction.RETRY, WorkFamily.PAYOUT): _pay,
    (ManualAction.REMIT, WorkFamily.PAYOUT): _pay,
    (ManualAction.SETTLE_OUTSIDE, WorkFamily.PAYOUT): _declare_paid,
    (ManualAction.RETRY, WorkFamily.REFUND): _refund,
    (ManualAction.REFUND, WorkFamily.REFUND): _refund,
    (ManualAction.SETTLE_OUTSIDE, WorkFamily.REFUND): _declare_refunded,
    (ManualAction.RETRY, WorkFamily.SUBSCRIBE): _retry_move,
    (ManualAction.RETRY, WorkFamily.REDEEM): _retry_move,
    (ManualAction.RETRY, WorkFamily.LIQUIDATE): _retry_move,
    (ManualAction.RELEASE, WorkFamily.REDEEM): _release_waiting,
    (ManualAction.RELEASE, WorkFamily.LIQUIDATE): _release_waiting,
    (ManualAction.RETRY, WorkFamily.BREAK): _resume,
    (ManualAction.ADJUST, WorkFamily.BREAK): _adjust,
}


async def _book_top_up(tx: Tx, action: Values, at: datetime) -> None:
    posting = posting_for_owner(
        movement_id=action["action_id"],
        channel=action["channel"],
        amount_fen=action["amount_fen"],
        direction=Direction(action["direction"]),
        occurred_at=at,
    )
    await ledger.record(tx, [posting])


async def _book_correction(tx: Tx, action: Values, at: datetime) -> None:
    await book_correction(tx, action["subject_id"], at=at)


async def _book_clearing(tx: Tx, action: Values, at: datetime) -> None:
    await book_clearing(tx, action, at=at)


_BOOKINGS: Final[Mapping[ManualAction, Booking]] = {
    ManualAction.TOP_UP: _book_top_up,
    ManualAction.CORRECT: _book_correction,
    ManualAction.CLEAR: _book_clearing,
}
"""What is about no item of the work list: each is one posting."""


async def _resolve(tx: Tx, action: Values, family: WorkFamily, *, by: str, at: datetime) -> None:
    if not await work.has_ended(tx, family, action["subject_id"]):
        raise StillStuck("Something is still stuck behind this item; see its next step.")
    resolved = await work.resolve(
        tx, action["item_id"], resolution="resolved by hand", person=by, note=action["note"], at=at
    )
    if resolved is None:
        raise ItemResolved("This item is resolved already.")
    if family is WorkFamily.BREAK:
        await accept_break(tx, action["subject_id"], by=by, at=at)
    await actions.lapse(tx, action["item_id"], at=at)
