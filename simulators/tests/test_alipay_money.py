"""Over whatever calls and faults: the journal explains every balance, and no money is made."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shanmen.simulators import fault_orders, faults
from shanmen.simulators.alipay import books as books_module
from shanmen.simulators.alipay import enrolment, execution, notices
from shanmen.simulators.alipay.admin import CATALOGUE
from shanmen.simulators.alipay.execution import find_app, perform, run_overdue
from shanmen.simulators.alipay.faults import CALL_KINDS
from shanmen.simulators.alipay.methods.call import Call
from shanmen.simulators.alipay.methods.table import METHODS
from shanmen.simulators.alipay.signing import SigningKey
from shanmen.simulators.books import Books
from shanmen.simulators.enrolment import plant
from shanmen.simulators.testing.merchant import APP_ID, PLATFORM, payment, payout, seed

_OPENING_FEN = 100_000


@dataclass(frozen=True)
class Step:
    """One thing that happens: a call, a fault, a top-up, or time going by."""

    method: str
    content: Mapping[str, Any]


_NUMBERS = st.sampled_from(["A", "B", "C"])
_AMOUNTS = st.sampled_from(["1.00", "1.00", "150.00", "0.05"])
_CALLS = st.one_of(
    st.builds(lambda n, a: Step("alipay.trade.pay", payment(n, a)), _NUMBERS, _AMOUNTS),
    st.builds(
        lambda n, r, a: Step(
            "alipay.trade.refund",
            {"out_trade_no": n, "out_request_no": r, "refund_amount": a},
        ),
        _NUMBERS,
        _NUMBERS,
        _AMOUNTS,
    ),
    st.builds(
        lambda m, n: Step(f"alipay.trade.{m}", {"out_trade_no": n}),
        st.sampled_from(["query", "cancel", "close"]),
        _NUMBERS,
    ),
    st.builds(
        lambda n, a: Step("alipay.fund.trans.uni.transfer", payout(n, a)), _NUMBERS, _AMOUNTS
    ),
    st.builds(
        lambda n: Step(
            "alipay.fund.trans.common.query",
            {
                "out_biz_no": n,
                "product_code": "TRANS_ACCOUNT_NO_PWD",
                "biz_scene": "DIRECT_TRANSFER",
            },
        ),
        _NUMBERS,
    ),
)
_FAULTS = st.builds(
    lambda kind, delay_ms: Step("fault", {"kind": kind, "times": 1, "delay_ms": delay_ms}),
    st.sampled_from(sorted(CALL_KINDS)),
    st.sampled_from([0, 50, 5_000]),
)
_STEPS = st.lists(
    st.one_of(_CALLS, _CALLS, _FAULTS, st.just(Step("wait", {}))), min_size=25, max_size=40
)


class World:
    """The channel's books in memory, moved by steps."""

    def __init__(self, public_key_pem: str) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        for module in (books_module, notices, faults, execution):
            self._connection.executescript(module.SCHEMA)
        self._now_ms = 1_790_000_000_000
        plant(self.books(), seed(public_key_pem), enrolment.SECTIONS)

    def books(self) -> Books:
        """The books at this moment."""
        return Books(self._connection, self._now_ms)

    def take(self, step: Step) -> None:
        """Let one thing happen, as one transaction."""
        self._now_ms += 10
        books = self.books()
        if step.method == "wait":
            self._now_ms += 1_000
            run_overdue(self.books())
        elif step.method == "fault":
            fault_orders.order_fault(books, step.content, CATALOGUE)
        else:
            app = find_app(books, APP_ID)
            assert app is not None
            method = METHODS[step.method]
            perform(books, Call(step.method, app, step.content, None, method.invalid_parameter))

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()


def _check(books: Books) -> None:
    accounts = books.rows("SELECT * FROM accounts")
    assert sum(account["balance_fen"] for account in accounts) == _OPENING_FEN
    for account in accounts:
        balance_fen = 0
        for entry in books.rows(
            "SELECT * FROM entries WHERE account_no = ? ORDER BY entry_id", account["account_no"]
        ):
            balance_fen += entry["amount_fen"] * (1 if entry["direction"] == "in" else -1)
            assert entry["balance_after_fen"] == balance_fen >= 0
        assert account["balance_fen"] == balance_fen
    for trade in books.rows("SELECT * FROM trades"):
        moved = _moved(books, "trade", [trade["trade_no"]])
        assert moved == (trade["amount_fen"] if trade["paid_ms"] else 0)
        refund_nos = [
            row["refund_no"]
            for row in books.rows(
                "SELECT refund_no FROM refunds WHERE trade_no = ?", trade["trade_no"]
            )
        ]
        assert -_moved(books, "refund", refund_nos) == trade["refunded_fen"] <= moved
        assert (trade["status"] == "TRADE_SUCCESS") is (moved > trade["refunded_fen"])
    for transfer in books.rows("SELECT * FROM transfers"):
        moved = -_moved(books, "transfer", [transfer["pay_fund_order_id"]])
        assert moved == (transfer["amount_fen"] if transfer["status"] == "SUCCESS" else 0)


def _moved(books: Books, kind: str, channel_nos: list[str]) -> int:
    """What the platform's journal says came in under these numbers, less what went out."""
    return sum(
        entry["amount_fen"] * (1 if entry["direction"] == "in" else -1)
        for channel_no in channel_nos
        for entry in books.rows(
            "SELECT * FROM entries WHERE account_no = ? AND kind = ? AND channel_no = ?",
            PLATFORM,
            kind,
            channel_no,
        )
    )


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
