"""What people do about money that is stuck: at once, or once another person approves it.

Nothing here can pay twice. What is parked goes on under its own number, what was refused for
certain is replaced by guarded updates, and each has one winner, be it a person or the channel.
"""

from dataclasses import dataclass
from typing import Final

from shanmen.common.db import Tx
from shanmen.common.errors import NotFound
from shanmen.common.ids import new_id
from shanmen.contracts.terms import AccountRef
from shanmen.settlement.domain.suspense import ClearTo
from shanmen.settlement.domain.work import (
    ACTIONS,
    ActionStatus,
    Direction,
    ManualAction,
    WorkKind,
    WorkStatus,
    needs_second_person,
)
from shanmen.settlement.errors import (
    ActionNotAllowed,
    ActionOutdated,
    ActionWaiting,
    ClearedAlready,
    DistributorAsksAgain,
    ItemResolved,
    PostingCorrected,
    ReferenceUsed,
)
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import actions, work
from shanmen.settlement.queries.rows import Record
from shanmen.settlement.usecases.adjusting import require_in_suspense
from shanmen.settlement.usecases.auditing import note
from shanmen.settlement.usecases.correcting import require_correctable
from shanmen.settlement.usecases.effects import Values, carry_out
from shanmen.settlement.usecases.work import take_off_work_list

_WHAT_IT_IS_FOR: Final = ("kind", "operation_id", "amount_fen")
"""What must not change between asking for an action and approving it."""

_TOLD: Final = (
    *("action", "item_id", "kind", "subject_id", "operation_id", "amount_fen", "channel"),
    *("account_id", "direction", "note", "requested_by", "approved_by", "decision_note"),
    "result_operation_id",
)
"""What the audit trail keeps of an action."""


@dataclass(frozen=True)
class Wish:
    """What a person wants done about an item, and why.

    `receiver` is the account that a new payout would go to, as `receiver_of` found it.
    """

    item_id: str
    action: ManualAction
    person: str
    note: str
    receiver: AccountRef | None = None


@dataclass(frozen=True)
class TopUp:
    """Money that the owner moved into or out of a channel account; `reference` is the number of
    that movement in the account's own statement."""

    channel: str
    amount_fen: int
    direction: Direction
    reference: str
    person: str
    note: str


async def receiver_of(
    ctx: SettlementContext, item_id: str | None, action: ManualAction
) -> AccountRef | None:
    """Where a new payout would go, if this action opens one: asked for before any transaction.

    Raises NotFound for an unknown item and for a spot without a receive account, Unavailable.
    """
    if item_id is None or action is not ManualAction.REMIT:
        return None
    async with ctx.db.transaction() as tx:
        item = await _require_item(tx, item_id)
    if item.kind != WorkKind.PAYOUT_REFUSED or item.status != WorkStatus.OPEN:
        return None
    return await ctx.receivers.current(item.spot_id)


async def propose(tx: Tx, ctx: SettlementContext, wish: Wish) -> Record:
    """Do what a person wants done, or keep it for approval: the action's row tells which.

    Raises NotFound, ItemResolved, ActionNotAllowed, ActionWaiting, ActionOutdated, and what
    `carry_out` raises.
    """
    item = await _require_item(tx, wish.item_id)
    _require_allowed(item, wish.action)
    values = {**_about(item, wish), **_asked(ctx, wish.person, wish.note)}
    if needs_second_person(wish.action, item.amount_fen, ctx.four_eyes_above_fen):
        # Locked and looked at again: whatever closes the item from now on ends this action, too.
        require_same(await work.item(tx, wish.item_id, lock=True), values)
        return await _keep_waiting(tx, ctx, values)
    return await _execute(tx, ctx, values)


async def record_top_up(tx: Tx, ctx: SettlementContext, top_up: TopUp) -> Record:
    """Book what the owner moved, or keep it for approval: the action's row tells which.

    Raises ReferenceUsed.
    """
    values = {
        "action_id": new_id("act"),
        "action": ManualAction.TOP_UP,
        "subject_id": top_up.reference,
        "amount_fen": top_up.amount_fen,
        "channel": top_up.channel,
        "direction": top_up.direction,
        **_asked(ctx, top_up.person, top_up.note),
    }
    if needs_second_person(ManualAction.TOP_UP, top_up.amount_fen, ctx.four_eyes_above_fen):
        return await _keep_waiting(tx, ctx, values)
    return await _execute(tx, ctx, values)


async def ask_for_correction(
    tx: Tx, ctx: SettlementContext, key: str, *, person: str, reason: str
) -> Record:
    """Undo a posting that was entered wrongly, or keep that for approval: the action's row tells
    which.

    Raises NotFound, NotCorrectable, PostingCorrected.
    """
    mistake = await require_correctable(tx, key)
    values = {
        "action_id": new_id("act"),
        "action": ManualAction.CORRECT,
        "subject_id": key,
        "amount_fen": mistake.amount_fen,
        "channel": mistake.channel,
        **_asked(ctx, person, reason),
    }
    if needs_second_person(ManualAction.CORRECT, mistake.amount_fen, ctx.four_eyes_above_fen):
        return await _keep_waiting(tx, ctx, values)
    return await _execute(tx, ctx, values)


async def ask_for_clearing(
    tx: Tx, ctx: SettlementContext, key: str, *, to: ClearTo, person: str, text: str
) -> Record:
    """Move what a posting left in suspense to where it belongs, or keep that for approval: the
    action's row tells which.

    Raises NotFound, NothingInSuspense, ClearedAlready.
    """
    found = await require_in_suspense(tx, key)
    values = {
        "action_id": new_id("act"),
        "action": ManualAction.CLEAR,
        "subject_id": key,
        "amount_fen": abs(int(found.amount_fen)),
        "channel": found.channel,
        "account_id": to.value,
        **_asked(ctx, person, text),
    }
    if needs_second_person(ManualAction.CLEAR, values["amount_fen"], ctx.four_eyes_above_fen):
        return await _keep_waiting(tx, ctx, values)
    return await _execute(tx, ctx, values)


