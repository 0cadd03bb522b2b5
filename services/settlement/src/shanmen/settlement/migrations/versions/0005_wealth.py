"""Invested money: its moves, what waits for them, and new kinds of work."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | Sequence[str] | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

PRODUCT_OF_DEBITS = """
UPDATE debits SET product_id = sold.product_id
FROM (SELECT DISTINCT ON (order_no) order_no, product_id FROM entitlements) AS sold
WHERE sold.order_no = debits.order_no
"""

FAMILIES = "'debit', 'payout', 'refund'"
NEW_FAMILIES = "'subscribe', 'redeem', 'liquidate', 'break'"
KINDS = (
    "'debit_short', 'debit_stuck', 'payout_short', 'payout_stuck', 'payout_refused',"
    " 'refund_short', 'refund_stuck', 'refund_refused'"
)
NEW_KINDS = (
    "'subscribe_short', 'subscribe_stuck', 'subscribe_refused', 'redeem_short', 'redeem_stuck',"
    " 'redeem_refused', 'liquidate_short', 'liquidate_stuck', 'liquidate_refused',"
    " 'break_missing_here', 'break_missing_there', 'break_amount', 'break_status'"
)
ACTIONS = "'retry', 'remit', 'refund', 'settle_outside', 'resolve', 'top_up', 'correct'"
NEW_ACTIONS = "'release', 'adjust'"

WAITING = "used_at IS NOT NULL AND payout_id IS NULL AND settled_at IS NULL"
HELD_FOR = (
    "held_for IS NULL OR (invests AND (used_at IS NOT NULL OR lapsed_at IS NOT NULL)"
    " AND status IN ('pending', 'settle_failed', 'refund_failed') AND payout_id IS NULL"
    " AND held_for IN ('subscription', 'redemption', 'liquidation'))"
)


def upgrade() -> None:
    """Bring the schema to this revision."""
    _extend_debits()
    _extend_entitlements()
    _create_wealth_moves()
    op.create_table(
        "accruals",
        sa.Column("product_id", sa.Text(), primary_key=True),
        sa.Column("principal_fen", sa.BigInteger(), nullable=False),
        sa.Column("accrued_fen", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "principal_fen >= 0 AND accrued_fen >= 0", name=op.f("accruals_amounts_check")
        ),
    )
    _set("work_items", "family", f"family IN ({FAMILIES}, {NEW_FAMILIES})")
    _set("work_items", "kind", f"kind IN ({KINDS}, {NEW_KINDS})")
    _set("manual_actions", "action", f"action IN ({ACTIONS}, {NEW_ACTIONS})")


def _extend_debits() -> None:
    op.add_column("debits", sa.Column("product_id", sa.Text(), nullable=True))
    op.add_column(
        "debits", sa.Column("product_name", sa.Text(), nullable=False, server_default="")
    )
    op.add_column("debits", sa.Column("kind", sa.Text(), nullable=False, server_default="single"))
    op.add_column(
        "debits", sa.Column("invests", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.execute(PRODUCT_OF_DEBITS)
    op.create_check_constraint(
        op.f("debits_kind_check"), "debits", "kind IN ('single', 'combined')"
    )
    op.create_index("debits_of_product_ix", "debits", ["product_id", "paid_at"])


def _extend_entitlements() -> None:
    op.add_column("entitlements", sa.Column("expires_at", sa.DateTime(timezone=True)))
    op.add_column(
        "entitlements",
        sa.Column("invests", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("entitlements", sa.Column("held_for", sa.Text()))
    op.create_check_constraint(op.f("entitlements_held_for_check"), "entitlements", HELD_FOR)
    op.create_index("entitlements_of_product_ix", "entitlements", ["product_id", "entitlement_id"])
    op.create_index(
        "entitlements_invested_ix",
        "entitlements",
        ["product_id", "expires_at"],
        postgresql_where=sa.text("invests"),
    )
    op.create_index(
        "entitlements_held_ix",
        "entitlements",
        ["product_id", "order_no"],
        postgresql_where=sa.text("held_for IS NOT NULL"),
    )
    _set_waiting(f"{WAITING} AND held_for IS NULL")


def _create_wealth_moves() -> None:
    op.create_table(
        "wealth_moves",
        sa.Column("move_id", sa.Text(), primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text()),
        sa.Column("entitlement_id", sa.Text()),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("principal_fen", sa.BigInteger()),
        sa.Column("yield_fen", sa.BigInteger()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("liquidated_by", sa.Text()),
        sa.Column("replaced_by", sa.Text()),
        *_checks_of_wealth_moves(),
    )
    indexes = (
        ("of_order", ["order_no"], "kind = 'subscribe' AND replaced_by IS NULL"),
        ("of_entitlement", ["entitlement_id"], "kind = 'redeem' AND replaced_by IS NULL"),
        (
            "liquidating",
            ["product_id"],
            "kind = 'liquidate' AND replaced_by IS NULL AND status IN ('requested', 'parked')",
        ),
    )
    for name, columns, condition in indexes:
        op.create_index(
            f"wealth_moves_{name}_ix",
            "wealth_moves",
            columns,
            unique=True,
            postgresql_where=sa.text(condition),
        )
    op.create_index(
        "wealth_moves_of_product_ix", "wealth_moves", ["product_id", "kind", "move_id"]
    )
    op.create_index(
        "wealth_moves_invested_ix",
        "wealth_moves",
        ["product_id"],
        postgresql_where=sa.text(
            "kind = 'subscribe' AND status = 'done' AND liquidated_by IS NULL"
        ),
    )
    op.create_index(
        "wealth_moves_under_way_ix",
        "wealth_moves",
        ["product_id", "kind"],
        postgresql_where=sa.text("status IN ('requested', 'parked')"),
    )


def _checks_of_wealth_moves() -> list[sa.CheckConstraint]:
    conditions = {
        "kind": "kind IN ('subscribe', 'redeem', 'liquidate')",
        "status": "status IN ('requested', 'done', 'parked', 'failed')",
        "amount": "(amount_fen > 0) = (kind <> 'liquidate') AND amount_fen >= 0",
        "subject": "(order_no IS NOT NULL) = (kind <> 'liquidate')"
        " AND (entitlement_id IS NOT NULL) = (kind = 'redeem')",
        "finished": "(finished_at IS NOT NULL) = (status IN ('done', 'failed'))",
        "reason": "(reason IS NOT NULL) = (status IN ('parked', 'failed'))",
        "moved": "(principal_fen IS NOT NULL) = (status = 'done')"
        " AND (yield_fen IS NOT NULL) = (status = 'done')"
        " AND principal_fen >= 0 AND yield_fen >= 0",
        "liquidated": "liquidated_by IS NULL OR (kind = 'subscribe' AND status = 'done')",
        "replaced": "replaced_by IS NULL OR status IN ('failed', 'done')",
    }
    return [
        sa.CheckConstraint(condition, name=op.f(f"wealth_moves_{name}_check"))
        for name, condition in conditions.items()
    ]


def downgrade() -> None:
    """Go back to the revision before; impossible while new kinds of work are kept."""
    _set("manual_actions", "action", f"action IN ({ACTIONS})")
    _set("work_items", "kind", f"kind IN ({KINDS})")
    _set("work_items", "family", f"family IN ({FAMILIES})")
    op.drop_table("accruals")
    op.drop_table("wealth_moves")
    _set_waiting(WAITING)
    op.drop_index("entitlements_held_ix", table_name="entitlements")
    op.drop_index("entitlements_invested_ix", table_name="entitlements")
    op.drop_index("entitlements_of_product_ix", table_name="entitlements")
    op.drop_constraint(op.f("entitlements_held_for_check"), "entitlements", type_="check")
    for column in ("held_for", "invests", "expires_at"):
        op.drop_column("entitlements", column)
    op.drop_index("debits_of_product_ix", table_name="debits")
    op.drop_constraint(op.f("debits_kind_check"), "debits", type_="check")
    for column in ("invests", "kind", "product_name", "product_id"):
        op.drop_column("debits", column)


def _set(table: str, name: str, condition: str) -> None:
    constraint = op.f(f"{table}_{name}_check")
    op.drop_constraint(constraint, table, type_="check")
    op.create_check_constraint(constraint, table, condition)


def _set_waiting(condition: str) -> None:
    op.drop_index("entitlements_waiting_ix", table_name="entitlements")
    op.create_index(
        "entitlements_waiting_ix",
        "entitlements",
        ["spot_id", "account_id"],
        postgresql_where=sa.text(condition),
    )
