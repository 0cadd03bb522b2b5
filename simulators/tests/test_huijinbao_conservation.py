"""Over whatever calls, faults and days: the journal explains every balance, and money is kept."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shanmen.simulators import fault_orders, faults
from shanmen.simulators.books import Books
from shanmen.simulators.enrolment import plant
from shanmen.simulators.huijinbao import books as books_module
from shanmen.simulators.huijinbao import enrolment, execution, notifications, wealth
from shanmen.simulators.huijinbao.admin import CATALOGUE
from shanmen.simulators.huijinbao.execution import find_merchant, perform, run_overdue
from shanmen.simulators.huijinbao.faults import CALL_KINDS
from shanmen.simulators.huijinbao.methods.call import Call
from shanmen.simulators.moments import DAY_MS
from shanmen.simulators.signing import SigningKey
from shanmen.simulators.testing.huijinbao_merchant import (
    FUND,
    MERCHANT_ID,
    PLATFORM,
    PRODUCT,
    ending,
    giving_back,
    investment,
    payment,
    payout,
    seed,
)

_OPENING_FEN = 100_000


@dataclass(frozen=True)
class Step:
    """One thing that happens: a call, a fault, or time going by."""

    method: str
    data: Mapping[str, Any]


_NUMBERS = st.sampled_from(["A", "B", "C", "D"])
_AMOUNTS = st.sampled_from([100, 100, 9_000, 50_000])
_BIZ_NOS = st.sampled_from(["B1", "B2"])
_MODES = st.sampled_from(["FAST", "NORMAL"])
_CALLS = st.one_of(
    st.builds(lambda n, a: Step("pay", payment(n, a)), _NUMBERS, _AMOUNTS),
    st.builds(lambda n, a: Step("transfer", payout(n, a)), _NUMBERS, _AMOUNTS),
    st.builds(lambda n, o, a: Step("refund", giving_back(n, o, a)), _NUMBERS, _NUMBERS, _AMOUNTS),
    st.builds(
        lambda m, n: Step(f"order.{m}", {"req_seq_id": "Q", "org_req_seq_id": n}),
        st.sampled_from(["query", "query", "cancel"]),
        _NUMBERS,
    ),
    st.builds(
        lambda n, a, b: Step("wealth.subscribe", investment(n, a, b)),
        st.sampled_from(["W1", "W2", "W3"]),
        _AMOUNTS,
        _BIZ_NOS,
    ),
    st.builds(
        lambda n, a, b, m: Step("wealth.redeem", {**investment(n, a, b), "mode": m}),
        st.sampled_from(["X1", "X2", "A"]),
        _AMOUNTS,
        _BIZ_NOS,
        _MODES,
    ),
    st.builds(
        lambda n, b: Step("wealth.liquidate", ending(n, b)),
        st.sampled_from(["L1", "L2"]),
        _BIZ_NOS,
    ),
)
_FAULTS = st.builds(
    lambda kind, delay_ms: Step("fault", {"kind": kind, "times": 1, "delay_ms": delay_ms}),
    st.sampled_from(sorted(CALL_KINDS)),
    st.sampled_from([0, 50, 5_000]),
)
_TIME = st.builds(
    lambda by_ms: Step("wait", {"by_ms": by_ms}), st.sampled_from([1_000, DAY_MS, DAY_MS])
)
_STEPS = st.lists(st.one_of(_CALLS, _CALLS, _FAULTS, _TIME), min_size=25, max_size=40)


class World:
    """The channel's books in memory, moved by steps."""

    def __init__(self, public_key_pem: str) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        for module in (books_module, wealth, notifications, faults, execution):
            self._connection.executescript(module.SCHEMA)
        self._now_ms = 1_790_000_000_000
        generous = {"product_code": PRODUCT, "name": "x", "yield_10k": "77.7777"}
        content = {**seed(public_key_pem), "products": [generous]}
        plant(self.books(), content, enrolment.SECTIONS)

    def books(self) -> Books:
        """The books at this moment."""
        return Books(self._connection, self._now_ms)

    def take(self, step: Step) -> None:
        """Let one thing happen, as one transaction."""
        self._now_ms += 10
        books = self.books()
        if step.method == "wait":
            self._now_ms += step.data["by_ms"]
            run_overdue(self.books())
        elif step.method == "fault":
            fault_orders.order_fault(books, step.data, CATALOGUE)
        else:
            merchant = find_merchant(books, MERCHANT_ID)
            assert merchant is not None
            perform(books, Call(step.method, merchant, step.data))

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()


def _sum(books: Books, sql: str, *values: object) -> int:
    row = books.row(f"SELECT coalesce(sum({sql}", *values)
    assert row is not None
    return int(row[0])


def _check(books: Books) -> None:
    accounts = books.rows("SELECT * FROM accounts")
    earned_fen = _sum(books, "yield_fen), 0) FROM position_yields")
    assert sum(account["balance_fen"] for account in accounts) == _OPENING_FEN + earned_fen
    for account in accounts:
        balance_fen = 0
        for entry in books.rows(
            "SELECT * FROM entries WHERE account_no = ? ORDER BY entry_id", account["account_no"]
        ):
            balance_fen += entry["amount_fen"] * (1 if entry["direction"] == "in" else -1)
            assert entry["balance_after_fen"] == balance_fen >= 0
        assert account["balance_fen"] == balance_fen
    _check_orders(books)
    _check_wealth(books, earned_fen)


def _check_orders(books: Books) -> None:
    for order in books.rows("SELECT * FROM orders"):
        moved_fen = _sum(
            books,
            "amount_fen), 0) FROM entries WHERE channel_no = ? AND direction = 'in' AND kind = ?",
            order["hjb_seq_id"],
            order["biz_type"],
        )
        assert moved_fen == (order["amount_fen"] if order["status"] == "S" else 0)
        given_back_fen = _sum(
            books,
            "amount_fen), 0) FROM orders WHERE original_no = ? AND status <> 'F'",
            order["hjb_seq_id"],
        )
        assert order["refunded_fen"] == given_back_fen <= order["amount_fen"]
        assert (order["status"] == "P") is (order["ending"] is not None)
        if order["order_status"] == "51":
            assert order["status"] == "S"
            assert given_back_fen == order["amount_fen"]


def _check_wealth(books: Books, earned_fen: int) -> None:
    """The fund holds what is invested, on its way out, and earned and not yet paid."""
    fund = books.account(FUND)
    assert fund is not None
    assert fund["balance_fen"] == wealth.holding(books, PLATFORM).total_fen
    principal_fen = sum(
        _sum(books, f"{column}), 0) FROM orders WHERE biz_type = ? AND status {status}", kind)
        * sign
        for column, kind, status, sign in (
            ("amount_fen", "subscribe", "= 'S'", 1),
            ("principal_fen", "redeem", "<> 'F'", -1),
            ("principal_fen", "liquidate", "<> 'F'", -1),
        )
    )
    assert principal_fen == _sum(books, "remaining_fen), 0) FROM lots")
    paid_fen = _sum(books, "yield_fen), 0) FROM orders WHERE status <> 'F'")
    owed_fen = wealth.holding(books, PLATFORM, PRODUCT).accrued_fen
    assert paid_fen + owed_fen == earned_fen


@given(steps=_STEPS)
@settings(max_examples=150, deadline=None)
def test_money_is_conserved_and_explained(steps: list[Step], merchant_key: SigningKey) -> None:
    world = World(merchant_key.public_pem())
    try:
        for step in steps:
            world.take(step)
            _check(world.books())
    finally:
        world.close()
