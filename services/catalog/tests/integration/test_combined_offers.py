"""Offers of combined products (联票): each spot's terms, and parts that add up to the fen."""

import asyncio
import random
from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from shanmen.catalog.domain import AccountRole, ProductStatus, split_price
from shanmen.contracts.catalog import ReserveStock

if TYPE_CHECKING:
    from services.catalog.tests.conftest import Market

Wanted = Callable[..., ReserveStock]
DAY = date(2026, 11, 5)


async def test_each_spot_has_its_own_terms(market: "Market", wanted: Wanted) -> None:
    tokyo = await market.spot(
        name="浅草", settlement_fee_bps=125, offline_grace_s=3600, time_zone="Asia/Tokyo"
    )
    shanghai = await market.spot(name="外滩", settlement_fee_bps=50)
    free = await market.spot(name="公园", offline_grace_s=60)
    accounts = {
        spot: await market.account(spot, AccountRole.RECEIVE, f"208800000000001{number}")
        for number, spot in enumerate((tokyo, shanghai, free))
    }
    distributor = await market.distributor(transaction_fee_bps=60)
    product = await market.combined(
        {tokyo: 3_333, shanghai: 3_334, free: 0},
        unit_price_fen=10_000,
        valid_days=3,
        refund_rule={"on_expiry": True, "before_visit": True, "refunds_fee": False},
    )

    offer = await market.offer(wanted("ord_1", distributor, product, quantity=3))

    assert (offer.kind, offer.invests, offer.fee_fen) == ("combined", True, 180)
    assert (offer.valid_from, offer.valid_until) == (DAY, DAY + timedelta(days=2))
    terms = [
        (s.spot_id, s.time_zone, s.settle_fen, s.settlement_fee_fen, s.part_fen, s.offline_grace_s)
        for s in offer.spots
    ]
    assert terms == [
        (tokyo, "Asia/Tokyo", 3_333, 42, 4_999, 3600),  # 4999.25
        (shanghai, "Asia/Shanghai", 3_334, 17, 5_001, 0),  # 5000.75: the fen left over
        (free, "Asia/Shanghai", 0, 0, 0, 60),
    ]
    assert [s.receive_account.account_id for s in offer.spots] == [
        accounts[s.spot_id] for s in offer.spots
    ]
    assert await market.counters(product) == [(50, 3, 0)]


@pytest.mark.parametrize("seed", range(10))
def test_the_parts_are_the_fair_shares_to_the_fen(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - the same prices every time
    for _ in range(50):
        _check_split(dice)


def _check_split(dice: random.Random) -> None:
    """Each is its exact share rounded down or up; those rounded up lost the most otherwise."""
    prices = [dice.choice([0, 1, dice.randrange(1, 10**9)]) for _ in range(dice.randrange(2, 8))]
    unit_price_fen = dice.choice([1, sum(prices) or 1, dice.randrange(1, 10**9)])

    parts = split_price(unit_price_fen, prices)

    whole = sum(prices)
    shares = [
        Fraction(unit_price_fen * price, whole) if whole else Fraction(unit_price_fen, len(prices))
        for price in prices
    ]
    assert sum(parts) == unit_price_fen
    lost = [share - int(share) for share in shares]
    up = [part > share for part, share in zip(parts, shares, strict=True)]
    assert all(part in {int(s), int(s) + 1} for part, s in zip(parts, shares, strict=True))
    raised = [fraction for fraction, is_up in zip(lost, up, strict=True) if is_up]
    lowered = [fraction for fraction, is_up in zip(lost, up, strict=True) if not is_up]
    assert min(raised, default=Fraction(1)) >= max(lowered, default=Fraction(0))
    if whole <= unit_price_fen:
        margins = [part - price for part, price in zip(parts, prices, strict=True)]
        assert min(margins) >= 0, "no entitlement loses money unless the product does"


async def test_what_is_over_at_one_of_its_spots_is_not_sold(
    market: "Market", wanted: Wanted
) -> None:
    spots = {await market.spot(time_zone=zone): 1 for zone in ("Asia/Shanghai", "Asia/Tokyo")}
    product = await market.combined(spots, stock=[{"visit_date": "2026-11-01", "total": 5}])
    distributor = await market.distributor()
    today = {"visit_date": date(2026, 11, 1)}
    await market.offer(wanted("ord_1", distributor, product, **today))
    market.clock.advance(timedelta(hours=11, minutes=1))  # 23:01 in Shanghai, 00:01 in Tokyo
    late = await market.refusal(wanted("ord_2", distributor, product, **today))
    assert late == (422, "past_date", "body.visit_date")


async def test_an_offer_never_mixes_two_versions_of_the_terms(
    market: "Market", wanted: Wanted
) -> None:
    first, second = await market.spot(), await market.spot()
    distributor = await market.distributor()
    cheap, dear = {first: 4_000, second: 3_000}, {first: 8_000, second: 9_000}
    product = await market.combined(cheap, unit_price_fen=7_000, total=10_000)
    done, sold = asyncio.Event(), asyncio.Event()
    ends = {7_000: [4_000, 3_000], 17_000: [8_000, 9_000]}

    async def sell() -> None:
        number = 0
        while not done.is_set():
            number += 1
            (result,) = await market.reserve(wanted(f"ord_{number}", distributor, product))
            if result.offer is None:
                assert result.refused is not None
                assert result.refused.code in {"sale_closed", "consent_withdrawn"}
                continue
            offer = result.offer
            assert [spot.settle_fen for spot in offer.spots] == ends[offer.unit_price_fen]
            sold.set()

    async def change() -> None:
        for number in range(20):
            prices = dear if number % 2 == 0 else cheap
            await market.change_status(product, ProductStatus.WITHDRAWN)
            version = await market.change_terms(
                product,
                unit_price_fen=sum(prices.values()),
                spots=[{"spot_id": spot, "settle_fen": fen} for spot, fen in prices.items()],
            )
            for spot in prices:
                await market.answer(product, spot, "accept", version=version)
            sold.clear()
            await market.change_status(product, ProductStatus.PUBLISHED)
            await sold.wait()
        done.set()

    await asyncio.gather(sell(), change())
    await market.check_books()


async def test_a_consent_and_a_change_of_terms_at_once_never_accept_the_unread(
    market: "Market",
) -> None:
    """Whichever is first: what is accepted in the end is accepted at the price that was read."""
    first, second = await market.spot(), await market.spot()
    for _ in range(10):
        product = await market.combined({first: 1, second: 1}, sold=False, total=None)
        dearer = [{"spot_id": spot, "settle_fen": 2} for spot in (first, second)]
        changed, answered = await asyncio.gather(
            market.change_terms(product, unit_price_fen=10_000, spots=dearer),
            market.answer(product, first, "accept", version=1),
            return_exceptions=True,
        )
        assert changed == 2
        assert answered is None or getattr(answered, "code", None) == "terms_changed"
        with pytest.raises(Exception, match="Not accepted by"):
            await market.change_status(product, ProductStatus.PUBLISHED)
