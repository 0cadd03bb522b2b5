"""Taking on operations: a request is recorded once, however often it is asked for."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row

from shanmen.common.db import Tx, after_commit
from shanmen.common.errors import Malformed, NotYet
from shanmen.contracts.gateway import OperationFailed, OperationStuck, OperationSucceeded
from shanmen.gateway_adapters.domain.operations import (
    Action,
    Channel,
    OperationKind,
    OperationStatus,
    Outcome,
)
from shanmen.gateway_adapters.domain.policy import Next, abandon, resume
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.queries import operations as queries
from shanmen.gateway_adapters.usecases.history import policy_attempts

CANCELLED: Final = "cancelled"
"""The code of a debit that was given up and has come to its certain end."""


@dataclass(frozen=True)
class OperationRequest:
    """What somebody wants a channel to do; without `account_id`, on the platform's own account.

    `amount_fen` is 0 of a liquidation, and of nothing else: the channel says how much there is.
    """

    operation_id: str
    kind: OperationKind
    channel: str
    account_id: str | None
    amount_fen: int
    description: str
    business_ref: str
    original_operation_id: str | None = None


async def request_operation(tx: Tx, ctx: GatewayContext, request: OperationRequest) -> None:
    """Record an operation, to be worked on as soon as this commits.

    Asked for again it is the same operation: a parked one goes on, a finished one is told again.
    Raises Malformed when the number is known with other content, or there is nothing to be asked.
    """
    is_liquidation = request.kind is OperationKind.LIQUIDATE
    is_amount = request.amount_fen == 0 if is_liquidation else request.amount_fen > 0
    if request.channel not in set(Channel) or not is_amount:
        raise Malformed(f"{request.operation_id} asks for no channel or no amount that exists")
    now = ctx.clock.now()
    values = _values(request)
    is_new = await queries.insert_operation(
        tx,
        {
            **values,
            "description": request.description,
            "status": OperationStatus.OPEN,
            "next_action": Action.SEND,
            "next_at": now,
            "requested_at": now,
            "opened_at": now,
        },
    )
    if not is_new:
        await _ask_again(tx, ctx, request)
    after_commit(tx, "operations", ctx.work_arrived.set)


async def _ask_again(tx: Tx, ctx: GatewayContext, request: OperationRequest) -> None:
    row = await queries.operation(tx, request.operation_id, lock=True)
    if row is None or any(getattr(row, k) != v for k, v in _values(request).items()):
        raise Malformed(f"{request.operation_id} was requested before with other content")
    await _go_on(tx, ctx, row)


async def resume_operation(tx: Tx, ctx: GatewayContext, operation_id: str) -> None:
    """Let a parked operation go on; one that has ended is told again.

    Raises NotYet for one that nobody has asked for so far.
    """
    row = await queries.operation(tx, operation_id, lock=True)
    if row is None:
        raise NotYet(f"operation {operation_id}")
    await _go_on(tx, ctx, row)
    after_commit(tx, "operations", ctx.work_arrived.set)


async def cancel_operation(tx: Tx, ctx: GatewayContext, operation_id: str) -> None:
    """Give a debit up: nothing is sent under its number from here on.

    One that has ended is told again. One in conflict stays with its person. Raises NotYet for one
    that nobody has asked for so far, and Malformed for what is no debit.
    """
    row = await queries.operation(tx, operation_id, lock=True)
    if row is None:
        raise NotYet(f"operation {operation_id}")
    if row.kind != OperationKind.DEBIT:
        raise Malformed(f"{operation_id} is no debit, and nothing else can be cancelled")
    is_in_conflict = row.status == OperationStatus.PARKED and row.outcome == Outcome.CONFLICT
    if row.status in {OperationStatus.SUCCEEDED, OperationStatus.FAILED}:
        await tell(tx, ctx, row)
    elif row.leased_until is not None or is_in_conflict:
        # Whoever applies the answer to the call in flight, or if none comes the query that is
        # written down already, goes on from there.
        await queries.abandon_operation(tx, operation_id, ctx.clock.now())
        if is_in_conflict:
            await tell(tx, ctx, row)
    elif row.abandoned_at is None or row.status == OperationStatus.PARKED:
        await _give_up(tx, ctx, row)
    after_commit(tx, "operations", ctx.work_arrived.set)


async def _give_up(tx: Tx, ctx: GatewayContext, row: Row[Any]) -> None:
    now = ctx.clock.now()
    history = await queries.attempts(tx, [row.operation_id])
    step = abandon(policy_attempts(history[row.operation_id]), now)
    if isinstance(step, Next) and row.status == OperationStatus.PARKED:
        await queries.abandon_operation(tx, row.operation_id, now)
        await reopen(tx, row.operation_id, step)
    elif isinstance(step, Next):
        planned = {"next_action": step.action, "next_at": step.at}
        await queries.abandon_operation(tx, row.operation_id, now, planned)
    else:
        ended = {"outcome": step.outcome, "code": CANCELLED, "reason": "never sent"}
        values = {**ended, "abandoned_at": now, "finished_at": now}
        changed = await queries.change_status(tx, row.operation_id, step.status, values)
        if changed is not None:
            await tell(tx, ctx, changed)


async def _go_on(tx: Tx, ctx: GatewayContext, row: Row[Any]) -> None:
    """A parked operation goes on, given up or not; one that has ended is told again."""
    if row.status == OperationStatus.PARKED and row.abandoned_at is not None:
        await _give_up(tx, ctx, row)
    elif row.status == OperationStatus.PARKED:
        history = await queries.attempts(tx, [row.operation_id])
        step = resume(policy_attempts(history[row.operation_id]), ctx.clock.now())
        await reopen(tx, row.operation_id, step)
    elif row.status != OperationStatus.OPEN:
        await tell(tx, ctx, row)


async def reopen(tx: Tx, operation_id: str, step: Next) -> None:
    """Let a parked operation go on with this step; the window of its kind begins anew."""
    values = {"next_action": step.action, "next_at": step.at, "opened_at": step.at}
    no_conclusion = dict.fromkeys(("outcome", "code", "reason", "finished_at"))
    await queries.change_status(
        tx, operation_id, OperationStatus.OPEN, {**no_conclusion, **values}
    )


async def tell(tx: Tx, ctx: GatewayContext, row: Row[Any]) -> None:
    """Tell the requester what an operation has come to."""
    await ctx.outbox.add(tx, [_conclusion(row)])


def _conclusion(row: Row[Any]) -> OperationSucceeded | OperationFailed | OperationStuck:
    common = {"operation_id": row.operation_id, "kind": row.kind, "channel": row.channel}
    if row.status == OperationStatus.SUCCEEDED:
        return OperationSucceeded(
            **common,
            amount_fen=row.amount_fen,
            channel_ref=row.channel_ref,
            finished_at=row.finished_at,
            principal_fen=row.principal_fen,
            yield_fen=row.yield_fen,
        )
    told = {**common, "code": row.code or "", "reason": row.reason or ""}
    if row.status == OperationStatus.FAILED:
        return OperationFailed(**told, finished_at=row.finished_at)
    return OperationStuck(
        **told, outcome=row.outcome or Outcome.UNKNOWN, since=row.finished_at or row.requested_at
    )


def _values(request: OperationRequest) -> dict[str, Any]:
    return {
        "operation_id": request.operation_id,
        "kind": request.kind,
        "channel": request.channel,
        "account_id": request.account_id,
        "amount_fen": request.amount_fen,
        "business_ref": request.business_ref,
        "original_operation_id": request.original_operation_id,
    }
