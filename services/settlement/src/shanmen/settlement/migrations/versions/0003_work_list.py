"""The operators' work list: items, manual actions with approvals, approvers, and the audit trail."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | Sequence[str] | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Whoever approves must have the right at that moment, and must not have it from the requester.
# FOR SHARE waits for a revocation that is under way, and then looks again.
GUARD_APPROVAL = """
CREATE FUNCTION guard_manual_action() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    fixed text[] := ARRAY['action_id', 'item_id', 'action', 'kind', 'subject_id', 'operation_id',
        'amount_fen', 'channel', 'account_id', 'direction', 'note', 'requested_by',
        'requested_at', 'threshold_fen'];
    name text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.status <> 'waiting' THEN
            RAISE EXCEPTION 'manual action % is % already', OLD.action_id, OLD.status
                USING ERRCODE = 'integrity_constraint_violation', TABLE = TG_TABLE_NAME,
                CONSTRAINT = 'manual_actions_decided_once';
        END IF;
        FOREACH name IN ARRAY fixed LOOP
            IF to_jsonb(NEW) -> name IS DISTINCT FROM to_jsonb(OLD) -> name THEN
                RAISE EXCEPTION 'the % of manual action % never changes', name, OLD.action_id
                    USING ERRCODE = 'integrity_constraint_violation', TABLE = TG_TABLE_NAME,
                    CONSTRAINT = 'manual_actions_fixed';
            END IF;
        END LOOP;
    ELSIF NEW.approved_by IS NOT NULL THEN
        RAISE EXCEPTION 'manual action % is approved before it waited', NEW.action_id
            USING ERRCODE = 'integrity_constraint_violation', TABLE = TG_TABLE_NAME,
            CONSTRAINT = 'manual_actions_waited';
    END IF;
    IF NEW.approved_by IS NOT NULL THEN
        PERFORM FROM approvers
            WHERE person = NEW.approved_by AND revoked_at IS NULL
            AND granted_by <> NEW.requested_by
            FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION '% may not approve what % asked for', NEW.approved_by, NEW.requested_by
                USING ERRCODE = 'integrity_constraint_violation', TABLE = TG_TABLE_NAME,
                CONSTRAINT = 'manual_actions_approver_in_force';
        END IF;
    END IF;
    RETURN NEW;
END $$
"""
APPROVAL_GUARDED = """
CREATE TRIGGER manual_actions_guard BEFORE INSERT OR UPDATE ON manual_actions
FOR EACH ROW EXECUTE FUNCTION guard_manual_action()
"""
GUARD_GRANT = """
CREATE FUNCTION guard_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL
        OR (NEW.grant_id, NEW.person, NEW.granted_by, NEW.granted_at)
        IS DISTINCT FROM (OLD.grant_id, OLD.person, OLD.granted_by, OLD.granted_at)
    THEN
        RAISE EXCEPTION 'a grant can be revoked, once, and not be changed otherwise'
            USING ERRCODE = 'integrity_constraint_violation', TABLE = TG_TABLE_NAME,
            CONSTRAINT = 'approvers_fixed';
    END IF;
    RETURN NEW;
END $$
"""
GRANTS_GUARDED = """
CREATE TRIGGER approvers_guard BEFORE UPDATE ON approvers
FOR EACH ROW EXECUTE FUNCTION guard_grant()
"""
REFUSE_REMOVAL = """
CREATE FUNCTION refuse_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% are kept for good', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation', TABLE = TG_TABLE_NAME;
END $$
"""
KEPT_FOR_GOOD = """
CREATE TRIGGER {table}_kept_for_good BEFORE DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION refuse_removal()
"""
REFUSE_REWRITING = """
CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation', TABLE = TG_TABLE_NAME;
END $$
"""
AUDIT_APPEND_ONLY = """
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()
"""
# A row that does not continue the chain is refused at once, not only found by the verification.
GUARD_CHAIN = """
CREATE FUNCTION guard_audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head audit;
BEGIN
    SELECT * INTO head FROM audit ORDER BY seq DESC LIMIT 1;
    IF NEW.seq <> coalesce(head.seq, 0) + 1
        OR NEW.prev_hash <> coalesce(head.hash, repeat('0', 64))
    THEN
        RAISE EXCEPTION 'audit row % does not continue the chain', NEW.seq
            USING ERRCODE = 'integrity_constraint_violation', TABLE = TG_TABLE_NAME,
            CONSTRAINT = 'audit_continues';
    END IF;
    RETURN NEW;
