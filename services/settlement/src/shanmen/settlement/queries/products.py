"""What belongs to a product: the postings of its debits, visits, refunds, payouts, wealth moves.

Postings do not name a product; what they book does. A payout may pay visits of several products:
of its posting a product has the share that its own lines add up to.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Select,
    Subquery,
    Text,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)

from shanmen.common.db import Tx, among
from shanmen.settlement.domain.ledger import PostingKind
from shanmen.settlement.domain.reports import Measure, Side
from shanmen.settlement.domain.statuses import PayoutStatus, RefundPaymentStatus, Settlement
from shanmen.settlement.domain.wealth import WealthMoveKind, WealthMoveStatus
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.tables import (
    DEBITS,
    ENTITLEMENTS,
    ENTRIES,
    PAYOUT_LINES,
    PAYOUTS,
    POSTINGS,
    REFUNDS,
    WEALTH_MOVES,
)

_FAMILY: Final = func.split_part(ENTRIES.c.account, ":", 1)
_GROUPS: Final = ("custody", "payable", "fees", "margin", "wealth", "yield")
"""Families of accounts that a product's figures are made of."""

_NO_SPOT: Final = cast(null(), Text).label("spot_id")
_WHOLE: Final = cast(null(), BigInteger).label("share_fen")


@dataclass(frozen=True)
class Span:
    """From an instant until before another; None leaves that side open."""

    start: datetime | None = None
    end: datetime | None = None


# ── which products there are ────────────────────────────────────────────────────────────────────

_LAST: Final = DEBITS.alias("last")
_LAST_NAME: Final = (
    select(_LAST.c.product_name)
    .where(_LAST.c.product_id == DEBITS.c.product_id)
    .order_by(_LAST.c.paid_at.desc(), _LAST.c.order_no.desc())
    .limit(1)
    .scalar_subquery()
)
_SOLD: Final = select(
    DEBITS.c.product_id,
    _LAST_NAME.label("product_name"),
    func.min(DEBITS.c.kind).label("kind"),  # it is the same of all
    func.min(DEBITS.c.paid_at).label("first_sold_at"),
    func.max(DEBITS.c.paid_at).label("last_sold_at"),
).group_by(DEBITS.c.product_id)


async def sold_product(tx: Tx, product_id: str) -> Record | None:
    """A product of which something was sold: its name as last sold, first and last sale."""
    wanted = _SOLD.where(DEBITS.c.product_id == product_id)
    return (await tx.execute(wanted)).one_or_none()


async def sold_combined(tx: Tx, *, after: str | None, limit: int) -> Records:
    """Combined products of which something was sold, newest first."""
    rows = _SOLD.where(DEBITS.c.kind == "combined", DEBITS.c.product_id.is_not(None))
    if after is not None:
        rows = rows.where(DEBITS.c.product_id < after)
    newest_first = rows.order_by(DEBITS.c.product_id.desc()).limit(limit + 1)
    return (await tx.execute(newest_first)).all()


# ── what was posted for them ────────────────────────────────────────────────────────────────────


async def daily_movements(tx: Tx, product_id: str, *, end: datetime | None, zone: str) -> Records:
    """What was debited and credited for a product before an instant: by `day` in that zone,
    `group` of accounts, `kind` of posting, and `spot_id`."""
    moved = _moved([product_id], _GROUPS, (), Span(end=end))
    day = cast(func.timezone(literal(zone, Text), moved.c.occurred_at), Date).label("day")
    by = (day, moved.c.group, moved.c.kind, moved.c.spot_id)
    rows = select(*by, *_sums(moved)).group_by(*by).order_by(day)
    await _join_in_memory(tx)
    return (await tx.execute(rows)).all()


async def total_movements(
    tx: Tx, product_ids: Collection[str], groups: Collection[str]
) -> Records:
    """What was ever debited and credited for products: by `product_id`, `group` and `kind`."""
    moved = _moved(product_ids, groups, (), Span())
    by = (moved.c.product_id, moved.c.group, moved.c.kind)
    await _join_in_memory(tx)
    return (await tx.execute(select(*by, *_sums(moved)).group_by(*by))).all()


async def postings_of(
    tx: Tx, product_id: str, measure: Measure, span: Span, *, after: int | None, limit: int
) -> Records:
    """The postings that a figure of a product adds up, with what each adds as `amount_fen`."""
    moved = _moved([product_id], measure.groups, measure.kinds, span, after=after)
    sides = (moved.c.credit_fen, moved.c.debit_fen)
    plus, minus = sides if measure.side is Side.CREDIT else reversed(sides)
    fact = (
        *(moved.c.posting_id, moved.c.key, moved.c.kind, moved.c.occurred_at, moved.c.order_no),
    )
    rows = (
        select(*fact, func.sum(plus - minus).label("amount_fen"))
        .group_by(*fact)
        .order_by(moved.c.posting_id)
        .limit(limit + 1)
    )
    await _join_in_memory(tx)
    return (await tx.execute(rows)).all()


