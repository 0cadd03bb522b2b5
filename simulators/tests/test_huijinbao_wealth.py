"""Wealth products: what is invested, earned and paid out, against an exact recomputation."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanmen.simulators import faults
from shanmen.simulators.books import BalanceTooLow, Books
from shanmen.simulators.enrolment import plant
from shanmen.simulators.huijinbao import books as books_module
from shanmen.simulators.huijinbao import (
    enrolment,
    execution,
    notifications,
    wealth,
)
from shanmen.simulators.moments import DAY_MS, china_date
from shanmen.simulators.signing import SigningKey
from shanmen.simulators.testing.huijinbao_merchant import (
    FUND,
    PLATFORM,
    PRODUCT,
    HuijinbaoMerchant,
    ending,
    investment,
    seed,
)


async def _yields(huijinbao: HuijinbaoMerchant, first: str, last: str) -> list[dict[str, Any]]:
    data = {"cst_no": PLATFORM, "product_code": PRODUCT, "from": first, "to": last}
    rows: list[dict[str, Any]] = (await huijinbao.call("wealth.yield.query", data))["rows"]
    return rows


def _held(position: dict[str, Any]) -> tuple[int, int, int, int]:
    """Principal, pending in, pending out, accrued yield."""
    return (
        position["principal"],
        position["pending_in"],
        position["pending_out"],
        position["accrued_yield"],
    )


async def test_a_subscription_earns_from_the_next_day_and_is_paid_out_at_the_end(
    huijinbao: HuijinbaoMerchant,
) -> None:
    subscribed = await huijinbao.subscribe("W1", 10_000)
    today = date.fromisoformat((await huijinbao.get("/clock"))["china_date"])
    assert subscribed["confirm_date"] == (today + timedelta(days=1)).isoformat()
    assert subscribed["sub_order_no"] == subscribed["hjb_seq_id"]
    assert _held(await huijinbao.position()) == (0, 10_000, 0, 0)
    assert await huijinbao.balance_fen(PLATFORM) == 10_000

    await huijinbao.advance(days=1)
    assert _held(await huijinbao.position()) == (10_000, 0, 0, 0)
    last = await huijinbao.advance(days=10)

    # 100.00 yuan at 0.5432 yuan per 10 000 yuan and day: 0.5432 fen a day, 5.432 in ten days
    assert _held(await huijinbao.position()) == (10_000, 0, 0, 5)
    rows = await _yields(huijinbao, today.isoformat(), last)
    assert [row["yield_fen"] for row in rows] == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert {(row["principal"], row["yield_10k"]) for row in rows} == {(10_000, "0.5432")}
    assert rows[0]["date"] == subscribed["confirm_date"]

    ended = await huijinbao.liquidate("L1")
    assert (ended["principal_out"], ended["yield_total"], ended["trx_amount"]) == (
        10_000,
        5,
        10_005,
    )
    assert _held(await huijinbao.position()) == (0, 0, 0, 0)
    assert await huijinbao.balance_fen(PLATFORM) == 20_005
    assert await huijinbao.balance_fen(FUND) == 0
    assert await huijinbao.liquidate("L1") == {**ended, "replayed": True}
    asked = await huijinbao.query("L1")
    assert (asked["principal_out"], asked["yield_total"]) == (10_000, 5)
    empty = await huijinbao.liquidate("L2")
    assert (empty["trans_stat"], empty["trx_amount"]) == ("S", 0)


async def test_redeeming_fast_pays_at_once(huijinbao: HuijinbaoMerchant) -> None:
    await huijinbao.subscribe("W1", 1_000)
    await huijinbao.advance(days=1)

    redeemed = await huijinbao.redeem("X1", 400)

    assert redeemed["trans_stat"] == "S"
    assert _held(await huijinbao.position()) == (600, 0, 0, 0)
    assert await huijinbao.balance_fen(PLATFORM) == 19_400


async def test_redeeming_normally_pays_the_next_day_and_earns_nothing_meanwhile(
    huijinbao: HuijinbaoMerchant,
) -> None:
    await huijinbao.subscribe("W1", 10_000)
    await huijinbao.advance(days=1)

    redeemed = await huijinbao.redeem("X1", 9_000, "NORMAL")
    assert (redeemed["resp_code"], redeemed["trans_stat"]) == ("00000000", "P")
    assert _held(await huijinbao.position()) == (1_000, 0, 9_000, 0)
    balance = await huijinbao.call("account.balance.query", {"cst_no": PLATFORM})
    assert (balance["avl_bal"], balance["wealth_bal"]) == (10_000, 10_000)

    today = await huijinbao.advance(days=1)
    found = await huijinbao.query("X1")
    assert (found["trans_stat"], found["arrive_at"][:10]) == ("S", today)
    assert _held(await huijinbao.position()) == (1_000, 0, 0, 0)
    assert await huijinbao.balance_fen(PLATFORM) == 19_000
    [row] = await _yields(huijinbao, "2000-01-01", "2999-12-31")
    assert row["principal"] == 1_000


async def test_a_redemption_can_be_cancelled_until_it_arrives(
    huijinbao: HuijinbaoMerchant,
) -> None:
    await huijinbao.subscribe("W1", 10_000)
    await huijinbao.advance(days=1)
    await huijinbao.redeem("X1", 9_000, "NORMAL")

    assert (await huijinbao.cancel("X1"))["order_status"] == "5"
    await huijinbao.advance(days=1)

    assert _held(await huijinbao.position()) == (10_000, 0, 0, 0)
    assert await huijinbao.balance_fen(PLATFORM) == 10_000


async def test_what_was_invested_today_can_be_taken_back_today(
    huijinbao: HuijinbaoMerchant,
) -> None:
    await huijinbao.subscribe("W1", 1_000)
    await huijinbao.subscribe("W2", 1_000)

    await huijinbao.redeem("X1", 1_500)

    assert _held(await huijinbao.position()) == (0, 500, 0, 0)


async def test_positions_are_apart_by_business_number(huijinbao: HuijinbaoMerchant) -> None:
    await huijinbao.subscribe("W1", 1_000, "B1")
    await huijinbao.subscribe("W2", 2_000, "B2")

    assert (await huijinbao.redeem("X1", 1_001, biz_no="B1"))["resp_code"] == "HJB_0005"
    assert (await huijinbao.position("B1"))["pending_in"] == 1_000
    whole = {"cst_no": PLATFORM, "product_code": PRODUCT}
    assert (await huijinbao.call("wealth.position.query", whole))["pending_in"] == 3_000
    assert (await huijinbao.liquidate("L1", "B2"))["principal_out"] == 2_000
    assert (await huijinbao.liquidate("L2", "B3"))["resp_code"] == "HJB_0019"
    shown = (await huijinbao.get("/positions"))["positions"]
    assert [(each["biz_no"], each["pending_in_fen"]) for each in shown] == [
        ("B1", 1_000),
        ("B2", 0),
    ]


async def test_a_closed_product_takes_nothing_more_and_gives_everything_back(
    huijinbao: HuijinbaoMerchant,
) -> None:
    await huijinbao.subscribe("W1", 1_000)
    closed = {"product_code": PRODUCT, "name": "x", "yield_10k": "0", "status": "CLOSED"}
    await huijinbao.post("/products", closed)

    assert (await huijinbao.subscribe("W2", 1_000))["resp_code"] == "HJB_0050"
    assert (await huijinbao.redeem("X1", 400))["trans_stat"] == "S"
    assert (await huijinbao.liquidate("L1"))["principal_out"] == 600
    unknown = {**investment("W3", 1), "product_code": "none"}
    assert (await huijinbao.call("wealth.subscribe", unknown))["resp_code"] == "HJB_0050"


async def test_fast_redemptions_are_limited_by_the_day(huijinbao: HuijinbaoMerchant) -> None:
    limited = {"product_code": PRODUCT, "name": "x", "yield_10k": "0", "fast_limit_fen": 500}
    await huijinbao.post("/products", limited)
    await huijinbao.subscribe("W1", 5_000)

    assert (await huijinbao.redeem("X1", 400))["trans_stat"] == "S"
    assert (await huijinbao.redeem("X2", 101))["resp_code"] == "HJB_0051"
    assert (await huijinbao.redeem("X2", 100))["trans_stat"] == "S"
    assert (await huijinbao.redeem("X3", 4_000, "NORMAL"))["trans_stat"] == "P"
    await huijinbao.advance(days=1)
    assert (await huijinbao.redeem("X4", 500))["trans_stat"] == "S"


@pytest.mark.parametrize(
    ("method", "data", "code"),
    [
        ("wealth.subscribe", investment("W2", 20_001), "HJB_0005"),
        ("wealth.subscribe", {**investment("W2", 1), "biz_no": ""}, "HJB_0001"),
        ("wealth.subscribe", {**investment("W2", 1), "cst_no": "other"}, "HJB_0009"),
        ("wealth.redeem", investment("W2", 1), "HJB_0001"),
        ("wealth.redeem", {**investment("W2", 1), "mode": "SLOW"}, "HJB_0006"),
        ("wealth.redeem", {**investment("W2", 1, "B9"), "mode": "FAST"}, "HJB_0019"),
        ("wealth.liquidate", {**ending("W2"), "cst_no": "other"}, "HJB_0009"),
        ("wealth.yield.query", {**ending("W2"), "from": "1.1.2026", "to": "x"}, "HJB_0006"),
    ],
)
async def test_a_wealth_call_that_makes_no_sense_is_refused(
    huijinbao: HuijinbaoMerchant, method: str, data: dict[str, Any], code: str
) -> None:
    await huijinbao.subscribe("W1", 1)

    assert (await huijinbao.call(method, data))["resp_code"] == code
    assert await huijinbao.balance_fen(FUND) == 1
    assert len((await huijinbao.get("/positions"))["positions"]) == 1


async def test_a_day_may_have_a_yield_of_its_own_until_it_is_over(
    huijinbao: HuijinbaoMerchant,
) -> None:
    await huijinbao.subscribe("W1", 10_000)
    tomorrow = await huijinbao.advance(days=1)
    path = f"/admin/products/{PRODUCT}/yields"
    given = await huijinbao.http.put(path, json={"date": tomorrow, "yield_10k": "7.0001"})
    assert given.json()["yields"] == {tomorrow: "7.0001"}

    await huijinbao.advance(days=2)

    rows = await _yields(huijinbao, "2000-01-01", "2999-12-31")
    assert [(row["yield_10k"], row["yield_fen"]) for row in rows] == [("7.0001", 7), ("0.5432", 0)]
    late = await huijinbao.http.put(path, json={"date": tomorrow, "yield_10k": "1"})
    assert (late.status_code, "is over" in late.text) == (400, True)
    [position] = (await huijinbao.get("/positions"))["positions"]
    told = await huijinbao.get(f"/positions/{position['position_id']}/yields")
    assert [row["yield_fen"] for row in told["yields"]] == [7, 0]


# Property: yields against an exact recomputation, day by day, from the raw moves.


@dataclass
class Oracle:
    """The moves of one position by day, and what they must have earned, in exact fractions."""

    lots: list[list[Any]] = field(default_factory=list)
    exact: Fraction = Fraction(0)

    def add(self, day: int, amount_fen: int) -> None:
        """Principal that earns from the next day."""
        self.lots.append([day + 1, amount_fen])

    def take(self, amount_fen: int) -> None:
        """Principal that leaves, oldest first."""
        for lot in self.lots:
            part = min(amount_fen, lot[1])
            lot[1] -= part
            amount_fen -= part

    def end_day(self, day: int, rate: str) -> None:
        """The day is over."""
        principal_fen = sum(amount_fen for first, amount_fen in self.lots if first <= day)
        self.exact += Fraction(principal_fen) * Fraction(rate) / 10_000

    @property
    def principal_fen(self) -> int:
        """All that is still in."""
        return sum(amount_fen for _, amount_fen in self.lots)


class World:
    """Books in memory, on which days go by."""

    def __init__(self, public_key_pem: str) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        for module in (books_module, wealth, notifications, faults, execution):
            self.connection.executescript(module.SCHEMA)
        self.now_ms = 1_790_000_000_000
        plant(self.books(), seed(public_key_pem), enrolment.SECTIONS)
        self.position_id = wealth.open_position(self.books(), PLATFORM, PRODUCT, "B1")

    def books(self) -> Books:
        """The books at this moment."""
        return Books(self.connection, self.now_ms)

    def give_rate(self, rate: str) -> None:
        """Today's yield."""
        today = china_date(self.now_ms).isoformat()
        enrolment.put_yield(self.books(), PRODUCT, {"date": today, "yield_10k": rate})

    def move(self, amount_fen: int) -> int:
        """Put principal in, or take it out; what really moved."""
        books = self.books()
        wealth.accrue(books)
        if amount_fen > 0:
            confirm_date = wealth.next_confirm_date(books)
            wealth.add_lot(books, self.position_id, amount_fen, confirm_date)
            return amount_fen
        self.connection.execute("SAVEPOINT moving")
        try:
            wealth.take_principal(books, self.position_id, -amount_fen)
        except BalanceTooLow:
            self.connection.execute("ROLLBACK TO moving")
            return 0
        finally:
            self.connection.execute("RELEASE moving")
        return amount_fen


