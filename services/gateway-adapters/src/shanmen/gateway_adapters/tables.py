"""The gateway's tables: operations, their attempts, what channels notified, text messages,
bills."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shanmen.common.db import build_metadata
from shanmen.common.migrate import with_common_tables

METADATA = with_common_tables(build_metadata())

OPERATIONS = Table(
    "operations",
    METADATA,
    Column("operation_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("account_id", Text),
    Column("amount_fen", BigInteger, nullable=False),
    Column("description", Text, nullable=False),
    Column("business_ref", Text, nullable=False),
    Column("original_operation_id", Text),
    Column("status", Text, nullable=False),
    Column("next_action", Text, nullable=False),
    Column("next_at", DateTime(timezone=True), nullable=False),
    Column("leased_until", DateTime(timezone=True)),
    Column("lease", Integer, nullable=False, server_default="0"),
    Column("outcome", Text),
    Column("code", Text),
    Column("reason", Text),
    Column("channel_ref", Text),
    Column("principal_fen", BigInteger),
    Column("yield_fen", BigInteger),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("abandoned_at", DateTime(timezone=True)),
    Column("recheck_at", DateTime(timezone=True)),
    CheckConstraint(
        "kind IN ('debit', 'payout', 'refund', 'subscribe', 'redeem', 'liquidate')", name="kind"
    ),
    CheckConstraint("channel IN ('alipay', 'huijinbao')", name="channel"),
    CheckConstraint("status IN ('open', 'parked', 'succeeded', 'failed')", name="status"),
    CheckConstraint("next_action IN ('send', 'query', 'cancel')", name="next_action"),
    CheckConstraint("(status = 'open') = (finished_at IS NULL)", name="finished_at"),
    CheckConstraint(
        "amount_fen >= 0 AND (amount_fen = 0) = (kind = 'liquidate')", name="amount_fen"
    ),
    CheckConstraint(
        "(account_id IS NULL) = (kind IN ('subscribe', 'redeem', 'liquidate'))",
        name="wealth_is_the_platforms_own",
    ),
    CheckConstraint(
        "kind NOT IN ('subscribe', 'redeem', 'liquidate') OR channel = 'huijinbao'",
        name="wealth_is_huijinbaos",
    ),
    CheckConstraint(
        "(principal_fen IS NULL) = (yield_fen IS NULL) AND principal_fen >= 0 AND yield_fen >= 0"
        " AND (principal_fen IS NULL OR kind IN ('redeem', 'liquidate'))",
        name="proceeds",
    ),
    CheckConstraint(
        "kind <> 'liquidate' OR status <> 'succeeded' OR principal_fen IS NOT NULL",
        name="liquidated_is_known",
    ),
    CheckConstraint(
        "(kind = 'refund') = (original_operation_id IS NOT NULL)", name="refund_names_its_debit"
    ),
    CheckConstraint(
        "abandoned_at IS NULL OR (kind = 'debit' AND (status <> 'open' OR next_action <> 'send'))",
        name="abandoned_is_never_sent",
    ),
    CheckConstraint("recheck_at IS NULL OR status = 'failed'", name="recheck_at"),
    Index("operations_due", "channel", "next_at", postgresql_where=text("status = 'open'")),
    Index(
        "operations_recheck",
        "channel",
        "recheck_at",
        postgresql_where=text("recheck_at IS NOT NULL"),
    ),
    Index("operations_newest", "requested_at", "operation_id"),
    Index(None, "business_ref"),
    Index(
        None,
        "original_operation_id",
        postgresql_where=text("original_operation_id IS NOT NULL"),
    ),
    postgresql_with={"fillfactor": "70"},
)

ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("operation_id", Text, ForeignKey(OPERATIONS.c.operation_id), nullable=False),
    Column("lease", Integer, nullable=False),
    Column("action", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("outcome", Text),
    Column("code", Text),
    Column("sub_code", Text),
    Column("reason", Text),
    Column("listed", Boolean, nullable=False, server_default="true"),
    Column("raw", LargeBinary),
    CheckConstraint("action IN ('send', 'query', 'cancel')", name="action"),
    CheckConstraint("(outcome IS NULL) = (finished_at IS NULL)", name="outcome"),
    UniqueConstraint("operation_id", "lease"),
)

CIRCUITS = Table(
    "circuits",
    METADATA,
    Column("channel", Text, primary_key=True),
    Column("opened_at", DateTime(timezone=True)),
    Column("next_probe_at", DateTime(timezone=True)),
    Column("failures", Integer, nullable=False),
    CheckConstraint("channel IN ('alipay', 'huijinbao')", name="channel"),
    CheckConstraint("(opened_at IS NULL) = (next_probe_at IS NULL)", name="next_probe_at"),
)

NOTIFICATIONS = Table(
    "notifications",
    METADATA,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("channel", Text, nullable=False),
    Column("notification_id", Text),
    Column("number", Text),
    Column("status", Text),
    Column("believed", Boolean, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index(
        "notifications_once",
        "channel",
        "notification_id",
        unique=True,
        postgresql_where=text("believed"),
    ),
    Index("notifications_disbelieved", "received_at", postgresql_where=text("NOT believed")),
)

MESSAGES = Table(
    "messages",
    METADATA,
    Column("sms_id", Text, primary_key=True),
    Column("recipient", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("params", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_at", DateTime(timezone=True), nullable=False),
    Column("error", Text),
    Column("provider_ref", Text),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True)),
    CheckConstraint("status IN ('open', 'sent', 'failed')", name="status"),
    CheckConstraint("(status = 'sent') = (sent_at IS NOT NULL)", name="sent_at"),
    CheckConstraint("status <> 'failed' OR error IS NOT NULL", name="failed_says_why"),
    Index("messages_due", "next_at", postgresql_where=text("status = 'open'")),
    Index("messages_newest", "requested_at", "sms_id"),
)

BILLS = Table(
    "bills",
    METADATA,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("channel", Text, nullable=False),
    Column("bill_date", Date, nullable=False),
    Column("bill_type", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("sum_in_fen", BigInteger, nullable=False),
    Column("sum_out_fen", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("fetched_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("channel IN ('alipay', 'huijinbao')", name="channel"),
    CheckConstraint("rows >= 0 AND sum_in_fen >= 0 AND sum_out_fen >= 0", name="totals"),
    CheckConstraint("sha256 = encode(sha256(content), 'hex')", name="sha256"),
    UniqueConstraint("channel", "bill_date", "bill_type", "sha256"),
    Index("bills_newest", "bill_date", "id"),
)
