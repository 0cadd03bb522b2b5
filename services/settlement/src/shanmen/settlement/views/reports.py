"""Reports as sheets, for people."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from pydantic import BaseModel

from shanmen.settlement.domain.reports import (
    PRODUCT_MEASURES,
    PRODUCT_OF_DAY,
    PRODUCT_OF_SPOT,
)
from shanmen.settlement.domain.statuses import Settlement
from shanmen.settlement.schemas.products import ProductFigure, ProductReport
from shanmen.settlement.schemas.reports import (
    DailySummary,
    DistributorStatement,
    Figure,
    OrderTotal,
    SpotStatement,
)
from shanmen.settlement.views.ledger import fact_name
from shanmen.settlement.views.sheets import (
    Book,
    Cell,
    Column,
    Holds,
    Sheet,
    fen_column,
    time_column,
)

Label: TypeAlias = tuple[str, str]

_STATUSES: Final = {
    Settlement.PENDING: "待处理",
    Settlement.SETTLED: "已结算",
    Settlement.SETTLE_FAILED: "结算失败",
    Settlement.REFUNDED: "已退款",
    Settlement.REFUND_FAILED: "退款失败",
    Settlement.FORFEITED: "无须退款",
}
_TOTAL: Final = "合计"
_OF_SPOT: Final = (Column("景区", width=24), Column("游玩人次", Holds.COUNT, 12))
_ORDER_AMOUNTS: Final = (
    *(fen_column("扣款"), fen_column("手续费"), fen_column("退款")),
    *(fen_column("退还手续费"), fen_column("净额")),
)


def spot_book(statement: SpotStatement) -> Book:
    """A spot's statement: 汇总, 核销, 打款."""
    about = (("景区", statement.spot_id), _period(statement))
    return Book("景区对账单", about, _spot_sheets(statement))


def _spot_sheets(statement: SpotStatement) -> Sequence[Sheet]:
    visits = statement.visits
    sums = [
        sum(getattr(visit, name) for visit in visits)
        for name in ("settle_fen", "settlement_fee_fen", "payable_fen")
    ]
    return [
        _summary(statement.figures),
        Sheet(
            "核销",
            [
                *(time_column("游玩时间"), Column("票务编号", width=24)),
                *(Column("订单号", width=24), Column("产品", width=24)),
                *(fen_column("景区结算价"), fen_column("手续费"), fen_column("应付")),
                *(Column("结算状态", width=12), Column("打款单号", width=32)),
                time_column("打款时间"),
            ],
            [
                (
                    *(visit.used_at, visit.ticket_no, visit.order_no, visit.product_id),
                    *(visit.settle_fen, visit.settlement_fee_fen, visit.payable_fen),
                    *(_STATUSES[visit.status], visit.payout_id, visit.settled_at),
                )
                for visit in visits
            ],
            (None, _TOTAL, None, None, *sums, None, None, None),
        ),
        Sheet(
            "打款",
            [
                *(time_column("打款时间"), Column("打款单号", width=32)),
                *(Column("方式", width=12), fen_column("金额")),
            ],
            [
                (payout.paid_at, payout.payout_id, fact_name(payout.kind), payout.amount_fen)
                for payout in statement.payouts
            ],
            (None, _TOTAL, None, sum(payout.amount_fen for payout in statement.payouts)),
        ),
    ]


def distributor_book(statement: DistributorStatement) -> Book:
    """A distributor's statement: 订单, 扣款, 退款."""
    about = (("经销商", statement.distributor_id), _period(statement))
    return Book("经销商对账单", about, _distributor_sheets(statement))


def _distributor_sheets(statement: DistributorStatement) -> Sequence[Sheet]:
    debits, refunds, totals = statement.debits, statement.refunds, statement.totals
    return [
        Sheet(
            "订单",
            [Column("订单号", width=24), *_ORDER_AMOUNTS],
            [(order.order_no, *_amounts(order)) for order in statement.orders],
            (_TOTAL, *_amounts(totals)),
        ),
        Sheet(
            "扣款",
            [
                *(time_column("扣款时间"), Column("订单号", width=24)),
                *(Column("渠道", width=12), Column("渠道单号", width=32)),
                *(fen_column("结算价"), fen_column("手续费")),
            ],
            [
                (
                    *(debit.paid_at, debit.order_no, debit.channel, debit.operation_id),
                    *(debit.price_fen, debit.fee_fen),
                )
                for debit in debits
            ],
            (None, _TOTAL, None, None, totals.price_fen, totals.fee_fen),
        ),
        Sheet(
            "退款",
            [
                *(time_column("退款时间"), Column("订单号", width=24)),
                *(Column("渠道", width=12), Column("退款单号", width=32)),
                *(Column("方式", width=12), fen_column("退款")),
                *(fen_column("退还手续费"), fen_column("合计")),
            ],
            [
                (
                    *(refund.refunded_at, refund.order_no, refund.channel, refund.refund_id),
                    *(fact_name(refund.kind), refund.part_fen, refund.fee_fen),
                    refund.amount_fen,
                )
                for refund in refunds
            ],
            (
                *(None, _TOTAL, None, None, None, totals.refunded_fen),
                *(totals.refunded_fee_fen, totals.refunded_fen + totals.refunded_fee_fen),
            ),
        ),
    ]


