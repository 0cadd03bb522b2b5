"""What catalog hears from orders: what became of the stock it set aside."""

from collections.abc import Mapping

from shanmen.catalog.ports import CatalogContext
from shanmen.catalog.usecases import reservations
from shanmen.common.db import Tx
from shanmen.common.events import Event
from shanmen.common.inbox import Handler, subscribe
from shanmen.contracts.orders import OrderClosed, OrderPlaced, TicketsIssued


async def on_order_placed(tx: Tx, event: OrderPlaced, _: CatalogContext) -> None:
    """The order exists: its stock is no longer anybody's guess."""
    await reservations.confirm_reservation(tx, event.order_no)


async def on_tickets_issued(tx: Tx, event: TicketsIssued, _: CatalogContext) -> None:
    """Reserved becomes sold."""
    await reservations.sell_reservation(tx, event.order_no)


async def on_order_closed(tx: Tx, event: OrderClosed, _: CatalogContext) -> None:
    """The stock goes back to the pool."""
    await reservations.release_reservation(tx, event.order_no)


STOCK_HANDLERS: Mapping[type[Event], Handler[CatalogContext]] = {
    TicketsIssued: on_tickets_issued,
    OrderClosed: on_order_closed,
}

SUBSCRIPTIONS = (
    subscribe("catalog.events", {OrderPlaced: on_order_placed}),
    # One event a transaction: it holds a single stock entry, for a moment. A batch would hold a
    # hot one while it works on its other events, and in another order than reservations lock.
    subscribe("catalog.stock", STOCK_HANDLERS, batch=1),
)
