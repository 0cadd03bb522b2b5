"""Many orders at once against a channel that misbehaves at random, and a person who clears up.

Everything goes through public HTTP. When the faults end and the person has worked through the
list, every order must have come to rest; then it is for `shanmen check` to say whether all books
agree.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from rich.console import Console

from shanmen.platform.api_client import ApiRefusal
from shanmen.platform.demo import flow
from shanmen.platform.demo.narrator import Narrator
from shanmen.platform.installation import Installation
from shanmen.platform.sample import Sample
from shanmen.platform.testing.lives import Life, Order, shown

_QUIET: Final = Narrator(Console(quiet=True))
_PARTIES: Final = 4
_BUYERS: Final = 12
_LOOK_EVERY_S: Final = 0.3
_HOLD_MS: Final = 250
_REST_WITHIN_S: Final = 120.0

PROBABILITIES: Final[dict[str, tuple[float, dict[str, Any]]]] = {
    "timeout_before": (0.02, {"hold_ms": _HOLD_MS}),
    "timeout_after": (0.03, {"hold_ms": _HOLD_MS}),
    "timeout_then_applied": (0.03, {"hold_ms": _HOLD_MS, "delay_ms": 1_500}),
    "error_20000_before": (0.02, {}),
    "error_20000_after": (0.03, {}),
    "system_error_before": (0.02, {}),
    "system_error_after": (0.03, {}),
    "bad_signature": (0.02, {}),
    "unsigned": (0.01, {}),
    "braces": (0.05, {}),
    "throttled": (0.03, {}),
    "insufficient_funds": (0.04, {}),
    "dealing_then_success": (0.04, {"queries": 2}),
    "dealing_then_fail": (0.04, {"queries": 1}),
    "pay_in_process": (0.04, {"queries": 2}),
    "slow": (0.02, {"delay_ms": 400}),
    "down_cut": (0.01, {}),
    "unlisted_code": (0.01, {}),
    "unlisted_code_after": (0.02, {}),
    "notify_missing": (0.2, {}),
    "notify_duplicate": (0.2, {"copies": 3}),
    "notify_late": (0.2, {"delay_ms": 2_000}),
    "notify_forged": (0.1, {"delay_ms": 300}),
}
"""How often each fault strikes, call by call."""

_AT_REST: Final = {
    "closed_unpaid": set[str](),
    "issued": {"awaiting_visit", "settled", "refunded"},
    "completed": {"settled", "refunded"},
    "closed_refunded": {"refunded"},
}
"""The spot statuses that an order of each status may end with, when all is done."""


@dataclass
class Soaked:
    """What a soak came to."""

    orders: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    spots: Counter[str] = field(default_factory=Counter)
    by_hand: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    restless: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def text(self) -> str:
        """The counts, for people."""
        return (
            f"{len(self.orders)} orders in {self.seconds:.0f} s: {dict(self.statuses)}\n"
            f"spots {dict(self.spots)}\nby hand {dict(self.by_hand)}\nfaults {dict(self.faults)}\n"
            f"not at rest: {self.restless[:20]}"
        )


async def soak(installation: Installation, sample: Sample, *, orders: int, seed: int) -> Soaked:
    """Drive so many orders through a misbehaving channel, and clear up afterwards."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable test, guards nothing
    soaked, started = Soaked(), time.monotonic()
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        lives = [await _life(installation, client, sample) for _ in range(_PARTIES)]
        await _misbehave(lives[0], seed)
        person_stops = asyncio.Event()
        person = asyncio.create_task(_clear_up(lives[0], soaked, person_stops))
        seeds = iter([chance.random() for _ in range(orders)])

        async def buyer() -> None:
            for own_seed in seeds:
                own = random.Random(own_seed)  # noqa: S311 - as above
                await _one_order(own.choice(lives), own, soaked)

        async with asyncio.TaskGroup() as group:
            for _ in range(_BUYERS):
                group.create_task(buyer())
        await _behave(lives[0], soaked)
        for life in lives:
            await life.alipay("POST", f"accounts/{life.payer}/top-up", {"amount_fen": 10_000_000})
        await _await_rest(lives, soaked)
        person_stops.set()
        await person
    soaked.seconds = time.monotonic() - started
    return soaked


