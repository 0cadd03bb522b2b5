"""Alipay's bills: a zip file of two CSVs in GBK, the detail (明细) and a summary (汇总) of it.

`trade` (业务账单) lists trades and refunds, `signcustomer` (账务账单) every movement of the
account, payouts among them. Source: Alipay OpenAPI, the method
alipay.data.dataservice.bill.downloadurl.query and the files that it leads to.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from shanmen.common.money import from_yuan, to_yuan
from shanmen.contracts.bills import BillDirection, BillLine
from shanmen.gateway_adapters.providers.alipay import moments
from shanmen.gateway_adapters.providers.base import BillDownload
from shanmen.gateway_adapters.providers.bills import (
    BillUnreadable,
    Header,
    Record,
    Row,
    Totals,
    is_remark,
    records,
    zip_text,
)

_TRADE_NO, _NUMBER, _TYPE = "支付宝交易号", "商户订单号", "业务类型"
_FINISHED, _RECEIVED, _FEE = "完成时间", "商家实收（元）", "服务费（元）"
_REQUEST_NO: Final = "退款批次号/请求号"
_BUSINESS_NO, _HAPPENED = "业务流水号", "发生时间"
_INCOME, _EXPENSE = "收入金额（+元）", "支出金额（-元）"
_TRADE, _REFUND = "交易", "退款"

_FIRST_DAY = re.compile(r"#起始日期[：:]\s*\[(\d{4})年(\d{2})月(\d{2})日")
_END: Final = "列表结束"


@dataclass(frozen=True)
class _Layout:
    """How the detail file of a bill type is to be read; `trailers` have a count and a sum."""

    columns: tuple[str, ...]
    line: Callable[[BillDownload, Row], BillLine]
    trailers: Mapping[BillDirection, re.Pattern[str]]


def read(file: BillDownload) -> Iterator[BillLine]:
    """The rows of a file's detail.

    Raises BillUnreadable, at the end too if what is said below the rows disagrees with them.
    """
    layout = _LAYOUTS[file.bill_type]
    remarks = _Remarks(file, layout)
    header: Header | None = None
    totals = Totals()
    for record in records(file, zip_text(file, _is_detail)):
        if is_remark(record, header):
            remarks.take(record)
        elif remarks.has_ended:
            raise BillUnreadable(file, "no row is expected below the list", line=record.line)
        elif header is None:
            header = Header(file, record, layout.columns)
        else:
            line = layout.line(file, header.row(record))
            totals.add(line)
            yield line
    if header is None:
        raise BillUnreadable(file, "a header row is expected, there is none")
    remarks.check(totals)


def _is_detail(name: str) -> bool:
    return name.lower().endswith(".csv") and "汇总" not in name


class _Remarks:
    """What the lines around the rows say of them."""

    def __init__(self, file: BillDownload, layout: _Layout) -> None:
        self._file = file
        self._layout = layout
        self._said: dict[BillDirection, tuple[Record, int, int]] = {}
        self.has_ended = False

    def take(self, record: Record) -> None:
        """Take in one of them. Raises BillUnreadable if the bill is of another day."""
        text = record.text
        first_day = _FIRST_DAY.match(text)
        if first_day is not None and _day(first_day) != self._file.bill_date:
            detail = f"a bill of {self._file.bill_date} is expected, found {text[:60]!r}"
            raise BillUnreadable(self._file, detail, line=record.line)
        self.has_ended = self.has_ended or _END in text
        for direction, pattern in self._layout.trailers.items():
            if found := pattern.match(text):
                said = int(found.group(1)), abs(from_yuan(found.group(2)))
                self._said[direction] = (record, *said)

    def check(self, totals: Totals) -> None:
        """Compare with the rows. Raises BillUnreadable."""
        if not self.has_ended:
            detail = "the end of the list (列表结束) is expected, the file breaks off before it"
            raise BillUnreadable(self._file, detail)
        added = {
            BillDirection.IN: (totals.rows_in, totals.sum_in_fen),
            BillDirection.OUT: (totals.rows_out, totals.sum_out_fen),
        }
        for direction, pattern in self._layout.trailers.items():
            if direction not in self._said:
                name = pattern.pattern.removeprefix("#").partition("[")[0]
                raise BillUnreadable(self._file, f"a trailer #{name} is expected at the end")
            record, *said = self._said[direction]
            if tuple(said) != added[direction]:
                rows, sum_fen = added[direction]
                detail = f"the rows add up to {rows}笔 and {to_yuan(sum_fen)}元, found "
                raise BillUnreadable(self._file, detail + repr(record.text), line=record.line)


def _day(found: re.Match[str]) -> date | None:
    try:
        return date(*map(int, found.groups()))
    except ValueError:
        return None


def _trade_line(file: BillDownload, row: Row) -> BillLine:
    """A trade, or a refund: there amounts are negative, and the fee is given back."""
    business_type, amount_fen = row.text(_TYPE), row.yuan(_RECEIVED)
    if business_type not in {_TRADE, _REFUND}:
        raise row.unreadable(_TYPE, f"{_TRADE} or {_REFUND}")
    is_refund = business_type == _REFUND
    if (amount_fen > 0) if is_refund else (amount_fen < 0):
        sign = "negative" if is_refund else "positive"
        raise row.unreadable(_RECEIVED, f"the {sign} amount of a {business_type}")
    fee_fen = abs(row.yuan(_FEE, blank="0"))
    number = row.text(_NUMBER)
    return BillLine(
        bill_type=file.bill_type,
        line=row.line,
        number=row.text(_REQUEST_NO) if is_refund else number,
        original_number=number if is_refund else None,
        direction=BillDirection.OUT if is_refund else BillDirection.IN,
        amount_fen=abs(amount_fen),
        fee_fen=-fee_fen if is_refund else fee_fen,
        business_type=business_type,
        channel_ref=row.text(_TRADE_NO),
        at=row.moment(_FINISHED, moments.read),
    )


def _movement_line(file: BillDownload, row: Row) -> BillLine:
    """A movement of the account; what went out is negative in some exports."""
    income_fen, expense_fen = row.yuan(_INCOME, blank="0"), abs(row.yuan(_EXPENSE, blank="0"))
    if income_fen < 0:
        raise row.unreadable(_INCOME, "a positive amount")
    if bool(income_fen) == bool(expense_fen):
        raise row.unreadable(_INCOME, f"an amount either here or as {_EXPENSE}")
    return BillLine(
        bill_type=file.bill_type,
        line=row.line,
        number=row.text(_NUMBER),
        direction=BillDirection.IN if income_fen else BillDirection.OUT,
        amount_fen=income_fen or expense_fen,
        business_type=row.text(_TYPE),
        channel_ref=row.text(_BUSINESS_NO),
        at=row.moment(_HAPPENED, moments.read),
    )


_LAYOUTS: Final[Mapping[str, _Layout]] = {
    "trade": _Layout(
        columns=(_TRADE_NO, _NUMBER, _TYPE, _FINISHED, _RECEIVED, _REQUEST_NO, _FEE),
        line=_trade_line,
        trailers={
            BillDirection.IN: re.compile(
                r"#交易合计[：:](\d+)笔[，,]商家实收共(-?\d{1,15}(?:\.\d\d?)?)元"
            ),
            BillDirection.OUT: re.compile(
                r"#退款合计[：:](\d+)笔[，,]商家实收退款共(-?\d{1,15}(?:\.\d\d?)?)元"
            ),
        },
    ),
    "signcustomer": _Layout(
        columns=(_BUSINESS_NO, _NUMBER, _HAPPENED, _INCOME, _EXPENSE, _TYPE),
        line=_movement_line,
        trailers={
            BillDirection.OUT: re.compile(
                r"#支出合计[：:](\d+)笔[，,]共(-?\d{1,15}(?:\.\d\d?)?)元"
            ),
            BillDirection.IN: re.compile(
                r"#收入合计[：:](\d+)笔[，,]共(-?\d{1,15}(?:\.\d\d?)?)元"
            ),
        },
    ),
}

BILL_TYPES: Final[tuple[str, ...]] = tuple(_LAYOUTS)
