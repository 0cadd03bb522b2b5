"""The tables of money that is invested (理财) between sale and visit."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Table,
    Text,
    text,
)

from shanmen.settlement.tables.base import METADATA

WEALTH_MOVES = Table(
    "wealth_moves",
    METADATA,
    Column("move_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("product_id", Text, nullable=False),
    Column("order_no", Text),
    Column("entitlement_id", Text),
    Column("amount_fen", BigInteger, nullable=False),
    Column("principal_fen", BigInteger),
    Column("yield_fen", BigInteger),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("liquidated_by", Text),
    Column("replaced_by", Text),
    CheckConstraint("kind IN ('subscribe', 'redeem', 'liquidate')", name="kind"),
    CheckConstraint("status IN ('requested', 'done', 'parked', 'failed')", name="status"),
    CheckConstraint("(amount_fen > 0) = (kind <> 'liquidate') AND amount_fen >= 0", name="amount"),
    CheckConstraint(
        "(order_no IS NOT NULL) = (kind <> 'liquidate')"
        " AND (entitlement_id IS NOT NULL) = (kind = 'redeem')",
        name="subject",
    ),
    CheckConstraint("(finished_at IS NOT NULL) = (status IN ('done', 'failed'))", name="finished"),
    CheckConstraint("(reason IS NOT NULL) = (status IN ('parked', 'failed'))", name="reason"),
    CheckConstraint(
        "(principal_fen IS NOT NULL) = (status = 'done')"
        " AND (yield_fen IS NOT NULL) = (status = 'done')"
        " AND principal_fen >= 0 AND yield_fen >= 0",
        name="moved",
    ),
    CheckConstraint(
        "liquidated_by IS NULL OR (kind = 'subscribe' AND status = 'done')", name="liquidated"
    ),
    CheckConstraint("replaced_by IS NULL OR status IN ('failed', 'done')", name="replaced"),
    # An order is invested once, a part redeemed once; another only takes a refused one's place.
    Index(
        "wealth_moves_of_order_ix",
        "order_no",
        unique=True,
        postgresql_where=text("kind = 'subscribe' AND replaced_by IS NULL"),
    ),
    Index(
        "wealth_moves_of_entitlement_ix",
        "entitlement_id",
        unique=True,
        postgresql_where=text("kind = 'redeem' AND replaced_by IS NULL"),
    ),
    Index(
        "wealth_moves_liquidating_ix",
        "product_id",
        unique=True,
        postgresql_where=text(
            "kind = 'liquidate' AND replaced_by IS NULL AND status IN ('requested', 'parked')"
        ),
    ),
    Index("wealth_moves_of_product_ix", "product_id", "kind", "move_id"),
    Index(
        "wealth_moves_invested_ix",
        "product_id",
        postgresql_where=text("kind = 'subscribe' AND status = 'done' AND liquidated_by IS NULL"),
    ),
    Index(
        "wealth_moves_under_way_ix",
        "product_id",
        "kind",
        postgresql_where=text("status IN ('requested', 'parked')"),
    ),
)
"""Money on its way into a wealth product or out of it; `move_id` is also the number at the
channel. `liquidated_by` of a subscription is the liquidation that took out what was left of it,
`replaced_by` of a refused move the one that took its place."""

ACCRUALS = Table(
    "accruals",
    METADATA,
    Column("product_id", Text, primary_key=True),
    Column("principal_fen", BigInteger, nullable=False),
    Column("accrued_fen", BigInteger, nullable=False),
    Column("as_of", DateTime(timezone=True), nullable=False),
    CheckConstraint("principal_fen >= 0 AND accrued_fen >= 0", name="amounts"),
)
"""What the channel last said about a product's position: yield that is earned and not paid yet."""
