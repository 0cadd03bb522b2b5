"""The late truth: what has failed is asked about again, as a request of ours may still arrive.

Such a query changes one thing only: when it says that the money has moved, the operation has
succeeded, and that is told. It never leads to a send.
"""

import logging
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from shanmen.common.db import Tx
from shanmen.gateway_adapters.domain.operations import (
    Action,
    OperationStatus,
    Outcome,
    moment_of_success,
)
from shanmen.gateway_adapters.domain.policy import next_recheck
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.providers.base import Answer
from shanmen.gateway_adapters.queries import operations as queries
from shanmen.gateway_adapters.usecases.claiming import Claim
from shanmen.gateway_adapters.usecases.requesting import tell

log = logging.getLogger(__name__)


def first_recheck(
    ctx: GatewayContext, action: Action, answer: Answer, failed_at: datetime
) -> datetime | None:
    """When an operation that failed by this answer is asked about again; None: never.

    A refusal is certain. That there is no such number, or that it was cancelled, may have been
    said before a request that was held up on its way arrives.
    """
    if action is Action.CANCEL or answer.outcome is Outcome.ABSENT:
        return next_recheck(failed_at, failed_at, ctx.settings.recheck_ages_s)
    return None


async def apply_to_failed(
    tx: Tx, ctx: GatewayContext, claim: Claim, answer: Answer, operation: Row[Any]
) -> None:
    """What an answer means for an operation that has failed; it is locked.

    Only a query made since then tells what is true now: what an earlier call moved may have been
    paid back by the cancellation that ended it.
    """
    now = ctx.clock.now()
    is_recheck = claim.operation.status == OperationStatus.FAILED
    has_moved = answer.outcome is Outcome.OK and claim.action is not Action.CANCEL
    if has_moved and is_recheck:
        await _succeed_late(tx, ctx, claim, answer, now)
    elif has_moved:
        await queries.hasten_recheck(tx, claim.operation_id, now)
    elif is_recheck:
        at = next_recheck(
            operation.finished_at,
            now,
            ctx.settings.recheck_ages_s,
            outcome=answer.outcome,
            repeat_s=ctx.settings.query_delays_s[-1],
        )
        await queries.plan_recheck(tx, claim.operation_id, claim.lease, at)


async def _succeed_late(
    tx: Tx, ctx: GatewayContext, claim: Claim, answer: Answer, now: datetime
) -> None:
    changed = await queries.change_status(
        tx,
        claim.operation_id,
        OperationStatus.SUCCEEDED,
        {
            "outcome": Outcome.OK,
            "code": answer.sub_code or answer.code,
            "reason": answer.reason[:500],
            "channel_ref": answer.channel_ref,
            "principal_fen": answer.principal_fen,
            "yield_fen": answer.yield_fen,
            "finished_at": moment_of_success(
                answer.moved_at, requested_at=claim.operation.requested_at, now=now
            ),
        },
    )
    if changed is not None:
        log.error(
            "money moved for an operation that was told as failed",
            extra={"operation_id": claim.operation_id, "code": answer.code},
        )
        await tell(tx, ctx, changed)
