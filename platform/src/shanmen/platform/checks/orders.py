"""Orders: every status is what the facts of all services say, and every price as it was."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from shanmen.orders.domain import (
    DEBIT,
    ORDER,
    DebitState,
    ImpossibleFacts,
    OrderStatus,
    RefundStatus,
    Settlement,
    SpotFacts,
    Usage,
    outcome,
    refund_status,
    spot_status,
)
from shanmen.platform.checks.invariants import Invariant, compared, none_of
from shanmen.platform.checks.view import Row, keyed

_ORDERS: Final = keyed(
    "orders",
    "SELECT o.order_no AS key, o.status, o.debit_state, o.quantity, o.price_fen, o.fee_fen,"
    " o.distributor_id, o.offer::text AS offer,"
    " (SELECT count(*) FROM tickets t WHERE t.order_no = o.order_no) AS tickets"
    " FROM orders o",
)
_USAGE_BY_ORDER: Final = keyed(
    "verification",
    "SELECT order_no AS key, array_agg(entitlement_id ORDER BY entitlement_id) AS ids,"
    " array_agg(usage ORDER BY entitlement_id) AS usages,"
    " array_agg(activated ORDER BY entitlement_id) AS activated"
    " FROM passes GROUP BY order_no",
)
_MONEY_BY_ORDER: Final = keyed(
    "settlement",
    "SELECT order_no AS key, array_agg(entitlement_id ORDER BY entitlement_id) AS ids,"
    " array_agg(status ORDER BY entitlement_id) AS statuses"
    " FROM entitlements GROUP BY order_no",
)
_FACTS: Final = {"order": _ORDERS, "usage": _USAGE_BY_ORDER, "money": _MONEY_BY_ORDER}

_PROJECTED: Final = keyed(
    "orders",
    "SELECT entitlement_id AS key, usage, settlement, t.activated"
    " FROM entitlements JOIN tickets t USING (ticket_no)",
)
_USAGE: Final = keyed("verification", "SELECT entitlement_id AS key, usage, activated FROM passes")
_MONEY: Final = keyed("settlement", "SELECT entitlement_id AS key, status FROM entitlements")


def expected_status(order: Row, facts: Sequence[SpotFacts]) -> set[OrderStatus]:
    """The statuses that an order with these facts can have: one, but before its payment."""
    if order["debit_state"] != DebitState.SUCCEEDED:
        return {OrderStatus.AWAITING_PAYMENT, OrderStatus.CLOSED_UNPAID}
    if order["tickets"] < order["quantity"]:
        return {OrderStatus.PAID}
    return {outcome(facts) or OrderStatus.ISSUED}


def _facts(usage: Row | None, money: Row | None) -> list[SpotFacts]:
    """What verification and settlement say of an order's entitlements."""
    if usage is None or money is None or usage["ids"] != money["ids"]:
        return []
    return [
        SpotFacts(Usage(used), activated, Settlement(status))
        for used, activated, status in zip(
            usage["usages"], usage["activated"], money["statuses"], strict=True
        )
    ]


