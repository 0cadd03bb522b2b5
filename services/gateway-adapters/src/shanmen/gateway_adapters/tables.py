"""The gateway's tables: operations, their attempts, and what channels notified."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
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

from shanmen.common.db import build_metadata
from shanmen.common.migrate import with_common_tables

METADATA = with_common_tables(build_metadata())

OPERATIONS = Table(
    "operations",
    METADATA,
    Column("operation_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("account_id", Text, nullable=False),
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
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    CheckConstraint("kind IN ('debit', 'payout', 'refund')", name="kind"),
    CheckConstraint("channel IN ('alipay', 'huijinbao')", name="channel"),
    CheckConstraint("status IN ('open', 'parked', 'succeeded', 'failed')", name="status"),
    CheckConstraint("next_action IN ('send', 'query', 'cancel')", name="next_action"),
    CheckConstraint("(status = 'open') = (finished_at IS NULL)", name="finished_at"),
    CheckConstraint("amount_fen > 0", name="amount_fen"),
    CheckConstraint(
        "(kind = 'refund') = (original_operation_id IS NOT NULL)", name="refund_names_its_debit"
    ),
    Index("operations_due", "channel", "next_at", postgresql_where=text("status = 'open'")),
    Index("operations_newest", "requested_at", "operation_id"),
    Index(None, "business_ref"),
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
