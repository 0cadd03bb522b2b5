"""Nothing is stuck: all ends by itself, but for what waits on the operators' work list."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from shanmen.platform.checks.findings import Tally
from shanmen.platform.checks.invariants import Invariant, compared, none_of
from shanmen.platform.checks.ledger import IS_GIVEN_BACK
from shanmen.platform.checks.view import Row, View, keyed

_PARKED: Final = keyed(
    "gateway-adapters",
    "SELECT operation_id AS key, kind, outcome FROM operations WHERE status = 'parked'",
)
_ITEMS: Final = keyed(
    "settlement",
    "SELECT operation_id AS key, string_agg(kind, ', ') AS kinds, count(*) AS items"
    " FROM work_items WHERE status = 'open' AND kind NOT LIKE '%refused'"
    " AND family <> 'break'"
    " GROUP BY operation_id",
)


def _judge_listed(_: str, rows: Mapping[str, Row | None]) -> Iterable[str]:
    parked, item = rows["parked"], rows["item"]
    if item is None and parked is not None:
        yield f"a {parked['kind']} is parked ({parked['outcome']}), with no open work item"
    elif parked is None and item is not None:
        yield f"an open work item ({item['kinds']}), and nothing is parked behind it"
    elif item is not None and item["items"] > 1:
        yield f"{item['items']} open work items ({item['kinds']})"


async def _is_quiet(view: View, tally: Tally) -> None:
    tally.checked += 1
    for what in view.restless:
        tally.offend("still on its way", what)


_OVERDUE_ORDERS: Final = """
SELECT order_no, status, debit_state, payment_deadline FROM orders
WHERE status = 'paid' OR (status = 'awaiting_payment' AND debit_state IN ('none', 'refused')
    AND payment_deadline < now() + $1 - interval '60 s')
"""
_OVERDUE_PASSES: Final = """
SELECT entitlement_id, order_no, expires_at FROM passes
WHERE usage = 'unused' AND expires_at < now() + $1 - interval '60 s'
"""
_OPEN_OPERATIONS: Final = """
SELECT operation_id, kind, business_ref, next_action, next_at FROM operations
WHERE status = 'open'
"""
_PAYOUT_UNLISTED: Final = """
SELECT payout_id, spot_id, p.status, p.amount_fen FROM payouts p
WHERE (status = 'parked' OR (status = 'failed' AND EXISTS (
        SELECT FROM payout_lines JOIN entitlements e USING (entitlement_id)
        WHERE payout_lines.payout_id = p.payout_id AND live AND e.status <> 'settled')))
    AND NOT EXISTS (SELECT FROM work_items
        WHERE family = 'payout' AND subject_id = payout_id AND work_items.status = 'open')
"""
_REFUND_UNLISTED: Final = f"""
SELECT refund_id, order_no, r.status, r.amount_fen FROM refunds r
WHERE live AND status IN ('parked', 'failed') AND NOT {IS_GIVEN_BACK}
    AND NOT EXISTS (SELECT FROM work_items
        WHERE family = 'refund' AND subject_id = refund_id AND work_items.status = 'open')
"""
_UNEXPLAINED: Final = """
SELECT number AS operation_id, key FROM (
    SELECT key, split_part(key, ':', 2) AS number FROM postings WHERE kind = 'unexplained'
) AS moved
WHERE NOT EXISTS (SELECT FROM postings
        WHERE key IN ('payout_outside:' || number, 'refund_outside:' || number))
    AND NOT EXISTS (SELECT FROM work_items WHERE operation_id = number AND status = 'open')
"""
_LAPSED_UNENDED: Final = """
SELECT e.entitlement_id, e.order_no, e.status, e.lapsed_at FROM entitlements e
WHERE lapsed_at IS NOT NULL AND held_for IS NULL AND status IN ('pending', 'refund_failed')
    AND NOT EXISTS (SELECT FROM refunds r WHERE r.entitlement_id = e.entitlement_id AND live)
"""

INVARIANTS: Final[Sequence[Invariant]] = (
    Invariant(
        "S5",
        "Nothing is stuck: what needs a person is on the work list",
        [
            _is_quiet,
            none_of("orders", "orders", _OVERDUE_ORDERS, shifted=True),
            none_of("verification", "passes", _OVERDUE_PASSES, shifted=True),
            none_of("gateway-adapters", "operations", _OPEN_OPERATIONS),
            compared({"parked": _PARKED, "item": _ITEMS}, _judge_listed),
            none_of("settlement", "payouts", _PAYOUT_UNLISTED),
            none_of("settlement", "refunds", _REFUND_UNLISTED),
            none_of("settlement", "entitlements WHERE lapsed_at IS NOT NULL", _LAPSED_UNENDED),
            none_of("settlement", "postings WHERE kind = 'unexplained'", _UNEXPLAINED),
        ],
    ),
)
