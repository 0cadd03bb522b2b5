"""Settlement's tables. Constraints carry the safety: what is paid once is not paid again.

Beyond what is declared here, the migration adds triggers to the ledger: a transaction that leaves
a posting out of balance cannot commit, and postings and entries can be neither changed nor
deleted.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)

from shanmen.common.db import build_metadata
from shanmen.common.migrate import with_common_tables

METADATA = with_common_tables(build_metadata())

# ── the ledger ──────────────────────────────────────────────────────────────────────────────────

POSTINGS = Table(
    "postings",
    METADATA,
    Column("posting_id", BigInteger, Identity(), primary_key=True),
    Column("key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("order_no", Text),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("key"),
    Index(
        "postings_of_order_ix",
        "order_no",
        "posting_id",
        postgresql_where=text("order_no IS NOT NULL"),
    ),
)

ENTRIES = Table(
    "entries",
    METADATA,
    Column("posting_id", BigInteger, ForeignKey(POSTINGS.c.posting_id), primary_key=True),
    Column("account", Text, primary_key=True),
    Column("debit_fen", BigInteger, nullable=False),
    Column("credit_fen", BigInteger, nullable=False),
    CheckConstraint(
        "(debit_fen > 0 AND credit_fen = 0) OR (debit_fen = 0 AND credit_fen > 0)", name="one_side"
    ),
    CheckConstraint(
        "split_part(account, ':', 1) IN ('cash', 'wealth', 'custody', 'payable', 'suspense',"
        " 'fees', 'margin', 'yield', 'owner')",
        name="account",
    ),
    # Balances are sums over this index alone: no row that every transaction would contend for.
    Index(
        "entries_of_account_ix",
        "account",
        "posting_id",
        postgresql_include=["debit_fen", "credit_fen"],
    ),
)

# ── the money of orders and entitlements ────────────────────────────────────────────────────────

DEBITS = Table(
    "debits",
    METADATA,
    Column("order_no", Text, primary_key=True),
    Column("operation_id", Text, nullable=False, unique=True),
    Column("distributor_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("price_fen", BigInteger, nullable=False),
    Column("fee_fen", BigInteger, nullable=False),
    Column("paid_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("price_fen >= 0 AND fee_fen >= 0", name="amounts"),
)
"""What was debited for each order and from where: refunds go back the same way."""

PAYOUTS = Table(
    "payouts",
    METADATA,
    Column("payout_id", Text, primary_key=True),
    Column("spot_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    CheckConstraint("amount_fen > 0", name="amount"),
    CheckConstraint("status IN ('requested', 'paid', 'parked', 'failed')", name="status"),
    CheckConstraint("(finished_at IS NOT NULL) = (status IN ('paid', 'failed'))", name="finished"),
    CheckConstraint("(reason IS NOT NULL) = (status IN ('parked', 'failed'))", name="reason"),
    Index("payouts_of_spot_ix", "spot_id", "payout_id"),
)

ENTITLEMENTS = Table(
    "entitlements",
    METADATA,
    Column("entitlement_id", Text, primary_key=True),
    Column("ticket_no", Text, nullable=False),
    Column("order_no", Text, nullable=False),
    Column("distributor_id", Text, nullable=False),
    Column("product_id", Text, nullable=False),
    Column("spot_id", Text, nullable=False),
    Column("part_fen", BigInteger, nullable=False),
    Column("settle_fen", BigInteger, nullable=False),
    Column("settlement_fee_fen", BigInteger, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("payout_id", Text, ForeignKey(PAYOUTS.c.payout_id)),
    Column("used_at", DateTime(timezone=True)),
    Column("settled_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False, server_default="1"),
    CheckConstraint("part_fen >= 0 AND settlement_fee_fen >= 0", name="amounts"),
    CheckConstraint("settlement_fee_fen <= settle_fen", name="payable"),
    CheckConstraint(
        "status IN ('pending', 'settled', 'settle_failed', 'refunded', 'refund_failed',"
        " 'forfeited')",
        name="status",
    ),
    # Never both: a visit is paid for, what was not visited is refunded or forfeited.
    CheckConstraint(
        "used_at IS NOT NULL OR"
        " (status NOT IN ('settled', 'settle_failed') AND payout_id IS NULL)",
        name="unused",
    ),
    CheckConstraint(
        "used_at IS NULL OR status IN ('pending', 'settled', 'settle_failed')", name="used"
    ),
    CheckConstraint("(settled_at IS NOT NULL) = (status = 'settled')", name="settled"),
    CheckConstraint(
        "(reason IS NOT NULL) = (status IN ('settle_failed', 'refund_failed'))", name="reason"
    ),
    Index("entitlements_of_order_ix", "order_no", "entitlement_id"),
    Index("entitlements_of_distributor_ix", "distributor_id", "entitlement_id"),
    Index("entitlements_of_spot_ix", "spot_id", "entitlement_id"),
    Index(
        "entitlements_waiting_ix",
        "spot_id",
        "account_id",
        postgresql_where=text("used_at IS NOT NULL AND payout_id IS NULL AND settled_at IS NULL"),
    ),
)
"""One ticket's right to enter one spot, with its price snapshot; `account_id` receives."""

PAYOUT_LINES = Table(
    "payout_lines",
    METADATA,
    Column("payout_id", Text, ForeignKey(PAYOUTS.c.payout_id), primary_key=True),
    Column("entitlement_id", Text, ForeignKey(ENTITLEMENTS.c.entitlement_id), primary_key=True),
    Column("amount_fen", BigInteger, nullable=False),
    UniqueConstraint("entitlement_id"),  # no entitlement is in two payouts
    CheckConstraint("amount_fen > 0", name="amount"),
)
"""What a payout pays, exactly: its lines add up to its amount."""
