"""Combined products: the spots' consents, and what only such a product may do."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.add_column(
        "products",
        sa.Column("allow_negative_margin", sa.Boolean(), server_default="false", nullable=False),
    )
    op.add_column(
        "products", sa.Column("terms_version", sa.Integer(), server_default="1", nullable=False)
    )
    op.create_check_constraint(
        op.f("products_of_combined_only_check"),
        "products",
        "kind = 'combined' OR NOT (invests OR allow_negative_margin)",
    )
    op.create_check_constraint(
        op.f("products_terms_version_check"), "products", "terms_version BETWEEN 1 AND version"
    )
    op.create_table(
        "consents",
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("spot_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("settle_fen", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "status IN ('asked', 'accepted', 'withdrawn')", name=op.f("consents_status_check")
        ),
        sa.CheckConstraint(
            "(status = 'asked') = (answered_at IS NULL)"
            " AND (answered_at IS NULL) = (answered_by IS NULL)",
            name=op.f("consents_answer_check"),
        ),
        sa.CheckConstraint("settle_fen >= 0", name=op.f("consents_settle_fen_check")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.product_id"], name=op.f("consents_product_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["spot_id"], ["parties.party_id"], name=op.f("consents_spot_id_fkey")
        ),
        sa.PrimaryKeyConstraint("product_id", "spot_id", "version", name=op.f("consents_pkey")),
    )


def downgrade() -> None:
    """Back."""
    op.drop_table("consents")
    for column in ("terms_version", "allow_negative_margin"):
        op.drop_column("products", column)
