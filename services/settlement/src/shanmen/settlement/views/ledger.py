"""The ledger as tables: a statement's lines (分户账), and the trial balance (试算平衡表)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from shanmen.settlement.domain.ledger import AccountKind, PostingKind, account_kind, balance_fen
from shanmen.settlement.queries.rows import Record
from shanmen.settlement.views.sheets import Cell, Column, Holds, fen_column, time_column

STATEMENT: Final[Sequence[Column]] = (
    time_column("时间"),
    Column("凭证号", Holds.COUNT, 12),
    Column("业务"),
    Column("业务编号", width=36),
    Column("订单号", width=24),
    fen_column("借方"),
    fen_column("贷方"),
    fen_column("余额"),
)

TRIAL_BALANCE: Final[Sequence[Column]] = (
    Column("科目", width=36),
    Column("类别"),
    fen_column("借方"),
    fen_column("贷方"),
    fen_column("余额"),
)

FACTS: Final[Mapping[PostingKind, str]] = {
    PostingKind.SUBSCRIPTION: "理财申购",
    PostingKind.REDEMPTION: "理财赎回",
    PostingKind.LIQUIDATION: "理财清算",
    PostingKind.ADJUSTMENT: "调账",
    PostingKind.CLEARING: "销账",
    PostingKind.DEBIT: "扣款",
    PostingKind.ADMISSION: "核销",
    PostingKind.PAYOUT: "打款",
    PostingKind.REFUND: "退款",
    PostingKind.FORFEIT: "无须退款",
    PostingKind.PAYOUT_OUTSIDE: "线下打款",
    PostingKind.REFUND_OUTSIDE: "线下退款",
    PostingKind.OWNER_IN: "注资",
    PostingKind.OWNER_OUT: "提取",
    PostingKind.UNEXPLAINED: "待查",
    PostingKind.CORRECTION: "冲正",
}
_SIDES: Final[Mapping[AccountKind, str]] = {
    AccountKind.ASSET: "资产",
    AccountKind.LIABILITY: "负债",
    AccountKind.INCOME: "收入",
    AccountKind.EQUITY: "权益",
}


def boundary_row(title: str, at: datetime, fen: int) -> Sequence[Cell]:
    """The opening or closing balance of a statement."""
    return (at, None, title, None, None, None, None, fen)


def entry_row(entry: Record, after_fen: int) -> Sequence[Cell]:
    """An entry of a statement, with the balance after it."""
    return (
        *(entry.occurred_at, entry.posting_id, fact_name(entry.kind), entry.key, entry.order_no),
        *(entry.debit_fen, entry.credit_fen, after_fen),
    )


def account_row(sums: Record) -> Sequence[Cell]:
    """An account of the trial balance."""
    debit_fen, credit_fen = int(sums.debit_fen), int(sums.credit_fen)
    balance = balance_fen(sums.account, debit_fen, credit_fen)
    return (sums.account, _SIDES[account_kind(sums.account)], debit_fen, credit_fen, balance)


def totals_row(totals: Record) -> Sequence[Cell]:
    """The end of the trial balance: debits and credits of all accounts, also of those left out."""
    return ("合计", None, int(totals.debit_fen), int(totals.credit_fen), None)


def fact_name(kind: str) -> str:
    """A kind of posting in Chinese; a kind that has no name yet as it is."""
    return next((name for known, name in FACTS.items() if known == kind), kind)