_RATES = st.builds(lambda e4: f"{e4 // 10_000}.{e4 % 10_000:04d}", st.integers(0, 99_999))
_MOVES = st.lists(st.integers(-5_000_000, 5_000_000).filter(bool), max_size=3)
_DAYS = st.lists(st.tuples(_RATES, _MOVES, st.booleans()), min_size=1, max_size=25)


@given(days=_DAYS)
@settings(max_examples=150, deadline=None)
def test_yields_add_up_to_the_floor_of_the_exact_sum(
    days: Iterable[tuple[str, list[int], bool]], merchant_key: SigningKey
) -> None:
    world, oracle = World(merchant_key.public_pem()), Oracle()
    try:
        for day, (rate, moves, is_looked_at) in enumerate(days):
            world.give_rate(rate)
            for amount_fen in moves:
                moved_fen = world.move(amount_fen)
                if moved_fen > 0:
                    oracle.add(day, moved_fen)
                else:
                    oracle.take(-moved_fen)
            oracle.end_day(day, rate)
            world.now_ms += DAY_MS
            if is_looked_at:
                wealth.accrue(world.books())
        wealth.accrue(world.books())
        _check(world, oracle)
    finally:
        world.connection.close()


def _check(world: World, oracle: Oracle) -> None:
    books = world.books()
    held = wealth.holding(books, PLATFORM, PRODUCT, "B1")
    assert held.principal_fen + held.pending_in_fen == oracle.principal_fen
    assert held.accrued_fen == floor(oracle.exact)
    [position] = wealth.find_positions(books, PLATFORM, PRODUCT, "B1")
    fraction = Fraction(position["fraction_e8"], 10**8)
    assert position["yield_fen"] + fraction == oracle.exact
    fund = books.account(FUND)
    assert fund is not None
    assert fund["balance_fen"] == held.accrued_fen
    rows = books.rows("SELECT sum(yield_fen) AS sum_fen FROM position_yields")
    assert (rows[0]["sum_fen"] or 0) == held.accrued_fen
    taken, owed_fen = wealth.take_everything(books, world.position_id)
    assert (taken.principal_fen, owed_fen) == (oracle.principal_fen, floor(oracle.exact))
    assert wealth.take_everything(books, world.position_id)[1] == 0
