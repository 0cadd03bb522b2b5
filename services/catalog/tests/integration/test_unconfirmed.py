"""Stock held for an order that nobody has heard of: orders is asked, again and again."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from shanmen.catalog.usecases.reservations import ask_about_unconfirmed
from shanmen.contracts.catalog import ReservationUnconfirmed, ReserveStock

if TYPE_CHECKING:
    from services.catalog.tests.conftest import Market

Wanted = Callable[..., ReserveStock]
PATIENCE = timedelta(seconds=301)  # the setting's default is 300


async def asked(market: "Market") -> list[str]:
    return [event["order_no"] for event in await market.sent(ReservationUnconfirmed)]


async def test_only_what_is_held_for_long_is_asked_about(market: "Market", wanted: Wanted) -> None:
    on_sale, distributor = await market.product(), await market.distributor()
    for number in range(5):
        await market.offer(wanted(f"ord_{number}", distributor, on_sale))
    await market.tell(
        market.placed("ord_0"), market.issued("ord_1"), market.closed("ord_2", "never_placed")
    )
    assert await ask_about_unconfirmed(market.ctx) == 0
    market.clock.advance(PATIENCE)
    await market.offer(wanted("ord_young", distributor, on_sale))

    assert await ask_about_unconfirmed(market.ctx) == 2
    assert sorted(await asked(market)) == ["ord_3", "ord_4"]


async def test_each_is_asked_about_once_a_period_until_somebody_answers(
    market: "Market", wanted: Wanted
) -> None:
    on_sale, distributor = await market.product(), await market.distributor()
    await market.offer(wanted("ord_1", distributor, on_sale))
    await market.offer(wanted("ord_2", distributor, on_sale))
    market.clock.advance(PATIENCE)
    counts = [await ask_about_unconfirmed(market.ctx) for _ in range(2)]
    market.clock.advance(PATIENCE)
    await market.tell(market.placed("ord_1"))
    counts += [await ask_about_unconfirmed(market.ctx) for _ in range(2)]
    market.clock.advance(PATIENCE)
    await market.tell(market.closed("ord_2", "never_placed"))
    counts.append(await ask_about_unconfirmed(market.ctx))

    assert counts == [2, 0, 1, 0, 0]
    assert await market.counters(on_sale) == [(50, 1, 0)]


async def test_the_question_says_since_when(market: "Market", wanted: Wanted) -> None:
    on_sale, distributor = await market.product(), await market.distributor()
    before = market.clock.now()
    await market.offer(wanted("ord_1", distributor, on_sale))
    market.clock.advance(PATIENCE)
    await ask_about_unconfirmed(market.ctx)
    (event,) = await market.sent(ReservationUnconfirmed)
    question = ReservationUnconfirmed.model_validate(event)
    assert timedelta() <= question.reserved_at - before < timedelta(minutes=1)
