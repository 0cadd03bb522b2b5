"""The ledger: postings are added, and summed up when somebody asks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Text,
    bindparam,
    column,
    func,
    insert,
    literal,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert

from shanmen.common.db import Tx, among
from shanmen.settlement.domain.ledger import Posting
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.tables import ENTRIES, POSTINGS

_SUMS = (
    func.coalesce(func.sum(ENTRIES.c.debit_fen), 0).label("debit_fen"),
    func.coalesce(func.sum(ENTRIES.c.credit_fen), 0).label("credit_fen"),
)

_PLACE = tuple_(ENTRIES.c.occurred_at, ENTRIES.c.posting_id)
_WITH_FACT = select(POSTINGS, ENTRIES.c.debit_fen, ENTRIES.c.credit_fen).join(
    POSTINGS, POSTINGS.c.posting_id == ENTRIES.c.posting_id
)


def _unnest(name: str, **columns: Any) -> Any:
    """Array parameters `<name>_<column>` side by side, as a table."""
    arrays = [bindparam(f"{name}_{key}", type_=ARRAY(kind)) for key, kind in columns.items()]
    names = [column(key, kind) for key, kind in columns.items()]
    return func.unnest(*arrays).table_valued(*names, name=name).render_derived()


_FACTS = _unnest("fact", key=Text, kind=Text, order_no=Text, occurred_at=DateTime(timezone=True))
_LINES = _unnest("line", key=Text, account=Text, debit_fen=BigInteger, credit_fen=BigInteger)
_NEW = (
    upsert(POSTINGS)
    .from_select(["key", "kind", "order_no", "occurred_at"], select(*_FACTS.c))
    .on_conflict_do_nothing(index_elements=[POSTINGS.c.key])
    .returning(POSTINGS.c.posting_id, POSTINGS.c.key)
    .cte("new")
)
_RECORD = insert(ENTRIES).from_select(
    ["posting_id", "account", "debit_fen", "credit_fen"],
    select(_NEW.c.posting_id, _LINES.c.account, _LINES.c.debit_fen, _LINES.c.credit_fen).join(
        _LINES, _LINES.c.key == _NEW.c.key
    ),
)


async def record(tx: Tx, postings: Sequence[Posting]) -> None:
    """Write postings with their entries, in one statement. A fact that is booked is left alone."""
    # In order of their keys: two consumers that book the same facts take the same locks in turn.
    facts = sorted(postings, key=lambda posting: posting.key)
    lines = [(posting.key, entry) for posting in facts for entry in posting.entries]
    await tx.execute(
        _RECORD,
        {
            "fact_key": [fact.key for fact in facts],
            "fact_kind": [fact.kind.value for fact in facts],
            "fact_order_no": [fact.order_no for fact in facts],
            "fact_occurred_at": [fact.occurred_at for fact in facts],
            "line_key": [key for key, _ in lines],
            "line_account": [entry.account for _, entry in lines],
            "line_debit_fen": [entry.debit_fen for _, entry in lines],
            "line_credit_fen": [entry.credit_fen for _, entry in lines],
        },
    )


async def is_recorded(tx: Tx, key: str) -> bool:
    """Whether the fact of this name is in the ledger."""
    return (
        await tx.execute(select(POSTINGS.c.key).where(POSTINGS.c.key == key))
    ).first() is not None


@dataclass(frozen=True)
class Cut:
    """Which part of the ledger is looked at: what occurred before an instant, and was recorded
    under a number up to `upto`. None leaves that side open."""

    before: datetime | None = None
    upto: int | None = None


@dataclass(frozen=True)
class Place:
    """Where an account's entry stands: entries are in order of their time, then of recording."""

    occurred_at: datetime
    posting_id: int


async def posting(tx: Tx, key: str) -> Record | None:
    """The posting of a fact, without its entries."""
    return (await tx.execute(select(POSTINGS).where(POSTINGS.c.key == key))).one_or_none()


async def last_number(tx: Tx, recorded_by: datetime, *, settled_s: int) -> int | None:
    """The number of the last posting that was recorded by then, 0 before the first; None if that
    is not `settled_s` ago: a number may become visible later than the next one."""
    horizon = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, settled_s)
    by = literal(recorded_by, DateTime(timezone=True))
    last = (
        select(POSTINGS.c.posting_id)
        .where(POSTINGS.c.recorded_at <= by)
        .order_by(POSTINGS.c.posting_id.desc())
        .limit(1)
    )
    number: int | None = await tx.scalar(
        select(func.coalesce(last.scalar_subquery(), 0)).where(by <= horizon)
    )
    return number


