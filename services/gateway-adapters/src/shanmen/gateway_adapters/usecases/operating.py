"""Working on operations: intent first, the call outside any transaction, then its outcome.

    claim (commit) ──▶ call the channel ──▶ apply the answer (commit) ──▶ next step, or told

A process may die at any arrow. Before the call: the claim's lease runs out and a query follows.
After it: the same, and the query finds what the call did. Nothing is ever sent on a guess.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Row

from shanmen.common.batching import Batcher
from shanmen.common.db import Tx
from shanmen.common.errors import Unavailable
from shanmen.common.waiting import first_of
from shanmen.gateway_adapters import queries
from shanmen.gateway_adapters.domain import (
    Action,
    Attempt,
    Channel,
    Finish,
    Next,
    OperationKind,
    OperationStatus,
    Outcome,
    decide,
)
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.providers.base import Answer, Instruction
from shanmen.gateway_adapters.usecases.history import policy_attempts
from shanmen.gateway_adapters.usecases.requesting import tell

log = logging.getLogger(__name__)

CLAIM_LIMIT = 32


@dataclass(frozen=True)
class Answered:
    """One attempt's answer, to be applied."""

    operation: Row[Any]
    lease: int
    answer: Answer


class Operator:
    """Works on due operations: bounded calls per channel, answers applied in lists."""

    def __init__(self, ctx: GatewayContext) -> None:
        self._ctx = ctx
        self._slots = {
            channel: asyncio.Semaphore(ctx.settings.channel_concurrency) for channel in Channel
        }
        self._answers: Batcher[Answered, None] = Batcher(self._apply)
        self._calls: set[asyncio.Task[None]] = set()
        self._jitter = random.Random()  # noqa: S311 - spreads retries, guards nothing

    async def run(self, stop: asyncio.Event) -> None:
        """Claim what is due, call, apply; ends when `stop` is set and every call is applied."""
        settings = self._ctx.settings
        room = settings.channel_concurrency * len(self._ctx.providers or Channel)
        while not stop.is_set():
            self._ctx.work_arrived.clear()
            free = room - len(self._calls)
            claimed = await self._claim(min(free, CLAIM_LIMIT)) if free > 0 else 0
            if claimed < CLAIM_LIMIT:
                await first_of(stop, self._ctx.work_arrived, within_s=settings.operate_poll_s)
        while self._calls:
            await asyncio.wait(set(self._calls))

    async def _claim(self, limit: int) -> int:
        try:
            rows = await claim_operations(self._ctx, limit)
        except Exception:
            log.exception("operations could not be claimed, tried again")
            return 0
        for row in rows:
            call = asyncio.create_task(self._work(row))
            self._calls.add(call)
            call.add_done_callback(self._called)
        return len(rows)

    def _called(self, call: "asyncio.Task[None]") -> None:
        self._calls.discard(call)
        self._ctx.work_arrived.set()  # there is room again, or a next step is due at once
        if not call.cancelled() and call.exception() is not None:
            # Its lease runs out and a query follows: unknown, never failed.
            log.error("attempt ended without a recorded answer", exc_info=call.exception())

    async def _work(self, row: Row[Any]) -> None:
        async with self._slots[Channel(row.channel)]:
            answer = await call_channel(self._ctx, row)
        await self._answers.submit(Answered(row, row.lease + 1, answer))

    async def _apply(self, answered: Sequence[Answered]) -> Sequence[None]:
        async with self._ctx.db.transaction() as tx:
            history = await queries.attempts(
                tx, [item.operation.operation_id for item in answered]
            )
            for item in answered:
                rows = history[item.operation.operation_id]
                await apply_answer(tx, self._ctx, item, rows, jitter=self._jitter.random())
        return [None] * len(answered)


async def claim_operations(ctx: GatewayContext, limit: int) -> Sequence[Row[Any]]:
    """Commit the intent of one attempt for each due operation."""
    now = ctx.clock.now()
    lease = timedelta(seconds=ctx.settings.attempt_lease_s)
    async with ctx.db.transaction() as tx:
        return await queries.claim_due(
            tx, now=now, leased_until=now + lease, then_at=now + lease, limit=limit
        )


async def call_channel(ctx: GatewayContext, row: Row[Any]) -> Answer:
    """Make the call that a claimed operation is due for."""
    provider = ctx.providers.get(Channel(row.channel))
    if provider is None:
        return Answer(Outcome.CONFIG, "channel_off", f"The channel {row.channel} is not set up.")
    try:
        counterparty = await ctx.accounts.counterparty(row.account_id)
    except Unavailable as error:
        return Answer(Outcome.THROTTLED, "account_unavailable", error.detail)
    instruction = Instruction(
        number=row.operation_id,
        kind=OperationKind(row.kind),
        amount_fen=row.amount_fen,
        counterparty=counterparty,
        subject=row.description,
        original_number=row.original_operation_id,
    )
    calls = {
        Action.SEND: provider.send,
        Action.QUERY: provider.query,
        Action.CANCEL: provider.cancel,
    }
    return await calls[Action(row.next_action)](instruction)


async def apply_answer(
    tx: Tx,
    ctx: GatewayContext,
    item: Answered,
    history: Sequence[Row[Any]],
    *,
    jitter: float = 0.0,
) -> None:
    """Write an answer down, and draw its conclusion."""
    operation, answer, now = item.operation, item.answer, ctx.clock.now()
    await queries.finish_attempt(
        tx,
        operation.operation_id,
        item.lease,
        {
            "finished_at": now,
            "outcome": answer.outcome,
            "code": answer.code,
            "sub_code": answer.sub_code,
            "reason": answer.reason[:500],
            "raw": answer.raw,
        },
    )
    # Only this attempt is new since it was claimed, unless the lease ran out: then the answer is
    # judged in its place, and a conclusion is still drawn from it if it is certain.
    attempts = policy_attempts([row for row in history if row.lease < item.lease])
    attempts.append(Attempt(Action(operation.next_action), answer.outcome, now))
    kind = OperationKind(operation.kind)
    step = decide(kind, attempts, ctx.settings.policy(), jitter=jitter)
    if isinstance(step, Next):
        await queries.apply_next(
            tx, operation.operation_id, item.lease, action=step.action, at=step.at
        )
        return
    await _conclude(tx, ctx, operation.operation_id, step, answer)


async def _conclude(
    tx: Tx, ctx: GatewayContext, operation_id: str, step: Finish, answer: Answer
) -> None:
    changed = await queries.change_status(
        tx,
        operation_id,
        step.status,
        {
            "outcome": step.outcome,
            "code": answer.sub_code or answer.code,
            "reason": answer.reason[:500],
            "channel_ref": answer.channel_ref,
            "finished_at": ctx.clock.now(),
        },
    )
    if changed is None:
        return
    if step.status is OperationStatus.PARKED:
        log.error(
            "operation parked",
            extra={"operation_id": operation_id, "outcome": step.outcome, "code": changed.code},
        )
    await tell(tx, ctx, changed)
