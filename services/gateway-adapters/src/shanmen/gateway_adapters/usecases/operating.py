"""Working on operations: intent first, the call outside any transaction, then its outcome.

    claim (commit) ──▶ call the channel ──▶ apply the answer (commit) ──▶ next step, or told

A process may die at any arrow. Before the call: the claim's lease runs out and a query follows.
After it: the same, and the query finds what the call did. Nothing is ever sent on a guess.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from shanmen.common.batching import Batcher
from shanmen.common.errors import NotFound, Unavailable
from shanmen.common.waiting import first_of
from shanmen.gateway_adapters.domain.operations import Action, Channel, OperationKind, Outcome
from shanmen.gateway_adapters.ports import GatewayContext
from shanmen.gateway_adapters.providers.base import (
    OWN_ACCOUNT,
    Answer,
    Contact,
    Counterparty,
    Instruction,
)
from shanmen.gateway_adapters.usecases.breaking import Breaker, Pace
from shanmen.gateway_adapters.usecases.claiming import (
    Claim,
    claim_operations,
    claim_probe,
    claim_rechecks,
)
from shanmen.gateway_adapters.usecases.concluding import Answered, apply_answers

log = logging.getLogger(__name__)


class Operator:
    """Works on due operations: bounded calls per channel, answers applied in lists.

    `jitter` draws from [0, 1), to spread delays.
    """

    def __init__(self, ctx: GatewayContext, jitter: Callable[[], float] | None = None) -> None:
        self._ctx = ctx
        self._jitter = jitter or random.Random().random  # noqa: S311 - guards nothing
        self._calling: Counter[Channel] = Counter()
        self._answers: Batcher[Answered, None] = Batcher(self._apply)
        self._breaker = Breaker(ctx)
        self._draining: dict[Channel, Pace] = {}
        self._looked_at_s = time.monotonic() - ctx.settings.operate_poll_s

    async def run(self, stop: asyncio.Event) -> None:
        """Claim what is due, call, apply; ends when `stop` is set and every call is applied."""
        async with asyncio.TaskGroup() as calls:
            while not stop.is_set():
                self._ctx.work_arrived.clear()
                for claim in await self._claim():
                    self._count(claim)
                    calls.create_task(self._work(claim))
                await first_of(
                    stop, self._ctx.work_arrived, within_s=self._ctx.settings.operate_poll_s
                )

    async def _claim(self) -> Sequence[Claim]:
        claims: list[Claim] = []
        try:
            claims += await self._claim_due()
            if time.monotonic() - self._looked_at_s >= self._ctx.settings.operate_poll_s:
                self._looked_at_s = time.monotonic()
                await self._look_around(claims)
        except Exception:
            log.exception("operations could not be claimed, tried again")
        return claims

    async def _claim_due(self) -> Sequence[Claim]:
        limits = self._limits(())
        claims = await claim_operations(self._ctx, limits)
        claimed = Counter(claim.channel for claim in claims)
        for channel in list(self._draining):
            if claimed[channel] < limits[channel]:
                del self._draining[channel]  # that was all that had waited
        return claims

    async def _look_around(self, claims: list[Claim]) -> None:
        """What need not be looked for each time: circuits, their probes, and rechecks."""
        settings = self._ctx.settings
        for channel in await self._breaker.look():
            self._draining[channel] = Pace(settings.channel_rate_per_s, settings.operate_poll_s)
        for channel in self._breaker.open_channels:
            claims += await claim_probe(self._ctx, channel)
        claims += await claim_rechecks(self._ctx, self._limits(claims))

    def _limits(self, claimed: Sequence[Claim]) -> Mapping[Channel, int]:
        """Only as many as can be called at once: a claim that waits would outlive its lease."""
        busy = self._calling + Counter(claim.channel for claim in claimed)
        most = self._ctx.settings.channel_concurrency
        limits = {channel: most - busy[channel] for channel in Channel}
        for channel, pace in self._draining.items():
            limits[channel] = min(limits[channel], pace.allowance())
        # What the last look found open stays so until the next one, which sets the pace.
        return limits | dict.fromkeys(self._breaker.open_channels, 0)

    def _count(self, claim: Claim) -> None:
        self._calling[claim.channel] += 1
        if claim.channel in self._draining:
            self._draining[claim.channel].spend(1)

    async def _work(self, claim: Claim) -> None:
        try:
            answer = await call_channel(self._ctx, claim)
            await self._answers.submit(Answered(claim, answer))
            await self._breaker.note(claim.channel, answer.contact)
        except Exception:
            # The lease runs out and a query follows: unknown, never failed.
            log.exception(
                "attempt ended without a recorded answer",
                extra={"operation_id": claim.operation_id},
            )
        finally:
            self._calling[claim.channel] -= 1
            self._ctx.work_arrived.set()  # there is room again, or a next step is due at once

    async def _apply(self, answered: Sequence[Answered]) -> Sequence[None]:
        async with self._ctx.db.transaction() as tx:
            await apply_answers(tx, self._ctx, answered, jitter=self._jitter)
        return [None] * len(answered)


async def call_channel(ctx: GatewayContext, claim: Claim) -> Answer:
    """Make the call that a claimed operation is due for."""
    row = claim.operation
    provider = ctx.providers.get(claim.channel)
    if provider is None:
        return _not_called(Outcome.CONFIG, "channel_off", f"{claim.channel} is not set up.")
    try:
        counterparty = await _counterparty(ctx, row.account_id)
    except NotFound as error:
        return _not_called(Outcome.CONFIG, "account_unknown", error.detail)
    except Unavailable as error:
        return _not_called(Outcome.THROTTLED, "account_unavailable", error.detail)
    if claim.action is not Action.QUERY and ctx.clock.now() >= claim.until:
        # A process that was asleep must not send or cancel what others have meanwhile asked about.
        return _not_called(Outcome.THROTTLED, "claim_over", "The claim ran out before its call.")
    instruction = Instruction(
        number=row.operation_id,
        kind=OperationKind(row.kind),
        amount_fen=row.amount_fen,
        counterparty=counterparty,
        subject=row.description,
        business_ref=row.business_ref,
        original_number=row.original_operation_id,
    )
    calls = {
        Action.SEND: provider.send,
        Action.QUERY: provider.query,
        Action.CANCEL: provider.cancel,
    }
    return await calls[claim.action](instruction)


async def _counterparty(ctx: GatewayContext, account_id: str | None) -> Counterparty:
    return OWN_ACCOUNT if account_id is None else await ctx.accounts.counterparty(account_id)


def _not_called(outcome: Outcome, code: str, reason: str) -> Answer:
    return Answer(outcome, code, reason, contact=Contact.NOT_CALLED)
