"""Moves of invested money (理财): into a wealth product and out of it, and what they add up to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    and_,
    case,
    exists,
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from shanmen.common.db import Tx, among
from shanmen.settlement.domain.wealth import (
    WEALTH_MOVE,
    WealthMoveKind,
    WealthMoveStatus,
)
from shanmen.settlement.domain.work import WorkFamily, WorkStatus
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.tables import DEBITS, ENTITLEMENTS, WEALTH_MOVES, WORK_ITEMS

_MOVE = WEALTH_MOVES.c
_PRODUCTS_SEED = 1
"""Keeps the locks of products from those of orders."""


def _is(kind: WealthMoveKind, *statuses: WealthMoveStatus) -> ColumnElement[bool]:
    """Spelled out: parameters would hide the partial indexes from a generic plan."""
    is_kind = _MOVE.kind == literal_column(f"'{kind}'")
    if not statuses:
        return is_kind
    in_status = [_MOVE.status == literal_column(f"'{status}'") for status in statuses]
    return and_(is_kind, or_(*in_status))


_UNDER_WAY = (WealthMoveStatus.REQUESTED, WealthMoveStatus.PARKED)
_IN_CHARGE = _MOVE.replaced_by.is_(None)
"""Nothing took its place."""

_IS_INVESTED = _is(WealthMoveKind.SUBSCRIBE, WealthMoveStatus.DONE) & _MOVE.liquidated_by.is_(None)
"""The condition of the partial index `wealth_moves_invested_ix`."""

INVESTED_FEN = func.coalesce(
    func.sum(
        case((_is(WealthMoveKind.SUBSCRIBE, WealthMoveStatus.DONE), _MOVE.principal_fen), else_=0)
    ),
    0,
).label("invested_fen")
REDEEMED_FEN = func.coalesce(
    func.sum(case((_is(WealthMoveKind.SUBSCRIBE), 0), else_=_MOVE.principal_fen)), 0
).label("redeemed_fen")
"""What moved into a product, and what of that came out again, by redemptions and liquidations."""


@dataclass(frozen=True)
class MoveFilter:
    """Which moves to list; None does not filter."""

    product_id: str | None = None
    order_no: str | None = None
    kind: WealthMoveKind | None = None
    status: WealthMoveStatus | None = None


# ── locks ───────────────────────────────────────────────────────────────────────────────────────


async def share_product(tx: Tx, product_id: str) -> None:
    """Keep a product's liquidation from starting and ending until this transaction has ended."""
    key = func.hashtextextended(product_id, _PRODUCTS_SEED)
    await tx.execute(select(func.pg_advisory_xact_lock_shared(key)))


async def own_product(tx: Tx, product_id: str) -> None:
    """Keep everybody else from deciding about a product's money until this transaction ends."""
    key = func.hashtextextended(product_id, _PRODUCTS_SEED)
    await tx.execute(select(func.pg_advisory_xact_lock(key)))


# ── moves ───────────────────────────────────────────────────────────────────────────────────────


async def add_move(tx: Tx, move: Mapping[str, Any]) -> None:
    """Add a move. The database refuses a second one in charge of the same order, entitlement or
    product."""
    await tx.execute(insert(WEALTH_MOVES).values(**move, status=WealthMoveStatus.REQUESTED))


async def move(tx: Tx, move_id: str, *, lock: bool = False) -> Record | None:
    """One move, locked if wanted."""
    wanted = select(WEALTH_MOVES).where(_MOVE.move_id == move_id)
    return (await tx.execute(wanted.with_for_update() if lock else wanted)).one_or_none()


async def change_move(
    tx: Tx,
    move_id: str,
    target: WealthMoveStatus,
    *,
    reason: str | None = None,
    finished_at: datetime | None = None,
    principal_fen: int | None = None,
    yield_fen: int | None = None,
) -> Record | None:
    """Bring a move to `target`; None if there is no such move, or its status forbids it."""
    changed = (
        update(WEALTH_MOVES)
        .where(_MOVE.move_id == move_id, among(_MOVE.status, WEALTH_MOVE.sources(target)))
        .values(
            status=target,
            reason=reason,
            finished_at=finished_at,
            principal_fen=principal_fen,
            yield_fen=yield_fen,
        )
        .returning(WEALTH_MOVES)
    )
    row: Record | None = (await tx.execute(changed)).one_or_none()
    return row


