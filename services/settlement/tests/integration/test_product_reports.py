"""A product's report agrees with what really happened, to the fen, and with the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import insert

from shanmen.common.db import Tx
from shanmen.contracts.orders import IssuedEntitlement
from shanmen.contracts.terms import AccountRef, RefundRule
from shanmen.settlement.domain.ledger import PostingKind
from shanmen.settlement.domain.reports import PRODUCT_MEASURES, Days
from shanmen.settlement.domain.wealth import posting_for_proceeds, posting_for_subscription
from shanmen.settlement.queries import ledger
from shanmen.settlement.schemas.products import FigurePosting, ProductReport
from shanmen.settlement.tables import PAYOUT_LINES, PAYOUTS, REFUNDS, WEALTH_MOVES
from shanmen.settlement.usecases import profits, restarting

if TYPE_CHECKING:
    from services.settlement.tests.conftest import Story

MONDAY: Final = date(2026, 11, 2)
BEGIN: Final = datetime(2026, 11, 1, 16, 0, tzinfo=UTC)
"""Monday, 0:00 in Beijing."""
WEEK: Final = Days(MONDAY, MONDAY + timedelta(days=6))
COMBINED: Final = ("prd_c", "prd_d")
PRODUCTS: Final = (*COMBINED, "prd_s")
SPOTS: Final = ("spt_1", "spt_2", "spt_3")
RECEIVER: Final = AccountRef(account_id="acc_receiver", channel="alipay")


@dataclass(frozen=True)
class Fact:
    """Something that happened to a product's money."""

    product_id: str
    name: str
    fen: int
    at: datetime


@dataclass(frozen=True)
class Sold:
    """An entitlement as it was sold."""

    product_id: str
    order_no: str
    spot_id: str
    part_fen: int
    settle_fen: int
    fee_fen: int


