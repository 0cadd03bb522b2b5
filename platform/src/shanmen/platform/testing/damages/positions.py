"""Invested money that is not where it should be, and what waits for it in vain."""

from typing import Final

from shanmen.platform.testing.damages.damage import Damage
from shanmen.platform.testing.damages.invested import (
    LIQUIDATED,
    LIQUIDATION,
    ON_SALE,
    REDEMPTION,
    SENT,
)

_REFUSED: Final = "SELECT entitlement_id FROM entitlements WHERE held_for = 'redemption'"
_RESOLVE: Final = """
UPDATE work_items SET status = 'resolved', resolution = 'so be it', resolved_at = now()
WHERE subject_id = :found
"""
_HOLD: Final = """
ALTER TABLE entitlements DROP CONSTRAINT entitlements_held_for_check;
UPDATE entitlements SET held_for = '{what}' WHERE {whose}
"""
_HOLD_FOUND: Final = _HOLD.format(what="{what}", whose="entitlement_id = :found")

_POSITIONS: Final = (
    Damage(
        "a product's wealth account is off by a fen",
        "M11",
        "settlement",
        ON_SALE,
        """
UPDATE entries SET debit_fen = debit_fen + 1 WHERE account = 'wealth:' || :found AND debit_fen > 0
""",
        facts="ledger_fen",
    ),
    Damage(
        "more came out of a product than went in",
        "M11",
        "settlement",
        LIQUIDATED,
        """
UPDATE wealth_moves SET principal_fen = principal_fen + 1
WHERE kind = 'liquidate' AND product_id = :found;
UPDATE entries SET credit_fen = credit_fen + 1 FROM postings p
WHERE p.posting_id = entries.posting_id AND p.kind = 'liquidation'
    AND account = 'wealth:' || :found
""",
        facts="redeemed_fen",
    ),
    Damage(
        "Huijinbao holds less for a product than is booked",
        "M11",
        "settlement",
        ON_SALE,
        """
UPDATE entries SET debit_fen = debit_fen + 1 WHERE account = 'wealth:' || :found AND debit_fen > 0
""",
        facts="Huijinbao holds",
    ),
    Damage(
        "Huijinbao holds money for a product that nothing is booked for",
        "M11",
        "settlement",
        ON_SALE,
        "DELETE FROM entries WHERE account = 'wealth:' || :found",
        facts="invested 0 fen, Huijinbao holds",
    ),
    Damage(
        "a yield is not booked",
        "M11",
        "settlement",
        "SELECT 'yield'",
        "DELETE FROM entries WHERE account = :found",
        facts="ledger_fen 0, ",
    ),
    Damage(
        "a yield is booked twice",
        "M11",
        "settlement",
        "SELECT account FROM entries WHERE account = 'yield' AND credit_fen > 0",
        "INSERT INTO entries SELECT * FROM entries WHERE account = :found",
        unchecked="entries",
        facts="ledger_fen",
    ),
    Damage(
        "a product has ended, and a subscription is still inside",
        "M11",
        "settlement",
        LIQUIDATED,
        "UPDATE wealth_moves SET liquidated_by = NULL WHERE product_id = :found",
        facts="ends_at",
    ),
    Damage(
        "a product has ended, its liquidation was refused, and nobody is asked to look",
        "M11",
        "settlement",
        LIQUIDATED,
        """
UPDATE wealth_moves SET liquidated_by = NULL WHERE product_id = :found;
UPDATE wealth_moves SET status = 'failed', reason = 'no', principal_fen = NULL, yield_fen = NULL
WHERE kind = 'liquidate' AND product_id = :found
""",
        facts="ends_at",
    ),
    Damage(
        "a product has ended, and its wealth account is not empty",
        "M11",
        "settlement",
        LIQUIDATED,
        """
DELETE FROM entries USING postings p WHERE p.posting_id = entries.posting_id
    AND p.kind = 'liquidation' AND account = 'wealth:' || :found
""",
        facts="left_fen",
    ),
)

_WAITING: Final = (
    Damage(
        "a payout waits to hear of a subscription that is done",
        "M11",
        "settlement",
        _REFUSED,
        _HOLD_FOUND.format(what="subscription"),
        facts="held_for subscription",
    ),
    Damage(
        "a payout waits for a redemption that is done",
        "M11",
        "settlement",
        f"SELECT entitlement_id FROM wealth_moves WHERE move_id = ({REDEMPTION})",
        _HOLD_FOUND.format(what="redemption"),
        facts="held_for redemption",
    ),
    Damage(
        "a payout waits for a liquidation that is not to come yet",
        "M11",
        "settlement",
        _REFUSED,
        f"""
UPDATE entitlements SET issued_at = issued_at - interval '1 h';
{_HOLD_FOUND.format(what="liquidation")}
""",
        facts="held_for liquidation",
    ),
    Damage(
        "a refund waits for a liquidation that is done",
        "M11",
        "settlement",
        f"""
SELECT entitlement_id FROM entitlements WHERE status = 'refunded'
    AND product_id = ({LIQUIDATED}) LIMIT 1
""",
        f"""
UPDATE wealth_moves SET finished_at = finished_at - interval '1 h';
{_HOLD_FOUND.format(what="liquidation")}
""",
        facts="held_for liquidation",
    ),
    Damage(
        "a subscription is parked without a work item",
        "M11",
        "settlement",
        "SELECT move_id FROM wealth_moves WHERE kind = 'subscribe' AND status = 'parked'",
        _RESOLVE,
        facts="status parked",
    ),
    Damage(
        "a payout waits for a refused redemption without a work item",
        "M11",
        "settlement",
        "SELECT move_id FROM wealth_moves WHERE kind = 'redeem' AND status = 'failed'",
        _RESOLVE,
        facts="status failed",
    ),
    Damage(
        "a refund waits for a refused liquidation without a work item",
        "M11",
        "settlement",
        LIQUIDATION,
        f"""
UPDATE wealth_moves SET status = 'failed', reason = 'no', principal_fen = NULL, yield_fen = NULL
WHERE move_id = :found;
{_HOLD.format(what="liquidation", whose="status = 'refunded'")}
""",
        facts="kind liquidate",
    ),
    Damage(
        "a visit need not wait any longer, and nobody pays it",
        "M7",
        "settlement",
        _REFUSED,
        "UPDATE entitlements SET held_for = NULL WHERE entitlement_id = :found",
        facts="unpaid_fen",
    ),
    Damage(
        "a subscription is parked at the channel, and its work item was closed",
        "S5",
        "settlement",
        "SELECT move_id FROM wealth_moves WHERE kind = 'subscribe' AND status = 'parked'",
        _RESOLVE,
        facts="a subscribe is parked",
    ),
    Damage(
        "a redemption is under way for ever",
        "S5",
        "gateway-adapters",
        SENT.format(kind="redeem"),
        """
UPDATE operations SET status = 'open', finished_at = NULL, principal_fen = NULL, yield_fen = NULL
WHERE operation_id = :found
""",
        facts="next_action",
    ),
)

DAMAGES: Final = (*_POSITIONS, *_WAITING)