async def totals(tx: Tx, cut: Cut) -> Record:
    """`debit_fen` and `credit_fen` of all entries there are."""
    return (await tx.execute(select(*_SUMS).where(*_within(cut)))).one()


async def sums_of(tx: Tx, account: str, cut: Cut, upto: Place | None = None) -> Record:
    """`debit_fen` and `credit_fen` of an account, up to one of its entries if given."""
    sums = select(*_SUMS).where(ENTRIES.c.account == account, *_within(cut))
    if upto is not None:
        sums = sums.where(_at(upto) >= _PLACE)
    return (await tx.execute(sums)).one()


async def has_entries(tx: Tx, account: str) -> bool:
    """Whether anything was ever posted to an account."""
    wanted = select(ENTRIES.c.account).where(ENTRIES.c.account == account).limit(1)
    return (await tx.execute(wanted)).first() is not None


async def account_sums(
    tx: Tx, cut: Cut, *, prefix: str, include_zero: bool, after: str | None, limit: int
) -> Records:
    """Accounts by code, each with its sums; `custody:` accounts at zero only if asked for."""
    rows = (
        select(ENTRIES.c.account, *_SUMS)
        .where(ENTRIES.c.account.startswith(prefix, autoescape=True), *_within(cut))
        .group_by(ENTRIES.c.account)
        .order_by(ENTRIES.c.account)
        .limit(limit + 1)
    )
    if after is not None:
        rows = rows.where(ENTRIES.c.account > after)
    if not include_zero:
        is_open = func.sum(ENTRIES.c.debit_fen) != func.sum(ENTRIES.c.credit_fen)
        rows = rows.having(is_open | ENTRIES.c.account.not_like("custody:%"))
    return (await tx.execute(rows)).all()


async def account_entries(tx: Tx, account: str, *, after: Place | None, limit: int) -> Records:
    """An account's entries with the facts that they book, newest first."""
    rows = _WITH_FACT.where(ENTRIES.c.account == account)
    if after is not None:
        rows = rows.where(_at(after) > _PLACE)
    newest_first = rows.order_by(ENTRIES.c.occurred_at.desc(), ENTRIES.c.posting_id.desc())
    return (await tx.execute(newest_first.limit(limit + 1))).all()


async def entries_from(
    tx: Tx, account: str, cut: Cut, *, start: datetime, after: Place | None, limit: int
) -> Records:
    """An account's entries from an instant on, oldest first, with the facts that they book."""
    rows = _WITH_FACT.where(
        ENTRIES.c.account == account, ENTRIES.c.occurred_at >= start, *_within(cut)
    )
    if after is not None:
        rows = rows.where(_at(after) < _PLACE)
    oldest_first = rows.order_by(ENTRIES.c.occurred_at, ENTRIES.c.posting_id)
    return (await tx.execute(oldest_first.limit(limit + 1))).all()


async def postings(tx: Tx, *, order_no: str | None, after: int | None, limit: int) -> Records:
    """Postings, of one order if given, without their entries."""
    rows = select(POSTINGS).order_by(POSTINGS.c.posting_id.desc()).limit(limit + 1)
    if order_no is not None:
        rows = rows.where(POSTINGS.c.order_no == order_no)
    if after is not None:
        rows = rows.where(POSTINGS.c.posting_id < after)
    return (await tx.execute(rows)).all()


async def entries_of(tx: Tx, posting_ids: Sequence[int]) -> Records:
    """The entries of these postings, by account."""
    rows = (
        select(ENTRIES)
        .where(among(ENTRIES.c.posting_id, posting_ids))
        .order_by(ENTRIES.c.posting_id, ENTRIES.c.account)
    )
    return (await tx.execute(rows)).all()


def _within(cut: Cut) -> Iterator[ColumnElement[bool]]:
    if cut.before is not None:
        yield ENTRIES.c.occurred_at < cut.before
    if cut.upto is not None:
        yield ENTRIES.c.posting_id <= cut.upto


def _at(place: Place) -> ColumnElement[Any]:
    return tuple_(
        literal(place.occurred_at, DateTime(timezone=True)), literal(place.posting_id, BigInteger)
    )
