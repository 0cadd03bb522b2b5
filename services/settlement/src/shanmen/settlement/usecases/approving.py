"""The second pair of eyes: approving, rejecting and withdrawing actions, and who may approve.

The database enforces the same once more: by constraints that the approver is another person and
approved this very amount and account, by a trigger that the right is in force and came from a
third person.
"""

from typing import Any

from shanmen.common.clock import Clock
from shanmen.common.db import Tx
from shanmen.common.errors import Forbidden, NotFound
from shanmen.common.ids import new_id
from shanmen.settlement.domain.work import ActionStatus, ManualAction
from shanmen.settlement.errors import (
    ActionDecided,
    ActionOutdated,
    ApprovalDiffers,
    ApproverAlready,
    NotAnApprover,
    SamePerson,
)
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import actions, work
from shanmen.settlement.queries.rows import Record
from shanmen.settlement.usecases.acting import (
    conclude,
    note_action,
    receiver_of,
    require_same,
)
from shanmen.settlement.usecases.auditing import note
from shanmen.settlement.usecases.effects import carry_out


async def require_same_receiver(ctx: SettlementContext, action_id: str) -> None:
    """That a new payout would still go where it was asked for; looked up before approving.

    Raises NotFound, Unavailable, ActionOutdated.
    """
    async with ctx.db.transaction() as tx:
        action = await _require_action(tx, action_id)
    if action.status != ActionStatus.WAITING:
        return
    receiver = await receiver_of(ctx, action.item_id, ManualAction(action.action))
    if receiver is not None and receiver.account_id != action.account_id:
        raise ActionOutdated(
            "The spot's receive account has changed since; reject this and ask for it again.",
            account_id=receiver.account_id,
        )


async def approve(
    tx: Tx, ctx: SettlementContext, action_id: str, *, person: str, amount_fen: int
) -> Record:
    """Approve an action of another person and carry it out, in this transaction.

    Raises NotFound, ActionDecided, SamePerson, NotAnApprover, ApprovalDiffers, ItemResolved,
    ActionOutdated, and what `carry_out` raises.
    """
    action = await _require_waiting(tx, action_id)
    await _require_right(tx, action, person)
    if amount_fen != action.amount_fen:
        raise ApprovalDiffers(
            f"This is about {action.amount_fen} fen, not {amount_fen}.",
            amount_fen=action.amount_fen,
        )
    values = action._asdict()
    if action.item_id is not None:
        require_same(await work.item(tx, action.item_id), values)
    now = ctx.clock.now()
    operation_id = await carry_out(tx, ctx, values, by=action.requested_by, at=now)
    executed = {
        "approved_by": person,
        "approved_at": now,
        "approved_amount_fen": amount_fen,
        "approved_account_id": action.account_id,
        "executed_at": now,
        "result_operation_id": operation_id,
    }
    done = await _decide(tx, action, ActionStatus.EXECUTED, executed)
    await conclude(tx, ctx, done)
    await note_action(tx, ctx, person, "approved", done)
    return done


async def reject(
    tx: Tx, ctx: SettlementContext, action_id: str, *, person: str, text: str
) -> Record:
    """Say no to an action of another person. Raises as `approve` does."""
    action = await _require_waiting(tx, action_id)
    await _require_right(tx, action, person)
    return await _end(tx, ctx, action, ActionStatus.REJECTED, person=person, text=text)


async def withdraw(
    tx: Tx, ctx: SettlementContext, action_id: str, *, person: str, text: str
) -> Record:
    """Take one's own action back. Raises NotFound, ActionDecided, Forbidden."""
    action = await _require_waiting(tx, action_id)
    if action.requested_by != person:
        raise Forbidden(f"Only {action.requested_by} can withdraw this; you may reject it.")
    return await _end(tx, ctx, action, ActionStatus.WITHDRAWN, person=person, text=text)


async def grant_approval(tx: Tx, clock: Clock, *, person: str, by: str) -> Record:
    """Make another person an approver. Raises SamePerson, ApproverAlready."""
    if person == by:
        raise SamePerson("Nobody makes an approver of oneself; ask another person.")
    values = {
        "grant_id": new_id("grt"),
        "person": person,
        "granted_by": by,
        "granted_at": clock.now(),
    }
    granted = await actions.grant(tx, values)
    if granted is None:
        raise ApproverAlready(f"{person} is an approver already.")
    await _note_grant(tx, clock, granted, actor=by, what="granted")
    return granted


async def revoke_approval(tx: Tx, ctx: SettlementContext, *, person: str, by: str) -> Record:
    """Take the right to approve from a person. Raises NotFound."""
    revoked = await actions.revoke(tx, person, by=by, at=ctx.clock.now())
    if revoked is None:
        raise NotFound("approver", person)
    await _note_grant(tx, ctx.clock, revoked, actor=by, what="revoked")
    return revoked


async def _require_action(tx: Tx, action_id: str) -> Record:
    action = await actions.action(tx, action_id)
    if action is None:
        raise NotFound("manual action", action_id)
    return action


async def _require_waiting(tx: Tx, action_id: str) -> Record:
    action = await _require_action(tx, action_id)
    if action.status != ActionStatus.WAITING:
        raise _decided(action.status)
    return action


async def _require_right(tx: Tx, action: Record, person: str) -> None:
    if person == action.requested_by:
        raise SamePerson("You asked for this yourself; another person has to decide about it.")
    grant = await actions.approver(tx, person)
    if grant is None:
        raise NotAnApprover(f"{person} is not an approver at present.")
    if grant.granted_by == action.requested_by:
        raise NotAnApprover(f"{person} is an approver by the grant of who asked for this.")


async def _decide(tx: Tx, action: Record, target: ActionStatus, values: dict[str, Any]) -> Record:
    decided = await actions.change(tx, action.action_id, target, values)
    if decided is None:  # by somebody else at the same moment: all of this is rolled back
        raise _decided("decided")
    return decided


async def _end(
    tx: Tx,
    ctx: SettlementContext,
    action: Record,
    target: ActionStatus,
    *,
    person: str,
    text: str,
) -> Record:
    decision = {"decided_by": person, "decided_at": ctx.clock.now(), "decision_note": text}
    ended = await _decide(tx, action, target, decision)
    await note_action(tx, ctx, person, target, ended)
    return ended


def _decided(status: str) -> ActionDecided:
    return ActionDecided(f"This action is {status} already.", now=status)


async def _note_grant(tx: Tx, clock: Clock, grant: Record, *, actor: str, what: str) -> None:
    await note(
        tx,
        clock,
        actor=actor,
        action=f"approver.{what}",
        subject=grant.person,
        details={"grant_id": grant.grant_id, "granted_by": grant.granted_by},
    )
