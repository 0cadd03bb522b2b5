"""The financial report of a product (联票财务报告), the basis of the offline profit split."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from shanmen.common.db import Tx
from shanmen.common.errors import Invalid, NotFound
from shanmen.common.pagination import Page, page_of
from shanmen.settlement.domain.ledger import PostingKind
from shanmen.settlement.domain.reports import (
    BUSINESS_ZONE,
    PRODUCT,
    PRODUCT_MEASURES,
    PRODUCT_OF_DAY,
    PRODUCT_OF_SPOT,
    Days,
    Measure,
    Movement,
    measure_fen,
)
from shanmen.settlement.domain.wealth import WealthMoveKind
from shanmen.settlement.queries import products
from shanmen.settlement.queries.products import Span
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.schemas import products as schemas
from shanmen.settlement.usecases.reporting import require_usual_days

_OF_LIST: Final = ("sales", "profit")

_WEALTH: Final = (
    (WealthMoveKind.SUBSCRIBE, PostingKind.SUBSCRIPTION, PRODUCT_MEASURES["invested"]),
    (WealthMoveKind.REDEEM, PostingKind.REDEMPTION, PRODUCT_MEASURES["redeemed"]),
    (WealthMoveKind.LIQUIDATE, PostingKind.LIQUIDATION, PRODUCT_MEASURES["liquidated"]),
)
"""Moves of invested money: how they are booked, and the figure of their principal."""


@dataclass(frozen=True)
class _Moved:
    """What was posted for a product on one day, at one spot or none."""

    day: date
    spot_id: str | None
    movement: Movement


def product_days(first: date | None, last: date | None) -> Days | None:
    """The days of a product's report, of any number; None for all there are. Raises Invalid."""
    if first is None and last is None:
        return None
    if first is None or last is None:
        raise Invalid(
            "Give both days, or none for all of its time.", field="to" if first else "from"
        )
    return require_usual_days(first, last)


async def list_products(tx: Tx, *, after: str | None, limit: int) -> Page[schemas.SoldProduct]:
    """Combined products of which something was sold, newest first."""
    rows = await products.sold_combined(tx, after=after, limit=limit)
    measures = [PRODUCT_MEASURES[name] for name in _OF_LIST]
    groups = {group for measure in measures for group in measure.groups}
    movements: dict[str, list[Movement]] = defaultdict(list)
    ids = [row.product_id for row in rows[:limit]]
    for row in await products.total_movements(tx, ids, groups):
        movements[row.product_id].append(_movement(row))
    items = [
        schemas.sold_product(
            row,
            {one.name: measure_fen(one, movements[row.product_id]) for one in measures},
        )
        for row in rows
    ]
    return page_of(items, [row.product_id for row in rows], limit)


async def report_product(tx: Tx, product_id: str, wanted: Days | None) -> schemas.ProductReport:
    """A product's report, by default from the day on which anything was posted for it to the last.

    Raises NotFound for a product of which nothing was sold.
    """
    sold = await _require_sold(tx, product_id)
    moved = [
        _Moved(row.day, row.spot_id, _movement(row))
        for row in await products.daily_movements(
            tx, product_id, end=wanted.end if wanted else None, zone=BUSINESS_ZONE.key
        )
    ]
    days = wanted or _all_days(sold, moved)
    span = Span(days.start, days.end)
    moves = await products.moves_by_kind(tx, product_id, span)
    liquidations = await products.liquidations(tx, product_id, span)
    return schemas.ProductReport(
        product_id=product_id,
        product_name=sold.product_name,
        kind=sold.kind,
        first=days.first,
        last=days.last,
        first_sold_at=sold.first_sold_at,
        last_sold_at=sold.last_sold_at,
        figures=[
            schemas.product_figure(measure, _amount_fen(measure, moved, days), product_id, days)
            for measure in PRODUCT
        ],
        spots=_by_spot(moved, await products.visits_by_spot(tx, product_id, span), days),
        days=_by_day(moved, days),
        wealth=_by_move(moved, moves, days),
        liquidations=[schemas.liquidation(row) for row in liquidations],
    )


