"""Setting stock aside: the offer that an order keeps, and every reason not to get one."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from shanmen.catalog.domain import AccountRole, ProductStatus
from shanmen.catalog.tables import PARTIES, PRODUCTS, RESERVATIONS
from shanmen.catalog.usecases import publishing
from shanmen.common.testing.principals import principal
from shanmen.contracts.catalog import ReservationResult, ReserveStock
from shanmen.contracts.terms import AccountRef, RefundRule

if TYPE_CHECKING:
    from services.catalog.tests.conftest import Market

Wanted = Callable[..., ReserveStock]
DAY = date(2026, 11, 5)
NOON = datetime.fromisoformat("2026-11-01T04:00:00Z")


async def test_an_offer_carries_all_that_an_order_keeps(market: "Market", wanted: Wanted) -> None:
    spot = await market.spot(
        name="黄山", settlement_fee_bps=125, offline_grace_s=3600, time_zone="Asia/Tokyo"
    )
    receive = await market.account(spot, AccountRole.RECEIVE, "2088000000000077")
    distributor = await market.distributor(transaction_fee_bps=60)
    pay = await market.account(distributor, AccountRole.PAY, "2088000000000088")
    product = await market.product(
        spot,
        unit_price_fen=12_345,
        valid_days=2,
        real_name="every_ticket",
        refund_rule={"on_expiry": False, "before_visit": True, "refunds_fee": True},
        payment_timeout_s=900,
    )

    offer = await market.offer(wanted("ord_1", distributor, product, quantity=3))

    assert offer.model_dump() == {
        "product_id": product,
        "product_version": 1,
        "product_name": "黄山一日票",
        "kind": "single",
        "visit_date": DAY,
        "slot": None,
        "quantity": 3,
        "unit_price_fen": 12_345,
        "fee_fen": 222,  # 37035 fen at 60 bps: 222.21
        "valid_from": DAY,
        "valid_until": DAY + timedelta(days=1),
        "spots": (
            {
                "spot_id": spot,
                "spot_name": "黄山",
                "time_zone": "Asia/Tokyo",
                "settle_fen": 8_000,
                "settlement_fee_fen": 100,
                "part_fen": 12_345,
                "offline_grace_s": 3600,
                "receive_account": {"account_id": receive, "channel": "alipay"},
            },
        ),
        "pay_account": {"account_id": pay, "channel": "alipay"},
        "refund_rule": {"on_expiry": False, "before_visit": True, "refunds_fee": True},
        "real_name": "every_ticket",
        "invests": False,
        "payment_timeout_s": 900,
    }
    assert await market.counters(product) == [(50, 3, 0)]
    (row,) = await market.rows(RESERVATIONS)
    assert (row["order_no"], row["status"], row["quantity"]) == ("ord_1", "held", 3)
    assert NOON <= row["reserved_at"] < NOON + timedelta(minutes=1)


async def test_the_fee_is_of_the_whole_order_and_not_of_each_ticket(
    market: "Market", wanted: Wanted
) -> None:
    distributor = await market.distributor(transaction_fee_bps=50)
    product = await market.product(unit_price_fen=8_090)
    fees = [
        (await market.offer(wanted(f"ord_{n}", distributor, product, quantity=n))).fee_fen
        for n in (1, 2, 3)
    ]
    assert fees == [40, 81, 121]  # 40.45, 80.9, 121.35


async def test_an_open_dated_product_has_one_entry_without_a_date(
    market: "Market", wanted: Wanted
) -> None:
    first, last = date(2026, 11, 1), date(2026, 12, 31)
    product = await market.product(
        visit_rule="open", valid_from=first, valid_until=last, stock=[{"total": 5}]
    )
    distributor = await market.distributor()
    offer = await market.offer(wanted("ord_1", distributor, product, visit_date=None))
    assert (offer.valid_from, offer.valid_until, offer.visit_date) == (first, last, None)
    assert await market.refusal(wanted("ord_2", distributor, product)) == (
        422,
        "visit_date_unfit",
        "body.visit_date",
    )
    market.clock.advance(timedelta(days=60))  # 31 December: the last day is sold
    await market.offer(wanted("ord_3", distributor, product, visit_date=None))
    market.clock.advance(timedelta(days=1))
    code = (await market.refusal(wanted("ord_4", distributor, product, visit_date=None)))[1]
    assert code == "past_date"


async def test_slots_of_a_day_are_entries_of_their_own(market: "Market", wanted: Wanted) -> None:
    stock = [
        {"visit_date": DAY, "slot": "上午", "total": 1},
        {"visit_date": DAY, "slot": "下午", "total": 1},
    ]
    product, distributor = await market.product(stock=stock), await market.distributor()
    await market.offer(wanted("ord_1", distributor, product, slot="上午"))
    await market.offer(wanted("ord_2", distributor, product, slot="下午"))
    assert (await market.refusal(wanted("ord_3", distributor, product, slot="下午")))[1] == (
        "sold_out"
    )
    assert (await market.refusal(wanted("ord_4", distributor, product)))[1] == "no_stock_entry"
    assert await market.counters(product) == [(1, 1, 0), (1, 1, 0)]


REFUSALS: list[tuple[dict[str, Any], dict[str, Any], tuple[int, str, str | None]]] = [
    # the product, the command, the refusal
    ({}, {"product_id": "prd_none"}, (404, "not_found", None)),
    ({}, {"distributor_id": "dst_none"}, (404, "not_found", None)),
    ({"publish": False}, {}, (404, "not_found", None)),
    ({"sale_from": NOON + timedelta(hours=1)}, {}, (409, "sale_closed", None)),
    ({"sale_until": NOON}, {}, (409, "sale_closed", None)),
    ({}, {"quantity": 0}, (422, "quantity_out_of_range", "body.quantity")),
    ({}, {"quantity": -1}, (422, "quantity_out_of_range", "body.quantity")),
    ({"max_quantity": 4}, {"quantity": 5}, (422, "quantity_out_of_range", "body.quantity")),
    ({}, {"quantity": 10**30}, (422, "quantity_out_of_range", "body.quantity")),
    ({}, {"visit_date": None}, (422, "visit_date_unfit", "body.visit_date")),
    ({}, {"visit_date": date(2026, 10, 31)}, (422, "past_date", "body.visit_date")),
    ({}, {"visit_date": date(1, 1, 1)}, (422, "past_date", "body.visit_date")),
    ({}, {"visit_date": date(2026, 11, 6)}, (422, "no_stock_entry", "body.visit_date")),
    ({"valid_days": 30}, {"visit_date": date.max}, (422, "no_stock_entry", "body.visit_date")),
    ({}, {"slot": "上午"}, (422, "no_stock_entry", "body.visit_date")),
    ({"total": 2}, {"quantity": 3}, (409, "sold_out", None)),
    ({"total": 0}, {}, (409, "sold_out", None)),
]


async def test_every_refusal_leaves_nothing_behind(market: "Market", wanted: Wanted) -> None:
    spot, distributor = await market.spot(), await market.distributor()
    for number, (of_product, of_command, refusal) in enumerate(REFUSALS):
        product = await market.product(spot, **of_product)
        command = wanted(f"ord_{number}", distributor, product).model_copy(update=of_command)
        assert (of_product, of_command, await market.refusal(command)) == (
            of_product,
            of_command,
            refusal,
        )
    assert await market.rows(RESERVATIONS) == []
    await market.check_books()


async def test_a_withdrawn_product_is_not_sold(market: "Market", wanted: Wanted) -> None:
    product, distributor = await market.product(), await market.distributor()
    async with market.ctx.db.transaction() as tx:
        operator = principal("operator")
        await publishing.change_status(tx, operator, product, ProductStatus.WITHDRAWN)
    assert await market.refusal(wanted("ord_1", distributor, product)) == (
        409,
        "sale_closed",
        None,
    )


async def test_yesterday_at_the_spot_is_past_even_where_it_is_still_today(
    market: "Market", wanted: Wanted
) -> None:
    entries = [{"visit_date": day, "total": 5} for day in ("2026-11-01", "2026-11-02")]
    product, distributor = await market.product(stock=entries), await market.distributor()
    market.clock.advance(timedelta(hours=12, minutes=1))  # 00:01 of 2 November in Shanghai
    early = wanted("ord_1", distributor, product, visit_date=date(2026, 11, 1))
    assert (await market.refusal(early))[1] == "past_date"
    await market.offer(wanted("ord_2", distributor, product, visit_date=date(2026, 11, 2)))


@pytest.mark.parametrize("missing", ["spot", "distributor"])
async def test_without_an_account_there_is_no_sale(
    missing: str, market: "Market", wanted: Wanted
) -> None:
    spot = await market.spot(with_account=missing != "spot")
    distributor = await market.distributor(with_account=missing != "distributor")
    product = await market.product(spot)
    assert await market.refusal(wanted("ord_1", distributor, product)) == (
        409,
        "settlement_account_missing",
        None,
    )
    await market.check_books()


async def test_in_a_list_each_order_stands_for_itself(market: "Market", wanted: Wanted) -> None:
    product, other = await market.product(total=5), await market.product(total=5)
    distributor, poor = await market.distributor(), await market.distributor(with_account=False)
    results = await market.reserve(
        wanted("ord_1", distributor, product, quantity=4),
        wanted("ord_2", distributor, product, quantity=2),  # one is left
        wanted("ord_3", distributor, other, quantity=5),
        wanted("ord_4", distributor, "prd_none"),
        wanted("ord_5", poor, product),
        wanted("ord_6", distributor, product),  # takes the last one
        wanted("ord_1", distributor, product, quantity=4),  # the first once more
        wanted("ord_3", distributor, product, quantity=5),  # another order under its number
    )

    def told(result: ReservationResult) -> str:
        return result.refused.code if result.refused else "offer"

    assert [(result.order_no, told(result)) for result in results] == [
        ("ord_1", "offer"),
        ("ord_2", "sold_out"),
        ("ord_3", "offer"),
        ("ord_4", "not_found"),
        ("ord_5", "settlement_account_missing"),
        ("ord_6", "offer"),
        ("ord_1", "offer"),
        ("ord_3", "reservation_mismatch"),
    ]
    assert await market.counters(product) == [(5, 5, 0)]
    assert await market.counters(other) == [(5, 5, 0)]
    await market.check_books()


async def test_an_order_number_asked_for_again_gets_the_same_offer(
    market: "Market", wanted: Wanted
) -> None:
    """Also when price, fee, account and even the sale itself are others by now."""
    spot = await market.spot()
    distributor = await market.distributor(transaction_fee_bps=60)
    product = await market.product(spot)
    command = wanted("ord_1", distributor, product, quantity=2)
    first = await market.offer(command)
    await market.account(distributor, AccountRole.PAY, "2088000000000099")
    await market.account(spot, AccountRole.RECEIVE, "2088000000000098")
    async with market.ctx.db.transaction() as tx:
        dearer = {"unit_price_fen": 99_999, "status": "withdrawn"}
        await tx.execute(update(PRODUCTS).values(dearer))
        await tx.execute(update(PARTIES).values(fee_bps=9_999))
    assert await market.offer(command) == first
    assert await market.counters(product) == [(50, 2, 0)]


@pytest.mark.parametrize(
    "change", [{"quantity": 3}, {"visit_date": date(2026, 11, 6)}, {"slot": "上午"}]
)
async def test_an_order_number_asked_for_with_other_content_is_refused(
    change: dict[str, Any], market: "Market", wanted: Wanted
) -> None:
    product, distributor = await market.product(), await market.distributor()
    command = wanted("ord_1", distributor, product, quantity=2)
    await market.offer(command)
    assert await market.refusal(command.model_copy(update=change)) == (
        409,
        "reservation_mismatch",
        None,
    )
    assert await market.counters(product) == [(50, 2, 0)]


async def test_new_orders_use_the_new_account_and_earlier_ones_keep_theirs(
    market: "Market", wanted: Wanted
) -> None:
    product, distributor = await market.product(), await market.distributor()
    before = await market.offer(wanted("ord_1", distributor, product))
    account = await market.account(distributor, AccountRole.PAY, "2088000000000099")
    after = await market.offer(wanted("ord_2", distributor, product))
    assert before.pay_account != after.pay_account
    assert after.pay_account == AccountRef(account_id=account, channel="alipay")
    assert after.refund_rule == RefundRule()
