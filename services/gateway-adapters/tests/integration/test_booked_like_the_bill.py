"""What a channel's bill says of a success is what we tell of it, to the second.

At the simulators, whose clocks go ahead with ours: also when an answer was lost, and that the
money has moved is learned a day later.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from shanmen.common.events import Event
from shanmen.common.ids import new_id
from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.testing import (
    Desk,
    debit,
    liquidate,
    payout,
    redeem,
    refund,
    subscribe,
)
from shanmen.simulators.testing.huijinbao_merchant import HuijinbaoMerchant
from shanmen.simulators.testing.merchant import Merchant

OpenDesk = Callable[..., Desk]

CHINA: Final = timedelta(hours=8)
MINUTE: Final = timedelta(minutes=1)
DAY_S: Final = 86_400
FAULTS: Final = [None, "timeout_after"]


async def keep_time(desk: Desk, simulator: Merchant | HuijinbaoMerchant) -> None:
    """Let our clock say what the channel's says, and a second more.

    By a clock that is behind, however little, an answer may come before its own time.
    """
    channels_now = datetime.fromisoformat((await simulator.get("/clock"))["now"])
    desk.clock.advance(channels_now + timedelta(seconds=1) - desk.clock.now())


async def let_days_pass(
    desk: Desk, simulator: Merchant | HuijinbaoMerchant, days: int = 1
) -> None:
    await simulator.post("/clock", {"advance_s": days * DAY_S})
    await keep_time(desk, simulator)


async def booked(
    desk: Desk, simulator: Merchant | HuijinbaoMerchant, event: Event, fault: str | None
) -> tuple[datetime, set[datetime]]:
    """When this request is told to have succeeded, and when its rows in that day's bill say so.

    It is worked on a minute after it came, and a day after that what came of it is asked for.
    """
    number = event.subject()
    await keep_time(desk, simulator)
    if fault is not None:
        await simulator.post("/faults", {"kind": fault, "number": number, "times": 1})
    desk.clock.advance(-MINUTE)
    await desk.request(event)
    desk.clock.advance(MINUTE)
    await desk.work()
    assert (await desk.operation(number)).status == ("succeeded" if fault is None else "open")
    await let_days_pass(desk, simulator)
    await desk.work()
    told = {e["operation_id"]: e["finished_at"] for _, e in await desk.told()}
    finished_at = datetime.fromisoformat(told[number])
    await let_days_pass(desk, simulator, 2)
    (provider,) = desk.ctx.providers.values()
    files = await provider.bill((finished_at + CHINA).date())
    lines = [line for file in files for line in provider.read_bill(file)]
    return finished_at, {line.at for line in lines if line.number == number}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("build", [debit, payout, refund])
async def test_at_alipay(
    simulator: Merchant,
    alipay_desk: OpenDesk,
    build: Callable[..., Event],
    fault: str | None,
) -> None:
    desk, given = alipay_desk(query_delays_s=(3600.0,)), dict[str, Any]()
    if build is refund:
        given["original_operation_id"] = new_id("deb")
        await desk.debit(given["original_operation_id"])
        await desk.work()
    event = build(new_id("any"), **given)
    finished_at, rows = await booked(desk, simulator, event, fault)
    assert rows == {finished_at}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("build", [debit, payout, refund, subscribe, redeem, liquidate])
async def test_at_huijinbao(
    huijinbao_simulator: HuijinbaoMerchant,
    huijinbao_desk: OpenDesk,
    build: Callable[..., Event],
    fault: str | None,
) -> None:
    desk, given = huijinbao_desk(query_delays_s=(3600.0,)), dict[str, Any]()
    payer = {"account_id": "acc_payer", "channel": Channel.HUIJINBAO}
    if build in {debit, payout, refund}:
        given["account"] = {**payer, "account_id": "acc_receiver"} if build is payout else payer
    else:
        given["product_id"] = new_id("prd")
    if build is refund:
        given["original_operation_id"] = new_id("deb")
        await desk.debit(given["original_operation_id"], account=payer)
    elif build in {redeem, liquidate}:
        await desk.request(subscribe(new_id("sub"), **given))
    await desk.work()
    event = build(new_id("any"), **given)
    finished_at, rows = await booked(desk, huijinbao_simulator, event, fault)
    assert rows == {finished_at}
