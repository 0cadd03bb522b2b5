"""Debits: an order is paid once, and what it paid for is there, or given back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from shanmen.platform.checks.invariants import Invariant, compared, none_of
from shanmen.platform.checks.ledger import IS_GIVEN_BACK
from shanmen.platform.checks.view import Row, keyed

_DEBITS_BY_ORDER: Final = keyed(
    "gateway-adapters",
    "SELECT business_ref AS key, array_agg(operation_id ORDER BY operation_id) AS ids,"
    " array_agg(amount_fen ORDER BY operation_id) AS amounts"
    " FROM operations WHERE kind = 'debit' AND status = 'succeeded'"
    " GROUP BY business_ref",
)
_ORDERS: Final = keyed(
    "orders",
    "SELECT o.order_no AS key, o.status, o.debit_operation_id, o.quantity,"
    " o.price_fen + o.fee_fen AS amount_fen,"
    " (SELECT count(*) FROM tickets t WHERE t.order_no = o.order_no) AS tickets"
    " FROM orders o",
)
_ORPHANS_BY_ORDER: Final = keyed(
    "settlement",
    "SELECT order_no AS key, array_agg(operation_id) AS ids"
    " FROM orphaned_debits GROUP BY order_no",
)
_ORDERS_AND_DEBITS: Final = {
    "order": _ORDERS,
    "debits": _DEBITS_BY_ORDER,
    "orphans": _ORPHANS_BY_ORDER,
}


def _judge_single_debit(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    order, orphans = rows["order"], _orphans(rows)
    kept = [number for number, _ in _debits(rows) if number not in orphans]
    if len(kept) > 1:
        yield f"{len(kept)} debits succeeded: {', '.join(kept)}"
    for number, amount_fen in _debits(rows):
        if order and amount_fen != order["amount_fen"]:
            yield f"{number} took {amount_fen} fen of {order['amount_fen']}"


def _judge_debited(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    order, orphans = rows["order"], _orphans(rows)
    for number, _fen in _debits(rows):
        is_taken = (
            order is not None
            and order["debit_operation_id"] == number
            and order["status"] not in {"awaiting_payment", "closed_unpaid"}
        )
        if order is not None and is_taken and order["tickets"] != order["quantity"]:
            yield f"debited by {number}, {order['tickets']} of {order['quantity']} tickets"
        if is_taken == (number in orphans):
            yield f"{number} is {'taken, and' if is_taken else 'neither taken nor'} given back"


def _judge_ticketed(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    order = rows["order"]
    if order is None or not order["tickets"]:
        return
    if order["debit_operation_id"] not in {number for number, _ in _debits(rows)}:
        yield f"{order['tickets']} tickets, debit {order['debit_operation_id']} never succeeded"


def _debits(rows: Mapping[str, Row | None]) -> list[tuple[str, int]]:
    """The numbers and amounts of an order's debits that succeeded."""
    row = rows["debits"]
    return list(zip(row["ids"], row["amounts"], strict=True)) if row else []


def _orphans(rows: Mapping[str, Row | None]) -> frozenset[str]:
    """The numbers of those that settlement gives back."""
    row = rows["orphans"]
    return frozenset(row["ids"]) if row else frozenset()


_ORPHAN_KEPT: Final = f"""
SELECT o.operation_id, o.order_no, o.amount_fen, o.refunded_at, r.refund_id,
    r.status AS refund, r.amount_fen AS refund_fen
FROM orphaned_debits o LEFT JOIN refunds r
    ON r.original_operation_id = o.operation_id AND r.entitlement_id IS NULL AND r.live
WHERE r.refund_id IS NULL OR r.amount_fen <> o.amount_fen
    OR (o.refunded_at IS NOT NULL) <> {IS_GIVEN_BACK}
"""

INVARIANTS: Final[Sequence[Invariant]] = (
    Invariant(
        "M4",
        "At most one debit of an order succeeds and is kept",
        [compared(_ORDERS_AND_DEBITS, _judge_single_debit)],
    ),
    Invariant(
        "M5",
        "Every debited order has all its tickets, or all its money back",
        [
            compared(_ORDERS_AND_DEBITS, _judge_debited),
            none_of("settlement", "orphaned_debits", _ORPHAN_KEPT),
        ],
    ),
    Invariant(
        "M6",
        "No ticket without a debit that succeeded",
        [compared(_ORDERS_AND_DEBITS, _judge_ticketed)],
    ),
)
