"""Parties, products, the pool and the event layer's own tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    _create_event_layer()
    _create_parties()
    _create_products()
    _create_pool()


def downgrade() -> None:
    """Back."""
    for table in (
        "reservations",
        "stock",
        "product_spots",
        "products",
        "credentials",
        "accounts",
        "parties",
        "waiters",
        "outbox",
        "inbox",
        "idempotency_keys",
    ):
        op.drop_table(table)


def _create_event_layer() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("idempotency_keys_pkey")),
    )
    op.create_table(
        "inbox",
        sa.Column("consumer", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("consumer", "event_id", name=op.f("inbox_pkey")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.Column("trace", postgresql.JSONB(), nullable=False),
        sa.Column("refusals", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "not_before",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("outbox_pkey")),
    )
    op.create_table(
        "waiters",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column(
            "since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("waiters_pkey")),
    )


def _create_parties() -> None:
    op.create_table(
        "parties",
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("contact_phone", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("fee_bps", sa.Integer(), nullable=False),
        sa.Column("offline_grace_s", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("kind IN ('spot', 'distributor')", name=op.f("parties_kind_check")),
        sa.CheckConstraint("fee_bps BETWEEN 0 AND 10000", name=op.f("parties_fee_bps_check")),
        sa.CheckConstraint("offline_grace_s >= 0", name=op.f("parties_offline_grace_s_check")),
        sa.PrimaryKeyConstraint("party_id", name=op.f("parties_pkey")),
    )
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("account_no", sa.Text(), nullable=False),
        sa.Column("account_name", sa.Text(), nullable=False),
        sa.Column("agreement_no", sa.Text(), nullable=True),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "channel IN ('alipay', 'huijinbao')", name=op.f("accounts_channel_check")
        ),
        sa.CheckConstraint(
            "role <> 'pay' OR agreement_no IS NOT NULL", name=op.f("accounts_agreement_check")
        ),
        sa.CheckConstraint("role IN ('pay', 'receive')", name=op.f("accounts_role_check")),
        sa.ForeignKeyConstraint(
            ["party_id"], ["parties.party_id"], name=op.f("accounts_party_id_fkey")
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("accounts_pkey")),
        sa.UniqueConstraint(
            "party_id",
            "role",
            "channel",
            "account_no",
            "agreement_no",
            name="accounts_same_twice",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        "accounts_one_default",
        "accounts",
        ["party_id", "role"],
        unique=True,
        postgresql_where=sa.text("is_default"),
    )
    op.create_table(
        "credentials",
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=True),
        sa.Column("reseller", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(kind = 'operator') = (party_id IS NULL)", name=op.f("credentials_party_check")
        ),
        sa.CheckConstraint(
            "(kind = 'reseller') = (reseller IS NOT NULL)", name=op.f("credentials_reseller_check")
        ),
        sa.ForeignKeyConstraint(
            ["party_id"], ["parties.party_id"], name=op.f("credentials_party_id_fkey")
        ),
        sa.PrimaryKeyConstraint("credential_id", name=op.f("credentials_pkey")),
        sa.UniqueConstraint("token_hash", name=op.f("credentials_token_hash_key")),
    )
    op.create_index(op.f("credentials_party_id_ix"), "credentials", ["party_id"], unique=False)


def _create_products() -> None:
    op.create_table(
        "products",
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("unit_price_fen", sa.BigInteger(), nullable=False),
        sa.Column("visit_rule", sa.Text(), nullable=False),
        sa.Column("valid_days", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("sale_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sale_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("max_quantity", sa.Integer(), nullable=False),
        sa.Column("real_name", sa.Text(), nullable=False),
        sa.Column("refund_on_expiry", sa.Boolean(), nullable=False),
        sa.Column("refund_before_visit", sa.Boolean(), nullable=False),
        sa.Column("refunds_fee", sa.Boolean(), nullable=False),
        sa.Column("invests", sa.Boolean(), nullable=False),
        sa.Column("payment_timeout_s", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("kind IN ('single', 'combined')", name=op.f("products_kind_check")),
        sa.CheckConstraint(
            "status IN ('draft', 'published', 'withdrawn')", name=op.f("products_status_check")
        ),
        sa.CheckConstraint(
            "visit_rule <> 'open' OR (valid_from IS NOT NULL AND valid_until IS NOT NULL)",
            name=op.f("products_open_validity_check"),
        ),
        sa.CheckConstraint(
            "visit_rule IN ('dated', 'open')", name=op.f("products_visit_rule_check")
        ),
        sa.CheckConstraint(
            "max_quantity BETWEEN 1 AND 1000", name=op.f("products_max_quantity_check")
        ),
        sa.CheckConstraint("unit_price_fen > 0", name=op.f("products_unit_price_fen_check")),
        sa.CheckConstraint("valid_until >= valid_from", name=op.f("products_validity_check")),
        sa.PrimaryKeyConstraint("product_id", name=op.f("products_pkey")),
    )
    op.create_index(
        op.f("products_status_product_id_ix"), "products", ["status", "product_id"], unique=False
    )
    op.create_table(
        "product_spots",
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("spot_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("settle_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("settle_fen >= 0", name=op.f("product_spots_settle_fen_check")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.product_id"], name=op.f("product_spots_product_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["spot_id"], ["parties.party_id"], name=op.f("product_spots_spot_id_fkey")
        ),
        sa.PrimaryKeyConstraint("product_id", "spot_id", name=op.f("product_spots_pkey")),
    )
    op.create_index(op.f("product_spots_spot_id_ix"), "product_spots", ["spot_id"], unique=False)


def _create_pool() -> None:
    op.create_table(
        "stock",
        sa.Column("stock_id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("visit_date", sa.Date(), nullable=True),
        sa.Column("slot", sa.Text(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("reserved", sa.Integer(), server_default="0", nullable=False),
        sa.Column("sold", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("reserved + sold <= total", name=op.f("stock_never_oversold_check")),
        sa.CheckConstraint("reserved >= 0 AND sold >= 0", name=op.f("stock_counters_check")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.product_id"], name=op.f("stock_product_id_fkey")
        ),
        sa.PrimaryKeyConstraint("stock_id", name=op.f("stock_pkey")),
        sa.UniqueConstraint(
            "product_id",
            "visit_date",
            "slot",
            name="stock_entry",
            postgresql_nulls_not_distinct=True,
        ),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "reservations",
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("stock_id", sa.Text(), nullable=False),
        sa.Column("distributor_id", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("offer", postgresql.JSONB(), nullable=False),
        sa.Column("reserved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('held', 'confirmed', 'sold', 'released')",
            name=op.f("reservations_status_check"),
        ),
        sa.CheckConstraint("quantity > 0", name=op.f("reservations_quantity_check")),
        sa.ForeignKeyConstraint(
            ["stock_id"], ["stock.stock_id"], name=op.f("reservations_stock_id_fkey")
        ),
        sa.PrimaryKeyConstraint("order_no", name=op.f("reservations_pkey")),
    )
    op.create_index(
        "reservations_held",
        "reservations",
        ["reserved_at"],
        unique=False,
        postgresql_where=sa.text("status = 'held'"),
    )
