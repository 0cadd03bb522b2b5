"""The ledger in time: balances at any instant, corrections, and what statements look up."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | Sequence[str] | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# An entry has the time of its posting and no other, whoever writes it.
DATE_ENTRY = """
CREATE FUNCTION date_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT occurred_at INTO NEW.occurred_at FROM postings WHERE posting_id = NEW.posting_id;
    RETURN NEW;
END $$
"""
ENTRIES_DATED = """
CREATE TRIGGER entries_dated BEFORE INSERT ON entries
FOR EACH ROW EXECUTE FUNCTION date_entry()
"""
DATE_ALL = """
UPDATE entries SET occurred_at = postings.occurred_at
FROM postings WHERE postings.posting_id = entries.posting_id
"""

ACTIONS = "'retry', 'remit', 'refund', 'settle_outside', 'resolve', 'top_up'"
TOP_UP = "direction IS NULL OR direction IN ('in', 'out')"


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.add_column("entries", sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("ALTER TABLE entries DISABLE TRIGGER entries_append_only")
    op.execute(DATE_ALL)
    op.execute("ALTER TABLE entries ENABLE TRIGGER entries_append_only")
    op.alter_column("entries", "occurred_at", nullable=False)
    op.execute(DATE_ENTRY)
    op.execute(ENTRIES_DATED)
    op.drop_index("entries_of_account_ix", table_name="entries")
    op.create_index(
        "entries_of_account_ix",
        "entries",
        ["account", "occurred_at", "posting_id"],
        postgresql_include=["debit_fen", "credit_fen"],
    )
    op.create_index("postings_of_time_ix", "postings", ["occurred_at"], postgresql_using="brin")
    op.create_index("debits_of_distributor_ix", "debits", ["distributor_id", "paid_at"])
    op.create_index(
        "orphaned_debits_of_distributor_ix", "orphaned_debits", ["distributor_id", "debited_at"]
    )
    op.create_index(
        "entitlements_visited_ix",
        "entitlements",
        ["spot_id", "used_at", "entitlement_id"],
        postgresql_where=sa.text("used_at IS NOT NULL"),
    )
    _set_actions(
        f"action IN ({ACTIONS}, 'correct')",
        "(action IN ('top_up', 'correct')) = (item_id IS NULL)"
        f" AND (action = 'top_up') = (direction IS NOT NULL) AND ({TOP_UP})",
    )
    op.create_index(
        "manual_actions_correction_ix",
        "manual_actions",
        ["subject_id"],
        unique=True,
        postgresql_where=sa.text("action = 'correct' AND status IN ('waiting', 'executed')"),
    )


def downgrade() -> None:
    """Go back to the revision before; impossible once something was corrected."""
    op.drop_index("manual_actions_correction_ix", table_name="manual_actions")
    _set_actions(
        f"action IN ({ACTIONS})",
        "(action = 'top_up') = (item_id IS NULL) AND (action = 'top_up') = (direction IS NOT NULL)"
        f" AND ({TOP_UP})",
    )
    op.drop_index("entitlements_visited_ix", table_name="entitlements")
    op.drop_index("orphaned_debits_of_distributor_ix", table_name="orphaned_debits")
    op.drop_index("debits_of_distributor_ix", table_name="debits")
    op.drop_index("postings_of_time_ix", table_name="postings")
    op.drop_index("entries_of_account_ix", table_name="entries")
    op.create_index(
        "entries_of_account_ix",
        "entries",
        ["account", "posting_id"],
        postgresql_include=["debit_fen", "credit_fen"],
    )
    op.execute("DROP TRIGGER entries_dated ON entries")
    op.execute("DROP FUNCTION date_entry()")
    op.drop_column("entries", "occurred_at")


def _set_actions(action: str, top_up: str) -> None:
    for name, condition in (("action", action), ("top_up", top_up)):
        constraint = op.f(f"manual_actions_{name}_check")
        op.drop_constraint(constraint, "manual_actions", type_="check")
        op.create_check_constraint(constraint, "manual_actions", condition)
