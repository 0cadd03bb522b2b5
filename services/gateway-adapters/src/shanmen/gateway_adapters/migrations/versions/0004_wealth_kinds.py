"""Wealth: subscriptions, redemptions and liquidations on the platform's own account."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NEW_CHECKS: Final = {
    "kind": "kind IN ('debit', 'payout', 'refund', 'subscribe', 'redeem', 'liquidate')",
    "amount_fen": "amount_fen >= 0 AND (amount_fen = 0) = (kind = 'liquidate')",
    "wealth_is_the_platforms_own": (
        "(account_id IS NULL) = (kind IN ('subscribe', 'redeem', 'liquidate'))"
    ),
    "wealth_is_huijinbaos": (
        "kind NOT IN ('subscribe', 'redeem', 'liquidate') OR channel = 'huijinbao'"
    ),
    "proceeds": (
        "(principal_fen IS NULL) = (yield_fen IS NULL) AND principal_fen >= 0 AND yield_fen >= 0"
        " AND (principal_fen IS NULL OR kind IN ('redeem', 'liquidate'))"
    ),
    "liquidated_is_known": (
        "kind <> 'liquidate' OR status <> 'succeeded' OR principal_fen IS NOT NULL"
    ),
}
OLD_CHECKS: Final = {
    "kind": "kind IN ('debit', 'payout', 'refund')",
    "amount_fen": "amount_fen > 0",
}


def upgrade() -> None:
    """Forward."""
    for column in ("principal_fen", "yield_fen"):
        op.add_column("operations", sa.Column(column, sa.BigInteger()))
    op.alter_column("operations", "account_id", nullable=True)
    _replace_checks(OLD_CHECKS, NEW_CHECKS)


def downgrade() -> None:
    """Back; refused by the checks while there are operations of the new kinds."""
    _replace_checks(NEW_CHECKS, OLD_CHECKS)
    op.alter_column("operations", "account_id", nullable=False)
    for column in ("yield_fen", "principal_fen"):
        op.drop_column("operations", column)


def _replace_checks(old: dict[str, str], new: dict[str, str]) -> None:
    for name in old:
        op.drop_constraint(op.f(f"operations_{name}_check"), "operations")
    for name, condition in new.items():
        op.create_check_constraint(op.f(f"operations_{name}_check"), "operations", condition)
