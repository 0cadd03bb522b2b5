"""Settlement accounts become the default again, and another name is another account."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = ["party_id", "role", "channel", "account_no"]


def upgrade() -> None:
    """Forward. Until now an account was the default from its registration on."""
    op.add_column(
        "accounts",
        sa.Column(
            "default_since",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
    )
    op.execute("UPDATE accounts SET default_since = created_at")
    _tell_apart_by([*COLUMNS, "account_name", "agreement_no"])


def downgrade() -> None:
    """Back, unless a party has an account under two names."""
    _tell_apart_by([*COLUMNS, "agreement_no"])
    op.drop_column("accounts", "default_since")


def _tell_apart_by(columns: list[str]) -> None:
    op.drop_constraint("accounts_same_twice", "accounts")
    op.create_unique_constraint(
        "accounts_same_twice", "accounts", columns, postgresql_nulls_not_distinct=True
    )
