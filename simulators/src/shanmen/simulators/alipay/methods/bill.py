"""alipay.data.dataservice.bill.downloadurl.query: asking for the bill of a day."""

import re
from datetime import date
from typing import Final

from shanmen.simulators import downloads
from shanmen.simulators.alipay.bills import days
from shanmen.simulators.alipay.bills.layouts import LAYOUTS
from shanmen.simulators.alipay.methods.call import Call
from shanmen.simulators.alipay.wire import Answer, Refusal, success
from shanmen.simulators.books import Books

_LINK_VALID_MS: Final = 30_000
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def query(books: Books, call: Call) -> Answer:
    """A link to the bill of a day, valid for 30 s by the clock on the wall.

    `bill_file_code` says that the day was empty. Refusals: BILL_NOT_EXIST before 09:00 of the
    next day, NO_BILL_DATA for what is longer ago than bills are kept, TYPE_NOT_SUPPORTED,
    INVAILID_ARGUMENTS. Bills of a month are not offered here.
    """
    bill_type, day = call.required("bill_type", 20), _day(call)
    if bill_type not in LAYOUTS:
        raise Refusal("TYPE_NOT_SUPPORTED", f"账单类型不支持: {', '.join(LAYOUTS)}")
    if not days.is_ready(books, day):
        raise Refusal("BILL_NOT_EXIST", "账单不存在: 日账单一般于次日9点前生成")
    if not days.is_kept(books, day):
        raise Refusal("NO_BILL_DATA", "无账单数据: 账单日期过早")
    bill = days.make(books, call.merchant_no, day, bill_type, call.spoilt_by)
    token = downloads.offer(books, bill.content, wall_ms=call.wall_ms, valid_ms=_LINK_VALID_MS)
    return success(
        bill_download_url=f"{call.base_url}/bills/{token}",
        bill_file_code=None if bill.rows else "EMPTY_DATA_WITH_BILL_FILE",
    )


def _day(call: Call) -> date:
    value = call.required("bill_date", 15)
    try:
        if _DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise call.invalid("bill_date must be a day such as 2026-01-02")
