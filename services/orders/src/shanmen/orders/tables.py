"""Orders' tables."""

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


def _moment(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


ORDERS = Table(
    "orders",
    METADATA,
    Column("order_no", Text, primary_key=True),
    Column("distributor_id", Text, nullable=False),
    Column("distributor_order_no", Text, nullable=False),
    Column("reseller", Text),
    Column("reseller_order_no", Text),
    Column("product_id", Text, nullable=False),
    Column("visit_date", Date),
    Column("slot", Text),
    Column("quantity", Integer, nullable=False),
    Column("price_fen", BigInteger, nullable=False),
    Column("fee_fen", BigInteger, nullable=False),
    Column("offer", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("debit_state", Text, nullable=False),
    Column("debit_reason", Text),
    Column("debit_operation_id", Text, unique=True),
    _moment("payment_deadline"),
    Column("version", Integer, nullable=False, server_default="1"),
    _moment("placed_at"),
    _moment("updated_at"),
    UniqueConstraint("distributor_id", "distributor_order_no"),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("price_fen > 0 AND fee_fen >= 0", name="amounts"),
    CheckConstraint(
        "status IN ('awaiting_payment', 'closed_unpaid', 'paid', 'issued', 'completed',"
        " 'closed_refunded')",
        name="status",
    ),
    CheckConstraint(
        "debit_state IN ('none', 'requested', 'short_of_funds', 'stuck', 'refused', 'succeeded')",
        name="debit_state",
    ),
    CheckConstraint(
        "status <> 'closed_unpaid' OR debit_state NOT IN ('requested', 'short_of_funds', 'stuck')",
        name="closed_means_no_debit_outstanding",
    ),
    CheckConstraint(
        "status NOT IN ('paid', 'issued', 'completed', 'closed_refunded')"
        " OR debit_state = 'succeeded'",
        name="paid_means_debited",
    ),
    CheckConstraint(
        "debit_state = 'none' OR debit_operation_id IS NOT NULL", name="debit_has_number"
    ),
    Index("orders_of_distributor", "distributor_id", "order_no"),
    Index(
        "orders_unpaid",
        "payment_deadline",
        postgresql_where=text(
            "status = 'awaiting_payment' AND debit_state IN ('none', 'refused')"
        ),
    ),
    postgresql_with={"fillfactor": "80"},
)

TICKETS = Table(
    "tickets",
    METADATA,
    Column("ticket_no", Text, primary_key=True),
    Column("order_no", Text, ForeignKey(ORDERS.c.order_no), nullable=False),
    Column("position", Integer, nullable=False),
    Column("qr", Text, nullable=False),
    Column("activated", Boolean, nullable=False),
    _moment("issued_at"),
    UniqueConstraint("order_no", "position"),
)

ENTITLEMENTS = Table(
    "entitlements",
    METADATA,
    Column("entitlement_id", Text, primary_key=True),
    Column("ticket_no", Text, ForeignKey(TICKETS.c.ticket_no), nullable=False),
    Column("order_no", Text, nullable=False),
    Column("spot_id", Text, nullable=False),
    Column("spot_name", Text, nullable=False),
    Column("part_fen", BigInteger, nullable=False),
    _moment("valid_from"),
    _moment("valid_until"),
    Column("usage", Text, nullable=False, server_default="unused"),
    _moment("used_at", nullable=True),
    Column("settlement", Text, nullable=False, server_default="pending"),
    Column("settlement_reason", Text),
    UniqueConstraint("ticket_no", "spot_id"),
    CheckConstraint("usage IN ('unused', 'used', 'expired', 'voided')", name="usage"),
    CheckConstraint(
        "settlement IN ('pending', 'settled', 'settle_failed', 'refunded', 'refund_failed',"
        " 'forfeited')",
        name="settlement",
    ),
    CheckConstraint("(usage = 'used') = (used_at IS NOT NULL)", name="used_at"),
    CheckConstraint("usage <> 'unused' OR settlement = 'pending'", name="unused_means_pending"),
    Index(None, "order_no"),
    postgresql_with={"fillfactor": "70"},
)

TIMELINE = Table(
    "order_timeline",
    METADATA,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("order_no", Text, ForeignKey(ORDERS.c.order_no), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("before", Text),
    Column("after", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("actor", Text, nullable=False),
    CheckConstraint("kind IN ('order', 'debit')", name="kind"),
    Index(None, "order_no", "id"),
)

NEVER_PLACED = Table(
    "never_placed",
    METADATA,
    Column("order_no", Text, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
"""Order numbers given up on before their order was written; it must not be written any more."""
