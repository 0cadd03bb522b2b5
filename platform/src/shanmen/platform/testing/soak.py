"""Many orders at once against channels that misbehave at random, and a person who clears up.

Single and combined tickets, over both channels in any mix, through public HTTP only. When the
faults end and the person has worked through the list, every order must have come to rest; then
time passes, what nobody visited goes back, and what was invested comes out. Whether all books
agree is then for `shanmen check` to say.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import httpx
from rich.console import Console

from shanmen.platform.api_client import ApiRefusal
from shanmen.platform.demo import combined, flow
from shanmen.platform.demo.narrator import Narrator
from shanmen.platform.installation import Installation
from shanmen.platform.localclock import CHANNELS, move_world
from shanmen.platform.sample import Sample
from shanmen.platform.testing.lives import Life, Order, shown

_QUIET: Final = Narrator(Console(quiet=True))
_MIXES: Final = tuple((pays_by, paid_by) for pays_by in CHANNELS for paid_by in CHANNELS)
"""Each party's channels: its distributor's, and its spot's."""
_TOUR_PRICE_FEN: Final = 20_000
_TOUR_SETTLE_FEN: Final = (9_001, 6_998)
_TOURS: Final = 0.4
"""So much of all orders is for combined tickets."""
_UNTIL_THE_END: Final = timedelta(days=3)
_FUNDS_FEN: Final = 500_000
"""By each party: no more is recorded without a second person."""
_BUYERS: Final = 12
_LOOK_EVERY_S: Final = 0.3
_HOLD_MS: Final = 250
_REST_WITHIN_S: Final = 120.0
_TROUBLED_S: Final = 6.0
"""How long channels go on misbehaving once all tickets have expired."""

_EVERYWHERE: Final[dict[str, tuple[float, dict[str, Any]]]] = {
    "timeout_before": (0.02, {"hold_ms": _HOLD_MS}),
    "timeout_after": (0.03, {"hold_ms": _HOLD_MS}),
    "timeout_then_applied": (0.03, {"hold_ms": _HOLD_MS, "delay_ms": 1_500}),
    "system_error_before": (0.02, {}),
    "system_error_after": (0.03, {}),
    "bad_signature": (0.02, {}),
    "unsigned": (0.01, {}),
    "braces": (0.05, {}),
    "throttled": (0.03, {}),
    "insufficient_funds": (0.04, {}),
    "slow": (0.02, {"delay_ms": 400}),
    "down_cut": (0.01, {}),
    "unlisted_code": (0.01, {}),
    "unlisted_code_after": (0.02, {}),
    "notify_missing": (0.2, {}),
    "notify_duplicate": (0.2, {"copies": 3}),
    "notify_late": (0.2, {"delay_ms": 2_000}),
    "notify_forged": (0.1, {"delay_ms": 300}),
}
PROBABILITIES: Final[Mapping[str, Mapping[str, tuple[float, dict[str, Any]]]]] = {
    "alipay": {
        **_EVERYWHERE,
        "error_20000_before": (0.02, {}),
        "error_20000_after": (0.03, {}),
        "dealing_then_success": (0.04, {"queries": 2}),
        "dealing_then_fail": (0.04, {"queries": 1}),
        "pay_in_process": (0.04, {"queries": 2}),
    },
    "huijinbao": {
        **_EVERYWHERE,
        "processing_then_success": (0.04, {"queries": 2}),
        "processing_then_fail": (0.04, {"queries": 1}),
    },
}
"""How often each fault strikes, call by call, by channel."""

_AT_REST: Final = {
    "closed_unpaid": set[str](),
    "issued": {"awaiting_visit", "settled", "refunded"},
    "completed": {"settled", "refunded"},
    "closed_refunded": {"refunded"},
}
"""The spot statuses that an order of each status may have, when all is done that can be."""
_AT_THE_END: Final = {
    "closed_unpaid": set[str](),
    "completed": {"settled", "refunded"},
    "closed_refunded": {"refunded"},
}
"""The same once all tickets have expired."""


@dataclass(frozen=True)
class Tour:
    """A combined product, and whose gates admit to its spots."""

    product_id: str
    hosts: Mapping[str, Life]


