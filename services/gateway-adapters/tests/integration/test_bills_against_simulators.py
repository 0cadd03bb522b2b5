"""Bills and positions as the providers get them from the simulators, which share no code with us.

Every test has a day of its own at its channel.
"""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, timedelta
from itertools import count
from typing import Any

import pytest

from shanmen.common.clock import SystemClock
from shanmen.contracts.bills import BillDirection, BillLine
from shanmen.gateway_adapters.domain.operations import OperationKind
from shanmen.gateway_adapters.providers.alipay.provider import AlipayProvider
from shanmen.gateway_adapters.providers.alipay.settings import AlipaySettings
from shanmen.gateway_adapters.providers.base import (
    OWN_ACCOUNT,
    BillDownload,
    BillNotReady,
    BillUnavailable,
    Instruction,
    NoWealth,
    PositionUnavailable,
    Provider,
)
from shanmen.gateway_adapters.providers.bills import BillUnreadable
from shanmen.gateway_adapters.providers.huijinbao.provider import HuijinbaoProvider
from shanmen.simulators.testing.huijinbao_merchant import HuijinbaoMerchant
from shanmen.simulators.testing.merchant import Merchant

Open = Callable[..., HuijinbaoProvider]
Told = tuple[str, str | None, BillDirection, int]

IN, OUT = BillDirection.IN, BillDirection.OUT
DAY_S = 86_400
NUMBERS = count(1)
BROKEN = {
    *("timeout_before", "bad_signature", "unsigned", "system_error_before", "down", "down_cut"),
    *("throttled", "unlisted_code"),
}


def number(prefix: str) -> str:
    return f"{prefix}_bill_{next(NUMBERS)}"


async def begin_day(merchant: Merchant | HuijinbaoMerchant, days: int = 1) -> date:
    """Move the channel's day; which day it is then."""
    moved = await merchant.post("/clock", {"advance_s": days * DAY_S})
    return date.fromisoformat(moved["china_date"])


async def order_fault(merchant: Merchant | HuijinbaoMerchant, kind: str) -> None:
    await merchant.post("/faults", {"kind": kind, "times": 1})


def told(provider: Provider, files: tuple[BillDownload, ...]) -> dict[str, list[Told]]:
    return {file.bill_type: list(map(_told, provider.read_bill(file))) for file in files}


def _told(line: BillLine) -> Told:
    assert line.succeeded
    return line.number, line.original_number, line.direction, line.amount_fen


@pytest.fixture
async def alipay(
    simulator: Merchant, alipay_values: dict[str, Any]
) -> AsyncIterator[AlipayProvider]:
    """A provider of the simulator. What was ordered in the test is called off at its end."""
    provider = AlipayProvider(AlipaySettings.model_validate(alipay_values), SystemClock())
    yield provider
    await provider.aclose()
    (await simulator.http.delete("/admin/faults")).raise_for_status()


async def busy_alipay(simulator: Merchant) -> tuple[date, tuple[str, str, str]]:
    """A day with a trade, a refund and a payout, that is over; their numbers."""
    day = await begin_day(simulator)
    numbers = number("deb"), number("ref"), number("pay")
    await simulator.pay(numbers[0], "0.29")
    await simulator.refund(numbers[0], numbers[1], "0.07")
    await simulator.transfer(numbers[2], "0.10")
    await begin_day(simulator, 2)
    return day, numbers


async def test_alipays_bill_of_a_day(alipay: AlipayProvider, simulator: Merchant) -> None:
    day, (debit, refund, payout) = await busy_alipay(simulator)
    files = await alipay.bill(day)
    assert [(file.bill_type, file.bill_date) for file in files] == [
        ("trade", day),
        ("signcustomer", day),
    ]
    assert told(alipay, files) == {
        "trade": [(debit, None, IN, 29), (refund, debit, OUT, 7)],
        "signcustomer": [
            (debit, None, IN, 29),
            (debit, None, OUT, 7),
            (payout, None, OUT, 10),
        ],
    }