END $$
"""
CHAIN_GUARDED = """
CREATE TRIGGER audit_continues BEFORE INSERT ON audit
FOR EACH ROW EXECUTE FUNCTION guard_audit_chain()
"""


def upgrade() -> None:
    """Bring the schema to this revision."""
    op.create_table(
        "approvers",
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(revoked_by IS NULL) = (revoked_at IS NULL)", name=op.f("approvers_revoked_check")
        ),
        sa.CheckConstraint("granted_by <> person", name=op.f("approvers_granted_by_check")),
        sa.PrimaryKeyConstraint("grant_id", name=op.f("approvers_pkey")),
    )
    op.create_index(
        "approvers_in_force_ix",
        "approvers",
        ["person"],
        unique=True,
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("prev_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.CheckConstraint("seq > 0", name=op.f("audit_seq_check")),
        sa.PrimaryKeyConstraint("seq", name=op.f("audit_pkey")),
        sa.UniqueConstraint("prev_hash", name=op.f("audit_prev_hash_key")),
    )
    op.create_table(
        "shortages",
        sa.Column("shortage_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("shortage_id", name=op.f("shortages_pkey")),
    )
    op.create_index(
        "shortages_open_ix",
        "shortages",
        ["channel"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "work_items",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=True),
        sa.Column("spot_id", sa.Text(), nullable=True),
        sa.Column("distributor_id", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "(status = 'resolved') = (resolved_at IS NOT NULL) AND (status = 'resolved') = (resolution IS NOT NULL)",
            name=op.f("work_items_resolved_check"),
        ),
        sa.CheckConstraint(
            "family IN ('debit', 'payout', 'refund')", name=op.f("work_items_family_check")
        ),
        sa.CheckConstraint(
            "kind IN ('debit_short', 'debit_stuck', 'payout_short', 'payout_stuck', 'payout_refused', 'refund_short', 'refund_stuck', 'refund_refused')",
            name=op.f("work_items_kind_check"),
        ),
        sa.CheckConstraint(
            "resolved_by IS NULL OR status = 'resolved'", name=op.f("work_items_resolved_by_check")
        ),
        sa.CheckConstraint(
            "starts_with(kind, family || '_')", name=op.f("work_items_kind_of_family_check")
        ),
        sa.CheckConstraint("status IN ('open', 'resolved')", name=op.f("work_items_status_check")),
        sa.CheckConstraint("amount_fen >= 0", name=op.f("work_items_amount_check")),
        sa.PrimaryKeyConstraint("item_id", name=op.f("work_items_pkey")),
    )
    op.create_index(
        "work_items_of_kind_ix", "work_items", ["status", "kind", "item_id"], unique=False
    )
    op.create_index(
        "work_items_of_order_ix",
        "work_items",
        ["order_no"],
        unique=False,
        postgresql_where=sa.text("order_no IS NOT NULL"),
    )
    op.create_index(
        "work_items_open_ix",
        "work_items",
        ["family", "subject_id"],
        unique=True,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_table(
        "manual_actions",
        sa.Column("action_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=True),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("direction", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("threshold_fen", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approved_amount_fen", sa.BigInteger(), nullable=True),
        sa.Column("approved_account_id", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision_note", sa.Text(), nullable=True),
        sa.Column("executed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result_operation_id", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(action = 'top_up') = (item_id IS NULL) AND (action = 'top_up') = (direction IS NOT NULL) AND (direction IS NULL OR direction IN ('in', 'out'))",
            name=op.f("manual_actions_top_up_check"),
        ),
        sa.CheckConstraint(
            "(approved_by IS NULL) = (approved_at IS NULL) AND (approved_by IS NULL) = (approved_amount_fen IS NULL) AND (approved_by IS NOT NULL OR approved_account_id IS NULL) AND (approved_by IS NULL OR status = 'executed')",
            name=op.f("manual_actions_approval_check"),
        ),
        sa.CheckConstraint(
            "(decided_by IS NULL) = (status NOT IN ('rejected', 'withdrawn')) AND (decided_at IS NULL) = (status NOT IN ('rejected', 'withdrawn', 'lapsed'))",
            name=op.f("manual_actions_decided_check"),
        ),
        sa.CheckConstraint(
            "(status = 'executed') = (executed_at IS NOT NULL)",
            name=op.f("manual_actions_executed_check"),
        ),
        sa.CheckConstraint(
            "action IN ('retry', 'remit', 'refund', 'settle_outside', 'resolve', 'top_up')",
            name=op.f("manual_actions_action_check"),
        ),
        sa.CheckConstraint(
            "status <> 'executed' OR action = 'resolve' OR amount_fen <= threshold_fen OR approved_by IS NOT NULL",
            name=op.f("manual_actions_four_eyes_check"),
        ),
        sa.CheckConstraint(
            "status IN ('waiting', 'executed', 'rejected', 'withdrawn', 'lapsed')",
            name=op.f("manual_actions_status_check"),
        ),
        sa.CheckConstraint(
            "amount_fen >= 0 AND threshold_fen >= 0", name=op.f("manual_actions_amounts_check")
        ),
        sa.CheckConstraint(
            "approved_amount_fen = amount_fen", name=op.f("manual_actions_approved_amount_check")
        ),
        sa.CheckConstraint(
            "approved_by <> requested_by", name=op.f("manual_actions_approver_check")
        ),
        sa.CheckConstraint(
            "approved_by IS NULL OR approved_account_id IS NOT DISTINCT FROM account_id",
            name=op.f("manual_actions_approved_account_check"),
        ),
        sa.ForeignKeyConstraint(
            ["item_id"], ["work_items.item_id"], name=op.f("manual_actions_item_id_fkey")
        ),
        sa.PrimaryKeyConstraint("action_id", name=op.f("manual_actions_pkey")),
    )
    op.create_index(
        "manual_actions_of_item_ix", "manual_actions", ["item_id", "action_id"], unique=False
    )
    op.create_index(
        "manual_actions_of_status_ix", "manual_actions", ["status", "action_id"], unique=False
    )
    op.create_index(
        "manual_actions_reference_ix",
        "manual_actions",
        ["channel", "subject_id"],
        unique=True,
        postgresql_where=sa.text("action = 'top_up' AND status IN ('waiting', 'executed')"),
    )
    op.create_index(
        "manual_actions_waiting_ix",
        "manual_actions",
        ["item_id"],
        unique=True,
        postgresql_where=sa.text("status = 'waiting'"),
    )
    for statement in (
        *(GUARD_APPROVAL, APPROVAL_GUARDED, GUARD_GRANT, GRANTS_GUARDED),
        *(REFUSE_REWRITING, AUDIT_APPEND_ONLY, GUARD_CHAIN, CHAIN_GUARDED, REFUSE_REMOVAL),
    ):
        op.execute(statement)
    for table in ("approvers", "manual_actions", "work_items"):
        op.execute(KEPT_FOR_GOOD.format(table=table))


def downgrade() -> None:
    """Go back to the revision before."""
    for table in ("manual_actions", "work_items", "shortages", "audit", "approvers"):
        op.drop_table(table)
    for function in (
        "guard_manual_action",
        "guard_grant",
        "refuse_removal",
        "refuse_rewriting",
        "guard_audit_chain",
    ):
        op.execute(f"DROP FUNCTION {function}()")