@dataclass
class Soaked:
    """What a soak came to."""

    orders: list[str] = field(default_factory=list)
    tours: list[str] = field(default_factory=list)
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
    """Drive so many orders through misbehaving channels, clear up, and let all tickets expire."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable test, guards nothing
    soaked, started = Soaked(), time.monotonic()
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        lives = [await _life(installation, client, sample, *mix) for mix in _MIXES]
        tours = [await _tour(lives[0], hosts) for hosts in (lives[:2], lives[2:])]
        soaked.tours = [tour.product_id for tour in tours]
        for life in lives:
            for channel in CHANNELS:
                await life.fund(channel, _FUNDS_FEN)
        await _misbehave(lives[0], seed)
        person_stops = asyncio.Event()
        person = asyncio.create_task(_clear_up(lives[0], soaked, person_stops))
        seeds = iter([chance.random() for _ in range(orders)])

        async def buyer() -> None:
            for own_seed in seeds:
                own = random.Random(own_seed)  # noqa: S311 - as above
                tour = own.choice(tours) if own.random() < _TOURS else None
                await _one_order(own.choice(lives), tour, own, soaked)

        async with asyncio.TaskGroup() as group:
            for _ in range(_BUYERS):
                group.create_task(buyer())
        await _behave(lives[0], soaked)
        await _await_rest(lives, soaked, _AT_REST)
        await _misbehave(lives[0], seed + 1)
        urls = {name: installation.url(name) for name in CHANNELS}
        await move_world(installation.state, urls, client, _UNTIL_THE_END)
        await asyncio.sleep(_TROUBLED_S)
        await _behave(lives[0], soaked)
        await _await_rest(lives, soaked, _AT_THE_END)
        await _await_nothing_invested(lives[0], soaked)
        person_stops.set()
        await person
    soaked.seconds = time.monotonic() - started
    return soaked


async def _life(
    installation: Installation,
    client: httpx.AsyncClient,
    sample: Sample,
    pays_by: str,
    paid_by: str,
) -> Life:
    cast = await flow.onboard(
        installation, client, sample, _QUIET, pays_by=pays_by, paid_by=paid_by
    )
    life = Life(installation, client, cast, "")
    product_id = await life.publish(
        stock=[{"visit_date": flow.today(cast.clock), "total": 100_000}],
        refund_rule={"before_visit": True, "on_expiry": True, "refunds_fee": True},
        payment_timeout_s=20,
    )
    top_up = {"amount_fen": 100_000_000}
    await life.channel(pays_by, "POST", f"accounts/{cast.distributor_account}/top-up", top_up)
    return Life(installation, client, cast, product_id)


async def _tour(publisher: Life, hosts: Sequence[Life]) -> Tour:
    """A combined ticket for these lives' spots."""
    product = await publisher.cast.operator.post(
        "/v1/products",
        {
            "kind": "combined",
            "name": "随机联票",
            "unit_price_fen": _TOUR_PRICE_FEN,
            "spots": [
                {"spot_id": host.cast.spot_id, "settle_fen": fen}
                for host, fen in zip(hosts, _TOUR_SETTLE_FEN, strict=True)
            ],
            "stock": [{"visit_date": flow.today(publisher.cast.clock), "total": 100_000}],
            "refund_rule": {"before_visit": True, "on_expiry": True},
            "payment_timeout_s": 20,
        },
    )
    product_id = str(product["product_id"])
    for host in hosts:
        answer = {"answer": "accept", "version": product["terms_version"]}
        await host.cast.spot.post(f"/v1/products/{product_id}/consents", answer)
    await publisher.cast.operator.post(f"/v1/products/{product_id}/publish")
    return Tour(product_id, {host.cast.spot_id: host for host in hosts})


async def _misbehave(life: Life, seed: int) -> None:
    for channel, probabilities in PROBABILITIES.items():
        for number, (kind, (probability, more)) in enumerate(probabilities.items()):
            order = {"kind": kind, "probability": probability, **more}
            await life.channel(channel, "POST", "faults", {**order, "seed": seed * 1_000 + number})


async def _behave(life: Life, soaked: Soaked) -> None:
    for channel in PROBABILITIES:
        for fault in (await life.channel(channel, "GET", "faults"))["faults"]:
            soaked.faults[f"{channel} {fault['kind']}"] += fault["hits"]
        await life.channel(channel, "DELETE", "faults")


async def _one_order(life: Life, tour: Tour | None, chance: random.Random, soaked: Soaked) -> None:
    """Buy, maybe cancel or pay again, then visit some of it and give some of it back."""
    product_id = tour.product_id if tour else life.product_id
    order = await life.buy(product_id, chance.randint(1, 3), wait_s=chance.choice((0, 2, 5)))
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
        for spot in ticket["spots"]:
            fate = chance.random()
            host = tour.hosts[spot["spot_id"]] if tour else life
            if fate < 0.5:
                await host.admit(ticket)
            elif fate < 0.8:
                body = {"entitlement_ids": [spot["entitlement_id"]]}
                await _try(life, f"/v1/orders/{order_no}/refund", body)


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


async def _await_rest(
    lives: Sequence[Life], soaked: Soaked, at_rest: Mapping[str, set[str]]
) -> None:
    """Wait until every order rests; what does not, is named. Shortages are paid for again."""
    waiting = list(soaked.orders)
    statuses, spots = Counter[str](), Counter[str]()
    deadline = time.monotonic() + _REST_WITHIN_S
    while waiting and time.monotonic() < deadline:
        still = []
        for order_no in waiting:
            life, order = await _found(lives, order_no)
            if order["status"] in at_rest and set(shown(order)) <= at_rest[order["status"]]:
                statuses[order["status"]] += 1
                spots.update(shown(order))
                continue
            if order["payment"]["state"] in ("short_of_funds", "refused"):
                await _try(life, f"/v1/orders/{order_no}/pay")
            still.append(order_no)
        waiting = still
        await asyncio.sleep(1.0)
    for order_no in waiting:
        _, order = await _found(lives, order_no)
        soaked.restless.append(f"{order_no} {order['status']} {order['payment']} {shown(order)}")
    soaked.statuses, soaked.spots = statuses, spots


async def _await_nothing_invested(life: Life, soaked: Soaked) -> None:
    """Wait until all that was invested has come out; what has not, is named."""
    deadline = time.monotonic() + _REST_WITHIN_S
    while True:
        positions = [await combined.position(life.cast, it) for it in soaked.tours]
        left = [
            it for it in positions if it and (it["outstanding_fen"] or not it["liquidated_at"])
        ]
        if not left or time.monotonic() > deadline:
            soaked.restless += [str(position) for position in left]
            return
        await asyncio.sleep(0.5)


async def _found(lives: Sequence[Life], order_no: str) -> tuple[Life, Order]:
    """An order, with whose it is: only its own distributor sees it."""
    for life in lives:
        try:
            return life, await life.order(order_no)
        except ApiRefusal as refusal:
            if refusal.status != 404:
                raise
    raise AssertionError(f"nobody's order: {order_no}")
