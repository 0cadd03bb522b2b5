"""Stock: what is reserved and sold is what the orders say."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from shanmen.platform.checks.invariants import Invariant, compared, none_of
from shanmen.platform.checks.view import Row, keyed

_COUNTERS: Final = """
SELECT stock_id, total, reserved, held, sold, gone FROM (
    SELECT s.stock_id, s.total, s.reserved, s.sold,
        coalesce(sum(r.quantity) FILTER (WHERE r.status IN ('held', 'confirmed')), 0) AS held,
        coalesce(sum(r.quantity) FILTER (WHERE r.status = 'sold'), 0) AS gone
    FROM stock s LEFT JOIN reservations r USING (stock_id) GROUP BY s.stock_id
) AS counted
WHERE reserved <> held OR sold <> gone OR reserved < 0 OR sold < 0 OR reserved + sold > total
"""

_FITS: Final[Mapping[str, frozenset[str | None]]] = {
    "held": frozenset({None, "awaiting_payment", "paid"}),
    "confirmed": frozenset({"awaiting_payment", "paid"}),
    "sold": frozenset({"issued", "completed", "closed_refunded"}),
    "released": frozenset({None, "closed_unpaid"}),
}
"""Which statuses of its order fit a reservation; None for an order that was never placed."""


def _judge(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    reservation, order = rows["reservation"], rows["order"]
    if reservation is None:
        yield "an order without a reservation"
        return
    status = order["status"] if order else None
    if status not in _FITS[reservation["status"]]:
        yield f"stock {reservation['status']}, order {status or 'never placed'}"
    if order and order["quantity"] != reservation["quantity"]:
        yield f"stock for {reservation['quantity']}, order of {order['quantity']}"


INVARIANTS: Final[Sequence[Invariant]] = (
    Invariant(
        "K1",
        "Stock is never oversold, and its counters are what the orders hold",
        [
            none_of("catalog", "stock", _COUNTERS),
            compared(
                {
                    "reservation": keyed(
                        "catalog",
                        "SELECT order_no AS key, status, quantity FROM reservations",
                    ),
                    "order": keyed(
                        "orders",
                        "SELECT order_no AS key, status, quantity FROM orders",
                    ),
                },
                _judge,
            ),
        ],
    ),
)