async def replace_move(tx: Tx, move_id: str, by: str) -> bool:
    """Let another move take the place of a refused one; False if one has."""
    replaced = (
        update(WEALTH_MOVES)
        .where(_MOVE.move_id == move_id, _MOVE.status == WealthMoveStatus.FAILED, _IN_CHARGE)
        .values(replaced_by=by)
        .returning(_MOVE.move_id)
    )
    return (await tx.execute(replaced)).first() is not None


async def page(tx: Tx, wanted: MoveFilter, *, after: str | None, limit: int) -> Records:
    """Moves, newest first."""
    exact = {
        "product_id": wanted.product_id,
        "order_no": wanted.order_no,
        "kind": wanted.kind,
        "status": wanted.status,
    }
    rows = select(WEALTH_MOVES).where(
        *(_MOVE[name] == value for name, value in exact.items() if value is not None)
    )
    if after is not None:
        rows = rows.where(_MOVE.move_id < after)
    return (await tx.execute(rows.order_by(_MOVE.move_id.desc()).limit(limit + 1))).all()


# ── what is known of a part, an order, a product ────────────────────────────────────────────────


async def standing(tx: Tx, *, order_no: str, entitlement_id: str, product_id: str) -> Record:
    """What decides how an entitlement's part comes out of the wealth product.

    `subscription` and `redemption` are the statuses of those in charge, None without one;
    `liquidation` is that of the product's last one, with `liquidation_reason`; `ends_at` is when
    the last of the product's invested entitlements expires.
    """
    subscribes = (_is(WealthMoveKind.SUBSCRIBE), _MOVE.order_no == order_no)
    redeems = (_is(WealthMoveKind.REDEEM), _MOVE.entitlement_id == entitlement_id)
    is_done = _MOVE.status == literal_column(f"'{WealthMoveStatus.DONE}'")
    return (
        await tx.execute(
            select(
                exists().where(DEBITS.c.order_no == order_no).label("is_debited"),
                _one(_MOVE.status, *subscribes, _IN_CHARGE).label("subscription"),
                _one(_MOVE.liquidated_by, *subscribes, _IN_CHARGE).label("liquidated_by"),
                _one(_MOVE.status, *redeems, _IN_CHARGE).label("redemption"),
                exists().where(*redeems, is_done).label("is_redeemed"),
                _last_liquidation(_MOVE.status, product_id).label("liquidation"),
                _last_liquidation(_MOVE.reason, product_id).label("liquidation_reason"),
                _end_of(product_id).label("ends_at"),
            )
        )
    ).one()


async def is_liquidated(tx: Tx, order_no: str) -> bool:
    """Whether what was left of an order's investment came out by a liquidation."""
    wanted = select(_MOVE.move_id).where(
        _is(WealthMoveKind.SUBSCRIBE), _MOVE.order_no == order_no, _MOVE.liquidated_by.is_not(None)
    )
    return (await tx.execute(wanted.limit(1))).first() is not None


async def outstanding_fen(tx: Tx, product_id: str) -> int:
    """What is invested for a product, as far as its moves are known."""
    sums = select(INVESTED_FEN, REDEEMED_FEN).where(_MOVE.product_id == product_id)
    row = (await tx.execute(sums)).one()
    return int(row.invested_fen - row.redeemed_fen)


async def mark_liquidated(
    tx: Tx, product_id: str, liquidation_id: str, *, until: datetime | None
) -> None:
    """Record which liquidation took out what was left of a product's subscriptions: of those that
    were done by an instant, or of all."""
    marked = update(WEALTH_MOVES).where(_MOVE.product_id == product_id, _IS_INVESTED)
    if until is not None:
        marked = marked.where(_MOVE.finished_at <= until)
    await tx.execute(marked.values(liquidated_by=liquidation_id))


async def last_liquidated_by(tx: Tx, product_id: str) -> str | None:
    """The last liquidation of a product that is done."""
    done = (
        select(_MOVE.move_id)
        .where(
            _MOVE.product_id == product_id, _is(WealthMoveKind.LIQUIDATE, WealthMoveStatus.DONE)
        )
        .order_by(_MOVE.finished_at.desc(), _MOVE.move_id.desc())
        .limit(1)
    )
    move_id: str | None = await tx.scalar(done)
    return move_id