async def list_postings(
    tx: Tx,
    product_id: str,
    figure: str,
    days: Days | None,
    *,
    after: int | None,
    limit: int,
) -> Page[schemas.FigurePosting]:
    """The postings that a figure of a product adds up, in the order in which they were recorded.

    Raises Invalid for a figure that there is not, NotFound as `report_product` does.
    """
    measure = PRODUCT_MEASURES.get(figure)
    if measure is None:
        raise Invalid(f"No such figure; there are {', '.join(PRODUCT_MEASURES)}.", field="figure")
    await _require_sold(tx, product_id)
    span = Span() if days is None else Span(_start(measure, days), days.end)
    rows = await products.postings_of(tx, product_id, measure, span, after=after, limit=limit)
    items = [schemas.figure_posting(row) for row in rows]
    return page_of(items, [str(row.posting_id) for row in rows], limit)


async def _require_sold(tx: Tx, product_id: str) -> Record:
    sold = await products.sold_product(tx, product_id)
    if sold is None:
        raise NotFound("product", product_id)
    return sold


def _all_days(sold: Record, moved: Iterable[_Moved]) -> Days:
    """From the first to the last on which something was sold or posted."""
    sales = [at.astimezone(BUSINESS_ZONE).date() for at in (sold.first_sold_at, sold.last_sold_at)]
    every = [*sales, *(one.day for one in moved)]
    return Days(min(every), max(every))


def _by_spot(moved: Sequence[_Moved], visits: Records, days: Days) -> list[schemas.ProductSpot]:
    count = {row.spot_id: row.visits for row in visits}
    of_spots = _grouped(moved, lambda one: one.spot_id)
    return [
        schemas.ProductSpot(
            spot_id=spot_id,
            visits=count.get(spot_id, 0),
            **_amounts(PRODUCT_OF_SPOT, of_spots.get(spot_id, []), days),
        )
        for spot_id in sorted(of_spots.keys() | count.keys())
    ]


def _by_day(moved: Sequence[_Moved], days: Days) -> list[schemas.ProductDay]:
    within = [one for one in moved if one.day >= days.first]
    return [
        schemas.ProductDay(day=date.fromisoformat(day), **_amounts(PRODUCT_OF_DAY, of_day, days))
        for day, of_day in sorted(_grouped(within, lambda one: one.day.isoformat()).items())
    ]


def _by_move(moved: Sequence[_Moved], moves: Records, days: Days) -> list[schemas.WealthTotal]:
    count = {row.kind: row.moves for row in moves}
    of_kinds = _grouped(moved, lambda one: one.movement.kind)
    gain = PRODUCT_MEASURES["yield"]
    return [
        schemas.WealthTotal(
            kind=booked_as,
            moves=count.get(kind, 0),
            principal_fen=_amount_fen(principal, of_kinds.get(booked_as, ()), days),
            yield_fen=_amount_fen(gain, of_kinds.get(booked_as, ()), days),
        )
        for kind, booked_as, principal in _WEALTH
    ]


def _grouped(
    moved: Iterable[_Moved], by: Callable[[_Moved], str | None]
) -> dict[str, list[_Moved]]:
    """What was posted by what it is about; what is about none is left out."""
    groups: dict[str, list[_Moved]] = defaultdict(list)
    for one in moved:
        name = by(one)
        if name is not None:
            groups[name].append(one)
    return groups


def _amounts(names: Iterable[str], moved: Sequence[_Moved], days: Days) -> dict[str, int]:
    measures = (PRODUCT_MEASURES[name] for name in names)
    return {f"{one.name}_fen": _amount_fen(one, moved, days) for one in measures}


def _amount_fen(measure: Measure, moved: Iterable[_Moved], days: Days) -> int:
    """A figure out of all that was posted before the end of its period."""
    return measure_fen(
        measure,
        (one.movement for one in moved if measure.is_balance or one.day >= days.first),
    )


def _start(measure: Measure, days: Days) -> datetime | None:
    return None if measure.is_balance else days.start


def _movement(row: Record) -> Movement:
    return Movement(row.group, row.kind, int(row.debit_fen), int(row.credit_fen))
