"""Working on operations: intent first, the call outside any transaction, then its outcome.

    claim (commit) ──▶ call the channel ──▶ apply the answer (commit) ──▶ next step, or told

A process may die at any arrow. Before the call: the claim's lease runs out and a query follows.
After it: the same, and the query finds what the call did. Nothing is ever sent on a guess.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from shanmen.common.batching import Batcher
from shanmen.common.errors import NotFound, Unavailable
from shanmen.common.waiting import first_of
from shanmen.gateway_adapters import queries
from shanmen.gateway_adapters.domain import (
    Action,
    Channel,
    OperationKind,
    Outcome,
)
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.providers.base import Answer, Instruction
from shanmen.gateway_adapters.usecases.concluding import Answered, apply_answer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claim:
    """One attempt that this process may make until its lease runs out.

    `operation` is the row as it was before the claim: its `next_action` is what to do.
    """

    operation: Row[Any]
    lease: int
    until: datetime


class Operator:
    """Works on due operations: bounded calls per channel, answers applied in lists."""

    def __init__(self, ctx: GatewayContext) -> None:
        self._ctx = ctx
        self._calling: Counter[Channel] = Counter()
        self._answers: Batcher[Answered, None] = Batcher(self._apply)
        self._jitter = random.Random()  # noqa: S311 - spreads retries, guards nothing

    async def run(self, stop: asyncio.Event) -> None:
        """Claim what is due, call, apply; ends when `stop` is set and every call is applied."""
        async with asyncio.TaskGroup() as calls:
            while not stop.is_set():
                self._ctx.work_arrived.clear()
                for claim in await self._claim():
                    calls.create_task(self._work(claim))
                await first_of(
                    stop, self._ctx.work_arrived, within_s=self._ctx.settings.operate_poll_s
                )

    async def _claim(self) -> Sequence[Claim]:
        """Only as many as can be called at once: a claim that waits would outlive its lease."""
        limit = self._ctx.settings.channel_concurrency
        free = {channel: limit - self._calling[channel] for channel in Channel}
        try:
            claims = await claim_operations(self._ctx, free)
        except Exception:
            log.exception("operations could not be claimed, tried again")
            return ()
        self._calling.update(Channel(claim.operation.channel) for claim in claims)
        return claims

    async def _work(self, claim: Claim) -> None:
        try:
            answer = await call_channel(self._ctx, claim)
            await self._answers.submit(Answered(claim.operation, claim.lease, answer))
        except Exception:
            # The lease runs out and a query follows: unknown, never failed.
            log.exception(
                "attempt ended without a recorded answer",
                extra={"operation_id": claim.operation.operation_id},
            )
        finally:
            self._calling[Channel(claim.operation.channel)] -= 1
            self._ctx.work_arrived.set()  # there is room again, or a next step is due at once

    async def _apply(self, answered: Sequence[Answered]) -> Sequence[None]:
        async with self._ctx.db.transaction() as tx:
            history = await queries.attempts(
                tx, [item.operation.operation_id for item in answered]
            )
            for item in answered:
                rows = history[item.operation.operation_id]
                await apply_answer(tx, self._ctx, item, rows, jitter=self._jitter.random())
        return [None] * len(answered)


async def claim_operations(ctx: GatewayContext, limits: Mapping[Channel, int]) -> Sequence[Claim]:
    """Commit the intent of one attempt for each due operation, so many per channel."""
    now = ctx.clock.now()
    until = now + timedelta(seconds=ctx.settings.attempt_lease_s)
    claims: list[Claim] = []
    async with ctx.db.transaction() as tx:
        for channel, limit in limits.items():
            if limit > 0:
                rows = await queries.claim_due(
                    tx, channel, now=now, leased_until=until, limit=limit
                )
                claims += [Claim(row, row.lease + 1, until) for row in rows]
    return claims


async def call_channel(ctx: GatewayContext, claim: Claim) -> Answer:
    """Make the call that a claimed operation is due for."""
    row = claim.operation
    provider = ctx.providers.get(Channel(row.channel))
    if provider is None:
        return Answer(Outcome.CONFIG, "channel_off", f"The channel {row.channel} is not set up.")
    try:
        counterparty = await ctx.accounts.counterparty(row.account_id)
    except NotFound as error:
        return Answer(Outcome.CONFIG, "account_unknown", error.detail)
    except Unavailable as error:
        return Answer(Outcome.THROTTLED, "account_unavailable", error.detail)
    action = Action(row.next_action)
    if action is Action.SEND and ctx.clock.now() >= claim.until:
        # A process that was asleep must not send what others have meanwhile asked about.
        return Answer(Outcome.THROTTLED, "claim_over", "The claim ran out before it was used.")
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
    return await calls[action](instruction)
