"""Reports agree with the ledger to the fen, whatever happened."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, or_, select

from shanmen.common.db import Tx
from shanmen.contracts.terms import RefundRule
from shanmen.settlement.domain.ledger import (
    OWNER,
    SUSPENSE,
    Posting,
    PostingKind,
    entries,
)
from shanmen.settlement.domain.reports import Side
from shanmen.settlement.domain.wealth import posting_for_proceeds, posting_for_subscription
from shanmen.settlement.domain.work import Direction
from shanmen.settlement.queries import ledger
from shanmen.settlement.schemas.reports import Figure
from shanmen.settlement.tables import DEBITS, ENTITLEMENTS, ENTRIES, PAYOUTS, POSTINGS, REFUNDS
from shanmen.settlement.usecases import acting, reporting, restarting
from shanmen.settlement.usecases.acting import TopUp

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story

MONDAY = date(2026, 11, 2)
BEGIN = datetime(2026, 11, 1, 16, 0, tzinfo=UTC)
"""Monday, 0:00 in Beijing."""
DAYS = reporting.days_between(MONDAY, MONDAY + timedelta(days=3))
SPOTS = ("spt_1", "spt_2")
DISTRIBUTORS = ("dst_1", "dst_2")


class History:
    """Orders of random fates, told to settlement by the events and actions that make them so."""

    def __init__(self, story: "Story", seed: int) -> None:
        self.story = story
        self.random = Random(seed)  # noqa: S311 # fates, not secrets

    def some_time(self, after: datetime = BEGIN - timedelta(days=1)) -> datetime:
        """Later than `after`, within a day and a half; now and then midnight itself."""
        later = after + timedelta(minutes=self.random.randrange(1, 36 * 60))
        midnight = later.replace(hour=16, minute=0)
        return midnight if midnight > after and self.random.random() < 0.1 else later

    async def live(self, orders: int) -> None:
        """Let that many orders happen, and the owner move money in between."""
        for number in range(orders):
            await self._live_one(f"r{number}")
            if number % 5 == 0:
                await self._top_up(number)

    async def _live_one(self, name: str) -> None:
        random, story = self.random, self.story
        part_fen = random.randrange(0, 20_000)
        settle_fen = random.randrange(0, part_fen + 200)
        spot, distributor = random.choice(SPOTS), random.choice(DISTRIBUTORS)
        paid_at = self.some_time()
        if random.random() < 0.1:
            orphan = story.orphaned(name, distributor_id=distributor, debited_at=paid_at)
            await story.told(orphan)
            await self._finish_refund(f"ord_{name}", paid_at)
            return
        rule = RefundRule(on_expiry=random.random() < 0.5, refunds_fee=random.random() < 0.5)
        await story.told(
            story.paid(
                name,
                distributor_id=distributor,
                price_fen=part_fen,
                fee_fen=random.randrange(0, 100),
                paid_at=paid_at,
            ),
            story.issued(
                name,
                distributor_id=distributor,
                spot_id=spot,
                part_fen=part_fen,
                settle_fen=settle_fen,
                settlement_fee_fen=random.randrange(0, settle_fen + 1),
                refund_rule=rule,
                issued_at=paid_at,
            ),
        )
        await self._end(name, spot, self.some_time(paid_at))

    async def _end(self, name: str, spot: str, at: datetime) -> None:
        fate = self.random.choice(("unused", "visited", "visited", "voided", "expired"))
        story, of_spot = self.story, {"spot_id": spot}
        if fate == "visited":
            await story.told(story.used(name, at=at).model_copy(update=of_spot))
            await self._finish_payout(name, at)
        elif fate == "voided":
            voided = story.voided(name).model_copy(update={**of_spot, "voided_at": at})
            await story.told(voided)
            await self._finish_refund(f"ord_{name}", at)
        elif fate == "expired":
            expired = story.expired(name).model_copy(update={**of_spot, "expired_at": at})
            await story.told(expired)
            await self._finish_refund(f"ord_{name}", at)

    async def _finish_payout(self, name: str, used_at: datetime) -> None:
        payout_id = (await self.story.entitlement(name))["payout_id"]
        rows = await self.story.rows(PAYOUTS)
        open_ = [
            row for row in rows if (row["payout_id"], row["status"]) == (payout_id, "requested")
        ]
        for payout in open_:
            finished = {"amount_fen": payout["amount_fen"], "finished_at": self.some_time(used_at)}
            fate = self.random.random()
            if fate < 0.2:
                await self.story.told(self.story.failed(payout_id))
                async with self.story.context.db.transaction() as tx:
                    await restarting.settle_payout_outside(
                        tx, self.story.context, payout_id, at=self.some_time(used_at)
                    )
            elif fate < 0.9:
                await self.story.told(self.story.succeeded(payout_id, **finished))

    async def _finish_refund(self, order_no: str, at: datetime) -> None:
        for refund in await self.story.rows(REFUNDS):
            if (refund["order_no"], refund["status"]) != (order_no, "requested"):
                continue
            refund_id, finished_at = refund["refund_id"], self.some_time(at)
            if self.random.random() < 0.2:
                await self.story.told(self.story.failed(refund_id, kind="refund"))
                async with self.story.context.db.transaction() as tx:
                    await restarting.refund_outside(
                        tx, self.story.context, refund_id, at=finished_at
                    )
            else:
                moved = {"amount_fen": refund["amount_fen"], "finished_at": finished_at}
                await self.story.told(self.story.succeeded(refund_id, kind="refund", **moved))

    async def _top_up(self, number: int) -> None:
        direction = Direction.IN if self.random.random() < 0.7 else Direction.OUT
        moved = TopUp("alipay", self.random.randrange(1, 500), direction, str(number), "ann", "x")
        context = self.story.context
        async with context.db.transaction() as tx:
            action = await acting.record_top_up(tx, context, moved)
            if number % 10 == 0:
                await acting.ask_for_correction(
                    tx, context, f"owner:{action.action_id}", person="ann", reason="wrong"
                )


@pytest.fixture(params=[1, 2, 3])
async def told(story: "Story", request: pytest.FixtureRequest) -> "Story":
    """Thirty orders of four days, and the day before."""
    await History(story, request.param).live(30)
    await invest_and_adjust(story)
    return story


async def invest_and_adjust(story: "Story") -> None:
    """On every day something is invested, redeemed and liquidated; a bill is off, and explained
    later."""
    postings: list[Posting] = []
    for number, day in enumerate(DAYS.each()):
        at, fen = day.start + timedelta(hours=9), 100 * (number + 1)
        of_product: dict[str, Any] = {"product_id": "prd_1", "occurred_at": at}
        postings += [
            posting_for_subscription(
                move_id=f"s{number}", order_no=f"ord_r{number}", amount_fen=10 * fen, **of_product
            ),
            *(
                posting_for_proceeds(
                    move_id=f"{kind}{number}",
                    kind=kind,
                    order_no=None,
                    principal_fen=principal_fen,
                    yield_fen=yield_fen,
                    **of_product,
                )
                for kind, principal_fen, yield_fen in (
                    (PostingKind.REDEMPTION, 3 * fen, 0),
                    (PostingKind.LIQUIDATION, 2 * fen, number + 7),
                )
            ),
            *(
                Posting(
                    f"{kind}:{number}",
                    kind,
                    None,
                    at,
                    entries(debited=[(debited, amount_fen)], credited=[(credited, amount_fen)]),
                )
                for kind, debited, credited, amount_fen in (
                    (PostingKind.ADJUSTMENT, "cash:alipay", SUSPENSE, fen),
                    (PostingKind.CLEARING, SUSPENSE, OWNER, fen // 2),
                )
            ),
        ]
    async with story.context.db.transaction() as tx:
        await ledger.record(tx, postings)


async def from_the_ledger(tx: Tx, figure: Figure) -> int:
    """What a figure's own source adds up to."""
    source = figure.source
    wanted = select(func.sum(ENTRIES.c.credit_fen - ENTRIES.c.debit_fen)).join(POSTINGS)
    patterns = (account.replace("*", "%") for account in source.accounts)
    wanted = wanted.where(
        or_(*(ENTRIES.c.account.like(pattern) for pattern in patterns)),
        POSTINGS.c.occurred_at < source.end,
    )
    if source.kinds:
        wanted = wanted.where(POSTINGS.c.kind.in_(source.kinds))
    if source.start is not None:
        wanted = wanted.where(POSTINGS.c.occurred_at >= source.start)
    credit_fen = int(await tx.scalar(wanted) or 0)
    return credit_fen if source.side is Side.CREDIT else -credit_fen


