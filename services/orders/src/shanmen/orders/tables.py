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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

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
    _moment("short_since", nullable=True),
    Column("cancel_reason", Text),
    _moment("cancel_requested_at", nullable=True),
    _moment("payment_deadline"),
    Column("notices", Integer, nullable=False, server_default="0"),
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
    CheckConstraint("short_since IS NULL OR debit_state = 'short_of_funds'", name="short_since"),
    CheckConstraint(
        "(cancel_reason IS NULL) = (cancel_requested_at IS NULL)", name="cancel_has_reason"
    ),
    CheckConstraint(
        "cancel_requested_at IS NULL OR debit_operation_id IS NOT NULL",
        name="cancel_is_of_a_debit",
    ),
    Index("orders_of_distributor", "distributor_id", "order_no"),
    Index(
        "orders_unpaid",
        "payment_deadline",
        postgresql_where=text(
            "status = 'awaiting_payment' AND debit_state IN ('none', 'refused')"
        ),
    ),
    Index(
        "orders_parked",
        "payment_deadline",
        postgresql_where=text(
            "status = 'awaiting_payment' AND debit_state IN ('short_of_funds', 'stuck')"
            " AND cancel_requested_at IS NULL"
        ),
    ),
    postgresql_with={"fillfactor": "80"},
)

SHORTAGES = Table(
    "shortages",
    METADATA,
    Column("shortage_id", Text, primary_key=True),
    Column("distributor_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    _moment("began_at"),
    _moment("ended_at", nullable=True),
    Index("shortages_open", "account_id", unique=True, postgresql_where=text("ended_at IS NULL")),
)
"""Times in which a pay account was short of funds (余额不足): from the first debit that failed for
it until any debit of the account succeeds."""

DEBITS = Table(
    "debits",
    METADATA,
    Column("operation_id", Text, primary_key=True),
    Column("order_no", Text, ForeignKey(ORDERS.c.order_no), nullable=False),
    _moment("asked_at"),
    Column("told_shortage_id", Text, ForeignKey(SHORTAGES.c.shortage_id)),
    _moment("told_stuck_since", nullable=True),
    _moment("orphaned_at", nullable=True),
)
"""Every number under which an order was ever to be debited, and what was told of it. Its state is
the order's while it is the order's current one; one that was replaced had been refused."""

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
    Column("refunded_fen", BigInteger),
    _moment("refund_requested_at", nullable=True),
    UniqueConstraint("ticket_no", "spot_id"),
    CheckConstraint("usage IN ('unused', 'used', 'expired', 'voided')", name="usage"),
    CheckConstraint(
        "settlement IN ('pending', 'settled', 'settle_failed', 'refunded', 'refund_failed',"
        " 'forfeited')",
        name="settlement",
    ),
    CheckConstraint("(usage = 'used') = (used_at IS NOT NULL)", name="used_at"),
    CheckConstraint("usage <> 'unused' OR settlement = 'pending'", name="unused_means_pending"),
    CheckConstraint(
        "(settlement = 'refunded') = (refunded_fen IS NOT NULL)", name="refunded_has_amount"
    ),
    CheckConstraint("refunded_fen >= 0", name="refunded_fen"),
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
    CheckConstraint("kind IN ('order', 'debit', 'cancel', 'refund')", name="kind"),
    Index(None, "order_no", "id"),
)

NEVER_PLACED = Table(
    "never_placed",
    METADATA,
    Column("order_no", Text, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
"""Order numbers given up on before their order was written; it must not be written any more."""

WEBHOOK_ENDPOINTS = Table(
    "webhook_endpoints",
    METADATA,
    Column("endpoint_id", Text, primary_key=True),
    Column("distributor_id", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("types", ARRAY(Text), nullable=False),
    Column("description", Text, nullable=False),
    Column("secret", Text),
    Column("former_secret", Text),
    _moment("former_secret_until", nullable=True),
    Column("enabled", Boolean, nullable=False),
    Column("disabled_reason", Text),
    Column("version", Integer, nullable=False, server_default="1"),
    _moment("created_at"),
    _moment("updated_at"),
    _moment("deleted_at", nullable=True),
    CheckConstraint("enabled = (disabled_reason IS NULL)", name="disabled_for_a_reason"),
    CheckConstraint(
        "(former_secret IS NULL) = (former_secret_until IS NULL)", name="former_secret_ends"
    ),
    CheckConstraint(
        "(deleted_at IS NULL) = (secret IS NOT NULL)"
        " AND (deleted_at IS NULL OR (former_secret IS NULL AND NOT enabled))",
        name="deleted_keeps_no_secret",
    ),
    Index(None, "distributor_id", "endpoint_id"),
)
"""Where distributors want to be told; `types` names the kinds wanted, all when it is empty."""

WEBHOOK_EVENTS = Table(
    "webhook_events",
    METADATA,
    Column("event_id", Text, primary_key=True),
    Column("distributor_id", Text, nullable=False),
    Column("order_no", Text, ForeignKey(ORDERS.c.order_no), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("data", JSONB, nullable=False),
    _moment("occurred_at"),
    UniqueConstraint("order_no", "sequence"),
    CheckConstraint("sequence > 0", name="sequence"),
    Index(None, "distributor_id", "event_id"),
    Index(None, "occurred_at"),
)
"""What a distributor is told, whether or not anybody listens; numbered from 1 per order."""

_DELIVERY_IS_PENDING = text("status = 'pending'")

WEBHOOK_DELIVERIES = Table(
    "webhook_deliveries",
    METADATA,
    Column("delivery_id", Text, primary_key=True),
    Column("position", BigInteger, Identity(), nullable=False),
    Column("event_id", Text, ForeignKey(WEBHOOK_EVENTS.c.event_id), nullable=False),
    Column("endpoint_id", Text, ForeignKey(WEBHOOK_ENDPOINTS.c.endpoint_id), nullable=False),
    Column("distributor_id", Text, nullable=False),
    Column("order_no", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    _moment("next_attempt_at"),
    _moment("give_up_at"),
    _moment("claimed_until", nullable=True),
    Column("last_status", Integer),
    Column("last_error", Text),
    _moment("created_at"),
    _moment("finished_at", nullable=True),
    CheckConstraint("status IN ('pending', 'delivered', 'given_up')", name="status"),
    CheckConstraint("(status = 'pending') = (finished_at IS NULL)", name="finished_at"),
    CheckConstraint("status <> 'delivered' OR attempts > 0", name="delivered_by_an_attempt"),
    Index(None, "distributor_id", "delivery_id"),
    Index(None, "event_id"),
    Index(None, "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    Index(
        "webhook_deliveries_pending",
        *("endpoint_id", "order_no", "position"),
        postgresql_where=_DELIVERY_IS_PENDING,
    ),
    Index(
        "webhook_deliveries_due",
        *("endpoint_id", "next_attempt_at"),
        postgresql_where=_DELIVERY_IS_PENDING,
    ),
    Index(
        "webhook_deliveries_once_at_a_time",
        *("event_id", "endpoint_id"),
        unique=True,
        postgresql_where=_DELIVERY_IS_PENDING,
    ),
    postgresql_with={"fillfactor": "70"},
)
"""One event on its way to one endpoint. Per endpoint and order the lowest position goes first."""
