"""Statements of spots and distributors, and the platform's days, out of the ledger."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from shanmen.common.db import Tx
from shanmen.common.errors import Invalid
from shanmen.settlement.domain.ledger import CHART, AccountKind, account_kind, payable
from shanmen.settlement.domain.reports import (
    BUSINESS_ZONE,
    DAILY,
    OF_A_SPOT,
    PAID_OUT,
    Days,
    Measure,
    Movement,
    Side,
    measure_fen,
)
from shanmen.settlement.errors import ReportTooLong
from shanmen.settlement.queries import ledger, reports
from shanmen.settlement.queries.ledger import Cut
from shanmen.settlement.queries.rows import Records
from shanmen.settlement.schemas import reports as schemas

MOST_DAYS: Final = 92
MOST_ROWS: Final = 20_000
"""Of each kind, in one report."""

_WITH_OWN_NAME: Final = frozenset({"cash"})
"""Families of which every account is a group by itself."""


def days_between(first: date, last: date) -> Days:
    """The days of a report. Raises Invalid, ReportTooLong."""
    days = require_usual_days(first, last)
    if days.count > MOST_DAYS:
        raise ReportTooLong(f"A report is of {MOST_DAYS} days at most.", field="to")
    return days


def require_usual_days(first: date, last: date) -> Days:
    """Days that the calendar can reckon with, however many. Raises Invalid."""
    if not (first.year >= 2000 and first <= last and last.year < 3000):
        raise Invalid("The last day is the first or a later one, in this millennium.", field="to")
    return Days(first, last)


async def report_spot(tx: Tx, spot_id: str, days: Days) -> schemas.SpotStatement:
    """A spot's statement: its visits and payouts, and what is payable before and after.

    Raises ReportTooLong.
    """
    account, span = payable(spot_id), (days.start, days.end)
    movements = [
        Movement("payable", row.kind, int(row.debit_fen), int(row.credit_fen))
        for row in await reports.movements_of(tx, account, *span)
    ]
    balances = []
    for name, title, at in (
        ("opening", "期初应付", days.start),
        ("closing", "期末应付", days.end),
    ):
        sums = await ledger.sums_of(tx, account, Cut(before=at))
        fen = int(sums.credit_fen - sums.debit_fen)
        balances.append(
            schemas.balance_figure(name, title, fen, account=account, side=Side.CREDIT, before=at)
        )
    visits = await reports.visits(tx, spot_id, *span, limit=MOST_ROWS)
    paid = await reports.debited_from(tx, account, PAID_OUT, *span, limit=MOST_ROWS)
    opening, closing = balances
    moved = [
        schemas.figure(measure, measure_fen(measure, movements), [account], days)
        for measure in OF_A_SPOT
    ]
    return schemas.SpotStatement(
        first=days.first,
        last=days.last,
        spot_id=spot_id,
        figures=[opening, *moved, closing],
        visits=[schemas.visit(row) for row in _bounded(visits)],
        payouts=[schemas.spot_payout(row) for row in _bounded(paid)],
    )


async def report_distributor(
    tx: Tx, distributor_id: str, days: Days
) -> schemas.DistributorStatement:
    """A distributor's statement: its debits and refunds, also by order. Raises ReportTooLong."""
    span = (days.start, days.end)
    debited = await reports.debits(tx, distributor_id, *span, limit=MOST_ROWS)
    refunded = await reports.refunds(tx, distributor_id, *span, limit=MOST_ROWS)
    debits = [schemas.debit(row) for row in _bounded(debited)]
    refunds = [schemas.distributor_refund(row) for row in _bounded(refunded)]
    orders = schemas.order_totals(debits, refunds)
    return schemas.DistributorStatement(
        first=days.first,
        last=days.last,
        distributor_id=distributor_id,
        totals=schemas.total_of(orders),
        debits=debits,
        refunds=refunds,
        orders=orders,
    )


async def report_days(tx: Tx, days: Days) -> schemas.DailySummary:
    """The platform's days: what moved on each, and the balances at its end."""
    by_day: dict[date, list[Movement]] = defaultdict(list)
    rows = await reports.daily_movements(tx, days.start, days.end, BUSINESS_ZONE.key)
    for row in rows:
        moved = Movement(row.group, row.kind, int(row.debit_fen), int(row.credit_fen))
        by_day[row.day].append(moved)
    balances = dict.fromkeys(CHART.keys() - _WITH_OWN_NAME, 0)
    for row in await reports.group_sums(tx, days.start):
        balances[row.group] = int(row.credit_fen - row.debit_fen)
    told = []
    for day in days.each():
        for movement in by_day[day.first]:
            change_fen = movement.credit_fen - movement.debit_fen
            balances[movement.group] = balances.get(movement.group, 0) + change_fen
        told.append(
            schemas.Day(
                day=day.first,
                figures=[_daily_figure(measure, by_day[day.first], day) for measure in DAILY],
                balances=_balances(balances, day),
            )
        )
    return schemas.DailySummary(first=days.first, last=days.last, days=told)


def _daily_figure(measure: Measure, movements: Sequence[Movement], day: Days) -> schemas.Figure:
    accounts = [_accounts(group) for group in measure.groups]
    return schemas.figure(measure, measure_fen(measure, movements), accounts, day)


def _balances(credit_fen: Mapping[str, int], day: Days) -> list[schemas.Figure]:
    return [
        schemas.balance_figure(
            group,
            _title(group),
            fen if _side(group) is Side.CREDIT else -fen,
            account=_accounts(group),
            side=_side(group),
            before=day.end,
        )
        for group, fen in sorted(credit_fen.items())
    ]


def _side(group: str) -> Side:
    return Side.DEBIT if account_kind(group) is AccountKind.ASSET else Side.CREDIT


def _accounts(group: str) -> str:
    return f"{group}:*" if group in _OF_MANY else group


_OF_MANY: Final = frozenset({"custody", "payable", "wealth"})
"""Families of one account for each order, spot or product."""

_TITLES: Final[Mapping[str, str]] = {
    "cash": "渠道资金",
    "wealth": "理财本金",
    "custody": "在途票款",
    "payable": "应付景区",
    "suspense": "待查",
    "fees": "手续费收入",
    "margin": "差价收入",
    "yield": "理财收益",
    "owner": "自有资金",
}


def _title(group: str) -> str:
    family, _, channel = group.partition(":")
    return f"{_TITLES[family]} {channel}".strip()


def _bounded(rows: Records) -> Records:
    if len(rows) > MOST_ROWS:
        raise ReportTooLong(
            f"This is more than {MOST_ROWS} rows; ask for a shorter period.", field="to"
        )
    return rows
