"""The lines of a `signcustomer` bill: everything that came into an account or left it."""

import sqlite3
from collections.abc import Iterator
from typing import Final

from shanmen.simulators.alipay.bills.lines import Line
from shanmen.simulators.alipay.trades import masked
from shanmen.simulators.alipay.wire import signed_yuan
from shanmen.simulators.books import Books
from shanmen.simulators.moments import china_date, china_time

COLUMNS: Final = (
    "账务流水号",
    "业务流水号",
    "商户订单号",
    "业务基础订单号",
    "业务订单号",
    "商品名称",
    "发生时间",
    "对方账号",
    "业务类型",
    "业务描述",
    "收入金额（+元）",
    "支出金额（-元）",
    "账户余额（元）",
    "交易渠道",
    "备注",
)

_WORDS: Final[dict[tuple[str, str], tuple[str, str]]] = {
    ("trade", "in"): ("在线支付", "交易收款"),
    ("trade", "out"): ("交易付款", "交易付款"),
    ("refund", "in"): ("退款", "交易退款"),
    ("refund", "out"): ("退款", "交易退款"),
    ("transfer", "in"): ("转账", "单笔转账到支付宝账户"),
    ("transfer", "out"): ("转账", "单笔转账到支付宝账户"),
    ("opening", "in"): ("充值", "账户充值"),
    ("top_up", "in"): ("充值", "账户充值"),
    ("adjustment", "in"): ("充值", "账户充值"),
    ("adjustment", "out"): ("提现", "账户提现"),
}
"""业务类型 and 业务描述 of a movement."""

_SQL: Final = """
SELECT entries.*, trades.trade_no, out_trade_no, subject, body, refund_no, reason, order_id,
    out_biz_no, order_title, remark, logon_id, name
FROM entries
LEFT JOIN refunds ON kind = 'refund' AND refund_no = channel_no
LEFT JOIN trades ON trades.trade_no =
    CASE kind WHEN 'trade' THEN channel_no WHEN 'refund' THEN refunds.trade_no END
LEFT JOIN transfers ON kind = 'transfer' AND pay_fund_order_id = channel_no
LEFT JOIN accounts ON accounts.account_no = counterparty_no
WHERE entries.account_no = ? AND at_ms >= ? AND at_ms < ?
ORDER BY at_ms, entry_id
"""


def read(books: Books, account_no: str, first_ms: int, end_ms: int) -> Iterator[Line]:
    """The account's journal of that time, in its order, with the balance after each movement.

    商户订单号 is what the merchant called the business: a trade's `out_trade_no`, which for a
    refund is the original trade's, and a payout's `out_biz_no`; empty where money came from or
    went outside. A refund's own number is in the `trade` bill alone.
    """
    return map(_line, books.each(_SQL, account_no, first_ms, end_ms))


def foreign(at: str) -> Line:
    """A payout that nobody asked for."""
    cells = {
        "账务流水号": "99990101440000000000000001",
        "业务流水号": "9999010111007019999999999999",
        "商户订单号": "NOBODY_SENT_THIS",
        "发生时间": at,
        "业务类型": "转账",
        "账户余额（元）": "0.00",
    }
    return Line(cells, -1)


def _line(row: sqlite3.Row) -> Line:
    business_type, description = _WORDS[row["kind"], row["direction"]]
    is_in = row["direction"] == "in"
    cells = {
        "账务流水号": f"{china_date(row['at_ms']):%Y%m%d}4400{row['entry_id']:014d}",
        "业务流水号": row["trade_no"] or row["channel_no"],
        "商户订单号": row["out_trade_no"] or row["out_biz_no"] or "",
        "业务基础订单号": row["trade_no"] or row["order_id"] or "",
        "业务订单号": _orders(row),
        "商品名称": row["subject"] or row["order_title"] or "",
        "发生时间": china_time(row["at_ms"]),
        "对方账号": f"{row['name']}({masked(row['logon_id'])})" if row["name"] else "",
        "业务类型": business_type,
        "业务描述": description,
        "账户余额（元）": signed_yuan(row["balance_after_fen"]),
        "交易渠道": "支付宝",
        "备注": row["reason"] or row["remark"] or row["body"] or "",
    }
    return Line(cells, row["amount_fen"] if is_in else -row["amount_fen"])


def _orders(row: sqlite3.Row) -> str:
    """M is the trade, O an order of the channel's own, such as a refund's or a payout's."""
    own = row["refund_no"] or row["order_id"]
    named = (("M", row["trade_no"]), ("O", own))
    return "|".join(letter + number for letter, number in named if number)
