"""Where invested money is in the books: the rows that damages to it begin with."""

from typing import Final

INSIDE: Final = "kind = 'subscribe' AND status = 'done' AND liquidated_by IS NULL"
"""The subscription of the order whose product goes on."""
ON_SALE: Final = f"SELECT product_id FROM wealth_moves WHERE {INSIDE}"
LIQUIDATED: Final = "SELECT product_id FROM wealth_moves WHERE liquidated_by IS NOT NULL"
SUBSCRIPTION: Final = f"SELECT move_id FROM wealth_moves WHERE {INSIDE}"
REDEMPTION: Final = f"""
SELECT move_id FROM wealth_moves JOIN entitlements e USING (entitlement_id)
WHERE kind = 'redeem' AND wealth_moves.status = 'done' AND used_at IS NOT NULL
    AND e.product_id = ({ON_SALE}) ORDER BY move_id LIMIT 1
"""
LIQUIDATION: Final = "SELECT move_id FROM wealth_moves WHERE kind = 'liquidate'"
SENT: Final = """
SELECT operation_id FROM operations WHERE kind = '{kind}' AND status = 'succeeded' LIMIT 1
"""