async def liquidations(tx: Tx, product_id: str, span: Span) -> Records:
    """The liquidations of a product that were booked, oldest first: their postings, with
    `principal_fen` and `yield_fen`."""
    key = _key(PostingKind.LIQUIDATION, WEALTH_MOVES.c.move_id)
    rows = (
        select(POSTINGS, WEALTH_MOVES.c.principal_fen, WEALTH_MOVES.c.yield_fen)
        .join(POSTINGS, POSTINGS.c.key == key.element)
        .where(
            WEALTH_MOVES.c.product_id == product_id,
            WEALTH_MOVES.c.kind == WealthMoveKind.LIQUIDATE,
            *_within(POSTINGS.c.occurred_at, span),
        )
        .order_by(POSTINGS.c.occurred_at, POSTINGS.c.posting_id)
    )
    return (await tx.execute(rows)).all()


async def moves_by_kind(tx: Tx, product_id: str, span: Span) -> Records:
    """How many `moves` of a product's invested money were booked, by `kind`. Where there was
    nothing to move, nothing is booked."""
    at = WEALTH_MOVES.c
    rows = (
        select(at.kind, func.count().label("moves"))
        .where(
            at.product_id == product_id,
            at.status == WealthMoveStatus.DONE,
            at.principal_fen + at.yield_fen > 0,
            *_within(at.finished_at, span),
        )
        .group_by(at.kind)
    )
    return (await tx.execute(rows)).all()


async def visits_by_spot(tx: Tx, product_id: str, span: Span) -> Records:
    """How many `visits` each spot had with tickets of a product."""
    at = ENTITLEMENTS.c
    rows = (
        select(at.spot_id, func.count().label("visits"))
        .where(at.product_id == product_id, at.used_at.is_not(None), *_within(at.used_at, span))
        .group_by(at.spot_id)
    )
    return (await tx.execute(rows)).all()


# ── whose a posting is ──────────────────────────────────────────────────────────────────────────


def _debits(product_ids: Collection[str]) -> Select[Any]:
    key = _key(PostingKind.DEBIT, DEBITS.c.operation_id)
    wanted = select(DEBITS.c.product_id, key, _NO_SPOT, _WHOLE)
    return wanted.where(among(DEBITS.c.product_id, product_ids))


def _visits(product_ids: Collection[str]) -> Select[Any]:
    return _entitlements(product_ids, PostingKind.ADMISSION).where(
        ENTITLEMENTS.c.used_at.is_not(None)
    )


def _forfeits(product_ids: Collection[str]) -> Select[Any]:
    return _entitlements(product_ids, PostingKind.FORFEIT).where(
        ENTITLEMENTS.c.status == Settlement.FORFEITED
    )


def _entitlements(product_ids: Collection[str], kind: PostingKind) -> Select[Any]:
    at = ENTITLEMENTS.c
    wanted = select(at.product_id, _key(kind, at.entitlement_id), at.spot_id, _WHOLE)
    return wanted.where(among(at.product_id, product_ids))


def _refunds(product_ids: Collection[str]) -> Select[Any]:
    """Refused ones, too: they may be given back outside. Nothing is booked for what another
    replaced."""
    kind = case(
        (REFUNDS.c.status == RefundPaymentStatus.REFUNDED, PostingKind.REFUND.value),
        else_=PostingKind.REFUND_OUTSIDE.value,
    )
    return (
        select(
            *(ENTITLEMENTS.c.product_id, _key(kind, REFUNDS.c.refund_id)),
            *(ENTITLEMENTS.c.spot_id, _WHOLE),
        )
        .join(ENTITLEMENTS, ENTITLEMENTS.c.entitlement_id == REFUNDS.c.entitlement_id)
        .where(
            among(ENTITLEMENTS.c.product_id, product_ids),
            REFUNDS.c.live,
            REFUNDS.c.entitlement_id.is_not(None),
        )
    )


def _payouts(product_ids: Collection[str]) -> Select[Any]:
    """Refused ones, too: they may be settled outside. Nothing is booked for what another
    replaced."""
    kind = case(
        (PAYOUTS.c.status == PayoutStatus.PAID, PostingKind.PAYOUT.value),
        else_=PostingKind.PAYOUT_OUTSIDE.value,
    )
    whose = (ENTITLEMENTS.c.product_id, _key(kind, PAYOUTS.c.payout_id), PAYOUTS.c.spot_id)
    share_fen = cast(func.sum(PAYOUT_LINES.c.amount_fen), BigInteger).label("share_fen")
    return (
        select(*whose, share_fen)
        .join_from(
            ENTITLEMENTS,
            PAYOUT_LINES,
            PAYOUT_LINES.c.entitlement_id == ENTITLEMENTS.c.entitlement_id,
        )
        .join(PAYOUTS, PAYOUTS.c.payout_id == PAYOUT_LINES.c.payout_id)
        .where(among(ENTITLEMENTS.c.product_id, product_ids), PAYOUT_LINES.c.live)
        .group_by(ENTITLEMENTS.c.product_id, PAYOUTS.c.payout_id)
    )