def daily_book(summary: DailySummary) -> Book:
    """The platform's days: 日报, and 日终余额, a column for each figure."""
    return Book("平台日报", (_period(summary),), _daily_sheets(summary))


def _daily_sheets(summary: DailySummary) -> Sequence[Sheet]:
    first = summary.days[0]
    titles = {figure.name: figure.title for day in summary.days for figure in day.balances}
    balances = [
        {figure.name: figure.amount_fen for figure in day.balances} for day in summary.days
    ]
    moved = [[figure.amount_fen for figure in day.figures] for day in summary.days]
    day_column = Column("日期", Holds.DAY, 12)
    return [
        Sheet(
            "日报",
            [day_column, *(fen_column(figure.title) for figure in first.figures)],
            [(day.day, *row) for day, row in zip(summary.days, moved, strict=True)],
            (_TOTAL, *(sum(amounts) for amounts in zip(*moved, strict=True))),
        ),
        Sheet(
            "日终余额",
            [day_column, *(fen_column(title) for title in titles.values())],
            [
                (day.day, *(row.get(name, 0) for name in titles))
                for day, row in zip(summary.days, balances, strict=True)
            ],
        ),
    ]


def product_book(report: ProductReport) -> Book:
    """A product's report: 汇总, 景区, 每日, 理财."""
    about = (("产品", report.product_name), ("产品编号", report.product_id), _period(report))
    return Book(
        "联票财务报告" if report.kind == "combined" else "产品财务报告",
        about,
        [
            _product_summary(report),
            _breakdown("景区", _OF_SPOT, report.spots, PRODUCT_OF_SPOT),
            _breakdown("每日", [Column("日期", Holds.DAY, 12)], report.days, PRODUCT_OF_DAY),
            _wealth(report),
        ],
    )


def _period(report: SpotStatement | DistributorStatement | DailySummary | ProductReport) -> Label:
    return ("期间 (北京时间)", f"{report.first} 至 {report.last}")


def _product_summary(report: ProductReport) -> Sheet:
    """The profit is the total."""
    *figures, profit = (_figure_row(figure) for figure in report.figures)
    return Sheet(
        "汇总",
        [
            *(Column("项目", width=22), fen_column("金额")),
            *(Column("金额 (分)", Holds.COUNT, 16), Column("科目: 业务", width=60)),
        ],
        figures,
        profit,
    )


def _figure_row(figure: ProductFigure) -> Sequence[Cell]:
    kinds = "、".join(fact_name(kind) for kind in figure.source.kinds) or "全部业务"
    source = f"{'、'.join(figure.source.accounts)}: {kinds}"
    return (figure.title, figure.amount_fen, figure.amount_fen, source)


def _breakdown(
    title: str, about: Sequence[Column], rows: Sequence[BaseModel], amounts: Iterable[str]
) -> Sheet:
    """A row for each: what it is about, then its amounts; all but its name are added up."""
    columns = [*about, *(fen_column(PRODUCT_MEASURES[name].title) for name in amounts)]
    cells = [tuple(row.model_dump().values()) for row in rows]
    sums = (sum(row[number] for row in cells) for number in range(1, len(columns)))
    return Sheet(title, columns, cells, (_TOTAL, *sums))


def _wealth(report: ProductReport) -> Sheet:
    """The moves of each kind, and each liquidation; those are in the sum of their kind."""
    return Sheet(
        "理财",
        [
            *(Column("业务", width=14), Column("笔数", Holds.COUNT, 10)),
            *(fen_column("本金"), fen_column("收益")),
            *(time_column("清算时间"), Column("业务编号", width=36)),
        ],
        [
            *(
                (fact_name(of.kind), of.moves, of.principal_fen, of.yield_fen, None, None)
                for of in report.wealth
            ),
            *(
                ("其中", None, of.principal_fen, of.yield_fen, of.occurred_at, of.posting_key)
                for of in report.liquidations
            ),
        ],
    )


def _summary(figures: Sequence[Figure]) -> Sheet:
    rows = [(figure.title, figure.amount_fen) for figure in figures]
    return Sheet("汇总", [Column("项目"), fen_column("金额")], rows)


def _amounts(order: OrderTotal) -> tuple[int, ...]:
    return (
        *(order.price_fen, order.fee_fen, order.refunded_fen, order.refunded_fee_fen),
        order.net_fen,
    )