async def require_all_from_the_ledger(tx: Tx, figures: Iterable[Figure]) -> None:
    for figure in figures:
        assert figure.amount_fen == await from_the_ledger(tx, figure), figure


async def test_every_figure_of_a_day_is_reproduced_by_its_source(told: "Story") -> None:
    async with told.context.db.snapshot() as tx:
        summary = await reporting.report_days(tx, DAYS)
        for day in summary.days:
            await require_all_from_the_ledger(tx, [*day.figures, *day.balances])
    assert [day.day for day in summary.days] == [MONDAY + timedelta(days=n) for n in range(4)]
    moved = {figure.name for day in summary.days for figure in day.figures if figure.amount_fen}
    assert moved == {figure.name for figure in summary.days[0].figures}  # nothing is untested


async def test_the_days_add_up_to_the_change_of_balances(told: "Story") -> None:
    async with told.context.db.snapshot() as tx:
        summary = await reporting.report_days(tx, DAYS)
    days = [
        (
            {figure.name: figure.amount_fen for figure in day.figures},
            {figure.name: figure.amount_fen for figure in day.balances},
        )
        for day in summary.days
    ]
    for (_, before), (moved, after) in pairwise(days):
        change = {name: after[name] - before.get(name, 0) for name in after}
        assert change["margin"] == moved["margin"] + moved["forfeits"]
        assert change["payable"] == moved["earned_by_spots"] - moved["paid_out"]
        assert change["fees"] == moved["fees"]
        assert moved["fees"] == (
            moved["transaction_fees"] + moved["settlement_fees"] - moved["refunded_fees"]
        )
        assert change["owner"] == moved["owner"]
        invested_fen = moved["subscribed"] - moved["redeemed"] - moved["liquidated"]
        assert change["wealth"] == invested_fen
        assert change["yield"] == moved["yield"]
        assert change["suspense"] == moved["adjustments"] - moved["clearings"]
    for _, balances in days:
        assets = sum(fen for name, fen in balances.items() if name.startswith(("cash", "wealth")))
        assert assets * 2 == sum(balances.values())


