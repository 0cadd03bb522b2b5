"""Who holds an operator's token; until now that was its label."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "persons",
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("person", name=op.f("persons_pkey")),
    )
    op.add_column("credentials", sa.Column("person", sa.Text(), nullable=True))
    op.execute(
        "INSERT INTO persons (person)"
        " SELECT DISTINCT label FROM credentials WHERE kind = 'operator'"
    )
    op.execute("UPDATE credentials SET person = label WHERE kind = 'operator'")
    op.create_foreign_key(
        op.f("credentials_person_fkey"), "credentials", "persons", ["person"], ["person"]
    )
    op.create_check_constraint(
        op.f("credentials_person_check"),
        "credentials",
        "(kind = 'operator') = (person IS NOT NULL)",
    )


def downgrade() -> None:
    """Back."""
    op.drop_column("credentials", "person")
    op.drop_table("persons")
