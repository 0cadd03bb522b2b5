"""Moves of invested money that are not what an order, a visit or a refund asks for."""

from typing import Final

from shanmen.platform.testing.damages.damage import Damage
from shanmen.platform.testing.damages.invested import (
    INSIDE,
    LIQUIDATION,
    ON_SALE,
    REDEMPTION,
    SENT,
    SUBSCRIPTION,
)

_AGAIN: Final = """
CREATE TEMP TABLE again AS SELECT * FROM wealth_moves WHERE {whose} = :found AND kind = '{kind}';
UPDATE again SET move_id = 'again';
INSERT INTO wealth_moves SELECT * FROM again
"""

_MOVES: Final = (
    Damage(
        "an order's money was forgotten to be invested",
        "M11",
        "settlement",
        f"SELECT order_no FROM wealth_moves WHERE {INSIDE}",
        "DELETE FROM wealth_moves WHERE kind = 'subscribe' AND order_no = :found",
        facts="price_fen",
    ),
    Damage(
        "another amount is invested than was paid",
        "M11",
        "settlement",
        SUBSCRIPTION,
        "UPDATE wealth_moves SET amount_fen = amount_fen + 1 WHERE move_id = :found",
        facts="price_fen",
    ),
    Damage(
        "an order is invested whose product does not say so",
        "M11",
        "settlement",
        SUBSCRIPTION,
        """
UPDATE debits SET invests = false FROM wealth_moves m
WHERE m.order_no = debits.order_no AND m.move_id = :found
""",
        facts="invests False",
    ),
    Damage(
        "an order is invested for another product",
        "M11",
        "settlement",
        SUBSCRIPTION,
        "UPDATE wealth_moves SET product_id = 'prd_other' WHERE move_id = :found",
        facts="product_id prd_other, amount_fen",
    ),
    Damage(
        "a part of an invested order does not know that it is",
        "M11",
        "settlement",
        f"SELECT entitlement_id FROM wealth_moves WHERE move_id = ({REDEMPTION})",
        "UPDATE entitlements SET invests = false WHERE entitlement_id = :found",
        facts="order_invests True",
    ),
    Damage(
        "an order is invested twice",
        "M11",
        "settlement",
        f"SELECT order_no FROM wealth_moves WHERE {INSIDE}",
        _AGAIN.format(whose="order_no", kind="subscribe"),
        unchecked="wealth_moves",
        facts="subscriptions 2",
    ),
    Damage(
        "a visit takes out another amount than its spot costs",
        "M11",
        "settlement",
        REDEMPTION,
        "UPDATE wealth_moves SET amount_fen = amount_fen + 1 WHERE move_id = :found",
        facts="settle_fen",
    ),
    Damage(
        "money came out for a part that nobody visited",
        "M11",
        "settlement",
        REDEMPTION,
        """
UPDATE wealth_moves SET entitlement_id = e.entitlement_id FROM entitlements e
WHERE move_id = :found AND e.order_no = wealth_moves.order_no
    AND e.used_at IS NULL AND e.lapsed_at IS NULL
""",
        facts="settle_fen",
    ),
    Damage(
        "money came out for a part that is forfeited",
        "M11",
        "settlement",
        f"""
SELECT move_id FROM wealth_moves JOIN entitlements e USING (entitlement_id)
WHERE kind = 'redeem' AND e.status = 'refunded' AND e.product_id = ({ON_SALE})
""",
        """
UPDATE entitlements SET status = 'forfeited' FROM wealth_moves m
WHERE m.entitlement_id = entitlements.entitlement_id AND move_id = :found
""",
        facts="settle_fen",
    ),
    Damage(
        "money came out for an order that is not invested",
        "M11",
        "settlement",
        REDEMPTION,
        """
UPDATE wealth_moves SET status = 'failed', reason = 'no', principal_fen = NULL, yield_fen = NULL
WHERE kind = 'subscribe' AND order_no =
    (SELECT order_no FROM wealth_moves WHERE move_id = :found)
""",
        facts="subscription failed",
    ),
    Damage(
        "a part came out twice",
        "M11",
        "settlement",
        f"SELECT entitlement_id FROM wealth_moves WHERE move_id = ({REDEMPTION})",
        _AGAIN.format(whose="entitlement_id", kind="redeem"),
        unchecked="wealth_moves",
        facts="redemptions 2",
    ),
    Damage(
        "a visited part never came out",
        "M11",
        "settlement",
        f"SELECT entitlement_id FROM wealth_moves WHERE move_id = ({REDEMPTION})",
        "DELETE FROM wealth_moves WHERE entitlement_id = :found",
        facts="invested_by",
    ),
    Damage(
        "a refunded part never came out",
        "M11",
        "settlement",
        f"""
SELECT entitlement_id FROM entitlements WHERE status = 'refunded' AND product_id = ({ON_SALE})
""",
        "DELETE FROM wealth_moves WHERE entitlement_id = :found",
        facts="invested_by",
    ),
    Damage(
        "the channel was never asked for a liquidation that is done",
        "M11",
        "gateway-adapters",
        SENT.format(kind="liquidate"),
        "DELETE FROM operations WHERE operation_id = :found",
        facts="no operation at the gateway",
    ),
    Damage(
        "the channel was asked for a liquidation that nobody wants",
        "M11",
        "settlement",
        LIQUIDATION,
        "DELETE FROM wealth_moves WHERE move_id = :found",
        facts="nobody wants",
    ),
    Damage(
        "a redemption is done here, and was refused there",
        "M11",
        "gateway-adapters",
        SENT.format(kind="redeem"),
        """
UPDATE operations SET status = 'failed', principal_fen = NULL, yield_fen = NULL
WHERE operation_id = :found
""",
        facts="done here, failed at the gateway",
    ),
    Damage(
        "a redemption was for another product there",
        "M11",
        "gateway-adapters",
        SENT.format(kind="redeem"),
        "UPDATE operations SET business_ref = 'prd_other' WHERE operation_id = :found",
        facts="prd_other at the gateway",
    ),
    Damage(
        "a redemption was a subscription there",
        "M11",
        "settlement",
        REDEMPTION,
        "UPDATE wealth_moves SET kind = 'subscribe', entitlement_id = NULL WHERE move_id = :found",
        unchecked="wealth_moves",
        facts="kind subscribe here, redeem at the gateway",
    ),
    Damage(
        "a redemption was of another amount there",
        "M11",
        "gateway-adapters",
        SENT.format(kind="redeem"),
        "UPDATE operations SET amount_fen = amount_fen + 1 WHERE operation_id = :found",
        facts="amount_fen",
    ),
    Damage(
        "what came out was principal here, and yield there",
        "M11",
        "gateway-adapters",
        SENT.format(kind="liquidate"),
        """
UPDATE operations SET principal_fen = principal_fen - 1, yield_fen = yield_fen + 1
WHERE operation_id = :found
""",
        facts="yield_fen",
    ),
    Damage(
        "less principal went in than the channel took",
        "M11",
        "settlement",
        SUBSCRIPTION,
        "UPDATE wealth_moves SET principal_fen = principal_fen - 1 WHERE move_id = :found",
        facts="principal_fen",
    ),
)

