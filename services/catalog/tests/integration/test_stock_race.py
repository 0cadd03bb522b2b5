"""Many buyers, few seats: exactly as many are sold as there are, whoever comes how."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.exc import IntegrityError

from shanmen.catalog.ports import CatalogContext
from shanmen.catalog.queries import pool as queries
from shanmen.catalog.schemas import StockEntry
from shanmen.catalog.tables import RESERVATIONS, STOCK
from shanmen.catalog.usecases import publishing
from shanmen.catalog.usecases.reservations import reserve_stock
from shanmen.common.batching import Batcher
from shanmen.common.db import Database
from shanmen.common.errors import Conflict, Refusal
from shanmen.common.events import Event
from shanmen.common.testing.events import eventually
from shanmen.common.testing.principals import principal
from shanmen.contracts.catalog import Offer, ReservationResult, ReserveStock
from shanmen.contracts.orders import TicketsIssued

if TYPE_CHECKING:
    from services.catalog.tests.conftest import Market

Wanted = Callable[..., ReserveStock]
BUYERS = 200
SEATS = 50


@pytest.fixture
async def second_ctx(ctx: CatalogContext) -> AsyncIterator[CatalogContext]:
    """The same service as another process would hold it: an engine of its own, the same data."""
    database = Database(ctx.db.url)
    yield replace(ctx, db=database)
    await database.close()


def tally(results: Sequence[ReservationResult]) -> Counter[str]:
    return Counter(result.refused.code if result.refused else "offer" for result in results)


async def test_each_buyer_in_a_transaction_of_its_own(
    market: "Market", second_ctx: CatalogContext, wanted: Wanted
) -> None:
    """Two processes of eight connections each, one order a call."""
    product, distributor = await market.product(total=SEATS), await market.distributor()
    queue = [wanted(f"ord_{n}", distributor, product) for n in range(BUYERS)]
    results: list[ReservationResult] = []

    async def buyer(process: CatalogContext) -> None:
        while queue:
            results.extend(await reserve_stock(process, [queue.pop()]))

    await asyncio.gather(*(buyer(p) for p in (market.ctx, second_ctx) for _ in range(8)))

    assert tally(results) == {"offer": SEATS, "sold_out": BUYERS - SEATS}
    assert await market.counters(product) == [(SEATS, SEATS, 0)]
    await market.check_books()


async def test_the_buyers_in_lists(
    market: "Market", second_ctx: CatalogContext, wanted: Wanted
) -> None:
    """As orders asks: what came together is one list; lists of two processes overlap."""
    product, distributor = await market.product(total=SEATS), await market.distributor()

    def batcher(process: CatalogContext) -> Batcher[ReserveStock, Offer]:
        async def run(commands: Sequence[ReserveStock]) -> Sequence[Offer | Refusal]:
            results = await reserve_stock(process, commands)
            return [result.offer or Conflict(str(result.refused)) for result in results]

        return Batcher(run)

    batchers = [batcher(market.ctx), batcher(second_ctx)]
    commands = [wanted(f"ord_{n}", distributor, product) for n in range(BUYERS)]
    outcomes = await asyncio.gather(
        *(batchers[n % 2].submit(command) for n, command in enumerate(commands)),
        return_exceptions=True,
    )

    assert Counter(type(outcome) for outcome in outcomes) == {
        Offer: SEATS,
        Conflict: BUYERS - SEATS,
    }
    assert await market.counters(product) == [(SEATS, SEATS, 0)]
    await market.check_books()


async def test_an_order_number_asked_for_by_many_at_once_is_one_reservation(
    market: "Market", second_ctx: CatalogContext, wanted: Wanted
) -> None:
    product, distributor = await market.product(total=SEATS), await market.distributor()
    command = wanted("ord_1", distributor, product, quantity=2)
    answers = await asyncio.gather(
        *(reserve_stock((market.ctx, second_ctx)[n % 2], [command]) for n in range(16))
    )
    offers = [result.offer for (result,) in answers]
    assert offers[0] is not None
    assert offers.count(offers[0]) == 16
    assert await market.counters(product) == [(SEATS, 2, 0)]


async def test_lists_over_many_products_selling_and_closing_never_wait_in_a_circle(
    market: "Market", second_ctx: CatalogContext, wanted: Wanted
) -> None:
    """Reservations lock many entries, and events come in any order: no deadlock comes of it."""
    spot, distributor = await market.spot(), await market.distributor()
    on_sale = [await market.product(spot, total=400) for _ in range(8)]
    dice = random.Random(20261101)  # noqa: S311 - the same shuffle every time

    def shuffled(prefix: str) -> list[ReserveStock]:
        commands = [
            wanted(f"{prefix}_{n}", distributor, product) for n, product in enumerate(on_sale * 5)
        ]
        dice.shuffle(commands)
        return commands

    earlier = shuffled("first")
    await reserve_stock(market.ctx, earlier)
    ends: list[Event] = [
        market.closed(command.order_no) if dice.random() < 0.5 else market.issued(command.order_no)
        for command in earlier
    ]
    lists = [shuffled(f"list_{n}") for n in range(8)]

    async def reserve(process: CatalogContext, commands: list[ReserveStock]) -> None:
        results = await reserve_stock(process, commands)
        assert tally(results) == {"offer": len(commands)}

    async def restock() -> None:
        for product in on_sale:
            entries = [StockEntry.model_validate({"visit_date": "2026-11-05", "total": 500})]
            async with market.ctx.db.transaction() as tx:
                await publishing.set_stock(tx, principal("operator"), product, entries)

    await asyncio.gather(
        market.tell(*ends),
        restock(),
        *(reserve(second_ctx, commands) for commands in lists),
    )

    await market.check_books()
    kept = [counters for product in on_sale for counters in await market.counters(product)]
    sold = [end for end in ends if isinstance(end, TicketsIssued)]
    assert sum(row[1] for row in kept) == 8 * 40
    assert sum(row[2] for row in kept) == len(sold)


async def test_events_that_wait_for_one_entry_hold_no_other(
    market: "Market", second_ctx: CatalogContext, wanted: Wanted
) -> None:
    """Else a reservation that has the one and wants the other would wait in a circle with them."""
    spot, distributor = await market.spot(), await market.distributor()
    busy, free = await market.product(spot), await market.product(spot)
    await market.reserve(*(wanted(f"ord_{p}", distributor, p) for p in (busy, free)))
    async with second_ctx.db.transaction() as tx:
        (entry,) = await queries.calendar(tx, busy, first=None, last=None, limit=1)
        await queries.lock_stock(tx, [entry.stock_id])
        telling = asyncio.create_task(
            market.tell(market.closed(f"ord_{free}"), market.closed(f"ord_{busy}"))
        )
        await eventually(lambda: _somebody_waits_for_a_lock(second_ctx))
        await asyncio.wait_for(
            reserve_stock(second_ctx, [wanted("ord_3", distributor, free)]), timeout=3
        )
        assert not telling.done()
    await telling
    await market.check_books()


async def test_stock_is_set_in_the_order_in_which_reservations_lock(
    market: "Market", second_ctx: CatalogContext, wanted: Wanted
) -> None:
    """Not in the order of dates: the later day was put on sale first, so it is locked first."""
    product, distributor = await market.product(total=None), await market.distributor()
    operator, days = principal("operator"), ("2026-11-06", "2026-11-05")
    entries = [StockEntry.model_validate({"visit_date": day, "total": 50}) for day in days]

    async def put(*some: StockEntry) -> None:
        async with market.ctx.db.transaction() as tx:
            await publishing.set_stock(tx, operator, product, some)

    for entry in entries:
        await put(entry)
    async with second_ctx.db.transaction() as tx:
        rows = await queries.calendar(tx, product, first=None, last=None, limit=2)
        await queries.lock_stock(tx, [min(row.stock_id for row in rows)])
        setting = asyncio.create_task(put(*entries))
        await eventually(lambda: _somebody_waits_for_a_lock(second_ctx))
        await asyncio.wait_for(
            reserve_stock(second_ctx, [wanted("ord_1", distributor, product)]), timeout=3
        )
    await setting
    assert await market.counters(product) == [(50, 1, 0), (50, 0, 0)]


async def test_the_last_seat_is_given_back_while_somebody_waits_for_it(
    market: "Market", second_ctx: CatalogContext, wanted: Wanted
) -> None:
    product, distributor = await market.product(total=1), await market.distributor()
    await market.offer(wanted("ord_1", distributor, product))
    async with market.ctx.db.transaction() as tx:
        (entry,) = await queries.calendar(tx, product, first=None, last=None, limit=1)
        await queries.lock_stock(tx, [entry.stock_id])
        late = asyncio.create_task(
            reserve_stock(second_ctx, [wanted("ord_2", distributor, product)])
        )
        await eventually(lambda: _somebody_waits_for_a_lock(market.ctx))
        await queries.move_counters(tx, {entry.stock_id: (-1, 0)})
        await tx.execute(update(RESERVATIONS).values(status="released"))
    (result,) = await late
    assert result.offer is not None
    await market.check_books()


OVERSOLD = [
    *({"reserved": 51}, {"sold": 51}, {"reserved": 25, "sold": 26}),
    *({"reserved": -1}, {"sold": -1}),
]


async def test_overselling_cannot_be_written_down(market: "Market") -> None:
    """Whatever the code believes: the table refuses."""
    product = await market.product(total=50)
    for counters in OVERSOLD:
        with pytest.raises(IntegrityError, match=r"stock_(never_oversold|counters)_check"):
            async with market.ctx.db.transaction() as tx:
                await tx.execute(update(STOCK).values(counters))
    assert await market.counters(product) == [(50, 0, 0)]


async def test_one_order_number_one_reservation(market: "Market", wanted: Wanted) -> None:
    product, distributor = await market.product(), await market.distributor()
    await market.offer(wanted("ord_1", distributor, product))
    (row,) = await market.rows(RESERVATIONS)
    with pytest.raises(IntegrityError, match="reservations_pkey"):
        async with market.ctx.db.transaction() as tx:
            await tx.execute(insert(RESERVATIONS).values(row))


async def _somebody_waits_for_a_lock(ctx: CatalogContext) -> bool:
    async with ctx.db.transaction() as tx:
        waiting = await tx.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )
    return bool(waiting)
