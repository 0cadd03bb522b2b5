"""An append-only trail of what was done by whom, each row chained to the one before by its hash.

Rows are numbered without gaps. A row's hash covers all of it and the hash of its predecessor, so a
change, an insertion, an exchange or a gap shows at the first row that no longer fits. Rows cut off
at the end show only against a head that was noted elsewhere, and so does a chain that was written
anew from some row on.

Appending serialises on the head of the chain until the transaction ends. It is for what people
do, not for what happens a thousand times a second.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    MetaData,
    Row,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
    text,
)

from shanmen.common.db import Tx

GENESIS: Final = "0" * 64
"""What the first row follows."""

AUDIT = Table(
    "audit",
    MetaData(),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", Text, nullable=False),  # the very JSON text that the hash covers
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    CheckConstraint("seq > 0", name="seq"),
    UniqueConstraint("prev_hash"),  # the chain never forks
)
"""A service that keeps a trail adds it to its metadata; its migration makes it append-only."""

_HOLD_HEAD = text("SELECT pg_advisory_xact_lock(hashtextextended('audit', 0))")
_ROWS_AT_ONCE: Final = 1_000


@dataclass(frozen=True)
class Head:
    """The end of a chain: the number and hash of its last row."""

    seq: int
    hash: str


EMPTY: Final = Head(0, GENESIS)


@dataclass(frozen=True)
class Fault:
    """The first row that does not fit, and why."""

    seq: int
    problem: str


async def append(
    tx: Tx, *, at: datetime, actor: str, action: str, subject: str, details: Mapping[str, Any]
) -> Head:
    """Add a row; returns the new head. Until the transaction ends nobody else can add one."""
    await hold(tx)
    before = await head(tx)  # a statement after the lock: it sees what the last holder committed
    row = {
        "seq": before.seq + 1,
        "at": at,
        "actor": actor,
        "action": action,
        "subject": subject,
        "details": canonical(details),
        "prev_hash": before.hash,
    }
    digest = hash_of(row)
    await tx.execute(insert(AUDIT).values(**row, hash=digest))
    return Head(before.seq + 1, digest)


async def hold(tx: Tx) -> None:
    """Keep others from appending until this transaction ends."""
    await tx.execute(_HOLD_HEAD)


async def head(tx: Tx) -> Head:
    """The end of the chain; EMPTY before its first row."""
    last = select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)
    row = (await tx.execute(last)).one_or_none()
    return EMPTY if row is None else Head(row.seq, row.hash)


async def page(tx: Tx, *, before: int | None, limit: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """Rows, newest first, up to `limit + 1` of them."""
    rows = select(AUDIT).order_by(AUDIT.c.seq.desc()).limit(limit + 1)
    if before is not None:
        rows = rows.where(AUDIT.c.seq < before)
    return (await tx.execute(rows)).all()


async def verify(tx: Tx, *, expected_head: Head | None = None) -> Fault | None:
    """The first row that does not fit, None if all do. Rows are read as a stream, in one look.

    With a head noted earlier, the chain must still contain it.
    """
    seq, last = 0, GENESIS
    rows = await tx.stream(
        select(AUDIT).order_by(AUDIT.c.seq), execution_options={"yield_per": _ROWS_AT_ONCE}
    )
    async for row in rows.mappings():
        problem = _problem_of(dict(row), seq + 1, last)
        if problem is None and expected_head is not None and row["seq"] == expected_head.seq:
            same = row["hash"] == expected_head.hash
            problem = None if same else "it is not the row whose hash was noted"
        if problem is not None:
            await rows.close()
            return Fault(seq + 1, problem)
        seq, last = row["seq"], row["hash"]
    if expected_head is not None and expected_head.seq > seq:
        return Fault(seq + 1, f"it is missing: the chain went on to row {expected_head.seq}")
    return None


def canonical(details: Mapping[str, Any]) -> str:
    """JSON with one spelling: keys in order, nothing between tokens. Raises TypeError."""
    return json.dumps(details, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def hash_of(row: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of a row's fields but its own hash, in a fixed order as a JSON list."""
    fields = [
        row["seq"],
        row["at"].astimezone(UTC).isoformat(timespec="microseconds"),
        *(row[name] for name in ("actor", "action", "subject", "details", "prev_hash")),
    ]
    text_of_row = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text_of_row.encode()).hexdigest()


def _problem_of(row: Mapping[str, Any], seq: int, last: str) -> str | None:
    if row["seq"] != seq:
        return f"it is missing: row {row['seq']} comes next"
    if row["prev_hash"] != last:
        return "it does not follow the row before"
    if row["hash"] != hash_of(row):
        return "its content was changed"
    return None
