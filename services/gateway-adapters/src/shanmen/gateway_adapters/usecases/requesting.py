"""Taking on operations: a request is recorded once, however often it is asked for."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from shanmen.common.db import Tx, after_commit
from shanmen.common.errors import Malformed
from shanmen.contracts.gateway import OperationFailed, OperationStuck, OperationSucceeded
from shanmen.contracts.terms import AccountRef
from shanmen.gateway_adapters import queries
from shanmen.gateway_adapters.domain import (
    Action,
    Channel,
    Next,
    OperationKind,
    OperationStatus,
    Outcome,
    resume,
)
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.usecases.history import policy_attempts


@dataclass(frozen=True)
class OperationRequest:
    """What somebody wants a channel to do."""

    operation_id: str
    kind: OperationKind
    account: AccountRef
    amount_fen: int
    description: str
    business_ref: str
    original_operation_id: str | None = None


async def request_operation(tx: Tx, ctx: GatewayContext, request: OperationRequest) -> None:
    """Record an operation, to be worked on as soon as this commits.

    Asked for again it is the same operation: a parked one goes on, a finished one is told again.
    Raises Malformed when the number is known with other content, or there is nothing to be asked.
    """
    if request.account.channel not in set(Channel) or request.amount_fen <= 0:
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
    if row.status == OperationStatus.PARKED:
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
        "channel": request.account.channel,
        "account_id": request.account.account_id,
        "amount_fen": request.amount_fen,
        "business_ref": request.business_ref,
        "original_operation_id": request.original_operation_id,
    }
