"""The channel is down: nothing is lost, it is left in peace, and all goes on when it is back."""

import asyncio
from typing import Any, Final

from shanmen.platform.checks import check_installation
from shanmen.platform.testing.lives import Life, Order, live_together, shown

ORDERS: Final = 20
WATCHED_S: Final = 5.0
PROBES: Final = 6
"""At most one a second while it is watched, and one at each end."""


async def _outage(life: Life) -> None:
    visited = await life.buy(life.product_id)
    down = await life.alipay("POST", "faults", {"kind": "down"})
    try:
        orders = await _left_in_peace(life, visited, down["fault_id"])
    finally:
        await life.call_off(down["fault_id"])
    for order in orders:
        await life.until(order, "not issued", lambda o: o["status"] == "issued")
    await life.until(visited, "not settled", lambda o: shown(o) == ["settled"])
    paid_fen = sum(order["amount_fen"] for order in [*orders, visited])
    assert await life.balance(life.payer) == 10_000_000 - paid_fen


async def _left_in_peace(life: Life, visited: Order, fault_id: int) -> list[Order]:
    """What is asked for during the outage; it waits, and the channel is hardly called."""
    orders = [await life.buy(life.product_id, wait_s=0) for _ in range(ORDERS - 1)]
    await life.admit_soon(visited["tickets"][0])
    await _until_open(life)
    before = await _calls(life, fault_id)
    await asyncio.sleep(WATCHED_S)
    assert await _calls(life, fault_id) - before <= PROBES
    found = [await life.order(order["order_no"]) for order in orders]
    assert {order["payment"]["state"] for order in found} == {"requested"}
    return orders


async def _until_open(life: Life) -> None:
    """The circuit is open, and what had been under way before has been answered."""
    async with asyncio.timeout(20):
        while True:
            circuits = await life.cast.operator.get("/v1/circuits")
            if any(one["open"] for one in circuits if one["channel"] == "alipay"):
                break
            await asyncio.sleep(0.1)
    await asyncio.sleep(1)


async def _calls(life: Life, fault_id: int) -> int:
    faults = (await life.alipay("GET", "faults"))["faults"]
    return next(int(fault["hits"]) for fault in faults if fault["fault_id"] == fault_id)


async def test_an_outage_loses_nothing_and_is_left_in_peace(stack: Any) -> None:
    alone = {"outage": _outage}
    assert await live_together(stack.installation, stack.sample, alone) == {}
    report = await check_installation(stack.installation, quiet_within_s=40)
    assert report.ok, report.text()
