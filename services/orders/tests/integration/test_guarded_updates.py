"""The database form of the machines: every cell tried on a row, and refused where it is empty.

Whatever a use case has looked at before, the update itself is what decides.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from typing import TYPE_CHECKING, Any

from sqlalchemy import update

from shanmen.common.db import Tx
from shanmen.orders.domain import DEBIT, ORDER, DebitState, OrderStatus
from shanmen.orders.queries import orders as queries
from shanmen.orders.tables import ORDERS

if TYPE_CHECKING:
    from services.orders.tests.conftest import Shop


@asynccontextmanager
async def set_to(shop: "Shop", **values: Any) -> AsyncIterator[Tx]:
    """The only order with these values, in a transaction that is rolled back."""
    async with shop.ctx.db.engine.connect() as tx:
        await tx.execute(update(ORDERS).values(debit_operation_id="deb_1", **values))
        yield tx
        await tx.rollback()


async def test_every_cell_of_the_order_machine(shop: "Shop") -> None:
    order_no, now = (await shop.place())["order_no"], shop.ctx.clock.now()
    for source, target in product(OrderStatus, OrderStatus):
        async with set_to(shop, status=source, debit_state=DebitState.SUCCEEDED) as tx:
            changed = await queries.change_status(tx, order_no, target, now)
        assert (source, target, changed is not None) == (
            source,
            target,
            ORDER.allows(source, target),
        )
        assert changed is None or (changed.status, changed.version) == (target, 2)


async def test_every_cell_of_the_debit_machine(shop: "Shop") -> None:
    order_no, now = (await shop.place())["order_no"], shop.ctx.clock.now()
    for source, target in product(DebitState, DebitState):
        async with set_to(shop, debit_state=source) as tx:
            changed = await queries.change_debit(tx, order_no, target, now)
        assert (source, target, changed is not None) == (
            source,
            target,
            DEBIT.allows(source, target),
        )
        assert changed is None or (changed.debit_state, changed.version) == (target, 2)


CLOSABLE = {("awaiting_payment", "none"), ("awaiting_payment", "refused")}


async def test_only_an_unpaid_order_without_a_debit_is_closed(shop: "Shop") -> None:
    order_no, now = (await shop.place())["order_no"], shop.ctx.clock.now()
    paid = {OrderStatus.PAID, OrderStatus.ISSUED, *ORDER.transitions[OrderStatus.ISSUED]}
    outstanding = {DebitState.REQUESTED, DebitState.SHORT_OF_FUNDS, DebitState.STUCK}
    for status, debit in product(OrderStatus, DebitState):
        if status in paid and debit is not DebitState.SUCCEEDED:
            continue  # the table itself refuses such a row
        if status is OrderStatus.CLOSED_UNPAID and debit in outstanding:
            continue
        async with set_to(shop, status=status, debit_state=debit) as tx:
            closed = await queries.close_if_unpaid(tx, order_no, now)
        assert (status, debit, closed is not None) == (status, debit, (status, debit) in CLOSABLE)