class History:
    """Orders of random fates, and apart from settlement's own books a plain list of facts.

    `prd_c` and `prd_s` are combined and single; `prd_d` is combined and never liquidated.
    """

    def __init__(self, story: "Story", seed: int) -> None:
        self.story = story
        self.random = Random(seed)  # noqa: S311 # fates, not secrets
        self.facts: list[Fact] = []
        self.sold: dict[str, Sold] = {}

    def some_time(self) -> datetime:
        """In the week; now and then midnight itself."""
        minutes = self.random.randrange(7 * 24 * 60)
        at = BEGIN + timedelta(minutes=minutes)
        return at.replace(hour=16, minute=0) if self.random.random() < 0.05 else at

    def note(self, product_id: str, at: datetime, **fen: int) -> None:
        """Remember what happened."""
        self.facts += [Fact(product_id, name, amount, at) for name, amount in fen.items()]

    async def live(self, orders: int) -> None:
        """Let that many orders happen, and all that follows."""
        for number in range(orders):
            await self._sell(f"r{number}", PRODUCTS[number % len(PRODUCTS)])
        for entitlement_id, sold in list(self.sold.items()):
            await self._end(entitlement_id, sold)
        for _ in range(2):  # what was refused is tried again
            await self._finish_payouts()
            await self._finish_refunds()
        await self._invest()

    async def _sell(self, name: str, product_id: str) -> None:
        random, story = self.random, self.story
        spots = SPOTS if product_id in COMBINED else SPOTS[:1]
        entitlements = []
        for spot_id in spots:
            part_fen = random.randrange(20, 20_000)
            is_small = random.random() < 0.3  # waits for others, to be paid with them
            settle_fen = random.randrange(1, 10) if is_small else random.randrange(part_fen + 50)
            sold = Sold(
                product_id,
                f"ord_{name}",
                spot_id,
                part_fen,
                settle_fen,
                0 if is_small else random.randrange(settle_fen + 1),
            )
            self.sold[f"ent_{name}_{spot_id}"] = sold
            entitlements.append((f"ent_{name}_{spot_id}", sold))
        price_fen = sum(sold.part_fen for _, sold in entitlements)
        fee_fen, paid_at = random.randrange(200), self.some_time()
        paid = story.paid(
            name,
            product_id=product_id,
            product_name=f"product {product_id}",
            kind="combined" if product_id in COMBINED else "single",
            price_fen=price_fen,
            fee_fen=fee_fen,
            paid_at=paid_at,
        )
        await story.told(paid, self._issued(name, product_id, entitlements, paid_at))
        self.note(product_id, paid_at, sales=price_fen, transaction_fees=fee_fen)
        if random.random() < 0.2:  # paid twice: that is nothing to the product
            orphan = story.orphaned(name, operation_id=f"twice_{name}", debited_at=paid_at)
            await story.told(orphan)

    def _issued(
        self, name: str, product_id: str, sold: list[tuple[str, Sold]], at: datetime
    ) -> Any:
        random = self.random
        rule = RefundRule(on_expiry=random.random() < 0.5, refunds_fee=random.random() < 0.5)
        issued = self.story.issued(name, refund_rule=rule, issued_at=at)
        (ticket,) = issued.tickets
        usual = ticket.entitlements[0].model_dump()
        entitlements = tuple(
            IssuedEntitlement.model_validate(
                {
                    **usual,
                    "entitlement_id": entitlement_id,
                    "spot_id": one.spot_id,
                    "part_fen": one.part_fen,
                    "settle_fen": one.settle_fen,
                    "settlement_fee_fen": one.fee_fen,
                }
            )
            for entitlement_id, one in sold
        )
        tickets = (ticket.model_copy(update={"entitlements": entitlements}),)
        return issued.model_copy(update={"product_id": product_id, "tickets": tickets})

    async def _end(self, entitlement_id: str, sold: Sold) -> None:
        fate = self.random.choice(("unused", "visited", "visited", "voided", "expired"))
        story, name, at = self.story, sold.order_no.removeprefix("ord_"), self.some_time()
        which = {"entitlement_id": entitlement_id, "spot_id": sold.spot_id}
        if fate == "visited":
            await story.told(story.used(name, at=at).model_copy(update=which))
            visit = {"part": sold.part_fen, "settle": sold.settle_fen, "spot_fee": sold.fee_fen}
            self.note(sold.product_id, at, **visit)
            self.note(f"{sold.product_id} {sold.spot_id}", at, **visit, visits=1)
        elif fate == "voided":
            await story.told(story.voided(name).model_copy(update={**which, "voided_at": at}))
        elif fate == "expired":
            await story.told(story.expired(name).model_copy(update={**which, "expired_at": at}))
            rows = await self.story.rows(REFUNDS)
            if entitlement_id not in {row["entitlement_id"] for row in rows}:
                self.note(sold.product_id, at, forfeits=sold.part_fen)

    async def _finish_payouts(self) -> None:
        rows = await self.story.rows(PAYOUT_LINES)
        for payout in await self.story.rows(PAYOUTS):
            payout_id, at, fate = payout["payout_id"], self.some_time(), self.random.random()
            if payout["status"] != "requested" or fate < 0.2:
                continue
            if fate < 0.5:
                await self.story.told(self.story.failed(payout_id))
                async with self.story.context.db.transaction() as tx:
                    if fate < 0.35:
                        await restarting.restart_payout(
                            tx, self.story.context, payout_id, RECEIVER
                        )
                        continue
                    await restarting.settle_payout_outside(
                        tx, self.story.context, payout_id, at=at
                    )
            else:
                moved = {"amount_fen": payout["amount_fen"], "finished_at": at}
                await self.story.told(self.story.succeeded(payout_id, **moved))
            for line in rows:
                if line["payout_id"] == payout_id:
                    sold = self.sold[line["entitlement_id"]]
                    fen = sold.settle_fen - sold.fee_fen
                    self.note(sold.product_id, at, paid_out=fen)
                    self.note(f"{sold.product_id} {sold.spot_id}", at, paid_out=fen)

    async def _finish_refunds(self) -> None:
        for refund in await self.story.rows(REFUNDS):
            refund_id, at, fate = refund["refund_id"], self.some_time(), self.random.random()
            if refund["status"] != "requested" or fate < 0.2:
                continue
            if fate < 0.5:
                await self.story.told(self.story.failed(refund_id, kind="refund"))
                async with self.story.context.db.transaction() as tx:
                    if fate < 0.35:
                        await restarting.restart_refund(tx, self.story.context, refund_id)
                        continue
                    await restarting.refund_outside(tx, self.story.context, refund_id, at=at)
            else:
                moved = {"amount_fen": refund["amount_fen"], "finished_at": at}
                await self.story.told(self.story.succeeded(refund_id, kind="refund", **moved))
            if refund["entitlement_id"] is not None:
                sold = self.sold[refund["entitlement_id"]]
                fee_fen = refund["amount_fen"] - sold.part_fen
                self.note(sold.product_id, at, refunds=sold.part_fen, refunded_fees=fee_fen)

    async def _invest(self) -> None:
        """Of combined products: most orders, some parts out again, of `prd_c` then all the rest.

        Also what was asked for and has not happened, of which nothing must count.
        """
        left_fen = dict.fromkeys(COMBINED, 0)
        for entitlement_id, sold in self.sold.items():
            if sold.product_id not in COMBINED or self.random.random() < 0.3:
                continue
            principal_fen = self.random.randrange(1, sold.part_fen)
            of_it = {"order_no": sold.order_no, "entitlement_id": entitlement_id}
            await self._move(sold.product_id, "redeem", principal_fen, **of_it)
            left_fen[sold.product_id] -= principal_fen
        for order_no in sorted({sold.order_no for sold in self.sold.values()}):
            parts = [sold for sold in self.sold.values() if sold.order_no == order_no]
            if parts[0].product_id in COMBINED:
                fen = sum(sold.part_fen for sold in parts)
                await self._move(parts[0].product_id, "subscribe", fen, order_no=order_no)
                left_fen[parts[0].product_id] += fen
        await self._move("prd_c", "liquidate", left_fen["prd_c"] // 3)
        await self._move("prd_c", "liquidate", left_fen["prd_c"] - left_fen["prd_c"] // 3)
        nothing: dict[str, Any] = {"principal_fen": 0, "yield_fen": 0, "finished_at": BEGIN}
        await self._ask("prd_d", "liquidate", "liquidate_nothing", status="done", **nothing)
        await self._ask("prd_d", "liquidate", "liquidate_open", status="requested")

    async def _move(self, product_id: str, kind: str, principal_fen: int, **of: str) -> None:
        at, move_id = self.some_time(), f"{kind}_{len(self.facts)}"
        yield_fen = 0 if kind == "subscribe" else self.random.randrange(30)
        done = {"principal_fen": principal_fen, "yield_fen": yield_fen, "finished_at": at}
        amount_fen = 0 if kind == "liquidate" else principal_fen
        await self._ask(product_id, kind, move_id, amount_fen, status="done", **done, **of)
        booked: dict[str, Any] = {"move_id": move_id, "product_id": product_id, "occurred_at": at}
        order_no = of.get("order_no")
        posting = (
            posting_for_subscription(**booked, order_no=order_no or "", amount_fen=principal_fen)
            if kind == "subscribe"
            else posting_for_proceeds(
                **booked,
                kind=PostingKind.REDEMPTION if kind == "redeem" else PostingKind.LIQUIDATION,
                order_no=order_no,
                principal_fen=principal_fen,
                yield_fen=yield_fen,
            )
        )
        async with self.story.context.db.transaction() as tx:
            await ledger.record(tx, [posting])
        self.note(product_id, at, **{kind: principal_fen, f"{kind}_yield": yield_fen})

    async def _ask(
        self, product_id: str, kind: str, move_id: str, amount_fen: int = 0, **more: Any
    ) -> None:
        row = {
            "move_id": move_id,
            "kind": kind,
            "product_id": product_id,
            "amount_fen": amount_fen,
            "requested_at": BEGIN,
            **more,
        }
        async with self.story.context.db.transaction() as tx:
            await tx.execute(insert(WEALTH_MOVES).values(row))


def of_facts(facts: list[Fact], product_id: str, days: Days | None = None) -> Mapping[str, int]:
    """What a report must say of these facts."""
    start, end = (days.start, days.end) if days else (BEGIN, BEGIN + timedelta(days=400))

    def total(*names: str, since: datetime = start) -> int:
        return sum(
            fact.fen
            for fact in facts
            if fact.product_id == product_id and fact.name in names and since <= fact.at < end
        )

    def until_then(*names: str) -> int:
        return total(*names, since=BEGIN)

    fees_fen = total("transaction_fees", "spot_fee") - total("refunded_fees")
    margin_fen = total("part") - total("settle")
    yield_fen = total("redeem_yield", "liquidate_yield")
    given_away = ("part", "refunds", "forfeits")
    return {
        "sales": total("sales"),
        "transaction_fees": total("transaction_fees"),
        "refunds": total("refunds"),
        "refunded_fees": total("refunded_fees"),
        "settlements": total("settle"),
        "settlement_fees": total("spot_fee"),
        "earned_by_spots": total("settle") - total("spot_fee"),
        "paid_out": total("paid_out"),
        "still_payable": until_then("settle") - until_then("spot_fee", "paid_out"),
        "custody": until_then("sales") - until_then(*given_away),
        "invested": total("subscribe"),
        "redeemed": total("redeem"),
        "liquidated": total("liquidate"),
        "outstanding": until_then("subscribe") - until_then("redeem", "liquidate"),
        "fees": fees_fen,
        "margin": margin_fen,
        "forfeits": total("forfeits"),
        "yield": yield_fen,
        "profit": fees_fen + margin_fen + total("forfeits") + yield_fen,
    }


@pytest.fixture(params=[1, 2])
async def history(story: "Story", request: pytest.FixtureRequest) -> History:
    """Orders of one week."""
    history = History(story, request.param)
    await history.live(24)
    return history


def amounts(report: ProductReport) -> dict[str, int]:
    return {figure.name: figure.amount_fen for figure in report.figures}


async def report_of(history: History, product_id: str, days: Days | None = None) -> ProductReport:
    async with history.story.context.db.snapshot() as tx:
        return await profits.report_product(tx, product_id, days)


async def test_every_figure_is_what_the_facts_say(history: History) -> None:
    moved = set()
    for product_id in PRODUCTS:
        fen = amounts(await report_of(history, product_id))
        assert fen == of_facts(history.facts, product_id)
        moved |= {name for name, amount_fen in fen.items() if amount_fen}
    assert moved == set(PRODUCT_MEASURES)  # nothing is untested


async def test_the_figures_of_all_time_add_up(history: History) -> None:
    balances = await history.story.balances()
    for product_id in PRODUCTS:
        fen = amounts(await report_of(history, product_id))
        assert fen["sales"] == (
            fen["settlements"] + fen["margin"] + fen["refunds"] + fen["forfeits"] + fen["custody"]
        )
        assert fen["outstanding"] == fen["invested"] - fen["redeemed"] - fen["liquidated"]
        assert fen["outstanding"] == balances.get(f"wealth:{product_id}", 0)
        assert fen["profit"] == fen["fees"] + fen["margin"] + fen["forfeits"] + fen["yield"]
    assert f"wealth:{COMBINED[0]}" not in balances  # it has ended


async def test_any_period_is_what_the_facts_of_its_days_say(history: History) -> None:
    some = Days(MONDAY + timedelta(days=2), MONDAY + timedelta(days=4))
    for product_id in PRODUCTS:
        for days in (some, *WEEK.each()):
            report = await report_of(history, product_id, days)
            assert amounts(report) == of_facts(history.facts, product_id, days)
            assert (report.first, report.last) == (days.first, days.last)


async def test_the_profits_of_all_products_are_the_income_of_the_platform(
    history: History,
) -> None:
    reports = [amounts(await report_of(history, product_id)) for product_id in PRODUCTS]
    balances = await history.story.balances()
    assert sum(report["profit"] for report in reports) == (
        balances["fees"] + balances["margin"] + balances["yield"]
    )
    assert sum(report["still_payable"] for report in reports) == sum(
        fen for account, fen in balances.items() if account.startswith("payable:")
    )


async def pages(tx: Tx, product_id: str, figure: str, days: Days | None) -> list[FigurePosting]:
    """All postings behind a figure, read a few at a time."""
    found: list[FigurePosting] = []
    after: int | None = None
    while True:
        page = await profits.list_postings(tx, product_id, figure, days, after=after, limit=7)
        found += page.items
        if page.next_cursor is None:
            return found
        posting = await ledger.posting(tx, page.items[-1].posting_key)
        assert posting is not None
        after = posting.posting_id


async def test_the_postings_behind_a_figure_add_up_to_it(history: History) -> None:
    middle = Days(MONDAY + timedelta(days=2), MONDAY + timedelta(days=4))
    for product_id, days in ((one, days) for one in PRODUCTS for days in (None, middle)):
        report = await report_of(history, product_id, days)
        async with history.story.context.db.snapshot() as tx:
            for figure in report.figures:
                postings = await pages(tx, product_id, figure.name, days)
                assert sum(one.amount_fen for one in postings) == figure.amount_fen, figure
                assert len({one.posting_key for one in postings}) == len(postings)
                if days and not PRODUCT_MEASURES[figure.name].is_balance:
                    assert all(days.start <= one.occurred_at < days.end for one in postings)


async def test_a_figures_source_names_the_accounts_of_its_postings(history: History) -> None:
    report = await report_of(history, "prd_c", WEEK)
    for figure in report.figures:
        async with history.story.context.db.snapshot() as tx:
            listed = await pages(tx, "prd_c", figure.name, WEEK)
            rows = [await ledger.posting(tx, one.posting_key) for one in listed]
            ids = [row.posting_id for row in rows if row is not None]
            entries = await ledger.entries_of(tx, ids)
        prefixes = tuple(account.removesuffix("*") for account in figure.source.accounts)
        assert set(ids) == {
            entry.posting_id for entry in entries if entry.account.startswith(prefixes)
        }
        if figure.source.kinds:
            assert {one.kind for one in listed} <= set(figure.source.kinds)


async def test_a_payout_for_several_products_is_shared_by_its_lines(history: History) -> None:
    async with history.story.context.db.snapshot() as tx:
        listed = [
            {one.posting_key: one for one in await pages(tx, product_id, "paid_out", None)}
            for product_id in PRODUCTS
        ]
    shared = listed[0].keys() & listed[1].keys()
    assert shared
    assert all(listed[0][key].order_no is None for key in shared)
    paid_fen = {row["payout_id"]: row["amount_fen"] for row in await history.story.rows(PAYOUTS)}
    for key in shared:
        shares = [of_product[key].amount_fen for of_product in listed if key in of_product]
        assert sum(shares) == paid_fen[key.partition(":")[2]]


async def test_the_breakdowns_add_up_to_the_figures(history: History) -> None:
    for product_id in PRODUCTS:
        for days in (None, Days(MONDAY, MONDAY + timedelta(days=3))):
            require_broken_down(history, await report_of(history, product_id, days), days)


def require_broken_down(history: History, report: ProductReport, days: Days | None) -> None:
    product_id = report.product_id
    fen = amounts(report)
    for rows in (report.spots, report.days):
        for name in (name for name in type(rows[0]).model_fields if name.endswith("_fen")):
            assert sum(getattr(row, name) for row in rows) == fen[name.removesuffix("_fen")], name
    for spot in report.spots:
        of_spot = of_facts(history.facts, f"{product_id} {spot.spot_id}", days)
        told = spot.model_dump(exclude={"spot_id", "visits"})
        assert told == {name: of_spot[name.removesuffix("_fen")] for name in told}
        visits = [
            fact
            for fact in history.facts
            if (fact.product_id, fact.name) == (f"{product_id} {spot.spot_id}", "visits")
            and (days is None or days.start <= fact.at < days.end)
        ]
        assert spot.visits == len(visits)
    for day in report.days:
        of_day = of_facts(history.facts, product_id, Days(day.day, day.day))
        told = day.model_dump(exclude={"day"})
        assert told == {name: of_day[name.removesuffix("_fen")] for name in told}


async def test_moves_of_invested_money_by_kind_and_each_liquidation(history: History) -> None:
    report = await report_of(history, "prd_c")
    for total, kind in zip(report.wealth, ("subscribe", "redeem", "liquidate"), strict=True):
        of_kind = [f for f in history.facts if (f.product_id, f.name) == ("prd_c", kind)]
        gains = [f for f in history.facts if (f.product_id, f.name) == ("prd_c", f"{kind}_yield")]
        assert (total.moves, total.principal_fen, total.yield_fen) == (
            *(len(of_kind), sum(f.fen for f in of_kind), sum(f.fen for f in gains)),
        )
    liquidated = [f for f in history.facts if f.name == "liquidate"]
    told = [(one.occurred_at, one.principal_fen) for one in report.liquidations]
    assert told == sorted((fact.at, fact.fen) for fact in liquidated)
    assert sum(one.yield_fen for one in report.liquidations) == report.wealth[2].yield_fen
    untouched = await report_of(history, "prd_d")  # nothing was left, and more is only asked for
    assert (untouched.wealth[2].moves, untouched.liquidations) == (0, [])


async def test_the_list_has_combined_products_with_the_reports_own_figures(
    history: History,
) -> None:
    async with history.story.context.db.snapshot() as tx:
        first = await profits.list_products(tx, after=None, limit=1)
        second = await profits.list_products(tx, after="prd_d", limit=1)
    assert (first.next_cursor is None, second.next_cursor) == (False, None)
    listed = [*first.items, *second.items]
    assert [one.product_id for one in listed] == ["prd_d", "prd_c"]
    for one in listed:
        fen = amounts(await report_of(history, one.product_id))
        assert (one.sales_fen, one.profit_fen) == (fen["sales"], fen["profit"])
        sales = [
            fact.at
            for fact in history.facts
            if (fact.product_id, fact.name) == (one.product_id, "sales")
        ]
        assert (one.first_sold_at, one.last_sold_at) == (min(sales), max(sales))
        assert one.product_name == f"product {one.product_id}"