async def is_to_be_liquidated(tx: Tx, product_id: str, now: datetime) -> bool:
    """Whether a product has ended, or is being liquidated."""
    liquidating = exists().where(
        _MOVE.product_id == product_id, _is(WealthMoveKind.LIQUIDATE, *_UNDER_WAY)
    )
    has_ended = func.coalesce(_end_of(product_id) <= now, false())
    return bool(await tx.scalar(select(has_ended | liquidating)))


async def is_in_motion(tx: Tx, product_id: str) -> bool:
    """Whether a move of a product forbids a liquidation: another, or money that is on its way."""
    return bool(await tx.scalar(select(_in_motion(WEALTH_MOVES.alias(), product_id))))


async def to_liquidate(tx: Tx, now: datetime, *, product_id: str | None = None) -> Sequence[str]:
    """Products that have ended with something invested, and that nothing keeps from liquidation.

    One whose liquidation was refused waits for a person as long as it is on the work list.
    """
    other = WEALTH_MOVES.alias()
    refused = exists().where(
        other.c.product_id == _MOVE.product_id,
        other.c.kind == WealthMoveKind.LIQUIDATE,
        other.c.status == WealthMoveStatus.FAILED,
        other.c.replaced_by.is_(None),
        WORK_ITEMS.c.family == WorkFamily.LIQUIDATE,
        WORK_ITEMS.c.subject_id == other.c.move_id,
        WORK_ITEMS.c.status == literal_column(f"'{WorkStatus.OPEN}'"),
    )
    wanted = (
        select(_MOVE.product_id)
        .where(
            _IS_INVESTED,
            _end_of(_MOVE.product_id) <= now,
            ~_in_motion(WEALTH_MOVES.alias(), _MOVE.product_id),
            ~refused,
        )
        .distinct()
        .order_by(_MOVE.product_id)
    )
    if product_id is not None:
        wanted = wanted.where(_MOVE.product_id == product_id)
    return (await tx.execute(wanted)).scalars().all()


async def refused_liquidations(tx: Tx, product_id: str) -> Sequence[str]:
    """Liquidations of a product that were refused, and whose place none has taken."""
    wanted = select(_MOVE.move_id).where(
        _MOVE.product_id == product_id,
        _is(WealthMoveKind.LIQUIDATE, WealthMoveStatus.FAILED),
        _IN_CHARGE,
    )
    return (await tx.execute(wanted)).scalars().all()


async def invested_products(tx: Tx) -> Sequence[str]:
    """Products for which something is invested."""
    wanted = select(_MOVE.product_id).where(_IS_INVESTED).distinct().order_by(_MOVE.product_id)
    return (await tx.execute(wanted)).scalars().all()


def product_end(product_id: ColumnElement[str] | str) -> ScalarSelect[datetime]:
    """When the last of a product's invested entitlements expires."""
    return _end_of(product_id)


def _end_of(product_id: ColumnElement[str] | str) -> ScalarSelect[datetime]:
    return (
        select(func.max(ENTITLEMENTS.c.expires_at))
        .where(ENTITLEMENTS.c.product_id == product_id, ENTITLEMENTS.c.invests)
        .scalar_subquery()
    )


def _one(column: ColumnElement[Any], *conditions: ColumnElement[bool]) -> ScalarSelect[Any]:
    return select(column).where(*conditions).scalar_subquery()


def _last_liquidation(column: ColumnElement[Any], product_id: str) -> ScalarSelect[Any]:
    return (
        select(column)
        .where(_MOVE.product_id == product_id, _is(WealthMoveKind.LIQUIDATE), _IN_CHARGE)
        .order_by(_MOVE.requested_at.desc(), _MOVE.move_id.desc())
        .limit(1)
        .scalar_subquery()
    )


def _in_motion(moves: Any, product_id: ColumnElement[str] | str) -> ColumnElement[bool]:
    return exists().where(
        moves.c.product_id == product_id,
        among(moves.c.status, _UNDER_WAY),
        or_(
            moves.c.kind == WealthMoveKind.LIQUIDATE,
            moves.c.kind == WealthMoveKind.REDEEM,
            # A parked subscription may wait for long; once it is done, the next round takes it.
            moves.c.status == WealthMoveStatus.REQUESTED,
        ),
    )
