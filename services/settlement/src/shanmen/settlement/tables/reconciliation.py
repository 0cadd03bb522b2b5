"""The tables of reconciliation (对账): runs, and the breaks that they found."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shanmen.settlement.tables.base import METADATA

RECONCILIATIONS = Table(
    "reconciliations",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("bill_date", Date, nullable=False),
    Column("started_by", Text, nullable=False),  # a person, or `schedule`
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True), nullable=False),
    Column("has_previous", Boolean, nullable=False),
    Column("has_next", Boolean, nullable=False),
    Column("files", JSONB, nullable=False),
    Column("matched", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("missing_here", Integer, nullable=False),
    Column("missing_there", Integer, nullable=False),
    Column("amount_differs", Integer, nullable=False),
    Column("status_differs", Integer, nullable=False),
    Column("opened", Integer, nullable=False),
    Column("resolved", Integer, nullable=False),
    CheckConstraint("finished_at >= started_at", name="finished"),
    Index("reconciliations_of_day_ix", "channel", "bill_date", "run_id"),
)
"""Runs that finished: the counts are of breaks found, by class, whether new or known. `files` has
the sums of each bill, and of the ledger's facts that belong into it."""

BREAKS = Table(
    "breaks",
    METADATA,
    Column("break_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("bill_date", Date, nullable=False),
    Column("break_class", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("ours_fen", BigInteger, nullable=False),
    Column("theirs_fen", BigInteger, nullable=False),
    Column("cash_effect_fen", BigInteger, nullable=False),
    Column("places", JSONB, nullable=False),
    Column("channel_ref", Text, nullable=False),
    Column("business_type", Text, nullable=False),
    Column("fact", Text),
    Column("order_no", Text),
    Column("ours_at", DateTime(timezone=True)),
    Column("theirs_at", DateTime(timezone=True)),
    Column("ordinal", Integer, nullable=False),
    Column("first_seen_run", Text, ForeignKey(RECONCILIATIONS.c.run_id), nullable=False),
    Column("last_seen_run", Text, ForeignKey(RECONCILIATIONS.c.run_id), nullable=False),
    Column("status", Text, nullable=False, server_default="open"),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("resolved_at", DateTime(timezone=True)),
    Column("resolved_how", Text),
    Column("resolved_by", Text),  # a run, or a person
    CheckConstraint(
        "break_class IN ('missing_here', 'missing_there', 'amount', 'status')", name="class"
    ),
    CheckConstraint("direction IN ('in', 'out')", name="direction"),
    CheckConstraint("ours_fen >= 0 AND theirs_fen >= 0", name="amounts"),
    CheckConstraint("status IN ('open', 'resolved')", name="status"),
    CheckConstraint(
        "(status = 'resolved') = (resolved_at IS NOT NULL)"
        " AND (status = 'resolved') = (resolved_how IS NOT NULL)"
        " AND (status = 'resolved') = (resolved_by IS NOT NULL)",
        name="resolved",
    ),
    CheckConstraint("resolved_how IN ('explained', 'adjusted', 'accepted')", name="resolved_how"),
    # What a later run finds again is not opened again.
    Index(
        "breaks_open_ix",
        *("channel", "bill_date", "number", "channel_ref", "direction", "break_class", "ordinal"),
        unique=True,
        postgresql_where=text("status = 'open'"),
    ),
    Index("breaks_of_day_ix", "channel", "bill_date"),
    Index("breaks_of_number_ix", "number"),
    Index("breaks_first_seen_run_ix", "first_seen_run", "break_id"),
    Index("breaks_last_seen_run_ix", "last_seen_run", "break_id"),
)
"""Differences of the ledger and a bill. `fact` is the key of the posting, where there is one;
`places` are the bills, the number there, and the row. `cash_effect_fen` is what an adjustment
would book to cash: nothing where the bill of our account agrees."""
