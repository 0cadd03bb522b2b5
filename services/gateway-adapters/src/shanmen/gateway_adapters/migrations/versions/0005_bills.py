"""Bills of the channels, as they came."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "bills",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("bill_date", sa.Date(), nullable=False),
        sa.Column("bill_type", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("sum_in_fen", sa.BigInteger(), nullable=False),
        sa.Column("sum_out_fen", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("channel IN ('alipay', 'huijinbao')", name=op.f("bills_channel_check")),
        sa.CheckConstraint(
            "rows >= 0 AND sum_in_fen >= 0 AND sum_out_fen >= 0", name=op.f("bills_totals_check")
        ),
        sa.CheckConstraint(
            "sha256 = encode(sha256(content), 'hex')", name=op.f("bills_sha256_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("bills_pkey")),
        sa.UniqueConstraint(
            "channel",
            "bill_date",
            "bill_type",
            "sha256",
            name=op.f("bills_channel_bill_date_bill_type_sha256_key"),
        ),
    )
    op.create_index("bills_newest", "bills", ["bill_date", "id"])


def downgrade() -> None:
    """Back."""
    op.drop_table("bills")
