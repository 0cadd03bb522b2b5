"""Reconciliation: runs, breaks, and the clearing of suspense."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0006"
down_revision: str | Sequence[str] | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

ACTIONS = (
    "'retry', 'remit', 'refund', 'settle_outside', 'resolve', 'release', 'adjust',"
    " 'top_up', 'correct'"
)
WITHOUT_ITEM = "'top_up', 'correct'"
KEPT_FOR_GOOD = """
CREATE TRIGGER {table}_kept_for_good BEFORE DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal()
"""


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.create_table(
        "reconciliations",
        sa.Column("run_id", sa.Text(), primary_key=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("bill_date", sa.Date(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("has_previous", sa.Boolean(), nullable=False),
        sa.Column("has_next", sa.Boolean(), nullable=False),
        sa.Column("files", JSONB(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in (
                *("matched", "waiting", "missing_here", "missing_there", "amount_differs"),
                *("status_differs", "opened", "resolved"),
            )
        ),
        sa.CheckConstraint(
            "finished_at >= started_at", name=op.f("reconciliations_finished_check")
        ),
    )
    op.create_index(
        "reconciliations_of_day_ix", "reconciliations", ["channel", "bill_date", "run_id"]
    )
    _create_breaks()
    for table in ("reconciliations", "breaks"):
        op.execute(KEPT_FOR_GOOD.format(table=table))
    _set_actions(f"{ACTIONS}, 'clear'", f"{WITHOUT_ITEM}, 'clear'")
    op.create_index(
        "manual_actions_clearing_ix",
        "manual_actions",
        ["subject_id"],
        unique=True,
        postgresql_where=sa.text("action = 'clear' AND status IN ('waiting', 'executed')"),
    )


def _create_breaks() -> None:
    op.create_table(
        "breaks",
        sa.Column("break_id", sa.Text(), primary_key=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("bill_date", sa.Date(), nullable=False),
        sa.Column("break_class", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("ours_fen", sa.BigInteger(), nullable=False),
        sa.Column("theirs_fen", sa.BigInteger(), nullable=False),
        sa.Column("cash_effect_fen", sa.BigInteger(), nullable=False),
        sa.Column("places", JSONB(), nullable=False),
        sa.Column("channel_ref", sa.Text(), nullable=False),
        sa.Column("business_type", sa.Text(), nullable=False),
        sa.Column("fact", sa.Text()),
        sa.Column("order_no", sa.Text()),
        sa.Column("ours_at", sa.DateTime(timezone=True)),
        sa.Column("theirs_at", sa.DateTime(timezone=True)),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        *(
            sa.Column(
                name,
                sa.Text(),
                sa.ForeignKey("reconciliations.run_id", name=op.f(f"breaks_{name}_fkey")),
                nullable=False,
            )
            for name in ("first_seen_run", "last_seen_run")
        ),
        sa.Column("status", sa.Text(), nullable=False, server_default="open"),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True)),
        sa.Column("resolved_how", sa.Text()),
        sa.Column("resolved_by", sa.Text()),
        *_checks_of_breaks(),
    )
    identity = (
        *("channel", "bill_date", "number", "channel_ref", "direction", "break_class", "ordinal"),
    )
    op.create_index(
        "breaks_open_ix",
        "breaks",
        identity,
        unique=True,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index("breaks_of_day_ix", "breaks", ["channel", "bill_date"])
    op.create_index("breaks_of_number_ix", "breaks", ["number"])
    for name in ("first_seen_run", "last_seen_run"):
        op.create_index(f"breaks_{name}_ix", "breaks", [name, "break_id"])


def _checks_of_breaks() -> list[sa.CheckConstraint]:
    conditions = {
        "class": "break_class IN ('missing_here', 'missing_there', 'amount', 'status')",
        "direction": "direction IN ('in', 'out')",
        "amounts": "ours_fen >= 0 AND theirs_fen >= 0",
        "status": "status IN ('open', 'resolved')",
        "resolved": "(status = 'resolved') = (resolved_at IS NOT NULL)"
        " AND (status = 'resolved') = (resolved_how IS NOT NULL)"
        " AND (status = 'resolved') = (resolved_by IS NOT NULL)",
        "resolved_how": "resolved_how IN ('explained', 'adjusted', 'accepted')",
    }
    return [
        sa.CheckConstraint(condition, name=op.f(f"breaks_{name}_check"))
        for name, condition in conditions.items()
    ]


def downgrade() -> None:
    """Go back to the revision before; impossible once suspense was cleared."""
    op.drop_index("manual_actions_clearing_ix", table_name="manual_actions")
    _set_actions(ACTIONS, WITHOUT_ITEM)
    op.drop_table("breaks")
    op.drop_table("reconciliations")


def _set_actions(actions: str, without_item: str) -> None:
    conditions = {
        "action": f"action IN ({actions})",
        "top_up": f"(action IN ({without_item})) = (item_id IS NULL)"
        " AND (action = 'top_up') = (direction IS NOT NULL)"
        " AND (direction IS NULL OR direction IN ('in', 'out'))",
    }
    for name, condition in conditions.items():
        constraint = op.f(f"manual_actions_{name}_check")
        op.drop_constraint(constraint, "manual_actions", type_="check")
        op.create_check_constraint(constraint, "manual_actions", condition)
