"""The lines of a `trade` bill: what buyers paid, and what was given back to them."""

import sqlite3
from collections.abc import Iterator
from typing import Final

from shanmen.simulators.alipay.bills.lines import Line
from shanmen.simulators.alipay.trades import masked
from shanmen.simulators.alipay.wire import signed_yuan
from shanmen.simulators.books import Books
from shanmen.simulators.moments import china_time

COLUMNS: Final = (
    "支付宝交易号",
    "商户订单号",
    "业务类型",
    "商品名称",
    "创建时间",
    "完成时间",
    "门店编号",
    "门店名称",
    "操作员",
    "终端号",
    "对方账户",
    "订单金额（元）",
    "商家实收（元）",
    "支付宝红包（元）",
    "集分宝（元）",
    "支付宝优惠（元）",
    "商家优惠（元）",
    "券核销金额（元）",
    "券名称",
    "商家红包消费金额（元）",
    "卡消费金额（元）",
    "退款批次号/请求号",
    "服务费（元）",
    "分润（元）",
    "备注",
)

_SQL: Final = """
SELECT '交易' AS business_type, paid_ms AS done_ms, trades.rowid AS place, trade_no, out_trade_no,
    subject, trades.created_ms, logon_id, name, amount_fen, fee_fen, NULL AS out_request_no,
    body AS remark
FROM trades JOIN accounts ON account_no = buyer_no
WHERE merchant_no = ?1 AND paid_ms >= ?2 AND paid_ms < ?3
UNION ALL
SELECT '退款', refunded_ms, refunds.rowid, trade_no, out_trade_no,
    subject, refunded_ms, logon_id, name, -refunds.amount_fen, 0, out_request_no,
    reason
FROM refunds CROSS JOIN trades USING (trade_no) JOIN accounts ON account_no = buyer_no
WHERE merchant_no = ?1 AND refunded_ms >= ?2 AND refunded_ms < ?3
ORDER BY done_ms, business_type, place
"""
"""CROSS JOIN has SQLite go by the few refunds of a day, and not by all trades there ever were."""


def read(books: Books, account_no: str, first_ms: int, end_ms: int) -> Iterator[Line]:
    """What finished in that time, in its order.

    A refund names the trade that it gives back (支付宝交易号, 商户订单号) and its own number in
    退款批次号/请求号. Undoing a paid trade (`alipay.trade.cancel`) is a refund as well.
    """
    return map(_line, books.each(_SQL, account_no, first_ms, end_ms))


def foreign(at: str) -> Line:
    """A payment that nobody asked for."""
    cells = {
        "支付宝交易号": "9999010122001009999999999999",
        "商户订单号": "NOBODY_SENT_THIS",
        "业务类型": "交易",
        "创建时间": at,
        "完成时间": at,
        "服务费（元）": "0.00",
    }
    return Line(cells, 1)


def _line(row: sqlite3.Row) -> Line:
    cells = {
        "支付宝交易号": row["trade_no"],
        "商户订单号": row["out_trade_no"],
        "业务类型": row["business_type"],
        "商品名称": row["subject"],
        "创建时间": china_time(row["created_ms"]),
        "完成时间": china_time(row["done_ms"]),
        "对方账户": f"{row['name']}({masked(row['logon_id'])})",
        "退款批次号/请求号": row["out_request_no"] or "",
        "服务费（元）": signed_yuan(-row["fee_fen"]),
        "备注": row["remark"] or "",
    }
    return Line(cells, row["amount_fen"])
