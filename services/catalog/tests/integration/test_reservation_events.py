"""What orders tells of a reservation, in any order and any number of times: counted once."""

from collections.abc import Callable
from datetime import date
from itertools import permutations, product
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shanmen.common.ids import new_id
from shanmen.contracts.catalog import ReserveStock

if TYPE_CHECKING:
    from services.catalog.tests.conftest import Market

Wanted = Callable[..., ReserveStock]

ENDS = [
    # what arrives, in this order; what the reservation ends as; (reserved, sold) of 2 tickets
    (("placed",), "confirmed", (2, 0)),
    (("issued",), "sold", (0, 2)),
    (("closed",), "released", (0, 0)),
    (("placed", "issued"), "sold", (0, 2)),
    (("issued", "placed"), "sold", (0, 2)),
    (("placed", "closed"), "released", (0, 0)),
    (("closed", "placed"), "released", (0, 0)),
]


async def test_every_end(market: "Market", wanted: Wanted) -> None:
    distributor = await market.distributor()
    for number, ((arriving, status, (reserved, sold)), times) in enumerate(product(ENDS, (1, 2))):
        order_no, on_sale = f"ord_{number}", await market.product()
        await market.offer(wanted(order_no, distributor, on_sale, quantity=2))
        await market.offer(wanted(f"{order_no}_neighbour", distributor, on_sale, quantity=7))
        for told in arriving:
            for _ in range(times):
                await market.tell(getattr(market, told)(order_no))
        case = (arriving, times)
        statuses = await market.statuses()
        assert (case, statuses[order_no]) == (case, status)
        assert (case, statuses[f"{order_no}_neighbour"]) == (case, "held")
        assert (case, await market.counters(on_sale)) == (case, [(50, reserved + 7, sold)])


async def test_what_ended_stays_as_it_ended(market: "Market", wanted: Wanted) -> None:
    """No second end, however often all of them are told and in whatever order."""
    on_sale, distributor = await market.product(), await market.distributor()
    orders = list(permutations(("placed", "issued", "closed")))
    for number, order in enumerate(orders):
        await market.offer(wanted(f"ord_{number}", distributor, on_sale))
        await market.tell(
            *(getattr(market, told)(f"ord_{number}") for told, _ in product(order, "12"))
        )
    statuses = await market.statuses()
    assert {order: statuses[f"ord_{number}"] for number, order in enumerate(orders)} == {
        order: "sold" if order.index("issued") < order.index("closed") else "released"
        for order in orders
    }
    await market.check_books()


async def test_an_order_nobody_reserved_for_changes_nothing(market: "Market") -> None:
    on_sale = await market.product()
    await market.tell(
        market.placed("ord_x"), market.issued("ord_x"), market.closed("ord_x", "never_placed")
    )
    assert await market.counters(on_sale) == [(50, 0, 0)]


async def test_stock_that_came_back_is_sold_again_and_its_order_number_is_not(
    market: "Market", wanted: Wanted
) -> None:
    on_sale, distributor = await market.product(total=1), await market.distributor()
    await market.offer(wanted("ord_1", distributor, on_sale))
    await market.tell(market.closed("ord_1"))
    await market.offer(wanted("ord_2", distributor, on_sale))
    late = await market.refusal(wanted("ord_1", distributor, on_sale))
    assert late == (409, "reservation_over", None)
    assert await market.counters(on_sale) == [(1, 1, 0)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "placed", "issued", "closed"]),
        st.integers(0, 5),  # which order
        st.integers(1, 4),  # how many tickets it asks for
        st.integers(0, 1),  # of which day
    ),
    max_size=24,
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
async def test_the_books_agree_after_any_sequence(
    market: "Market", wanted: Wanted, steps: list[tuple[str, int, int, int]]
) -> None:
    """Against a model that knows nothing but who holds what."""
    days = [date(2026, 11, 5), date(2026, 11, 6)]
    stock = [{"visit_date": day, "total": 6} for day in days]
    on_sale, distributor = await market.product(stock=stock), await market.distributor()
    run = new_id("run")
    held: dict[int, tuple[int, int, str]] = {}  # order: tickets, day, how far it is
    for step, order, quantity, day in steps:
        order_no = f"{run}_{order}"
        if step == "reserve":
            taken = sum(n for n, d, state in held.values() if d == day and state != "closed")
            command = wanted(
                order_no, distributor, on_sale, quantity=quantity, visit_date=days[day]
            )
            (result,) = await market.reserve(command)
            if order in held:
                same = held[order][:2] == (quantity, day) and held[order][2] != "closed"
                assert (result.offer is not None) is same
            else:
                assert (result.offer is not None) is (taken + quantity <= 6)
                if result.offer is not None:
                    held[order] = (quantity, day, "held")
        else:
            await market.tell(getattr(market, step)(order_no))
            if order in held and held[order][2] == "held" and step != "placed":
                held[order] = (*held[order][:2], step)
        expected = [
            (
                6,
                sum(n for n, d, state in held.values() if (d, state) == (day, "held")),
                sum(n for n, d, state in held.values() if (d, state) == (day, "issued")),
            )
            for day in (0, 1)
        ]
        assert await market.counters(on_sale) == expected
    await market.check_books()
