"""Orders, tickets and the event layer's own tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    _create_event_layer()
    _create_orders()
    _create_tickets()


def downgrade() -> None:
    """Back."""
    for table in (
        "entitlements",
        "tickets",
        "never_placed",
        "order_timeline",
        "orders",
        "waiters",
        "outbox",
        "inbox",
        "idempotency_keys",
    ):
        op.drop_table(table)


def _create_event_layer() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("idempotency_keys_pkey")),
    )
    op.create_table(
        "inbox",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("consumer", "event_id", name=op.f("inbox_pkey")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.Column("trace", postgresql.JSONB(), nullable=False),
        sa.Column("refusals", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "not_before",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("outbox_pkey")),
    )
    op.create_table(
        "waiters",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column(
            "since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("waiters_pkey")),
    )


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("distributor_id", sa.Text(), nullable=False),
        sa.Column("distributor_order_no", sa.Text(), nullable=False),
        sa.Column("reseller", sa.Text(), nullable=True),
        sa.Column("reseller_order_no", sa.Text(), nullable=True),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("visit_date", sa.Date(), nullable=True),
        sa.Column("slot", sa.Text(), nullable=True),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("fee_fen", sa.BigInteger(), nullable=False),
        sa.Column("offer", postgresql.JSONB(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("debit_state", sa.Text(), nullable=False),
        sa.Column("debit_reason", sa.Text(), nullable=True),
        sa.Column("debit_operation_id", sa.Text(), nullable=True),
        sa.Column("payment_deadline", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "debit_state = 'none' OR debit_operation_id IS NOT NULL",
            name=op.f("orders_debit_has_number_check"),
        ),
        sa.CheckConstraint(
            "debit_state IN ('none', 'requested', 'short_of_funds', 'stuck', 'refused', 'succeeded')",
            name=op.f("orders_debit_state_check"),
        ),
        sa.CheckConstraint(
            "status <> 'closed_unpaid' OR debit_state NOT IN ('requested', 'short_of_funds', 'stuck')",
            name=op.f("orders_closed_means_no_debit_outstanding_check"),
        ),
        sa.CheckConstraint(
            "status IN ('awaiting_payment', 'closed_unpaid', 'paid', 'issued', 'completed', 'closed_refunded')",
            name=op.f("orders_status_check"),
        ),
        sa.CheckConstraint(
            "status NOT IN ('paid', 'issued', 'completed', 'closed_refunded') OR debit_state = 'succeeded'",
            name=op.f("orders_paid_means_debited_check"),
        ),
        sa.CheckConstraint("price_fen > 0 AND fee_fen >= 0", name=op.f("orders_amounts_check")),
        sa.CheckConstraint("quantity > 0", name=op.f("orders_quantity_check")),
        sa.PrimaryKeyConstraint("order_no", name=op.f("orders_pkey")),
        sa.UniqueConstraint("debit_operation_id", name=op.f("orders_debit_operation_id_key")),
        sa.UniqueConstraint(
            "distributor_id",
            "distributor_order_no",
            name=op.f("orders_distributor_id_distributor_order_no_key"),
        ),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "orders_of_distributor", "orders", ["distributor_id", "order_no"], unique=False
    )
    op.create_index(
        "orders_unpaid",
        "orders",
        ["payment_deadline"],
        unique=False,
        postgresql_where=sa.text(
            "status = 'awaiting_payment' AND debit_state IN ('none', 'refused')"
        ),
    )
    op.create_table(
        "order_timeline",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('order', 'debit')", name=op.f("order_timeline_kind_check")),
        sa.ForeignKeyConstraint(
            ["order_no"], ["orders.order_no"], name=op.f("order_timeline_order_no_fkey")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("order_timeline_pkey")),
    )
    op.create_index(
        op.f("order_timeline_order_no_id_ix"), "order_timeline", ["order_no", "id"], unique=False
    )
    op.create_table(
        "never_placed",
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("order_no", name=op.f("never_placed_pkey")),
    )


def _create_tickets() -> None:
    op.create_table(
        "tickets",
        sa.Column("ticket_no", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("qr", sa.Text(), nullable=False),
        sa.Column("activated", sa.Boolean(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_no"], ["orders.order_no"], name=op.f("tickets_order_no_fkey")
        ),
        sa.PrimaryKeyConstraint("ticket_no", name=op.f("tickets_pkey")),
        sa.UniqueConstraint("order_no", "position", name=op.f("tickets_order_no_position_key")),
    )
    op.create_table(
        "entitlements",
        sa.Column("entitlement_id", sa.Text(), nullable=False),
        sa.Column("ticket_no", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("spot_id", sa.Text(), nullable=False),
        sa.Column("spot_name", sa.Text(), nullable=False),
        sa.Column("part_fen", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("usage", sa.Text(), server_default="unused", nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settlement", sa.Text(), server_default="pending", nullable=False),
        sa.Column("settlement_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(usage = 'used') = (used_at IS NOT NULL)", name=op.f("entitlements_used_at_check")
        ),
        sa.CheckConstraint(
            "settlement IN ('pending', 'settled', 'settle_failed', 'refunded', 'refund_failed', 'forfeited')",
            name=op.f("entitlements_settlement_check"),
        ),
        sa.CheckConstraint(
            "usage <> 'unused' OR settlement = 'pending'",
            name=op.f("entitlements_unused_means_pending_check"),
        ),
        sa.CheckConstraint(
            "usage IN ('unused', 'used', 'expired', 'voided')",
            name=op.f("entitlements_usage_check"),
        ),
        sa.ForeignKeyConstraint(
            ["ticket_no"], ["tickets.ticket_no"], name=op.f("entitlements_ticket_no_fkey")
        ),
        sa.PrimaryKeyConstraint("entitlement_id", name=op.f("entitlements_pkey")),
        sa.UniqueConstraint(
            "ticket_no", "spot_id", name=op.f("entitlements_ticket_no_spot_id_key")
        ),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(op.f("entitlements_order_no_ix"), "entitlements", ["order_no"], unique=False)
