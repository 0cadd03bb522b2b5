"""Refunds, orphaned debits, and payouts that take the place of refused ones."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The debit is locked first: two refunds of it at once would not see each other.
REFUSE_EXCESS = """
CREATE FUNCTION refuse_refund_beyond_debit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    debited_fen bigint;
BEGIN
    IF NEW.entitlement_id IS NULL THEN
        SELECT amount_fen INTO debited_fen FROM orphaned_debits
        WHERE operation_id = NEW.original_operation_id FOR NO KEY UPDATE;
    ELSE
        SELECT price_fen + fee_fen INTO debited_fen FROM debits
        WHERE operation_id = NEW.original_operation_id FOR NO KEY UPDATE;
    END IF;
    IF coalesce(debited_fen, 0) < (
        SELECT sum(amount_fen) FROM refunds
        WHERE original_operation_id = NEW.original_operation_id AND live
    ) THEN
        RAISE EXCEPTION 'refunds of % exceed what was debited', NEW.original_operation_id
            USING ERRCODE = 'check_violation', TABLE = 'refunds',
                  CONSTRAINT = 'refunds_within_debit';
    END IF;
    RETURN NULL;
END $$
"""
REFUNDS_WITHIN_DEBIT = """
CREATE TRIGGER refunds_within_debit
AFTER INSERT OR UPDATE OF amount_fen, live, original_operation_id, entitlement_id ON refunds
FOR EACH ROW EXECUTE FUNCTION refuse_refund_beyond_debit()
"""


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.create_table(
        "orphaned_debits",
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("distributor_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("debited_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refunded_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount_fen > 0", name=op.f("orphaned_debits_amount_check")),
        sa.PrimaryKeyConstraint("operation_id", name=op.f("orphaned_debits_pkey")),
    )
    op.create_table(
        "closed_orders",
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("debit_operation_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("order_no", name=op.f("closed_orders_pkey")),
    )
    _change_entitlements()
    _create_refunds()
    op.add_column(
        "payout_lines", sa.Column("live", sa.Boolean(), server_default=sa.true(), nullable=False)
    )
    op.drop_constraint(op.f("payout_lines_entitlement_id_key"), "payout_lines", type_="unique")
    op.create_index(
        "payout_lines_live_ix",
        "payout_lines",
        ["entitlement_id"],
        unique=True,
        postgresql_where=sa.text("live"),
    )


def _change_entitlements() -> None:
    for column in (
        sa.Column("refund_on_expiry", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("refunds_fee", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("lapsed_at", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("entitlements", column)
    op.create_check_constraint(
        op.f("entitlements_used_or_lapsed_check"),
        "entitlements",
        "used_at IS NULL OR lapsed_at IS NULL",
    )
    op.create_check_constraint(
        op.f("entitlements_lapsed_check"),
        "entitlements",
        "lapsed_at IS NOT NULL OR status NOT IN ('refunded', 'refund_failed', 'forfeited')",
    )


def _create_refunds() -> None:
    op.create_table(
        "refunds",
        sa.Column("refund_id", sa.Text(), nullable=False),
        sa.Column("entitlement_id", sa.Text(), nullable=True),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("distributor_id", sa.Text(), nullable=False),
        sa.Column("original_operation_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("part_fen", sa.BigInteger(), nullable=False),
        sa.Column("fee_fen", sa.BigInteger(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("live", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("part_fen >= 0 AND fee_fen >= 0", name=op.f("refunds_amounts_check")),
        sa.CheckConstraint("amount_fen = part_fen + fee_fen", name=op.f("refunds_sum_check")),
        sa.CheckConstraint(
            "amount_fen > 0 OR status = 'refunded'", name=op.f("refunds_nothing_due_check")
        ),
        sa.CheckConstraint(
            "status IN ('requested', 'refunded', 'parked', 'failed')",
            name=op.f("refunds_status_check"),
        ),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (status IN ('refunded', 'failed'))",
            name=op.f("refunds_finished_check"),
        ),
        sa.CheckConstraint(
            "(reason IS NOT NULL) = (status IN ('parked', 'failed'))",
            name=op.f("refunds_reason_check"),
        ),
        sa.CheckConstraint("live OR status = 'failed'", name=op.f("refunds_live_check")),
        sa.ForeignKeyConstraint(
            ["entitlement_id"],
            ["entitlements.entitlement_id"],
            name=op.f("refunds_entitlement_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("refund_id", name=op.f("refunds_pkey")),
    )
    op.create_index(
        "refunds_of_entitlement_ix",
        "refunds",
        ["entitlement_id"],
        unique=True,
        postgresql_where=sa.text("live AND entitlement_id IS NOT NULL"),
    )
    op.create_index(
        "refunds_of_orphan_ix",
        "refunds",
        ["original_operation_id"],
        unique=True,
        postgresql_where=sa.text("live AND entitlement_id IS NULL"),
    )
    op.create_index("refunds_of_order_ix", "refunds", ["order_no", "refund_id"])
    op.create_index("refunds_of_distributor_ix", "refunds", ["distributor_id", "refund_id"])
    op.create_index(
        "refunds_of_debit_ix",
        "refunds",
        ["original_operation_id"],
        postgresql_where=sa.text("live"),
    )
    op.execute(REFUSE_EXCESS)
    op.execute(REFUNDS_WITHIN_DEBIT)


def downgrade() -> None:
    """Go back to the revision before."""
    op.drop_index("payout_lines_live_ix", "payout_lines")
    op.create_unique_constraint(
        op.f("payout_lines_entitlement_id_key"), "payout_lines", ["entitlement_id"]
    )
    op.drop_column("payout_lines", "live")
    op.drop_table("refunds")
    op.execute("DROP FUNCTION refuse_refund_beyond_debit()")
    for name in ("lapsed", "used_or_lapsed"):
        op.drop_constraint(op.f(f"entitlements_{name}_check"), "entitlements", type_="check")
    for name in ("lapsed_at", "refunds_fee", "refund_on_expiry"):
        op.drop_column("entitlements", name)
    op.drop_table("closed_orders")
    op.drop_table("orphaned_debits")