async def _execute(tx: Tx, ctx: SettlementContext, values: Values) -> Record:
    now = ctx.clock.now()
    operation_id = await carry_out(tx, ctx, values, by=values["requested_by"], at=now)
    executed = {
        "status": ActionStatus.EXECUTED,
        "executed_at": now,
        "result_operation_id": operation_id,
    }
    row = await _add(tx, {**values, **executed})
    await conclude(tx, ctx, row)
    await note_action(tx, ctx, row.requested_by, "executed", row)
    return row


async def conclude(tx: Tx, ctx: SettlementContext, done: Record) -> None:
    """Take off the list what an executed action ended: what was settled outside or replaced, or
    released of what was refused.

    What only goes on under its own number stays there until it ends.
    """
    if done.item_id is None or done.action == ManualAction.RESOLVE:
        return
    family = WorkKind(done.kind).family
    if done.action == ManualAction.SETTLE_OUTSIDE:
        await take_off_work_list(tx, ctx, family, done.subject_id, how="settled outside")
    elif done.action == ManualAction.ADJUST:
        await take_off_work_list(tx, ctx, family, done.subject_id, how="adjusted")
    elif done.action == ManualAction.RELEASE:
        if await work.has_ended(tx, family, done.subject_id):
            await take_off_work_list(tx, ctx, family, done.subject_id, how="released")
    elif done.result_operation_id != done.operation_id:
        how = f"replaced by {done.result_operation_id}"
        await take_off_work_list(tx, ctx, family, done.subject_id, how=how)


def require_same(item: Record | None, action: Values) -> None:
    """That an item is still what an action was asked for. Raises ItemResolved, ActionOutdated."""
    if item is None or item.status != WorkStatus.OPEN:
        raise ItemResolved("Nothing is stuck there any more.")
    if any(getattr(item, name) != action[name] for name in _WHAT_IT_IS_FOR):
        raise ActionOutdated("The item has changed since this was asked for; look at it again.")


async def note_action(tx: Tx, ctx: SettlementContext, actor: str, what: str, row: Record) -> None:
    """Add to the audit trail what became of an action."""
    details = {name: getattr(row, name) for name in _TOLD}
    await note(
        tx,
        ctx.clock,
        actor=actor,
        action=f"{row.action}.{what}",
        subject=row.action_id,
        details={name: value for name, value in details.items() if value is not None},
    )


# ── an action's row ─────────────────────────────────────────────────────────────────────────────


async def _keep_waiting(tx: Tx, ctx: SettlementContext, values: Values) -> Record:
    row = await _add(tx, {**values, "status": ActionStatus.WAITING})
    await note_action(tx, ctx, row.requested_by, "requested", row)
    return row


async def _add(tx: Tx, values: Values) -> Record:
    row = await actions.add(tx, values)
    if row is not None:
        return row
    if values["action"] == ManualAction.TOP_UP:
        raise ReferenceUsed(
            f"Reference {values['subject_id']!r} is recorded for {values['channel']} already."
        )
    if values["action"] == ManualAction.CLEAR:
        raise ClearedAlready(
            f"A clearing of {values['subject_id']} waits for approval, or was made just now."
        )
    if values["action"] == ManualAction.CORRECT:
        raise PostingCorrected(
            f"A correction of {values['subject_id']} waits for approval, or was made just now."
        )
    raise ActionWaiting(
        "Another action about this item waits for approval; have it approved, rejected or "
        "withdrawn first."
    )


def _about(item: Record, wish: Wish) -> Values:
    account_id, channel = item.account_id, item.channel
    if wish.action is ManualAction.REMIT and item.kind == WorkKind.PAYOUT_REFUSED:
        if wish.receiver is None:
            raise ActionOutdated("The payout was refused only now; look at it again.")
        account_id, channel = wish.receiver.account_id, wish.receiver.channel
    return {
        "action_id": new_id("act"),
        "item_id": item.item_id,
        "action": wish.action,
        "kind": item.kind,
        "subject_id": item.subject_id,
        "operation_id": item.operation_id,
        "amount_fen": item.amount_fen,
        "channel": channel,
        "account_id": account_id,
    }


def _asked(ctx: SettlementContext, person: str, text: str) -> Values:
    return {
        "note": text,
        "requested_by": person,
        "requested_at": ctx.clock.now(),
        "threshold_fen": ctx.four_eyes_above_fen,
    }


# ── items ───────────────────────────────────────────────────────────────────────────────────────


async def _require_item(tx: Tx, item_id: str) -> Record:
    item = await work.item(tx, item_id)
    if item is None:
        raise NotFound("work item", item_id)
    return item


def _require_allowed(item: Record, action: ManualAction) -> None:
    if item.status != WorkStatus.OPEN:
        raise ItemResolved("This item is resolved already.")
    allowed = ACTIONS[WorkKind(item.kind)]
    if action in allowed:
        return
    if item.kind == WorkKind.DEBIT_SHORT:
        raise DistributorAsksAgain(
            "The distributor asks for payment again itself, once it has topped its account up.",
            allowed=allowed,
        )
    raise ActionNotAllowed(
        f"{action} is not for an item of kind {item.kind}; try one of {', '.join(allowed)}.",
        allowed=allowed,
    )