@pytest.mark.parametrize("spot_id", SPOTS)
async def test_a_spots_statement_agrees_with_the_ledger(told: "Story", spot_id: str) -> None:
    async with told.context.db.snapshot() as tx:
        statement = await reporting.report_spot(tx, spot_id, DAYS)
        await require_all_from_the_ledger(tx, statement.figures)
    fen = {figure.name: figure.amount_fen for figure in statement.figures}
    assert fen["opening"] + fen["earned"] - fen["paid"] == fen["closing"]
    assert fen["earned"] == sum(visit.payable_fen for visit in statement.visits)
    assert fen["paid"] == sum(payout.amount_fen for payout in statement.payouts)
    visited = {
        row["entitlement_id"]
        for row in await told.rows(ENTITLEMENTS)
        if row["spot_id"] == spot_id and _in_period(row["used_at"])
    }
    assert {visit.entitlement_id for visit in statement.visits} == visited
    assert visited


@pytest.mark.parametrize("distributor_id", DISTRIBUTORS)
async def test_a_distributors_statement_agrees_with_the_ledger(
    told: "Story", distributor_id: str
) -> None:
    async with told.context.db.snapshot() as tx:
        statement = await reporting.report_distributor(tx, distributor_id, DAYS)
        keys = [row.posting_key for row in statement.debits]
        keys += [row.posting_key for row in statement.refunds]
        moved = select(
            func.sum(ENTRIES.c.credit_fen - ENTRIES.c.debit_fen).filter(
                ENTRIES.c.account.like("custody:%")
            ),
            func.sum(ENTRIES.c.credit_fen - ENTRIES.c.debit_fen).filter(
                ENTRIES.c.account == "fees"
            ),
        ).join(POSTINGS)
        custody_fen, fees_fen = (await tx.execute(moved.where(POSTINGS.c.key.in_(keys)))).one()
    totals = statement.totals
    custody_fen, fees_fen = custody_fen or 0, fees_fen or 0  # a sum over nothing is null
    assert custody_fen == totals.price_fen - totals.refunded_fen
    assert fees_fen == totals.fee_fen - totals.refunded_fee_fen
    assert totals.net_fen == custody_fen + fees_fen
    assert totals.net_fen == sum(order.net_fen for order in statement.orders)
    assert {row.order_no for row in statement.debits if not row.is_orphan} == {
        row["order_no"]
        for row in await told.rows(DEBITS)
        if row["distributor_id"] == distributor_id and _in_period(row["paid_at"])
    }


async def test_the_statements_of_all_are_the_platforms_days(told: "Story") -> None:
    async with told.context.db.snapshot() as tx:
        summary = await reporting.report_days(tx, DAYS)
        spots = [await reporting.report_spot(tx, spot_id, DAYS) for spot_id in SPOTS]
        both = [await reporting.report_distributor(tx, one, DAYS) for one in DISTRIBUTORS]
    days: dict[str, int] = {}
    for figure in (figure for day in summary.days for figure in day.figures):
        days[figure.name] = days.get(figure.name, 0) + figure.amount_fen
    of_spots = [{figure.name: figure.amount_fen for figure in one.figures} for one in spots]
    assert days["earned_by_spots"] == sum(one["earned"] for one in of_spots)
    assert days["paid_out"] == sum(one["paid"] for one in of_spots)
    debited = sum(one.totals.price_fen + one.totals.fee_fen for one in both)
    refunded = sum(one.totals.refunded_fen + one.totals.refunded_fee_fen for one in both)
    assert (days["debited"], days["refunded"]) == (debited, refunded)


def _in_period(at: Any) -> bool:
    return at is not None and DAYS.start <= at < DAYS.end