async def _life(installation: Installation, client: httpx.AsyncClient, sample: Sample) -> Life:
    cast = await flow.onboard(installation, client, sample, _QUIET)
    life = Life(installation, client, cast, "")
    product_id = await life.publish(
        stock=[{"visit_date": flow.today(cast.clock), "total": 100_000}],
        refund_rule={"before_visit": True, "on_expiry": True, "refunds_fee": True},
        payment_timeout_s=20,
    )
    return Life(installation, client, cast, product_id)


async def _misbehave(life: Life, seed: int) -> None:
    for number, (kind, (probability, more)) in enumerate(PROBABILITIES.items()):
        order = {"kind": kind, "probability": probability, "seed": seed * 1_000 + number, **more}
        await life.alipay("POST", "faults", order)


async def _behave(life: Life, soaked: Soaked) -> None:
    for fault in (await life.alipay("GET", "faults"))["faults"]:
        soaked.faults[fault["kind"]] += fault["hits"]
    await life.alipay("DELETE", "faults")


async def _one_order(life: Life, chance: random.Random, soaked: Soaked) -> None:
    """Buy, maybe cancel or pay again, then visit some tickets and give others back."""
    order = await life.buy(life.product_id, chance.randint(1, 3), wait_s=chance.choice((0, 2, 5)))
    order_no = order["order_no"]
    soaked.orders.append(order_no)
    if chance.random() < 0.15:
        await _try(life, f"/v1/orders/{order_no}/cancel")
    for _ in range(40):
        order = await life.order(order_no)
        if order["status"] != "awaiting_payment":
            break
        if order["payment"]["state"] in ("short_of_funds", "refused"):
            await _try(life, f"/v1/orders/{order_no}/pay")
        await asyncio.sleep(_LOOK_EVERY_S)
    if order["status"] != "issued":
        return
    for ticket in order["tickets"]:
        fate = chance.random()
        if fate < 0.5:
            await life.admit(ticket)
        elif fate < 0.8:
            await _try(
                life, f"/v1/orders/{order_no}/refund", {"ticket_nos": [ticket["ticket_no"]]}
            )


async def _try(life: Life, path: str, body: Any = None) -> None:
    """Ask for something that may be refused, as it comes too late."""
    try:
        await life.cast.distributor.post(path, body)
    except ApiRefusal as refusal:
        if refusal.status not in (404, 409):
            raise


async def _clear_up(life: Life, soaked: Soaked, stops: asyncio.Event) -> None:
    """A person works through the list, again and again."""
    while not stops.is_set():
        for item in await life.work_items():
            wanted = [it for it in item["allowed"] if it not in ("resolve", "settle_outside")]
            if not wanted:
                continue
            action = wanted[0]
            try:
                path = f"/v1/work-items/{item['item_id']}/{action.replace('_', '-')}"
                await life.cast.operator.post(path, {"note": "清理"})
            except ApiRefusal as refusal:
                if refusal.status != 409:
                    raise
            else:
                soaked.by_hand[f"{item['kind']} {action}"] += 1
        await asyncio.sleep(1.0)


async def _await_rest(lives: Sequence[Life], soaked: Soaked) -> None:
    """Wait until every order rests; what does not, is named. Shortages are paid for again."""
    waiting = list(soaked.orders)
    deadline = time.monotonic() + _REST_WITHIN_S
    while waiting and time.monotonic() < deadline:
        still = []
        for order_no in waiting:
            life, order = await _found(lives, order_no)
            if _rests(order):
                soaked.statuses[order["status"]] += 1
                soaked.spots.update(shown(order))
                continue
            if order["payment"]["state"] in ("short_of_funds", "refused"):
                await _try(life, f"/v1/orders/{order_no}/pay")
            still.append(order_no)
        waiting = still
        await asyncio.sleep(1.0)
    for order_no in waiting:
        _, order = await _found(lives, order_no)
        soaked.restless.append(f"{order_no} {order['status']} {order['payment']} {shown(order)}")


def _rests(order: Order) -> bool:
    allowed = _AT_REST.get(order["status"])
    return allowed is not None and set(shown(order)) <= allowed


async def _found(lives: Sequence[Life], order_no: str) -> tuple[Life, Order]:
    """An order, with whose it is: only its own distributor sees it."""
    for life in lives:
        try:
            return life, await life.order(order_no)
        except ApiRefusal as refusal:
            if refusal.status != 404:
                raise
    raise AssertionError(f"nobody's order: {order_no}")
