"""How the two kinds of bill look: their titles, columns, trailers and summaries."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from shanmen.simulators.alipay.bills import journal, trading
from shanmen.simulators.alipay.bills.lines import Line, Tally
from shanmen.simulators.alipay.wire import signed_yuan
from shanmen.simulators.books import Books

ReadLines = Callable[[Books, str, int, int], Iterator[Line]]
"""The lines of an account from one moment until another."""


@dataclass(frozen=True)
class Layout:
    """One kind of bill.

    `title` is the word that tells its file names and marker lines from the other's; `amounts` are
    the cells that follow from a line's amount; `foreign` is a line that no merchant caused, at a
    time. `totals` are the words of the trailer, `summary` is the one row of the second file.
    """

    title: str
    columns: tuple[str, ...]
    read: ReadLines
    amounts: Callable[[int], dict[str, str]]
    foreign: Callable[[str], Line]
    totals: Callable[[Tally], tuple[str, ...]]
    summary_columns: tuple[str, ...]
    summary: Callable[[Tally], tuple[str, ...]]


def _trade_amounts(amount_fen: int) -> dict[str, str]:
    return dict.fromkeys(("订单金额（元）", "商家实收（元）"), signed_yuan(amount_fen))


def _trade_totals(tally: Tally) -> tuple[str, ...]:
    received, given_back = signed_yuan(tally.in_fen), signed_yuan(tally.out_fen)
    return (
        f"#交易合计：{tally.ins}笔，商家实收共{received}元，商家优惠共0.00元",
        f"#退款合计：{tally.outs}笔，商家实收退款共{given_back}元，商家优惠退款共0.00元",
    )


def _trade_summary(tally: Tally) -> tuple[str, ...]:
    net = signed_yuan(tally.in_fen + tally.out_fen)
    counts = (str(tally.ins), str(tally.outs))
    return ("合计", "", *counts, net, net, "0.00", "0.00", "0.00", "0.00", "0.00", net)


def _account_amounts(amount_fen: int) -> dict[str, str]:
    return {
        "收入金额（+元）": signed_yuan(max(amount_fen, 0)),
        "支出金额（-元）": signed_yuan(min(amount_fen, 0)),
    }


def _account_totals(tally: Tally) -> tuple[str, ...]:
    return (
        f"#支出合计：{tally.outs}笔，共{signed_yuan(tally.out_fen)}元",
        f"#收入合计：{tally.ins}笔，共{signed_yuan(tally.in_fen)}元",
    )


def _account_summary(tally: Tally) -> tuple[str, ...]:
    ins = (str(tally.ins), signed_yuan(tally.in_fen))
    outs = (str(tally.outs), signed_yuan(tally.out_fen))
    return ("合计", *ins, *outs, signed_yuan(tally.in_fen + tally.out_fen))


LAYOUTS: Final[dict[str, Layout]] = {
    "trade": Layout(
        title="业务",
        columns=trading.COLUMNS,
        read=trading.read,
        amounts=_trade_amounts,
        foreign=trading.foreign,
        totals=_trade_totals,
        summary_columns=(
            "门店编号",
            "门店名称",
            "交易订单总笔数",
            "退款订单总笔数",
            "订单金额（元）",
            "商家实收（元）",
            "支付宝优惠（元）",
            "商家优惠（元）",
            "卡消费金额（元）",
            "服务费（元）",
            "分润（元）",
            "实收净额（元）",
        ),
        summary=_trade_summary,
    ),
    "signcustomer": Layout(
        title="账务",
        columns=journal.COLUMNS,
        read=journal.read,
        amounts=_account_amounts,
        foreign=journal.foreign,
        totals=_account_totals,
        summary_columns=(
            "类型",
            "收入笔数",
            "收入金额（+元）",
            "支出笔数",
            "支出金额（-元）",
            "总金额（元）",
        ),
        summary=_account_summary,
    ),
}
"""By `bill_type`."""
