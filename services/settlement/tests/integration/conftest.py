"""The invested money of a settlement service's orders, as the gateway tells of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import select

from shanmen.common.clock import ManualClock
from shanmen.contracts.gateway import OperationFailed, OperationStuck, OperationSucceeded
from shanmen.contracts.orders import OrderPaid, TicketsIssued
from shanmen.contracts.terms import AccountRef
from shanmen.settlement.tables import ENTITLEMENTS, REFUNDS, WEALTH_MOVES
from shanmen.settlement.usecases.liquidating import liquidate_ended

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story

INVESTED_RECEIVER: Final = AccountRef(account_id="acc_invested", channel="huijinbao")
WEEK_LATER: Final = datetime(2026, 11, 8, 4, 0, tzinfo=UTC)


class Fund:
    """What happens to the invested money of a Story's orders.

    Order `a` of the combined product `prd_1` costs 10000 fen, all of which is invested; its spot
    is paid on Huijinbao unless told otherwise. All of the product ends a week after it was sold.
    """

    def __init__(self, story: "Story") -> None:
        self.story = story
        self.ends_at = WEEK_LATER

    # facts

    def paid(self, name: str = "a", **given: Any) -> OrderPaid:
        """The order was paid, and is to be invested."""
        usual = {"product_name": "江南三景联票", "kind": "combined", "invests": True}
        return self.story.paid(name, **{**usual, **given})

    def issued(self, name: str = "a", **given: Any) -> TicketsIssued:
        """The order's only ticket has a number."""
        usual = {
            "invests": True,
            "receive_account": INVESTED_RECEIVER,
            "valid_until": self.ends_at,
            "expires_at": self.ends_at,
        }
        return self.story.issued(name, **{**usual, **given})

    def success(self, move: Mapping[str, Any], **given: Any) -> OperationSucceeded:
        """A move of invested money is done."""
        usual: dict[str, Any] = {
            "kind": move["kind"],
            "channel": "huijinbao",
            "amount_fen": move["amount_fen"],
        }
        if move["kind"] == "redeem":
            usual |= {"principal_fen": move["amount_fen"], "yield_fen": 0}
        return self.story.succeeded(move["move_id"], **{**usual, **given})

    def trouble(self, move: Mapping[str, Any], outcome: str) -> OperationStuck | OperationFailed:
        """A move of invested money is parked with an outcome, or `refused`."""
        about = {"kind": move["kind"], "channel": "huijinbao", "reason": f"because {outcome}"}
        if outcome == "refused":
            return self.story.failed(move["move_id"], code="HJB_0050", **about)
        return self.story.stuck(move["move_id"], outcome=outcome, code="HJB_0005", **about)

    # what happens

    async def move(self, kind: str, name: str | None = None) -> dict[str, Any]:
        """The newest move of a kind, of an order if given."""
        rows = await self.story.rows(WEALTH_MOVES)
        order_no = None if name is None else f"ord_{name}"
        return [r for r in rows if r["kind"] == kind and r["order_no"] == order_no][-1]

    async def known_move(self, kind: str, name: str) -> dict[str, Any] | None:
        """The newest move of a kind of an order, if there is one."""
        found = (WEALTH_MOVES.c.order_no == f"ord_{name}") & (WEALTH_MOVES.c.kind == kind)
        async with self.story.context.db.transaction() as tx:
            rows = await tx.execute(
                select(WEALTH_MOVES).where(found).order_by(WEALTH_MOVES.c.move_id.desc()).limit(1)
            )
            row = rows.mappings().one_or_none()
        return None if row is None else dict(row)

    async def last_of(self, name: str) -> OperationSucceeded:
        """The order's payout or refund went through; of an unknown number if there is none."""
        async with self.story.context.db.transaction() as tx:
            paid = await tx.scalar(
                select(ENTITLEMENTS.c.payout_id).where(ENTITLEMENTS.c.order_no == f"ord_{name}")
            )
            refunded = await tx.scalar(
                select(REFUNDS.c.refund_id).where(REFUNDS.c.order_no == f"ord_{name}")
            )
        if refunded is not None:
            return self.story.succeeded(refunded, kind="refund", amount_fen=10_000)
        return self.story.succeeded(paid or "pay_unknown", channel="huijinbao")

    async def done(self, kind: str, *names: str, **given: Any) -> None:
        """The newest moves of a kind of these orders are done."""
        for name in names:
            await self.story.told(self.success(await self.move(kind, name), **given))

    async def liquidated(self, principal_fen: int, yield_fen: int = 0, **given: Any) -> None:
        """The newest liquidation is done."""
        moved = {"principal_fen": principal_fen, "yield_fen": yield_fen, **given}
        await self.story.told(self.success(await self.move("liquidate"), **moved))

    async def stuck(self, kind: str, name: str | None = None, outcome: str = "unknown") -> None:
        """The newest move of a kind is parked with an outcome, or `refused`."""
        await self.story.told(self.trouble(await self.move(kind, name), outcome))

    async def invested(self, *names: str, **given: Any) -> None:
        """These orders are paid, issued (`given` goes to their entitlements) and invested."""
        for name in names:
            price_fen = given.get("part_fen", 10_000)
            await self.story.told(self.paid(name, price_fen=price_fen), self.issued(name, **given))
            await self.done("subscribe", name)

    def end(self) -> None:
        """All that was sold of the product has expired."""
        self.pass_time(self.ends_at - self.now())

    def now(self) -> datetime:
        """The time there."""
        return self.story.context.clock.now()

    def pass_time(self, by: timedelta) -> None:
        """Let time go by, if any is given."""
        clock = self.story.context.clock
        assert isinstance(clock, ManualClock)
        clock.advance(max(by, timedelta()))

    async def job(self) -> None:
        """Settlement looks for products that have ended."""
        await liquidate_ended(self.story.context)

    # what came of it

    async def held(self, name: str = "a") -> str | None:
        """What the order's payout or refund waits for."""
        held_for: str | None = (await self.story.entitlement(name))["held_for"]
        return held_for

    async def status(self, name: str = "a") -> tuple[str, str | None]:
        """The settlement status of the order's entitlement, and why."""
        row = await self.story.entitlement(name)
        return row["status"], row["reason"]

    async def moves(self) -> list[tuple[str, str, int]]:
        """Kind, status and amount of every move, in the order in which they were asked for."""
        rows = await self.story.rows(WEALTH_MOVES)
        rows.sort(key=lambda row: row["move_id"].partition("_")[2])
        return [(row["kind"], row["status"], row["amount_fen"]) for row in rows]

    async def outstanding_fen(self, product_id: str = "prd_1") -> int:
        """What the ledger says is invested."""
        return (await self.story.balances()).get(f"wealth:{product_id}", 0)


@pytest.fixture
def fund(story: "Story") -> Fund:
    """A combined product that is invested, and of which nothing was sold yet."""
    return Fund(story)
