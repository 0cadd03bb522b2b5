"""What products earn: every fen of income has a product, and the facts add up to the ledger."""

from collections.abc import Sequence
from typing import Final

from shanmen.platform.checks.invariants import Invariant, none_of
from shanmen.platform.checks.ledger import IS_GIVEN_BACK

_OF_PRODUCTS: Final = """
SELECT key, d.product_id FROM postings JOIN debits d ON key = 'debit:' || d.operation_id
UNION ALL
SELECT key, product_id FROM postings
    JOIN entitlements ON key IN ('admission:' || entitlement_id, 'forfeit:' || entitlement_id)
UNION ALL
SELECT key, product_id FROM postings
    JOIN refunds ON key IN ('refund:' || refund_id, 'refund_outside:' || refund_id)
    JOIN entitlements USING (entitlement_id)
UNION ALL
SELECT key, product_id FROM postings JOIN wealth_moves
    ON key IN ('subscription:' || move_id, 'redemption:' || move_id, 'liquidation:' || move_id)
"""
"""The product that each posting belongs to, if it belongs to one."""

_NOBODYS: Final = f"""
WITH owned AS ({_OF_PRODUCTS})
SELECT p.key, p.kind, sum(e.credit_fen - e.debit_fen) AS income_fen
FROM postings p JOIN entries e USING (posting_id)
WHERE e.account IN ('fees', 'margin', 'yield') AND p.kind <> 'clearing'
    AND NOT EXISTS (SELECT FROM owned WHERE owned.key = p.key)
GROUP BY p.key, p.kind
"""
_ANOTHERS: Final = """
SELECT e.entitlement_id, e.order_no, e.product_id, d.product_id AS sold
FROM entitlements e JOIN debits d USING (order_no) WHERE e.product_id <> d.product_id
"""
_PROFITS: Final = f"""
WITH owned AS ({_OF_PRODUCTS}), ledger AS (
    SELECT product_id, sum(e.credit_fen - e.debit_fen) AS ledger_fen
    FROM owned JOIN postings p USING (key) JOIN entries e USING (posting_id)
    WHERE e.account IN ('fees', 'margin', 'yield') AND product_id IS NOT NULL GROUP BY product_id
), facts AS (
    SELECT product_id, sum(fen) AS facts_fen FROM (
        SELECT product_id, fee_fen AS fen FROM debits WHERE product_id IS NOT NULL
        UNION ALL
        SELECT product_id, CASE WHEN used_at IS NOT NULL
            THEN part_fen - settle_fen + settlement_fee_fen
            WHEN status = 'forfeited' THEN part_fen ELSE 0 END FROM entitlements
        UNION ALL
        SELECT e.product_id, -r.fee_fen FROM refunds r JOIN entitlements e USING (entitlement_id)
        WHERE {IS_GIVEN_BACK}
        UNION ALL
        SELECT product_id, yield_fen FROM wealth_moves WHERE status = 'done'
    ) AS facts GROUP BY product_id
)
SELECT product_id, facts_fen, ledger_fen FROM facts FULL JOIN ledger USING (product_id)
WHERE coalesce(facts_fen, 0) <> coalesce(ledger_fen, 0)
"""

INVARIANTS: Final[Sequence[Invariant]] = (
    Invariant(
        "M12",
        "What products earn is what the ledger has earned, to the fen",
        [
            none_of("settlement", "postings", _NOBODYS),
            none_of("settlement", "entitlements", _ANOTHERS),
            none_of("settlement", "debits", _PROFITS),
        ],
    ),
)
