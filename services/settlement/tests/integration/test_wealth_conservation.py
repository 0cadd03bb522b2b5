"""Whatever happens in whatever order: what went in less what came out is what the ledger says, and
after the end nothing is invested, nothing waits, and everything was paid or refunded once."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shanmen.common.errors import Conflict
from shanmen.contracts.gateway import OperationSucceeded
from shanmen.settlement.queries import positions
from shanmen.settlement.tables import ENTITLEMENTS, PAYOUTS, REFUNDS, WEALTH_MOVES
from shanmen.settlement.usecases.unblocking import release_waiting, retry_move

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story
    from services.settlement.tests.integration.conftest import Fund

STEPS = 60
OUTCOMES = ("done", "done", "done", "unknown", "funds", "refused")


class History:
    """A product's random history, against a channel that knows what is invested there."""

    def __init__(self, story: "Story", fund: "Fund", seed: int) -> None:
        self.story, self.fund = story, fund
        self.dice = random.Random(seed)  # noqa: S311 - histories that can be had again
        self.position_fen = 0
        self.names: list[str] = []
        self.over: set[str] = set()

    async def step(self) -> None:
        steps: list[Callable[[], Awaitable[None]]] = [self.sell, self.end, self.answer, self.act]
        (step,) = self.dice.choices([*steps, self.job], weights=[2, 2, 5, 1, 1])
        await step()

    async def sell(self) -> None:
        name = f"n{len(self.names)}"
        self.names.append(name)
        channel = self.dice.choice(["alipay", "huijinbao"])
        receiver = {"account_id": f"acc_{channel}", "channel": channel}
        expires_at = self.fund.now() + timedelta(days=self.dice.randrange(1, 4))
        given: dict[str, Any] = {"receive_account": receiver, "expires_at": expires_at}
        events = [self.fund.paid(name), self.fund.issued(name, **given)]
        self.dice.shuffle(events)
        await self.story.told(*events)

    async def end(self) -> None:
        waiting = [name for name in self.names if name not in self.over]
        if waiting:
            name = self.dice.choice(waiting)
            self.over.add(name)
            story = self.story
            events = (story.used(name), story.voided(name), story.expired(name))
            await story.told(self.dice.choice(events))

    async def answer(self) -> None:
        rows = [row for row in await self.story.rows(WEALTH_MOVES) if row["status"] != "done"]
        if not rows:
            return
        row = self.dice.choice(rows)
        outcome = self.dice.choice(OUTCOMES)
        if row["status"] == "failed" and not (outcome == "done" and self.dice.random() < 0.2):
            return
        if outcome == "done":
            await self.succeed(row)
        else:
            await self.story.told(self.fund.trouble(row, outcome))

    async def succeed(self, row: dict[str, Any]) -> None:
        """The channel does it, if it has the money; else it refuses."""
        amount_fen = row["amount_fen"]
        if row["kind"] == "liquidate":
            principal_fen, self.position_fen = self.position_fen, 0
            success = self.fund.success(row, principal_fen=principal_fen, yield_fen=1)
            return await self._done(success)
        if row["kind"] == "redeem" and self.position_fen < amount_fen:
            if row["status"] != "failed":
                await self.story.told(self.fund.trouble(row, "refused"))
            return None
        self.position_fen += amount_fen if row["kind"] == "subscribe" else -amount_fen
        return await self._done(self.fund.success(row))

    async def _done(self, success: OperationSucceeded) -> None:
        await self.story.told(success.model_copy(update={"finished_at": self.fund.now()}))

    async def act(self) -> None:
        rows = await self.story.rows(WEALTH_MOVES)
        stuck = [row["move_id"] for row in rows if row["status"] in {"parked", "failed"}]
        if stuck:
            action = self.dice.choice([retry_move, release_waiting])
            with suppress(Conflict):
                async with self.story.context.db.transaction() as tx:
                    await action(tx, self.story.context, self.dice.choice(stuck))

    async def job(self) -> None:
        self.fund.pass_time(timedelta(hours=self.dice.randrange(5)))
        await self.fund.job()

    async def finish(self) -> None:
        """All that is under way ends well, and the product ends."""
        while len(self.over) < len(self.names):
            await self.end()
        self.fund.pass_time(timedelta(days=5))
        for _ in range(6):
            for row in await self.story.rows(WEALTH_MOVES):
                if row["status"] in {"requested", "parked"}:
                    await self.succeed(row)
                if row["kind"] == "liquidate" and row["status"] == "failed":
                    with suppress(Conflict):
                        async with self.story.context.db.transaction() as tx:
                            await retry_move(tx, self.story.context, row["move_id"])
            await self.fund.job()


@pytest.mark.parametrize("seed", range(5))
async def test_a_random_history(story: "Story", fund: "Fund", seed: int) -> None:
    history = History(story, fund, seed)
    for _ in range(STEPS):
        await history.step()
        await assert_conserved(story, fund, history.position_fen)
    await history.finish()
    await assert_conserved(story, fund, 0)
    entitlements = await story.rows(ENTITLEMENTS)
    assert {row["held_for"] for row in entitlements} <= {None}
    ended = Counter("paid" if row["used_at"] else "refunded" for row in entitlements)
    assert sum(row["amount_fen"] for row in await story.rows(PAYOUTS)) == 8_900 * ended["paid"]
    assert len(await story.rows(REFUNDS)) == ended["refunded"]
    moves = await story.rows(WEALTH_MOVES)
    invested = [row for row in moves if row["kind"] == "subscribe" and row["status"] == "done"]
    assert None not in {row["liquidated_by"] for row in invested}
    assert not [row for row in moves if row["status"] in {"requested", "parked"}]


async def assert_conserved(story: "Story", fund: "Fund", position_fen: int) -> None:
    """The ledger, the moves and the channel agree about what is invested."""
    moves = [row for row in await story.rows(WEALTH_MOVES) if row["status"] == "done"]
    invested_fen = sum(row["principal_fen"] for row in moves if row["kind"] == "subscribe")
    redeemed_fen = sum(row["principal_fen"] for row in moves if row["kind"] != "subscribe")
    assert await fund.outstanding_fen() == invested_fen - redeemed_fen == position_fen
    async with story.context.db.transaction() as tx:
        told = await positions.position(tx, "prd_1")
    if told is not None:
        assert (told.invested_fen, told.redeemed_fen) == (invested_fen, redeemed_fen)