async def test_a_day_without_anything_has_a_bill_too(
    alipay: AlipayProvider, simulator: Merchant
) -> None:
    day = await begin_day(simulator)
    await begin_day(simulator, 2)
    assert told(alipay, await alipay.bill(day)) == {"trade": [], "signcustomer": []}


@pytest.mark.parametrize(
    ("kind", "trades"),
    [
        ("bill_extra_row", 3),
        ("bill_missing_row", 1),
        ("bill_amount_differs", 2),
        ("bill_duplicate_row", 3),
        ("bill_reordered_columns", 2),
        ("bill_utf8", 2),
    ],
)
async def test_a_whole_file_of_alipays_is_read_whatever_it_tells(
    alipay: AlipayProvider, simulator: Merchant, kind: str, trades: int
) -> None:
    day, _ = await busy_alipay(simulator)
    await order_fault(simulator, kind)
    assert len(told(alipay, await alipay.bill(day))["trade"]) == trades


@pytest.mark.parametrize(
    "kind", ["bill_wrong_trailer", "bill_truncated", "bill_utf16", "bill_empty_file"]
)
async def test_a_file_of_alipays_that_is_not_whole_is_unreadable(
    alipay: AlipayProvider, simulator: Merchant, kind: str
) -> None:
    day, _ = await busy_alipay(simulator)
    await order_fault(simulator, kind)
    files = await alipay.bill(day)
    with pytest.raises(BillUnreadable, match=f"alipay bill trade of {day}"):
        told(alipay, files)


async def test_alipays_bill_of_today_is_not_ready(
    alipay: AlipayProvider, simulator: Merchant
) -> None:
    with pytest.raises(BillNotReady, match="BILL_NOT_EXIST"):
        await alipay.bill(await begin_day(simulator))


@pytest.mark.parametrize("day", [date(1999, 12, 31), date(2019, 1, 1)])
async def test_alipay_has_no_bill_of_long_ago(alipay: AlipayProvider, day: date) -> None:
    with pytest.raises(BillUnavailable, match="NO_BILL_DATA"):
        await alipay.bill(day)


@pytest.mark.parametrize("kind", sorted(BROKEN))
async def test_alipay_without_a_verified_answer_has_no_bill(
    alipay: AlipayProvider, simulator: Merchant, kind: str
) -> None:
    await order_fault(simulator, kind)
    with pytest.raises(BillUnavailable):
        await alipay.bill(date(2026, 6, 5))


async def test_alipay_invests_nothing(alipay: AlipayProvider) -> None:
    with pytest.raises(NoWealth, match="prd_1"):
        await alipay.position("prd_1")


@pytest.fixture
def huijinbao(open_huijinbao: Open) -> HuijinbaoProvider:
    return open_huijinbao()


async def busy_huijinbao(
    merchant: HuijinbaoMerchant,
) -> tuple[date, dict[str, str]]:
    """A day with one of everything, that is over; their numbers."""
    day = await begin_day(merchant)
    numbers = {name: number(name) for name in ("deb", "ref", "pay", "sub", "red", "liq")}
    product = number("prd")
    await merchant.pay(numbers["deb"], 290)
    await merchant.refund(numbers["ref"], numbers["deb"], 7)
    await merchant.transfer(numbers["pay"], 10)
    await merchant.subscribe(numbers["sub"], 100, product)
    await merchant.redeem(numbers["red"], 30, biz_no=product)
    await merchant.liquidate(numbers["liq"], product)
    await begin_day(merchant, 2)
    return day, numbers


async def test_huijinbaos_bill_of_a_day(
    huijinbao: HuijinbaoProvider, huijinbao_simulator: HuijinbaoMerchant
) -> None:
    day, its = await busy_huijinbao(huijinbao_simulator)
    trades = [
        (its["deb"], None, IN, 290),
        (its["ref"], its["deb"], OUT, 7),
        (its["pay"], None, OUT, 10),
    ]
    wealth = [
        (its["sub"], None, OUT, 100),
        (its["red"], None, IN, 30),
        (its["liq"], None, IN, 70),
    ]
    assert told(huijinbao, await huijinbao.bill(day)) == {
        "TRADE": trades,
        "WEALTH": wealth,
        "ACCOUNT": [*trades, *wealth],
    }


