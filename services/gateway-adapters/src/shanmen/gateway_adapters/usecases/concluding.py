"""Applying answers: what was said is written down, and its conclusion drawn and told once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from shanmen.common.db import Tx
from shanmen.gateway_adapters import queries
from shanmen.gateway_adapters.domain import (
    Action,
    Attempt,
    Finish,
    Next,
    OperationKind,
    OperationStatus,
    Outcome,
    decide,
)
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.providers.base import Answer
from shanmen.gateway_adapters.usecases.history import policy_attempts
from shanmen.gateway_adapters.usecases.requesting import tell

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
    """What was said to one attempt; `operation` is the row that it was made for."""

    operation: Row[Any]
    lease: int
    answer: Answer


async def apply_answer(
    tx: Tx,
    ctx: GatewayContext,
    item: Answered,
    history: Sequence[Row[Any]],
    *,
    jitter: float = 0.0,
) -> None:
    """Write an answer down, and draw its conclusion.

    An answer that comes after somebody else has claimed the operation is judged by the attempts
    before it, and concludes only if it says that the money has moved.
    """
    operation, answer, now = item.operation, item.answer, ctx.clock.now()
    is_first = await queries.finish_attempt(
        tx,
        operation.operation_id,
        item.lease,
        {
            "finished_at": now,
            "outcome": answer.outcome,
            "code": answer.code,
            "sub_code": answer.sub_code,
            "reason": answer.reason[:500],
            "listed": answer.listed,
            "raw": answer.raw,
        },
    )
    if not is_first:
        return
    if not answer.listed and all(row.listed for row in history):
        _alarm("a code that is in none of our tables", operation.operation_id, answer)
    before = [row for row in history if row.lease < item.lease]
    latest = Attempt(Action(operation.next_action), answer.outcome, now)
    step = decide(
        OperationKind(operation.kind),
        [*policy_attempts(before), latest],
        ctx.settings.policy(),
        since=operation.opened_at,
        jitter=jitter,
    )
    if isinstance(step, Next):
        await queries.apply_next(
            tx, operation.operation_id, item.lease, action=step.action, at=step.at
        )
    else:
        await _conclude(tx, ctx, item, step, before)


async def _conclude(
    tx: Tx, ctx: GatewayContext, item: Answered, step: Finish, before: Sequence[Row[Any]]
) -> None:
    answer, operation_id = item.answer, item.operation.operation_id
    is_certain_for_ever = step.status is OperationStatus.SUCCEEDED
    changed = await queries.change_status(
        tx,
        operation_id,
        step.status,
        {
            "outcome": step.outcome,
            **_explanation(answer, before),
            "channel_ref": answer.channel_ref,
            "finished_at": ctx.clock.now(),
        },
        lease=None if is_certain_for_ever else item.lease,
    )
    if changed is None:
        if is_certain_for_ever:
            await _check_contradiction(tx, operation_id, answer)
        return
    if step.status is OperationStatus.PARKED:
        _alarm(f"operation parked: {step.outcome}", operation_id, answer)
    await tell(tx, ctx, changed)


def _explanation(answer: Answer, before: Sequence[Row[Any]]) -> dict[str, str]:
    """Why, in the channel's words; "not found" only confirms the refusal that came before it."""
    refusals = [row for row in before if row.outcome == Outcome.FINAL]
    if answer.outcome is Outcome.ABSENT and refusals:
        return {"code": refusals[-1].sub_code or refusals[-1].code, "reason": refusals[-1].reason}
    return {"code": answer.sub_code or answer.code, "reason": answer.reason[:500]}


async def _check_contradiction(tx: Tx, operation_id: str, answer: Answer) -> None:
    row = await queries.operation(tx, operation_id)
    if row is not None and row.status == OperationStatus.FAILED:
        _alarm("money moved for an operation that was told as failed", operation_id, answer)


def _alarm(what: str, operation_id: str, answer: Answer) -> None:
    log.error(
        what,
        extra={
            "operation_id": operation_id,
            "code": answer.code,
            "sub_code": answer.sub_code,
        },
    )
