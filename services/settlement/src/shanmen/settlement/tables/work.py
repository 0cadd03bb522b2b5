"""The operators' work list, what people did about it, who may approve, and the audit trail.

Beyond what is declared here, the migration adds triggers: an approver has the right at the moment
of approving and has it from a third person; what an action is for never changes, and a decided
action not at all; nothing of this is deleted; the audit trail is append-only.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from shanmen.common.audit import AUDIT as COMMON_AUDIT
from shanmen.settlement.tables.base import METADATA

WORK_ITEMS = Table(
    "work_items",
    METADATA,
    Column("item_id", Text, primary_key=True),
    Column("family", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("operation_id", Text, nullable=False),
    Column("order_no", Text),
    Column("spot_id", Text),
    Column("distributor_id", Text),
    Column("channel", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("status", Text, nullable=False, server_default="open"),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("resolved_at", DateTime(timezone=True)),
    Column("resolution", Text),
    Column("resolved_by", Text),  # null where it ended by itself
    Column("note", Text),
    Column("version", Integer, nullable=False, server_default="1"),
    CheckConstraint(
        "family IN ('debit', 'payout', 'refund', 'subscribe', 'redeem', 'liquidate', 'break')",
        name="family",
    ),
    CheckConstraint(
        "kind IN ('debit_short', 'debit_stuck', 'payout_short', 'payout_stuck', 'payout_refused',"
        " 'refund_short', 'refund_stuck', 'refund_refused', 'subscribe_short', 'subscribe_stuck',"
        " 'subscribe_refused', 'redeem_short', 'redeem_stuck', 'redeem_refused',"
        " 'liquidate_short', 'liquidate_stuck', 'liquidate_refused', 'break_missing_here',"
        " 'break_missing_there', 'break_amount', 'break_status')",
        name="kind",
    ),
    CheckConstraint("starts_with(kind, family || '_')", name="kind_of_family"),
    CheckConstraint("amount_fen >= 0", name="amount"),
    CheckConstraint("status IN ('open', 'resolved')", name="status"),
    CheckConstraint(
        "(status = 'resolved') = (resolved_at IS NOT NULL)"
        " AND (status = 'resolved') = (resolution IS NOT NULL)",
        name="resolved",
    ),
    CheckConstraint("resolved_by IS NULL OR status = 'resolved'", name="resolved_by"),
    # A thing that gets stuck again finds its open item.
    Index(
        "work_items_open_ix",
        "family",
        "subject_id",
        unique=True,
        postgresql_where=text("status = 'open'"),
    ),
    Index("work_items_of_kind_ix", "status", "kind", "item_id"),
    Index("work_items_of_order_ix", "order_no", postgresql_where=text("order_no IS NOT NULL")),
)
"""What waits for a person, or did; `since` is when it got stuck."""

SHORTAGES = Table(
    "shortages",
    METADATA,
    Column("shortage_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("began_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Index("shortages_open_ix", "channel", unique=True, postgresql_where=text("ended_at IS NULL")),
)
"""Times in which a channel account of the platform was short of money: told once each."""

APPROVERS = Table(
    "approvers",
    METADATA,
    Column("grant_id", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("granted_by", Text, nullable=False),
    Column("granted_at", DateTime(timezone=True), nullable=False),
    Column("revoked_by", Text),
    Column("revoked_at", DateTime(timezone=True)),
    CheckConstraint("granted_by <> person", name="granted_by"),
    CheckConstraint("(revoked_by IS NULL) = (revoked_at IS NULL)", name="revoked"),
    Index(
        "approvers_in_force_ix", "person", unique=True, postgresql_where=text("revoked_at IS NULL")
    ),
)
"""Who may approve, by whose grant, from when to when."""

MANUAL_ACTIONS = Table(
    "manual_actions",
    METADATA,
    Column("action_id", Text, primary_key=True),
    Column("item_id", Text, ForeignKey(WORK_ITEMS.c.item_id)),  # null without one
    Column("action", Text, nullable=False),
    Column("kind", Text),  # the item's kind when the action was asked for
    Column("subject_id", Text, nullable=False),
    Column("operation_id", Text),
    Column("amount_fen", BigInteger, nullable=False),
    Column("channel", Text, nullable=False),
    Column("account_id", Text),
    Column("direction", Text),
    Column("note", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("threshold_fen", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("approved_by", Text),
    Column("approved_at", DateTime(timezone=True)),
    Column("approved_amount_fen", BigInteger),
    Column("approved_account_id", Text),
    Column("decided_by", Text),  # who rejected or withdrew it
    Column("decided_at", DateTime(timezone=True)),
    Column("decision_note", Text),
    Column("executed_at", DateTime(timezone=True)),
    Column("result_operation_id", Text),
    CheckConstraint(
        "action IN ('retry', 'remit', 'refund', 'settle_outside', 'resolve', 'release', 'adjust',"
        " 'top_up', 'correct', 'clear')",
        name="action",
    ),
    CheckConstraint(
        "status IN ('waiting', 'executed', 'rejected', 'withdrawn', 'lapsed')", name="status"
    ),
    CheckConstraint("amount_fen >= 0 AND threshold_fen >= 0", name="amounts"),
    CheckConstraint(
        "(action IN ('top_up', 'correct', 'clear')) = (item_id IS NULL)"
        " AND (action = 'top_up') = (direction IS NOT NULL)"
        " AND (direction IS NULL OR direction IN ('in', 'out'))",
        name="top_up",
    ),
    CheckConstraint("(status = 'executed') = (executed_at IS NOT NULL)", name="executed"),
    # Four eyes: another person, this very amount, this very account; and none without them.
    CheckConstraint("approved_by <> requested_by", name="approver"),
    CheckConstraint(
        "(approved_by IS NULL) = (approved_at IS NULL)"
        " AND (approved_by IS NULL) = (approved_amount_fen IS NULL)"
        " AND (approved_by IS NOT NULL OR approved_account_id IS NULL)"
        " AND (approved_by IS NULL OR status = 'executed')",
        name="approval",
    ),
    CheckConstraint("approved_amount_fen = amount_fen", name="approved_amount"),
    CheckConstraint(
        "approved_by IS NULL OR approved_account_id IS NOT DISTINCT FROM account_id",
        name="approved_account",
    ),
    CheckConstraint(
        "status <> 'executed' OR action = 'resolve' OR amount_fen <= threshold_fen"
        " OR approved_by IS NOT NULL",
        name="four_eyes",
    ),
    CheckConstraint(
        "(decided_by IS NULL) = (status NOT IN ('rejected', 'withdrawn'))"
        " AND (decided_at IS NULL) = (status NOT IN ('rejected', 'withdrawn', 'lapsed'))",
        name="decided",
    ),
    Index(
        "manual_actions_waiting_ix",
        "item_id",
        unique=True,
        postgresql_where=text("status = 'waiting'"),
    ),
    # What moved in a channel account is recorded once, under the number of its own statement.
    Index(
        "manual_actions_reference_ix",
        "channel",
        "subject_id",
        unique=True,
        postgresql_where=text("action = 'top_up' AND status IN ('waiting', 'executed')"),
    ),
    # No posting is corrected twice.
    Index(
        "manual_actions_correction_ix",
        "subject_id",
        unique=True,
        postgresql_where=text("action = 'correct' AND status IN ('waiting', 'executed')"),
    ),
    # What is in suspense is cleared once.
    Index(
        "manual_actions_clearing_ix",
        "subject_id",
        unique=True,
        postgresql_where=text("action = 'clear' AND status IN ('waiting', 'executed')"),
    ),
    Index("manual_actions_of_item_ix", "item_id", "action_id"),
    Index("manual_actions_of_status_ix", "status", "action_id"),
)
"""What people did, or want to do. A top-up's `subject_id` is the reference that it came with, a
correction's or clearing's the key of the posting that it is about."""

AUDIT = COMMON_AUDIT.to_metadata(METADATA)
"""The trail of what people did, chained."""
