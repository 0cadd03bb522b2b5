"""The long day that the bench reconciles: the same money in every book, but for its breaks."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from rich.console import Console

from shanmen.common.db import asyncpg_dsn
from shanmen.gateway_adapters.main import SERVICE as GATEWAY
from shanmen.platform.bench.bookings import (
    PAYEES,
    PAYERS,
    book_at_channel,
    book_at_gateway,
    book_in_ledger,
)
from shanmen.platform.bench.command import BenchFailed, run_bench
from shanmen.platform.bench.movements import (
    BREAK_CLASSES,
    PATTERNS,
    breaks_of,
    long_day,
    rows_of,
    rows_that_agree,
)
from shanmen.platform.bench.processes import peak_memory_mb
from shanmen.platform.bench.reconciliation import FoundWrong, require_right
from shanmen.platform.installation import (
    ALIPAY_APP_ID,
    ALIPAY_PLATFORM_ACCOUNT,
    HUIJINBAO_MERCHANT,
    HUIJINBAO_PLATFORM_ACCOUNT,
    HUIJINBAO_WEALTH_PRODUCT,
)
from shanmen.platform.sample import SHANGHAI
from shanmen.settlement.main import SERVICE as SETTLEMENT
from shanmen.simulators.alipay import enrolment as alipay_enrolment
from shanmen.simulators.alipay.bills import days as alipay_bills
from shanmen.simulators.alipay.channel import Channel as Alipay
from shanmen.simulators.books import Books
from shanmen.simulators.huijinbao import bills as huijinbao_bills
from shanmen.simulators.huijinbao import enrolment as huijinbao_enrolment
from shanmen.simulators.huijinbao.channel import Channel as Huijinbao
from shanmen.simulators.settings import Settings

DAY = date(2026, 3, 2)
ROWS, ODD_EACH = 400, 3


@pytest.mark.parametrize("channel", PATTERNS)
def test_a_long_day_has_its_rows_and_its_breaks(channel: str) -> None:
    movements = long_day(channel, DAY, rows=ROWS, odd_each=ODD_EACH)
    assert ROWS <= rows_of(channel, movements) < ROWS + 30
    classes = Counter(break_class for break_class, _ in breaks_of(movements))
    assert classes == dict.fromkeys(BREAK_CLASSES, ODD_EACH)
    assert rows_that_agree(channel, movements) < rows_of(channel, movements)
    times = [each.at for each in movements]
    assert times == sorted(times)
    at_midnight = datetime.combine(DAY, datetime.min.time(), SHANGHAI)
    assert times[0] - at_midnight > timedelta(hours=1)
    assert times[-1] < at_midnight + timedelta(hours=23)


@pytest.mark.parametrize("channel", PATTERNS)
def test_a_break_is_what_its_class_says(channel: str) -> None:
    for each in long_day(channel, DAY, rows=ROWS, odd_each=ODD_EACH):
        books = each.there_fen is not None, each.here_fen is not None, each.is_known
        agree = each.there_fen == each.here_fen
        assert (*books, agree) == {
            None: (True, True, True, True),
            "missing_here": (True, False, False, False),
            "missing_there": (False, True, True, False),
            "amount": (True, True, True, False),
            "status": (True, False, True, False),
        }[each.break_class]


def test_more_breaks_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        long_day("alipay", DAY, rows=100, odd_each=50)


def _open_alipay(books: Books) -> None:
    own = {
        "account_no": ALIPAY_PLATFORM_ACCOUNT,
        "user_id": ALIPAY_PLATFORM_ACCOUNT,
        "name": "own",
    }
    alipay_enrolment.put_account(books, own)
    books.insert(
        "apps",
        app_id=ALIPAY_APP_ID,
        account_no=ALIPAY_PLATFORM_ACCOUNT,
        public_key_pem="",
        gateway_notify_url="http://127.0.0.1:9/",
    )


def _open_huijinbao(books: Books) -> None:
    own = {"account_no": HUIJINBAO_PLATFORM_ACCOUNT, "name": "own"}
    huijinbao_enrolment.put_account(books, own)
    merchant = {
        "merchant_id": HUIJINBAO_MERCHANT,
        "account_no": HUIJINBAO_PLATFORM_ACCOUNT,
        "notify_url": "http://127.0.0.1:9/",
        "keys": {},
    }
    huijinbao_enrolment.put_merchant(books, merchant)
    product = {
        "product_code": HUIJINBAO_WEALTH_PRODUCT,
        "name": "wealth",
        "yield_10k": "0.6",
    }
    huijinbao_enrolment.put_product(books, product)


OPENED: Mapping[str, tuple[Any, Callable[[Books], None], Any]] = {
    "alipay": (Alipay, _open_alipay, alipay_enrolment.put_account),
    "huijinbao": (Huijinbao, _open_huijinbao, huijinbao_enrolment.put_account),
}
BILLS: Mapping[str, Callable[[Books], Iterator[int]]] = {
    "alipay": lambda books: (
        alipay_bills.make(books, ALIPAY_PLATFORM_ACCOUNT, DAY, bill_type, None).rows
        for bill_type in ("trade", "signcustomer")
    ),
    "huijinbao": lambda books: (
        huijinbao_bills.make(books, HUIJINBAO_PLATFORM_ACCOUNT, DAY, bill_type, None).rows
        for bill_type in huijinbao_bills.BILL_TYPES
    ),
}


@pytest.mark.parametrize("channel", PATTERNS)
async def test_the_channel_makes_bills_of_it(channel: str, tmp_path: Path) -> None:
    """Beside a channel that runs, and without any notification."""
    movements = long_day(channel, DAY, rows=ROWS, odd_each=ODD_EACH)
    open_channel, open_own, put_account = OPENED[channel]
    with closing(open_channel(Settings(tmp_path))) as running:
        await running.within(open_own)
        for trader in (PAYERS[channel], PAYEES[channel]):
            account: dict[str, object] = {"account_no": trader.account_no, "name": trader.name}
            account |= {"balance_fen": trader.opening_fen}
            account |= {"user_id": trader.account_no} if channel == "alipay" else {}
            await running.within(lambda books, account=account: put_account(books, account))
        book_at_channel(tmp_path / f"{channel}.sqlite3", channel, movements)
        rows = await running.within(lambda books: sum(BILLS[channel](books)))
        letters = await running.within(lambda books: books.row("SELECT * FROM notifications"))
    assert rows == rows_of(channel, movements)
    assert letters is None


@pytest.mark.parametrize("channel", PATTERNS)
async def test_our_books_take_it(channel: str, fresh_database: Any) -> None:
    """Under all their constraints and triggers."""
    movements = long_day(channel, DAY, rows=ROWS, odd_each=ODD_EACH)
    ledger_url, gateway_url = await fresh_database(SETTLEMENT), await fresh_database(GATEWAY)
    await book_in_ledger(ledger_url, channel, movements)
    await book_at_gateway(gateway_url, channel, movements)
    here = [each for each in movements if each.here_fen is not None]
    cash = "SELECT sum(debit_fen + credit_fen) FROM entries WHERE account = $1"
    assert await _value(ledger_url, "SELECT count(*) FROM postings") == len(here)
    assert await _value(ledger_url, cash, f"cash:{channel}") == sum(
        each.here_fen or 0 for each in here
    )
    refunds = sum(each.kind == "refund" for each in movements)
    assert await _value(ledger_url, "SELECT count(*) FROM refunds") == refunds
    assert await _value(gateway_url, "SELECT count(*) FROM operations") == sum(
        each.is_known for each in movements
    )


async def _value(url: str, text: str, *values: object) -> Any:
    connection = await asyncpg.connect(asyncpg_dsn(url), timeout=10)
    try:
        return await connection.fetchval(text, *values)
    finally:
        await connection.close()


def test_a_run_that_finds_anything_else_is_refused() -> None:
    movements = long_day("huijinbao", DAY, rows=ROWS, odd_each=ODD_EACH)
    run = {
        "files": [{"rows": rows_of("huijinbao", movements)}],
        "matched": rows_that_agree("huijinbao", movements),
        "breaks": len(breaks_of(movements)),
    }
    found = breaks_of(movements)
    require_right(run, found, "huijinbao", movements)
    _, number = found.pop()
    with pytest.raises(FoundWrong, match=number):
        require_right(run, found, "huijinbao", movements)
    for name in ("matched", "breaks"):
        with pytest.raises(FoundWrong):
            require_right({**run, name: 1}, None, "huijinbao", movements)


def test_the_peak_is_what_was_resident_once() -> None:
    before_mb = peak_memory_mb(os.getpid())
    held = bytearray(os.urandom(1)) * (200 << 20)
    with_it_mb = peak_memory_mb(os.getpid())
    del held
    assert with_it_mb >= before_mb
    assert with_it_mb > 200
    assert peak_memory_mb(os.getpid()) == pytest.approx(with_it_mb, abs=1)


async def test_a_part_that_is_not_there_is_refused_before_anything_starts() -> None:
    with pytest.raises(BenchFailed, match="no part reconcile"):
        await run_bench(Console(), None, only=["reconcile"])
