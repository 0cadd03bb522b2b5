"""The ledger's tables: postings and their entries."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)

from shanmen.settlement.tables.base import METADATA

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
    # Postings come nearly in the order of their times: this finds a period, and costs no write.
    Index("postings_of_time_ix", "occurred_at", postgresql_using="brin"),
)

ENTRIES = Table(
    "entries",
    METADATA,
    Column("posting_id", BigInteger, ForeignKey(POSTINGS.c.posting_id), primary_key=True),
    Column("account", Text, primary_key=True),
    Column("debit_fen", BigInteger, nullable=False),
    Column("credit_fen", BigInteger, nullable=False),
    # Its posting's, by a trigger: with it, the index below knows balances at any time.
    Column("occurred_at", DateTime(timezone=True), nullable=False),
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
        "occurred_at",
        "posting_id",
        postgresql_include=["debit_fen", "credit_fen"],
    ),
)
