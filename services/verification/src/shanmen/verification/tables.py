"""Verification's tables, and the constraints that carry its safety."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)

from shanmen.common.db import build_metadata
from shanmen.common.migrate import with_common_tables
from shanmen.verification.domain import RefusalCode, Usage, Verdict

METADATA = with_common_tables(build_metadata())


def _one_of(column: str, values: Iterable[str]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


PASSES: Final = Table(
    "passes",
    METADATA,
    Column("entitlement_id", Text, primary_key=True),
    Column("ticket_no", Text, nullable=False),
    Column("order_no", Text, nullable=False),
    Column("spot_id", Text, nullable=False),
    Column("usage", Text, nullable=False, server_default=Usage.UNUSED),
    Column("activated", Boolean, nullable=False),
    Column("valid_from", DateTime(timezone=True), nullable=False),
    Column("valid_until", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
    Column("used_scan_id", Text),
    Column("used_device", Text),
    Column("voided_at", DateTime(timezone=True)),
    Column("expired_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("ticket_no", "spot_id"),
    CheckConstraint(_one_of("usage", Usage), "usage"),
    CheckConstraint("valid_from < valid_until AND valid_until <= expires_at", "validity"),
    CheckConstraint(
        "(usage = 'used') = (used_at IS NOT NULL) "
        "AND num_nulls(used_at, used_scan_id, used_device) IN (0, 3)",
        "used",
    ),
    CheckConstraint("(usage = 'voided') = (voided_at IS NOT NULL)", "voided"),
    CheckConstraint("(usage = 'expired') = (expired_at IS NOT NULL)", "expired"),
    # The expiry sweep reads nothing else, and what is used up leaves it.
    Index("passes_due_ix", "expires_at", postgresql_where=text("usage = 'unused'")),
)

SCANS: Final = Table(
    "scans",
    METADATA,
    Column("scan_id", Text, primary_key=True),
    Column("spot_id", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("entitlement_id", Text),
    Column("ticket_no", Text),
    Column("verdict", Text, nullable=False),
    Column("code", Text),
    Column("detail", Text, nullable=False),
    Column("scanned_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("qr_sha256", Text, nullable=False),
    CheckConstraint(_one_of("verdict", Verdict), "verdict"),
    CheckConstraint(_one_of("code", RefusalCode), "code"),
    CheckConstraint("(verdict = 'admitted') = (code IS NULL)", "reason"),
    CheckConstraint("verdict <> 'admitted' OR entitlement_id IS NOT NULL", "admission"),
    Index("scans_spot_ix", "spot_id", "scanned_at", "scan_id"),
    Index("scans_time_ix", "scanned_at", "scan_id"),
    Index("scans_ticket_ix", "ticket_no", postgresql_where=text("ticket_no IS NOT NULL")),
    # The second wall behind the guarded update of `passes`: one admission per entitlement.
    Index(
        "scans_admission_key",
        "entitlement_id",
        unique=True,
        postgresql_where=text("verdict = 'admitted'"),
    ),
)