_CHANNEL: Final = (
    Damage(
        "a subscription that Huijinbao carried out is forgotten",
        "M3",
        "gateway-adapters",
        SENT.format(kind="subscribe"),
        "DELETE FROM operations WHERE operation_id = :found",
        facts="never used",
    ),
    Damage(
        "a subscription is taken for refused",
        "M3",
        "gateway-adapters",
        SENT.format(kind="subscribe"),
        "UPDATE operations SET status = 'failed' WHERE operation_id = :found",
        facts="subscribe failed",
    ),
    Damage(
        "a liquidation brought in another yield than Huijinbao's",
        "M3",
        "gateway-adapters",
        SENT.format(kind="liquidate"),
        "UPDATE operations SET yield_fen = yield_fen + 1 WHERE operation_id = :found",
        facts="liquidate succeeded",
    ),
    Damage(
        "a redemption was a payment at Huijinbao",
        "M3",
        "gateway-adapters",
        "SELECT operation_id FROM operations WHERE kind = 'debit' AND channel = 'huijinbao'",
        """
UPDATE operations SET kind = 'redeem', account_id = NULL WHERE operation_id = :found
""",
        facts="redeem: huijinbao has 1 of pay",
    ),
    Damage(
        "Huijinbao's wealth product holds what we never put in",
        "M2",
        "gateway-adapters",
        "SELECT 'wealth products'",
        """
UPDATE operations SET amount_fen = amount_fen + 1 WHERE operation_id = (SELECT operation_id
    FROM operations WHERE kind = 'subscribe' AND status = 'succeeded' LIMIT 1)
""",
        facts="we moved",
    ),
    Damage(
        "what was invested is not booked",
        "M2",
        "settlement",
        "SELECT 'cash:huijinbao'",
        """
DELETE FROM entries USING postings p WHERE p.posting_id = entries.posting_id
    AND p.kind = 'subscription' AND account = :found
""",
        facts="ledger",
    ),
)

DAMAGES: Final = (*_MOVES, *_CHANNEL)
