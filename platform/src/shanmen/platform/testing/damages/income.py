"""Income that is not what its product earned."""

from typing import Final

from shanmen.platform.testing.damages.damage import Damage
from shanmen.platform.testing.damages.invested import LIQUIDATED, ON_SALE, REDEMPTION

DAMAGES: Final = (
    Damage(
        "an income belongs to no product",
        "M12",
        "settlement",
        "SELECT key FROM postings WHERE kind = 'admission' LIMIT 1",
        "DELETE FROM entitlements WHERE 'admission:' || entitlement_id = :found",
        facts="income_fen",
    ),
    Damage(
        "a product's margin is off by a fen",
        "M12",
        "settlement",
        ON_SALE,
        """
UPDATE entries SET credit_fen = credit_fen + 1 FROM postings p JOIN entitlements e
    ON p.key = 'admission:' || e.entitlement_id
WHERE p.posting_id = entries.posting_id AND account = 'margin' AND e.product_id = :found
""",
        facts="ledger_fen",
    ),
    Damage(
        "a product's fees are off by a fen",
        "M12",
        "settlement",
        ON_SALE,
        "UPDATE debits SET fee_fen = fee_fen + 1 WHERE product_id = :found",
        facts="ledger_fen",
    ),
    Damage(
        "a product's yield is off by a fen",
        "M12",
        "settlement",
        LIQUIDATED,
        """
UPDATE wealth_moves SET yield_fen = yield_fen + 1
WHERE kind = 'liquidate' AND product_id = :found
""",
        facts="ledger_fen",
    ),
    Damage(
        "what a product kept of an expired ticket is no income",
        "M12",
        "settlement",
        "SELECT product_id FROM entitlements WHERE status = 'forfeited'",
        """
DELETE FROM entries USING postings p WHERE p.posting_id = entries.posting_id
    AND p.kind = 'forfeit' AND account = 'margin'
""",
        facts="ledger_fen",
    ),
    Damage(
        "a visit's income is another product's than was sold",
        "M12",
        "settlement",
        f"SELECT entitlement_id FROM wealth_moves WHERE move_id = ({REDEMPTION})",
        "UPDATE entitlements SET product_id = 'prd_other' WHERE entitlement_id = :found",
        facts="sold",
    ),
)