def _judge_status(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    order, usage, money = rows["order"], rows["usage"], rows["money"]
    if order is None:
        yield "passes or entitlements of an order that does not exist"
        return
    facts = _facts(usage, money)
    if order["tickets"] and not facts:
        yield "its tickets, passes and entitlements are not the same"
        return
    if order["tickets"] and order["tickets"] != order["quantity"]:
        yield f"{order['tickets']} tickets of {order['quantity']}"
    expected = expected_status(order, facts)
    if order["status"] not in expected:
        yield f"status {order['status']}, the facts say {' or '.join(sorted(expected))}"
    if order["status"] == OrderStatus.CLOSED_UNPAID and (facts or order["tickets"]):
        yield "closed unpaid, with tickets"


def _judge_refund(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    order, facts = rows["order"], _facts(rows["usage"], rows["money"])
    if order is None or not facts:
        return
    try:
        refund = refund_status([spot_status(fact) for fact in facts])
    except ImpossibleFacts:
        return  # S3 names it
    is_closed = order["status"] == OrderStatus.CLOSED_REFUNDED
    if is_closed != (refund is RefundStatus.REFUNDED):
        yield f"status {order['status']}, refund status {refund}"


def _judge_spot(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    projected, usage, money = rows["projected"], rows["usage"], rows["money"]
    if projected is None or usage is None or money is None:
        missing = [name for name, row in rows.items() if row is None]
        yield f"unknown to {', '.join(missing)}"
        return
    written = (usage["usage"], usage["activated"], money["status"])
    if (projected["usage"], projected["activated"], projected["settlement"]) != written:
        yield (
            f"orders has {projected['usage']}, {projected['settlement']};"
            f" the writers {usage['usage']}, {money['status']}"
        )
    try:
        spot_status(SpotFacts(Usage(written[0]), written[1], Settlement(written[2])))
    except ImpossibleFacts as impossible:
        yield f"impossible: {impossible}"


def _judge_snapshot(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    order, debit, reservation = rows["order"], rows["debit"], rows["reservation"]
    if order is None:
        if debit is not None:
            yield "a debit of an order that does not exist"
        return
    amounts = (order["price_fen"], order["fee_fen"])
    if debit is not None and (debit["price_fen"], debit["fee_fen"]) != amounts:
        yield f"ordered at {amounts}, debited {(debit['price_fen'], debit['fee_fen'])} fen"
    if reservation is None:
        yield "no reservation"
    elif reservation["offer"] != order["offer"]:
        yield "its terms are not those of its reservation"


def _judge_tenant(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    owners = {name: row["distributor_id"] for name, row in rows.items() if row is not None}
    if len(set(owners.values())) > 1:
        yield f"belongs to {owners}"


def _pairs(machine: Any) -> list[str]:
    return [f"{source}>{target}" for source, row in machine.transitions.items() for target in row]


_ORPHANED: Final = "orphaned"
"""Told in the timeline of a debit that nothing can take; the order's own debit stays as it is."""
_STEPS: Final = """
SELECT order_no, kind, before, after, previous FROM (
    SELECT order_no, kind, before, after,
        lag(after) OVER steps AS previous, lead(after) OVER steps AS following, o.status,
        o.debit_state
    FROM order_timeline JOIN orders o USING (order_no)
    WHERE kind IN ('order', 'debit') AND after <> $2
    WINDOW steps AS (PARTITION BY order_no, kind ORDER BY id)
) AS told
WHERE (previous IS NOT NULL AND before IS DISTINCT FROM previous)
    OR (before IS NOT NULL AND before || '>' || after <> ALL($1::text[]))
    OR (following IS NULL AND after <> CASE kind WHEN 'order' THEN status ELSE debit_state END)
"""


INVARIANTS: Final[Sequence[Invariant]] = (
    Invariant(
        "S1",
        "An order's status is what the facts of all services say",
        [compared(_FACTS, _judge_status)],
    ),
    Invariant(
        "S2",
        "交易关闭2 exactly when everything was refunded",
        [compared(_FACTS, _judge_refund)],
    ),
    Invariant(
        "S3",
        "A spot's status is possible, and the same in every service",
        [compared({"projected": _PROJECTED, "usage": _USAGE, "money": _MONEY}, _judge_spot)],
    ),
    Invariant(
        "S4",
        "Only allowed changes of status happened, without a gap",
        [
            none_of(
                "orders",
                "order_timeline",
                _STEPS,
                [*_pairs(ORDER), *_pairs(DEBIT)],
                _ORPHANED,
            ),
            none_of(
                "orders",
                "orders",
                "SELECT order_no, status FROM orders o WHERE NOT EXISTS"
                " (SELECT FROM order_timeline t WHERE t.order_no = o.order_no)",
            ),
        ],
    ),
    Invariant(
        "S6",
        "An order keeps the price that it was placed at",
        [
            none_of(
                "orders",
                "orders",
                "SELECT order_no, price_fen, fee_fen FROM orders WHERE price_fen <>"
                " (offer->>'unit_price_fen')::bigint * quantity"
                " OR fee_fen <> (offer->>'fee_fen')::bigint",
            ),
            compared(
                {
                    "order": _ORDERS,
                    "debit": keyed(
                        "settlement",
                        "SELECT order_no AS key, price_fen, fee_fen FROM debits",
                    ),
                    "reservation": keyed(
                        "catalog",
                        "SELECT order_no AS key, offer::text AS offer FROM reservations",
                    ),
                },
                _judge_snapshot,
            ),
        ],
    ),
    Invariant(
        "T1",
        "An order has the same distributor in every service",
        [
            compared(
                {
                    "orders": keyed(
                        "orders",
                        "SELECT order_no AS key, distributor_id FROM orders",
                    ),
                    "debits": keyed(
                        "settlement",
                        "SELECT order_no AS key, distributor_id FROM debits",
                    ),
                    "entitlements": keyed(
                        "settlement",
                        "SELECT order_no AS key, CASE count(DISTINCT distributor_id) WHEN 1"
                        " THEN min(distributor_id) ELSE 'several' END AS distributor_id"
                        " FROM entitlements GROUP BY order_no",
                    ),
                },
                _judge_tenant,
            )
        ],
    ),
)