def _wealth_moves(product_ids: Collection[str]) -> Select[Any]:
    at = WEALTH_MOVES.c
    kind = case(
        {
            WealthMoveKind.SUBSCRIBE.value: PostingKind.SUBSCRIPTION.value,
            WealthMoveKind.REDEEM.value: PostingKind.REDEMPTION.value,
            WealthMoveKind.LIQUIDATE.value: PostingKind.LIQUIDATION.value,
        },
        value=at.kind,
    )
    wanted = select(at.product_id, _key(kind, at.move_id), _NO_SPOT, _WHOLE)
    return wanted.where(among(at.product_id, product_ids), at.status == WealthMoveStatus.DONE)


@dataclass(frozen=True)
class _Facts:
    """Where to find what belongs to products, and which postings of it can be of use."""

    of: Callable[[Collection[str]], Select[Any]]
    kinds: frozenset[PostingKind]
    groups: frozenset[str]


_FACTS: Final[Sequence[_Facts]] = (
    _Facts(_debits, frozenset({PostingKind.DEBIT}), frozenset({"custody", "fees"})),
    _Facts(
        _visits,
        frozenset({PostingKind.ADMISSION}),
        frozenset({"custody", "payable", "fees", "margin"}),
    ),
    _Facts(_forfeits, frozenset({PostingKind.FORFEIT}), frozenset({"custody", "margin"})),
    _Facts(
        _refunds,
        frozenset({PostingKind.REFUND, PostingKind.REFUND_OUTSIDE}),
        frozenset({"custody", "fees"}),
    ),
    _Facts(
        _payouts,
        frozenset({PostingKind.PAYOUT, PostingKind.PAYOUT_OUTSIDE}),
        frozenset({"payable"}),
    ),
    _Facts(
        _wealth_moves,
        frozenset({PostingKind.SUBSCRIPTION, PostingKind.REDEMPTION, PostingKind.LIQUIDATION}),
        frozenset({"wealth", "yield"}),
    ),
)


def _moved(
    product_ids: Collection[str],
    groups: Collection[str],
    kinds: Collection[PostingKind],
    span: Span,
    after: int | None = None,
) -> Subquery:
    """The entries on accounts of these groups that belong to products, by these kinds of postings
    or by all, each with its posting, `product_id`, `spot_id` where it is about one, and `group`.
    """
    facts = union_all(
        *(
            known.of(product_ids)
            for known in _FACTS
            if known.groups & set(groups) and (not kinds or known.kinds & set(kinds))
        )
    ).subquery("fact")
    is_whole = facts.c.share_fen.is_(None)
    rows = (
        select(
            *(facts.c.product_id, facts.c.spot_id),
            *(POSTINGS.c.posting_id, POSTINGS.c.key, POSTINGS.c.kind),
            *(POSTINGS.c.order_no, POSTINGS.c.occurred_at),
            _FAMILY.label("group"),
            func.coalesce(facts.c.share_fen, ENTRIES.c.debit_fen).label("debit_fen"),
            ENTRIES.c.credit_fen,
        )
        .join(POSTINGS, POSTINGS.c.key == facts.c.key)
        .join(ENTRIES, ENTRIES.c.posting_id == POSTINGS.c.posting_id)
        .where(
            _FAMILY.in_(list(groups)),
            or_(is_whole, _FAMILY == "payable"),
            *_within(POSTINGS.c.occurred_at, span),
        )
    )
    if kinds:
        rows = rows.where(POSTINGS.c.kind.in_(list(kinds)))
    if after is not None:
        rows = rows.where(POSTINGS.c.posting_id > after)
    return rows.subquery("moved")


def _key(kind: PostingKind | ColumnElement[str], subject_id: ColumnElement[str]) -> Any:
    """The key of the posting that books a fact."""
    prefix = literal(kind.value, Text) if isinstance(kind, PostingKind) else kind
    return func.concat(prefix, ":", subject_id).label("key")


async def _join_in_memory(tx: Tx) -> None:
    """Let joins of this transaction have the room that a product of 100 000 visits takes."""
    await tx.execute(select(func.set_config("work_mem", "64MB", True)))


def _sums(moved: Subquery) -> Iterator[ColumnElement[int]]:
    for name in ("debit_fen", "credit_fen"):
        yield func.sum(moved.c[name]).label(name)


def _within(at: ColumnElement[Any], span: Span) -> Iterator[ColumnElement[bool]]:
    if span.start is not None:
        yield at >= span.start
    if span.end is not None:
        yield at < span.end
