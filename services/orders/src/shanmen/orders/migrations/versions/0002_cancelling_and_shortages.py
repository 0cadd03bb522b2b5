"""Debits under every number, shortages, cancels through the channel, refunds before the visit."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PARKED = (
    "status = 'awaiting_payment' AND debit_state IN ('short_of_funds', 'stuck')"
    " AND cancel_requested_at IS NULL"
)


def upgrade() -> None:
    """Forward."""
    _create_shortages_and_debits()
    _keep_debits_of_standing_orders()
    _let_orders_be_cancelled()
    _let_entitlements_be_refunded()
    _set_timeline_kinds("kind IN ('order', 'debit', 'cancel', 'refund')")


def downgrade() -> None:
    """Back. Timeline entries of kinds that were unknown before are lost."""
    op.execute("DELETE FROM order_timeline WHERE kind NOT IN ('order', 'debit')")
    _set_timeline_kinds("kind IN ('order', 'debit')")
    for column in ("refund_requested_at", "refunded_fen"):
        op.drop_column("entitlements", column)
    op.drop_index("orders_parked", "orders")
    for column in ("cancel_requested_at", "cancel_reason", "short_since"):
        op.drop_column("orders", column)
    op.drop_table("debits")
    op.drop_table("shortages")


def _create_shortages_and_debits() -> None:
    op.create_table(
        "shortages",
        sa.Column("shortage_id", sa.Text(), nullable=False),
        sa.Column("distributor_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("shortage_id", name=op.f("shortages_pkey")),
    )
    op.create_index(
        "shortages_open",
        "shortages",
        ["account_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "debits",
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_shortage_id", sa.Text(), nullable=True),
        sa.Column("told_stuck_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("orphaned_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["order_no"], ["orders.order_no"], name=op.f("debits_order_no_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["told_shortage_id"],
            ["shortages.shortage_id"],
            name=op.f("debits_told_shortage_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("operation_id", name=op.f("debits_pkey")),
    )


def _keep_debits_of_standing_orders() -> None:
    op.execute(
        "INSERT INTO debits (operation_id, order_no, asked_at)"
        " SELECT debit_operation_id, order_no, updated_at FROM orders"
        " WHERE debit_operation_id IS NOT NULL"
    )


def _let_orders_be_cancelled() -> None:
    op.add_column("orders", sa.Column("short_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("orders", sa.Column("cancel_reason", sa.Text(), nullable=True))
    op.add_column(
        "orders", sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.execute("UPDATE orders SET short_since = updated_at WHERE debit_state = 'short_of_funds'")
    checks = {
        "short_since": "short_since IS NULL OR debit_state = 'short_of_funds'",
        "cancel_has_reason": "(cancel_reason IS NULL) = (cancel_requested_at IS NULL)",
        "cancel_is_of_a_debit": "cancel_requested_at IS NULL OR debit_operation_id IS NOT NULL",
    }
    for name, condition in checks.items():
        op.create_check_constraint(op.f(f"orders_{name}_check"), "orders", condition)
    op.create_index(
        "orders_parked", "orders", ["payment_deadline"], postgresql_where=sa.text(_PARKED)
    )


def _let_entitlements_be_refunded() -> None:
    op.add_column("entitlements", sa.Column("refunded_fen", sa.BigInteger(), nullable=True))
    op.add_column(
        "entitlements", sa.Column("refund_requested_at", sa.DateTime(timezone=True), nullable=True)
    )
    checks = {
        "refunded_has_amount": "(settlement = 'refunded') = (refunded_fen IS NOT NULL)",
        "refunded_fen": "refunded_fen >= 0",
    }
    for name, condition in checks.items():
        op.create_check_constraint(op.f(f"entitlements_{name}_check"), "entitlements", condition)


def _set_timeline_kinds(condition: str) -> None:
    name = op.f("order_timeline_kind_check")
    op.drop_constraint(name, "order_timeline", type_="check")
    op.create_check_constraint(name, "order_timeline", condition)