@pytest.mark.parametrize(
    ("kind", "trades"),
    [
        ("bill_extra_row", 4),
        ("bill_missing_row", 2),
        ("bill_amount_differs", 3),
        ("bill_duplicate_row", 4),
    ],
)
async def test_a_whole_file_of_huijinbaos_is_read_whatever_it_tells(
    huijinbao: HuijinbaoProvider,
    huijinbao_simulator: HuijinbaoMerchant,
    kind: str,
    trades: int,
) -> None:
    day, _ = await busy_huijinbao(huijinbao_simulator)
    await order_fault(huijinbao_simulator, kind)
    assert len(told(huijinbao, await huijinbao.bill(day))["TRADE"]) == trades


@pytest.mark.parametrize("kind", ["bill_wrong_trailer", "bill_truncated"])
async def test_a_file_of_huijinbaos_that_is_not_whole_is_unreadable(
    huijinbao: HuijinbaoProvider, huijinbao_simulator: HuijinbaoMerchant, kind: str
) -> None:
    day, _ = await busy_huijinbao(huijinbao_simulator)
    await order_fault(huijinbao_simulator, kind)
    files = await huijinbao.bill(day)
    with pytest.raises(BillUnreadable, match=f"huijinbao bill TRADE of {day}"):
        told(huijinbao, files)


async def test_huijinbaos_bill_of_today_is_not_ready(
    huijinbao: HuijinbaoProvider, huijinbao_simulator: HuijinbaoMerchant
) -> None:
    with pytest.raises(BillNotReady, match="TRADE"):
        await huijinbao.bill(await begin_day(huijinbao_simulator))


@pytest.mark.parametrize("kind", sorted(BROKEN))
async def test_huijinbao_without_a_verified_answer_has_neither_bill_nor_position(
    huijinbao: HuijinbaoProvider, huijinbao_simulator: HuijinbaoMerchant, kind: str
) -> None:
    await order_fault(huijinbao_simulator, kind)
    with pytest.raises(BillUnavailable):
        await huijinbao.bill(date(2026, 6, 5))
    await order_fault(huijinbao_simulator, kind)
    with pytest.raises(PositionUnavailable):
        await huijinbao.position("prd_1")


async def test_a_position_grows_from_the_day_after(
    huijinbao: HuijinbaoProvider, huijinbao_simulator: HuijinbaoMerchant
) -> None:
    product = number("prd")
    empty = await huijinbao.position(product)
    assert (empty.principal_fen, empty.pending_in_fen, empty.accrued_fen) == (0, 0, 0)
    subscribe = Instruction(
        number("sub"), OperationKind.SUBSCRIBE, 5_000, OWN_ACCOUNT, "联票", product
    )
    await huijinbao.send(subscribe)
    fresh = await huijinbao.position(product)
    assert (fresh.product_id, fresh.principal_fen, fresh.pending_in_fen) == (product, 0, 5_000)
    await begin_day(huijinbao_simulator, 100)
    grown = await huijinbao.position(product)
    # 50.00 yuan at 0.5432 a day for each 10 000 yuan, for 99 whole days
    assert (grown.principal_fen, grown.pending_in_fen, grown.accrued_fen) == (5_000, 0, 26)
    assert grown.as_of - fresh.as_of >= timedelta(days=100)
    assert grown.as_of.tzinfo is UTC
    await huijinbao_simulator.liquidate(number("liq"), product)


async def test_what_nothing_is_invested_for_has_no_position(open_huijinbao: Open) -> None:
    with pytest.raises(NoWealth, match="no wealth product is set up for prd_1"):
        await open_huijinbao(wealth_product_code=None).position("prd_1")
    with pytest.raises(PositionUnavailable, match="HJB_0050"):
        await open_huijinbao(wealth_product_code="UNHEARD-OF").position("prd_1")
