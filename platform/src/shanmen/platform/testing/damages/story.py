"""What an installation lives through, so that its books have something of each kind to damage."""

from dataclasses import replace
from typing import Final

from rich.console import Console

from shanmen.platform.checks.quiet import wait_until_quiet
from shanmen.platform.demo import combined, flow
from shanmen.platform.demo.narrator import Narrator
from shanmen.platform.installation import Installation
from shanmen.platform.sample import Sample
from shanmen.platform.testing.lives import PLATFORM, TRANSFER, Life, Order, live, shown

_QUIET: Final = Narrator(Console(quiet=True))
_QUIET_WITHIN_S: Final = 60.0
_NOT_BACK: Final = {"refund_rule": {"on_expiry": False}}
_BACK: Final = {"refund_rule": {"before_visit": True, "on_expiry": True}}


async def live_through_everything(installation: Installation, sample: Sample) -> None:
    """First what comes to its end by time, then what is still there when all is at rest.

    Raises AssertionError when something does not come as it must.
    """
    await live(installation, sample, _ended)
    await live(installation, sample, _invested)
    await live(installation, sample, _single)
    left = await wait_until_quiet(installation, within_s=_QUIET_WITHIN_S)
    assert not left, left


async def _ended(life: Life) -> None:
    """Visited, refunded and expired tickets of a product that was liquidated with yield; and a
    ticket that nobody used, and nothing was given back for."""
    forfeited = await life.buy(await life.publish(**_NOT_BACK))
    tour = await combined.publish(life.installation, life.cast, _QUIET)
    order = await combined.buy(life.installation, life.cast, tour, _QUIET)
    travel = combined.Travel(life.installation, life.client)
    await combined.visit(life.cast, tour, order, travel, _QUIET)
    held = await combined.end(life.cast, tour, order, travel, _QUIET)
    assert held["realised_fen"] > 0, held
    await life.until(forfeited, "not forfeited", lambda o: shown(o) == ["forfeited"])


async def _invested(life: Life) -> None:
    """A product that goes on: visited and refunded in part; a visit whose money does not come
    out, so that its payout waits; and an order whose money does not go in."""
    tour = await combined.publish(life.installation, life.cast, _QUIET)
    here, there = tour.hosts
    order = await combined.buy(life.installation, life.cast, tour, _QUIET)
    first, second, third = order["tickets"]
    await _at(life, here).admit_soon(first)
    await _at(life, there).admit_soon(first)
    left = next(spot for spot in second["spots"] if spot["spot_id"] == there.spot_id)
    await life.cast.distributor.post(
        f"/v1/orders/{order['order_no']}/refund", {"entitlement_ids": [left["entitlement_id"]]}
    )
    await life.until(order, "not settled", lambda o: _count(o, settled=2, refunded=1))
    refused = {"kind": "processing_then_fail", "method": "wealth.redeem", "times": 1, "queries": 1}
    await life.channel("huijinbao", "POST", "faults", refused)
    await _at(life, there).admit_soon(third)
    await life.until_item("redeem_refused", order_no=order["order_no"])
    short = {"kind": "insufficient_funds", "method": "wealth.subscribe", "times": 1}
    await life.channel("huijinbao", "POST", "faults", short)
    parked = await life.buy(tour.product_id)
    await life.until_item("subscribe_short", order_no=parked["order_no"])


async def _single(life: Life) -> None:
    """Visited, cancelled, unused, refunded; and both ends short of money, each with an order."""
    visited = await life.buy(life.product_id, 2)
    for ticket in visited["tickets"]:
        await life.admit_soon(ticket)
    await life.until(visited, "not settled", lambda o: shown(o) == ["settled", "settled"])
    cancelled = await life.cast.distributor.post(
        "/v1/orders", flow.order_body(life.cast, life.product_id, 3)
    )
    await life.cast.distributor.post(f"/v1/orders/{cancelled['order_no']}/cancel")
    await life.buy(life.product_id)
    refunded = await life.buy(await life.publish(**_BACK))
    await life.cast.distributor.post(
        f"/v1/orders/{refunded['order_no']}/refund",
        {"ticket_nos": [refunded["tickets"][0]["ticket_no"]]},
    )
    await life.until(refunded, "not refunded", lambda o: shown(o) == ["refunded"])
    fault = await life.order_fault("insufficient_funds", TRANSFER, PLATFORM)
    unpaid = await life.buy(life.product_id)
    await life.admit_soon(unpaid["tickets"][0])
    await life.until_item("payout_short", spot_id=life.cast.spot_id)
    await life.call_off(fault)
    await life.alipay("PUT", f"accounts/{life.payer}/balance", {"balance_fen": 100})
    short = await life.buy(life.product_id)
    await life.until_item("debit_short", order_no=short["order_no"])


def _at(life: Life, host: flow.Host) -> Life:
    """The same, at the gate of another spot."""
    return replace(life, cast=replace(life.cast, gate=host.gate))


def _count(order: Order, **wanted: int) -> bool:
    """Whether so many of an order's spots show each of these."""
    found = shown(order)
    return all(found.count(status) == count for status, count in wanted.items())
