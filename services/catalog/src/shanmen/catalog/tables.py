"""Catalog's tables. Constraints carry the safety: stock can never be oversold."""

from sqlalchemy import (
    ARRAY,
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
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from shanmen.common.db import build_metadata
from shanmen.common.migrate import with_common_tables

METADATA = with_common_tables(build_metadata())

PARTIES = Table(
    "parties",
    METADATA,
    Column("party_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("contact_phone", Text),
    Column("time_zone", Text, nullable=False),
    Column("fee_bps", Integer, nullable=False),
    Column("offline_grace_s", Integer, nullable=False, server_default="0"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("kind IN ('spot', 'distributor')", name="kind"),
    CheckConstraint("fee_bps BETWEEN 0 AND 10000", name="fee_bps"),
    CheckConstraint("offline_grace_s >= 0", name="offline_grace_s"),
)

ACCOUNTS = Table(
    "accounts",
    METADATA,
    Column("account_id", Text, primary_key=True),
    Column("party_id", Text, ForeignKey(PARTIES.c.party_id), nullable=False),
    Column("role", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("account_no", Text, nullable=False),
    Column("account_name", Text, nullable=False),
    Column("agreement_no", Text),
    Column("is_default", Boolean, nullable=False),
    Column("default_since", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("role IN ('pay', 'receive')", name="role"),
    CheckConstraint("channel IN ('alipay', 'huijinbao')", name="channel"),
    CheckConstraint("role <> 'pay' OR agreement_no IS NOT NULL", name="agreement"),
    UniqueConstraint(
        "party_id",
        "role",
        "channel",
        "account_no",
        "account_name",
        "agreement_no",
        name="accounts_same_twice",
        postgresql_nulls_not_distinct=True,
    ),
    Index(
        "accounts_one_default",
        "party_id",
        "role",
        unique=True,
        postgresql_where=text("is_default"),
    ),
)
"""`default_since`: when the account became its party's default, the last time that it did."""

PERSONS = Table(
    "persons",
    METADATA,
    Column("person", Text, primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

CREDENTIALS = Table(
    "credentials",
    METADATA,
    Column("credential_id", Text, primary_key=True),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("party_id", Text, ForeignKey(PARTIES.c.party_id)),
    Column("reseller", Text),
    Column("person", Text, ForeignKey(PERSONS.c.person)),
    Column("label", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("(kind = 'operator') = (party_id IS NULL)", name="party"),
    CheckConstraint("(kind = 'reseller') = (reseller IS NOT NULL)", name="reseller"),
    CheckConstraint("(kind = 'operator') = (person IS NOT NULL)", name="person"),
    Index(None, "party_id"),
)

PRODUCTS = Table(
    "products",
    METADATA,
    Column("product_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("unit_price_fen", BigInteger, nullable=False),
    Column("visit_rule", Text, nullable=False),
    Column("valid_days", Integer, nullable=False),
    Column("valid_from", Date),
    Column("valid_until", Date),
    Column("sale_from", DateTime(timezone=True)),
    Column("sale_until", DateTime(timezone=True)),
    Column("max_quantity", Integer, nullable=False),
    Column("real_name", Text, nullable=False),
    Column("refund_on_expiry", Boolean, nullable=False),
    Column("refund_before_visit", Boolean, nullable=False),
    Column("refunds_fee", Boolean, nullable=False),
    Column("invests", Boolean, nullable=False),
    Column("allow_negative_margin", Boolean, nullable=False, server_default="false"),
    Column("payment_timeout_s", Integer, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("terms_version", Integer, nullable=False, server_default="1"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("kind IN ('single', 'combined')", name="kind"),
    CheckConstraint(
        "kind = 'combined' OR NOT (invests OR allow_negative_margin)", name="of_combined_only"
    ),
    CheckConstraint("terms_version BETWEEN 1 AND version", name="terms_version"),
    CheckConstraint("status IN ('draft', 'published', 'withdrawn')", name="status"),
    CheckConstraint("visit_rule IN ('dated', 'open')", name="visit_rule"),
    CheckConstraint("unit_price_fen > 0", name="unit_price_fen"),
    CheckConstraint("max_quantity BETWEEN 1 AND 1000", name="max_quantity"),
    CheckConstraint("valid_until >= valid_from", name="validity"),
    CheckConstraint(
        "visit_rule <> 'open' OR (valid_from IS NOT NULL AND valid_until IS NOT NULL)",
        name="open_validity",
    ),
    Index(None, "status", "product_id"),
)

PRODUCT_SPOTS = Table(
    "product_spots",
    METADATA,
    Column("product_id", Text, ForeignKey(PRODUCTS.c.product_id), primary_key=True),
    Column("spot_id", Text, ForeignKey(PARTIES.c.party_id), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("settle_fen", BigInteger, nullable=False),
    CheckConstraint("settle_fen >= 0", name="settle_fen"),
    Index(None, "spot_id"),
)

CONSENTS = Table(
    "consents",
    METADATA,
    Column("product_id", Text, ForeignKey(PRODUCTS.c.product_id), primary_key=True),
    Column("spot_id", Text, ForeignKey(PARTIES.c.party_id), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("settle_fen", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("answered_at", DateTime(timezone=True)),
    Column("answered_by", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("status IN ('asked', 'accepted', 'withdrawn')", name="status"),
    CheckConstraint(
        "(status = 'asked') = (answered_at IS NULL)"
        " AND (answered_at IS NULL) = (answered_by IS NULL)",
        name="answer",
    ),
    CheckConstraint("settle_fen >= 0", name="settle_fen"),
)
"""What each spot of a combined product was asked, and answered, to the terms of each version."""

STOCK = Table(
    "stock",
    METADATA,
    Column("stock_id", Text, primary_key=True),
    Column("product_id", Text, ForeignKey(PRODUCTS.c.product_id), nullable=False),
    Column("visit_date", Date),
    Column("slot", Text),
    Column("total", Integer, nullable=False),
    Column("reserved", Integer, nullable=False, server_default="0"),
    Column("sold", Integer, nullable=False, server_default="0"),
    UniqueConstraint(
        "product_id",
        "visit_date",
        "slot",
        name="stock_entry",
        postgresql_nulls_not_distinct=True,
    ),
    CheckConstraint("reserved >= 0 AND sold >= 0", name="counters"),
    CheckConstraint("reserved + sold <= total", name="never_oversold"),
    postgresql_with={"fillfactor": "50"},
)

RESERVATIONS = Table(
    "reservations",
    METADATA,
    Column("order_no", Text, primary_key=True),
    Column("stock_id", Text, ForeignKey(STOCK.c.stock_id), nullable=False),
    Column("distributor_id", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("offer", JSONB, nullable=False),
    Column("reserved_at", DateTime(timezone=True), nullable=False),
    Column("asked_at", DateTime(timezone=True)),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("status IN ('held', 'confirmed', 'sold', 'released')", name="status"),
    Index("reservations_held", "reserved_at", postgresql_where=text("status = 'held'")),
)
