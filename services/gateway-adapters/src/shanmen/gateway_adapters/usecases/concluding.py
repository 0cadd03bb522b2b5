"""Applying answers: what was said is written down, and its conclusion drawn and told once."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row

from shanmen.common.db import Tx
from shanmen.gateway_adapters.domain.operations import (
    Action,
    OperationKind,
    OperationStatus,
    Outcome,
    moment_of_success,
)
from shanmen.gateway_adapters.domain.policy import Attempt, Finish, Next, decide
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.providers.base import Answer
from shanmen.gateway_adapters.queries import operations as queries
from shanmen.gateway_adapters.usecases.claiming import Claim
from shanmen.gateway_adapters.usecases.history import policy_attempts
from shanmen.gateway_adapters.usecases.rechecking import apply_to_failed, first_recheck
from shanmen.gateway_adapters.usecases.requesting import CANCELLED, tell

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
    """What was said to one attempt."""

    claim: Claim
    answer: Answer


@dataclass(frozen=True)
class _Situation:
    """An operation, locked, and its attempts, at the moment when an answer is applied."""

    operation: Row[Any]
    history: Sequence[Row[Any]]
    jitter: float


async def apply_answers(
    tx: Tx,
    ctx: GatewayContext,
    answered: Sequence[Answered],
    *,
    jitter: Callable[[], float] = lambda: 0.0,
) -> None:
    """Write answers down, and draw the conclusion of each.

    The operations are locked and read anew: one may have been abandoned during its call.
    """
    numbers = [item.claim.operation_id for item in answered]
    operations = await queries.lock_operations(tx, numbers)
    history = await queries.attempts(tx, numbers)
    done: set[str] = set()
    for item in answered:
        number = item.claim.operation_id
        if number in done:  # two answers about one operation: the first may have ended it
            operations |= await queries.lock_operations(tx, [number])
            history |= await queries.attempts(tx, [number])
        done.add(number)
        await _apply(tx, ctx, item, _Situation(operations[number], history[number], jitter()))


async def _apply(tx: Tx, ctx: GatewayContext, item: Answered, now_is: _Situation) -> None:
    """Write an answer down, and draw its conclusion.

    An answer that comes after somebody else has claimed the operation is judged by the attempts
    before it, and concludes only if it says that the money has moved.
    """
    claim, answer, operation = item.claim, item.answer, now_is.operation
    now = ctx.clock.now()
    if not await queries.finish_attempt(
        tx, claim.operation_id, claim.lease, _written(answer, now)
    ):
        return
    if not answer.listed and all(row.listed for row in now_is.history):
        _alarm("a code that is in none of our tables", claim.operation_id, answer)
    if operation.status == OperationStatus.FAILED:
        await apply_to_failed(tx, ctx, claim, answer, operation)
        return
    before = [row for row in now_is.history if row.lease < claim.lease]
    step = decide(
        OperationKind(operation.kind),
        [*policy_attempts(before), Attempt(claim.action, answer.outcome, now)],
        ctx.settings.policy(),
        since=operation.opened_at,
        abandoned=operation.abandoned_at is not None,
        jitter=now_is.jitter,
    )
    if isinstance(step, Next):
        await queries.apply_next(
            tx, claim.operation_id, claim.lease, action=step.action, at=step.at
        )
    elif not _is_overtaken_by_cancel(claim, now_is.history):
        told = _explanation(claim, answer, step, now_is)
        await _conclude(tx, ctx, item, step, told)


def _is_overtaken_by_cancel(claim: Claim, history: Sequence[Row[Any]]) -> bool:
    """Whether the money that an answer tells of may have been paid back by a later attempt.

    What has become of it, that attempt will say, or the query after it.
    """
    return any(row.action == Action.CANCEL and row.lease > claim.lease for row in history)


async def _conclude(
    tx: Tx, ctx: GatewayContext, item: Answered, step: Finish, told: Mapping[str, str]
) -> None:
    claim, answer, now = item.claim, item.answer, ctx.clock.now()
    is_certain_for_ever = step.status is OperationStatus.SUCCEEDED
    has_failed = step.status is OperationStatus.FAILED
    succeeded_at = moment_of_success(
        answer.moved_at, requested_at=claim.operation.requested_at, now=now
    )
    changed = await queries.change_status(
        tx,
        claim.operation_id,
        step.status,
        {
            "outcome": step.outcome,
            **told,
            "channel_ref": answer.channel_ref,
            "principal_fen": answer.principal_fen,
            "yield_fen": answer.yield_fen,
            "finished_at": succeeded_at if is_certain_for_ever else now,
            "recheck_at": first_recheck(ctx, claim.action, answer, now) if has_failed else None,
        },
        lease=None if is_certain_for_ever else claim.lease,
    )
    if changed is None:
        return
    if step.status is OperationStatus.PARKED:
        _alarm(f"operation parked: {step.outcome}", claim.operation_id, answer)
    await tell(tx, ctx, changed)


def _explanation(
    claim: Claim, answer: Answer, step: Finish, now_is: _Situation
) -> Mapping[str, str]:
    """Why, in the channel's words; "not found" only confirms the refusal that came before it."""
    if step.status is OperationStatus.FAILED and now_is.operation.abandoned_at is not None:
        return _cancellation(claim, answer)
    refusals = [
        row for row in now_is.history if row.lease < claim.lease and row.outcome == Outcome.FINAL
    ]
    if answer.outcome is Outcome.ABSENT and refusals:
        return {"code": refusals[-1].sub_code or refusals[-1].code, "reason": refusals[-1].reason}
    return {"code": answer.sub_code or answer.code, "reason": answer.reason[:500]}


_CANCELLED_BY: Final[Mapping[tuple[Action, Outcome], str]] = {
    (Action.CANCEL, Outcome.OK): "{reason}",
    (Action.CANCEL, Outcome.ABSENT): "never received by the channel",
    (Action.QUERY, Outcome.ABSENT): "never received by the channel",
    (Action.QUERY, Outcome.FINAL): "closed at the channel: {reason}",
    (Action.SEND, Outcome.FINAL): "refused by the channel: {code} {reason}",
}
"""How an abandoned operation came to its certain end, by the last answer."""


def _cancellation(claim: Claim, answer: Answer) -> dict[str, str]:
    """Why an abandoned operation failed: whatever the channel said, it was not wanted any more."""
    text = _CANCELLED_BY[claim.action, answer.outcome]
    reason = text.format(code=answer.sub_code or answer.code, reason=answer.reason)
    return {"code": CANCELLED, "reason": reason[:500]}


def _written(answer: Answer, now: datetime) -> dict[str, Any]:
    return {
        "finished_at": now,
        "outcome": answer.outcome,
        "code": answer.code,
        "sub_code": answer.sub_code,
        "reason": answer.reason[:500],
        "listed": answer.listed,
        "raw": answer.raw,
    }


def _alarm(what: str, operation_id: str, answer: Answer) -> None:
    log.error(
        what,
        extra={
            "operation_id": operation_id,
            "code": answer.code,
            "sub_code": answer.sub_code,
        },
    )
