"""The tables of the money of orders and entitlements."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    false,
    text,
    true,
)

from shanmen.settlement.tables.base import METADATA

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
    Column("product_id", Text),  # null where it was booked before products were told
    Column("product_name", Text, nullable=False, server_default=""),
    Column("kind", Text, nullable=False, server_default="single"),
    Column("invests", Boolean, nullable=False, server_default=false()),
    CheckConstraint("price_fen >= 0 AND fee_fen >= 0", name="amounts"),
    CheckConstraint("kind IN ('single', 'combined')", name="kind"),
    Index("debits_of_distributor_ix", "distributor_id", "paid_at"),
    Index("debits_of_product_ix", "product_id", "paid_at"),
)
"""What was debited for each order and from where: refunds go back the same way."""

ORPHANED_DEBITS = Table(
    "orphaned_debits",
    METADATA,
    Column("operation_id", Text, primary_key=True),
    Column("order_no", Text, nullable=False),
    Column("distributor_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("debited_at", DateTime(timezone=True), nullable=False),
    Column("refunded_at", DateTime(timezone=True)),
    CheckConstraint("amount_fen > 0", name="amount"),
    Index("orphaned_debits_of_distributor_ix", "distributor_id", "debited_at"),
)
"""Debits that no order could take; all of each goes back, to the account it came from."""

CLOSED_ORDERS = Table(
    "closed_orders",
    METADATA,
    Column("order_no", Text, primary_key=True),
    Column("debit_operation_id", Text, nullable=False),
)
"""Orders that ended unpaid after a debit was tried: news of that debit may come later still."""

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
    Column("refund_on_expiry", Boolean, nullable=False, server_default=true()),
    Column("refunds_fee", Boolean, nullable=False, server_default=false()),
    Column("lapsed_at", DateTime(timezone=True)),  # voided or expired, without a visit
    Column("expires_at", DateTime(timezone=True)),  # null where it was sold before this was kept
    Column("invests", Boolean, nullable=False, server_default=false()),
    Column("held_for", Text),
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
    CheckConstraint("used_at IS NULL OR lapsed_at IS NULL", name="used_or_lapsed"),
    CheckConstraint(
        "lapsed_at IS NOT NULL OR status NOT IN ('refunded', 'refund_failed', 'forfeited')",
        name="lapsed",
    ),
    CheckConstraint("(settled_at IS NOT NULL) = (status = 'settled')", name="settled"),
    CheckConstraint(
        "(reason IS NOT NULL) = (status IN ('settle_failed', 'refund_failed'))", name="reason"
    ),
    # Only what ended can wait for its money to come out of the wealth product.
    CheckConstraint(
        "held_for IS NULL OR (invests AND (used_at IS NOT NULL OR lapsed_at IS NOT NULL)"
        " AND status IN ('pending', 'settle_failed', 'refund_failed')"
        " AND payout_id IS NULL"
        " AND held_for IN ('subscription', 'redemption', 'liquidation'))",
        name="held_for",
    ),
    Index("entitlements_of_order_ix", "order_no", "entitlement_id"),
    Index("entitlements_of_product_ix", "product_id", "entitlement_id"),
    Index(
        "entitlements_invested_ix",
        "product_id",
        "expires_at",
        postgresql_where=text("invests"),
    ),
    Index(
        "entitlements_held_ix",
        "product_id",
        "order_no",
        postgresql_where=text("held_for IS NOT NULL"),
    ),
    Index("entitlements_of_distributor_ix", "distributor_id", "entitlement_id"),
    Index("entitlements_of_spot_ix", "spot_id", "entitlement_id"),
    Index(
        "entitlements_visited_ix",
        "spot_id",
        "used_at",
        "entitlement_id",
        postgresql_where=text("used_at IS NOT NULL"),
    ),
    Index(
        "entitlements_waiting_ix",
        "spot_id",
        "account_id",
        postgresql_where=text(
            "used_at IS NOT NULL AND payout_id IS NULL AND settled_at IS NULL AND held_for IS NULL"
        ),
    ),
)
"""One ticket's right to enter one spot, with its price snapshot; `account_id` receives."""

PAYOUT_LINES = Table(
    "payout_lines",
    METADATA,
    Column("payout_id", Text, ForeignKey(PAYOUTS.c.payout_id), primary_key=True),
    Column("entitlement_id", Text, ForeignKey(ENTITLEMENTS.c.entitlement_id), primary_key=True),
    Column("amount_fen", BigInteger, nullable=False),
    Column("live", Boolean, nullable=False, server_default=true()),
    CheckConstraint("amount_fen > 0", name="amount"),
    # No entitlement is in two payouts, unless another took the place of one that was refused.
    Index("payout_lines_live_ix", "entitlement_id", unique=True, postgresql_where=text("live")),
)
"""What a payout pays, exactly: its lines add up to its amount. Those of a refused payout are not
`live` any more once another pays them."""

REFUNDS = Table(
    "refunds",
    METADATA,
    Column("refund_id", Text, primary_key=True),
    Column("entitlement_id", Text, ForeignKey(ENTITLEMENTS.c.entitlement_id)),
    Column("order_no", Text, nullable=False),
    Column("distributor_id", Text, nullable=False),
    Column("original_operation_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("part_fen", BigInteger, nullable=False),
    Column("fee_fen", BigInteger, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("live", Boolean, nullable=False, server_default=true()),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    CheckConstraint("part_fen >= 0 AND fee_fen >= 0", name="amounts"),
    CheckConstraint("amount_fen = part_fen + fee_fen", name="sum"),
    CheckConstraint("amount_fen > 0 OR status = 'refunded'", name="nothing_due"),
    CheckConstraint("status IN ('requested', 'refunded', 'parked', 'failed')", name="status"),
    CheckConstraint(
        "(finished_at IS NOT NULL) = (status IN ('refunded', 'failed'))", name="finished"
    ),
    CheckConstraint("(reason IS NOT NULL) = (status IN ('parked', 'failed'))", name="reason"),
    CheckConstraint("live OR status = 'failed'", name="live"),
    # What is given back is given back once: a refund lives until it is refused and replaced.
    Index(
        "refunds_of_entitlement_ix",
        "entitlement_id",
        unique=True,
        postgresql_where=text("live AND entitlement_id IS NOT NULL"),
    ),
    Index(
        "refunds_of_orphan_ix",
        "original_operation_id",
        unique=True,
        postgresql_where=text("live AND entitlement_id IS NULL"),
    ),
    Index("refunds_of_order_ix", "order_no", "refund_id"),
    Index("refunds_of_distributor_ix", "distributor_id", "refund_id"),
    Index("refunds_of_debit_ix", "original_operation_id", postgresql_where=text("live")),
)
"""Money on its way back to a distributor: for an entitlement its part, and its share of the fee
where that is refundable; without one, all of an orphaned debit. `refund_id` is also the number at
the channel. A trigger keeps the live refunds of a debit within what was debited."""
