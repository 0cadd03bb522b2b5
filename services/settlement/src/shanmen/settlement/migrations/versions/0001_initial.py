"""Initial: the ledger with its guards, debits, entitlements, payouts and the event layer."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Looked at when the transaction commits, after all entries of the posting are there.
REFUSE_UNBALANCED = """
CREATE FUNCTION refuse_unbalanced_posting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(debit_fen) <> sum(credit_fen) FROM entries WHERE posting_id = NEW.posting_id)
    THEN
        RAISE EXCEPTION 'posting % does not balance', NEW.posting_id
            USING ERRCODE = 'check_violation', TABLE = 'entries', CONSTRAINT = 'entries_balanced';
    END IF;
    RETURN NULL;
END $$
"""
ENTRIES_BALANCED = """
CREATE CONSTRAINT TRIGGER entries_balanced AFTER INSERT ON entries
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_unbalanced_posting()
"""
REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: correct it by a posting to the contrary', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation', TABLE = TG_TABLE_NAME;
END $$
"""
APPEND_ONLY = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.create_table(
        "debits",
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("distributor_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("fee_fen", sa.BigInteger(), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("price_fen >= 0 AND fee_fen >= 0", name=op.f("debits_amounts_check")),
        sa.PrimaryKeyConstraint("order_no", name=op.f("debits_pkey")),
        sa.UniqueConstraint("operation_id", name=op.f("debits_operation_id_key")),
    )
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
        "payouts",
        sa.Column("payout_id", sa.Text(), nullable=False),
        sa.Column("spot_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (status IN ('paid', 'failed'))",
            name=op.f("payouts_finished_check"),
        ),
        sa.CheckConstraint(
            "(reason IS NOT NULL) = (status IN ('parked', 'failed'))",
            name=op.f("payouts_reason_check"),
        ),
        sa.CheckConstraint(
            "status IN ('requested', 'paid', 'parked', 'failed')",
            name=op.f("payouts_status_check"),
        ),
        sa.CheckConstraint("amount_fen > 0", name=op.f("payouts_amount_check")),
        sa.PrimaryKeyConstraint("payout_id", name=op.f("payouts_pkey")),
    )
    op.create_index("payouts_of_spot_ix", "payouts", ["spot_id", "payout_id"], unique=False)
    op.create_table(
        "postings",
        sa.Column("posting_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("posting_id", name=op.f("postings_pkey")),
        sa.UniqueConstraint("key", name=op.f("postings_key_key")),
    )
    op.create_index(
        "postings_of_order_ix",
        "postings",
        ["order_no", "posting_id"],
        unique=False,
        postgresql_where=sa.text("order_no IS NOT NULL"),
    )
    op.create_table(
        "waiters",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column(
            "since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("waiters_pkey")),
    )
    op.create_table(
        "entitlements",
        sa.Column("entitlement_id", sa.Text(), nullable=False),
        sa.Column("ticket_no", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("distributor_id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("spot_id", sa.Text(), nullable=False),
        sa.Column("part_fen", sa.BigInteger(), nullable=False),
        sa.Column("settle_fen", sa.BigInteger(), nullable=False),
        sa.Column("settlement_fee_fen", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("payout_id", sa.Text(), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "(reason IS NOT NULL) = (status IN ('settle_failed', 'refund_failed'))",
            name=op.f("entitlements_reason_check"),
        ),
        sa.CheckConstraint(
            "(settled_at IS NOT NULL) = (status = 'settled')",
            name=op.f("entitlements_settled_check"),
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'settled', 'settle_failed', 'refunded', 'refund_failed', 'forfeited')",
            name=op.f("entitlements_status_check"),
        ),
        sa.CheckConstraint(
            "used_at IS NOT NULL OR (status NOT IN ('settled', 'settle_failed') AND payout_id IS NULL)",
            name=op.f("entitlements_unused_check"),
        ),
        sa.CheckConstraint(
            "used_at IS NULL OR status IN ('pending', 'settled', 'settle_failed')",
            name=op.f("entitlements_used_check"),
        ),
        sa.CheckConstraint(
            "part_fen >= 0 AND settlement_fee_fen >= 0", name=op.f("entitlements_amounts_check")
        ),
        sa.CheckConstraint(
            "settlement_fee_fen <= settle_fen", name=op.f("entitlements_payable_check")
        ),
        sa.ForeignKeyConstraint(
            ["payout_id"], ["payouts.payout_id"], name=op.f("entitlements_payout_id_fkey")
        ),
        sa.PrimaryKeyConstraint("entitlement_id", name=op.f("entitlements_pkey")),
    )
    op.create_index(
        "entitlements_of_distributor_ix",
        "entitlements",
        ["distributor_id", "entitlement_id"],
        unique=False,
    )
    op.create_index(
        "entitlements_of_order_ix", "entitlements", ["order_no", "entitlement_id"], unique=False
    )
    op.create_index(
        "entitlements_of_spot_ix", "entitlements", ["spot_id", "entitlement_id"], unique=False
    )
    op.create_index(
        "entitlements_waiting_ix",
        "entitlements",
        ["spot_id", "account_id"],
        unique=False,
        postgresql_where=sa.text(
            "used_at IS NOT NULL AND payout_id IS NULL AND settled_at IS NULL"
        ),
    )
    op.create_table(
        "entries",
        sa.Column("posting_id", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("debit_fen", sa.BigInteger(), nullable=False),
        sa.Column("credit_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "split_part(account, ':', 1) IN ('cash', 'wealth', 'custody', 'payable', 'suspense', 'fees', 'margin', 'yield', 'owner')",
            name=op.f("entries_account_check"),
        ),
        sa.CheckConstraint(
            "(debit_fen > 0 AND credit_fen = 0) OR (debit_fen = 0 AND credit_fen > 0)",
            name=op.f("entries_one_side_check"),
        ),
        sa.ForeignKeyConstraint(
            ["posting_id"], ["postings.posting_id"], name=op.f("entries_posting_id_fkey")
        ),
        sa.PrimaryKeyConstraint("posting_id", "account", name=op.f("entries_pkey")),
    )
    op.create_index(
        "entries_of_account_ix",
        "entries",
        ["account", "posting_id"],
        unique=False,
        postgresql_include=["debit_fen", "credit_fen"],
    )
    op.create_table(
        "payout_lines",
        sa.Column("payout_id", sa.Text(), nullable=False),
        sa.Column("entitlement_id", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("payout_lines_amount_check")),
        sa.ForeignKeyConstraint(
            ["entitlement_id"],
            ["entitlements.entitlement_id"],
            name=op.f("payout_lines_entitlement_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["payout_id"], ["payouts.payout_id"], name=op.f("payout_lines_payout_id_fkey")
        ),
        sa.PrimaryKeyConstraint("payout_id", "entitlement_id", name=op.f("payout_lines_pkey")),
        sa.UniqueConstraint("entitlement_id", name=op.f("payout_lines_entitlement_id_key")),
    )
    op.execute(REFUSE_UNBALANCED)
    op.execute(ENTRIES_BALANCED)
    op.execute(REFUSE_CHANGE)
    for table in ("postings", "entries"):
        op.execute(APPEND_ONLY.format(table=table))


def downgrade() -> None:
    """Go back to the revision before."""
    for table in (
        "payout_lines",
        "entries",
        "entitlements",
        "waiters",
        "postings",
        "payouts",
        "outbox",
        "inbox",
        "idempotency_keys",
        "debits",
    ):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_unbalanced_posting()")
    op.execute("DROP FUNCTION refuse_change()")
