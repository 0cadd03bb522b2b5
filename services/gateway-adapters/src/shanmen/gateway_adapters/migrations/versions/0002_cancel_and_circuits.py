"""Cancelling and circuits: abandoned operations, late truth, and channels that do not answer."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    for column in ("abandoned_at", "recheck_at"):
        op.add_column("operations", sa.Column(column, sa.DateTime(timezone=True)))
    op.create_check_constraint(
        op.f("operations_abandoned_is_never_sent_check"),
        "operations",
        "abandoned_at IS NULL OR (kind = 'debit' AND (status <> 'open' OR next_action <> 'send'))",
    )
    op.create_check_constraint(
        op.f("operations_recheck_at_check"),
        "operations",
        "recheck_at IS NULL OR status = 'failed'",
    )
    for name, columns, condition in (
        ("operations_recheck", ["channel", "recheck_at"], "recheck_at IS NOT NULL"),
        (
            op.f("operations_original_operation_id_ix"),
            ["original_operation_id"],
            "original_operation_id IS NOT NULL",
        ),
    ):
        op.create_index(name, "operations", columns, postgresql_where=sa.text(condition))
    op.create_table(
        "circuits",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True)),
        sa.Column("next_probe_at", sa.DateTime(timezone=True)),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "channel IN ('alipay', 'huijinbao')", name=op.f("circuits_channel_check")
        ),
        sa.CheckConstraint(
            "(opened_at IS NULL) = (next_probe_at IS NULL)",
            name=op.f("circuits_next_probe_at_check"),
        ),
        sa.PrimaryKeyConstraint("channel", name=op.f("circuits_pkey")),
    )


def downgrade() -> None:
    """Back."""
    op.drop_table("circuits")
    op.drop_index(op.f("operations_original_operation_id_ix"), table_name="operations")
    op.drop_index("operations_recheck", table_name="operations")
    for constraint in ("recheck_at", "abandoned_is_never_sent"):
        op.drop_constraint(op.f(f"operations_{constraint}_check"), "operations")
    for column in ("recheck_at", "abandoned_at"):
        op.drop_column("operations", column)
