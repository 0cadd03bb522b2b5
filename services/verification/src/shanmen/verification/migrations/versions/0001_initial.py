"""Passes, scans and the event layer's own tables."""

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
    _create_passes()
    _create_scans()


def downgrade() -> None:
    """Back."""
    op.drop_table("waiters")
    op.drop_index("scans_time_ix", table_name="scans")
    op.drop_index("scans_ticket_ix", table_name="scans")
    op.drop_index("scans_spot_ix", table_name="scans")
    op.drop_index("scans_admission_key", table_name="scans")
    op.drop_table("scans")
    op.drop_index("passes_due_ix", table_name="passes")
    op.drop_table("passes")
    op.drop_table("outbox")
    op.drop_table("inbox")
    op.drop_table("idempotency_keys")


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
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("trace", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
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


def _create_passes() -> None:
    op.create_table(
        "passes",
        sa.Column("entitlement_id", sa.Text(), nullable=False),
        sa.Column("ticket_no", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("spot_id", sa.Text(), nullable=False),
        sa.Column("usage", sa.Text(), server_default="unused", nullable=False),
        sa.Column("activated", sa.Boolean(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_scan_id", sa.Text(), nullable=True),
        sa.Column("used_device", sa.Text(), nullable=True),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(usage = 'expired') = (expired_at IS NOT NULL)", name=op.f("passes_expired_check")
        ),
        sa.CheckConstraint(
            "(usage = 'used') = (used_at IS NOT NULL) AND num_nulls(used_at, used_scan_id, used_device) IN (0, 3)",
            name=op.f("passes_used_check"),
        ),
        sa.CheckConstraint(
            "(usage = 'voided') = (voided_at IS NOT NULL)", name=op.f("passes_voided_check")
        ),
        sa.CheckConstraint(
            "usage IN ('unused', 'used', 'expired', 'voided')", name=op.f("passes_usage_check")
        ),
        sa.CheckConstraint(
            "valid_from < valid_until AND valid_until <= expires_at",
            name=op.f("passes_validity_check"),
        ),
        sa.PrimaryKeyConstraint("entitlement_id", name=op.f("passes_pkey")),
        sa.UniqueConstraint("ticket_no", "spot_id", name=op.f("passes_ticket_no_spot_id_key")),
    )
    op.create_index(
        "passes_due_ix",
        "passes",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("usage = 'unused'"),
    )


def _create_scans() -> None:
    op.create_table(
        "scans",
        sa.Column("scan_id", sa.Text(), nullable=False),
        sa.Column("spot_id", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("entitlement_id", sa.Text(), nullable=True),
        sa.Column("ticket_no", sa.Text(), nullable=True),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column(
            "scanned_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("qr_sha256", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(verdict = 'admitted') = (code IS NULL)", name=op.f("scans_reason_check")
        ),
        sa.CheckConstraint(
            "code IN ('unreadable', 'forged', 'unknown_ticket', 'wrong_spot', 'not_activated', 'not_yet_valid', 'expired', 'already_used', 'voided')",
            name=op.f("scans_code_check"),
        ),
        sa.CheckConstraint(
            "verdict <> 'admitted' OR entitlement_id IS NOT NULL",
            name=op.f("scans_admission_check"),
        ),
        sa.CheckConstraint("verdict IN ('admitted', 'refused')", name=op.f("scans_verdict_check")),
        sa.PrimaryKeyConstraint("scan_id", name=op.f("scans_pkey")),
    )
    op.create_index(
        "scans_admission_key",
        "scans",
        ["entitlement_id"],
        unique=True,
        postgresql_where=sa.text("verdict = 'admitted'"),
    )
    op.create_index("scans_spot_ix", "scans", ["spot_id", "scanned_at", "scan_id"], unique=False)
    op.create_index(
        "scans_ticket_ix",
        "scans",
        ["ticket_no"],
        unique=False,
        postgresql_where=sa.text("ticket_no IS NOT NULL"),
    )
    op.create_index("scans_time_ix", "scans", ["scanned_at", "scan_id"], unique=False)
