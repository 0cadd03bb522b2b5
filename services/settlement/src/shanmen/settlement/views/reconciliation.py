"""Breaks as a table (对账差异表)."""

from collections.abc import Mapping, Sequence
from typing import Final

from shanmen.settlement.domain.reconciliation import BreakClass
from shanmen.settlement.schemas.reconciliation import BreakView
from shanmen.settlement.views.sheets import Cell, Column, Holds, fen_column, time_column

BREAKS: Final[Sequence[Column]] = (
    Column("渠道"),
    Column("账单日", Holds.DAY, 12),
    Column("差异"),
    Column("流水号", width=36),
    Column("方向"),
    fen_column("我方金额"),
    fen_column("渠道金额"),
    Column("账单位置", width=36),
    Column("渠道流水号", width=36),
    Column("渠道业务类型"),
    time_column("我方时间"),
    time_column("渠道时间"),
    Column("状态"),
    Column("处理"),
    Column("编号", width=36),
)

_CLASSES: Final[Mapping[BreakClass, str]] = {
    BreakClass.MISSING_HERE: "我方缺失",
    BreakClass.MISSING_THERE: "渠道缺失",
    BreakClass.AMOUNT: "金额不符",
    BreakClass.STATUS: "状态不符",
}
_WAYS: Final = {"in": "收入", "out": "支出"}
_ENDS: Final = {"explained": "已对平", "adjusted": "已调账", "accepted": "已关闭"}


def break_row(each: BreakView) -> Sequence[Cell]:
    """One break."""
    places = (
        place.bill_type if place.line is None else f"{place.bill_type}:{place.line}"
        for place in each.places
    )
    return (
        *(each.channel, each.bill_date, _CLASSES[each.break_class], each.number),
        *(_WAYS[each.direction], each.ours_fen, each.theirs_fen, " ".join(places)),
        *(each.channel_ref, each.business_type, each.ours_at, each.theirs_at),
        *("未处理" if each.resolved_at is None else "已处理", _ENDS.get(each.resolved_how or "")),
        each.break_id,
    )
