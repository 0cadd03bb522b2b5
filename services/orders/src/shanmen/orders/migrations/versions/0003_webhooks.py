"""Webhooks: endpoints, notices, deliveries."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PENDING = sa.text("status = 'pending'")


def upgrade() -> None:
    """Forward."""
    op.add_column("orders", sa.Column("notices", sa.Integer(), server_default="0", nullable=False))
    _create_endpoints()
    _create_events()
    _create_deliveries()


def downgrade() -> None:
    """Back."""
    for table in ("webhook_deliveries", "webhook_events", "webhook_endpoints"):
        op.drop_table(table)
    op.drop_column("orders", "notices")


def _create_endpoints() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("distributor_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("types", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("former_secret", sa.Text(), nullable=True),
        sa.Column("former_secret_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "enabled = (disabled_reason IS NULL)",
            name=op.f("webhook_endpoints_disabled_for_a_reason_check"),
        ),
        sa.CheckConstraint(
            "(former_secret IS NULL) = (former_secret_until IS NULL)",
            name=op.f("webhook_endpoints_former_secret_ends_check"),
        ),
        sa.CheckConstraint(
            "(deleted_at IS NULL) = (secret IS NOT NULL)"
            " AND (deleted_at IS NULL OR (former_secret IS NULL AND NOT enabled))",
            name=op.f("webhook_endpoints_deleted_keeps_no_secret_check"),
        ),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("webhook_endpoints_pkey")),
    )
    op.create_index(
        op.f("webhook_endpoints_distributor_id_endpoint_id_ix"),
        "webhook_endpoints",
        ["distributor_id", "endpoint_id"],
    )


def _create_events() -> None:
    op.create_table(
        "webhook_events",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("distributor_id", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("sequence > 0", name=op.f("webhook_events_sequence_check")),
        sa.ForeignKeyConstraint(
            ["order_no"], ["orders.order_no"], name=op.f("webhook_events_order_no_fkey")
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("webhook_events_pkey")),
        sa.UniqueConstraint(
            "order_no", "sequence", name=op.f("webhook_events_order_no_sequence_key")
        ),
    )
    op.create_index(
        op.f("webhook_events_distributor_id_event_id_ix"),
        "webhook_events",
        ["distributor_id", "event_id"],
    )
    op.create_index(op.f("webhook_events_occurred_at_ix"), "webhook_events", ["occurred_at"])


def _create_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("distributor_id", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("give_up_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('pending', 'delivered', 'given_up')",
            name=op.f("webhook_deliveries_status_check"),
        ),
        sa.CheckConstraint(
            "(status = 'pending') = (finished_at IS NULL)",
            name=op.f("webhook_deliveries_finished_at_check"),
        ),
        sa.CheckConstraint(
            "status <> 'delivered' OR attempts > 0",
            name=op.f("webhook_deliveries_delivered_by_an_attempt_check"),
        ),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["webhook_events.event_id"],
            name=op.f("webhook_deliveries_event_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["webhook_endpoints.endpoint_id"],
            name=op.f("webhook_deliveries_endpoint_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("webhook_deliveries_pkey")),
        postgresql_with={"fillfactor": "70"},
    )
    _index("webhook_deliveries_distributor_id_delivery_id_ix", ["distributor_id", "delivery_id"])
    _index("webhook_deliveries_event_id_ix", ["event_id"])
    _index(
        "webhook_deliveries_finished_at_ix",
        ["finished_at"],
        where=sa.text("finished_at IS NOT NULL"),
    )
    _index("webhook_deliveries_pending", ["endpoint_id", "order_no", "position"], where=_PENDING)
    _index("webhook_deliveries_due", ["endpoint_id", "next_attempt_at"], where=_PENDING)
    _index(
        "webhook_deliveries_once_at_a_time",
        ["event_id", "endpoint_id"],
        where=_PENDING,
        unique=True,
    )


def _index(
    name: str,
    columns: list[str],
    *,
    where: sa.TextClause | None = None,
    unique: bool = False,
) -> None:
    op.create_index(
        op.f(name), "webhook_deliveries", columns, unique=unique, postgresql_where=where
    )
