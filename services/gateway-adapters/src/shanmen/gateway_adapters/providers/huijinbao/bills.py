"""Huijinbao's bills: gzip of CSV with a header row and a trailer `#count,sum_in,sum_out`.

Source: Huijinbao interface v2, bill.query. In and out are seen from the platform's own account.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from shanmen.contracts.bills import BillDirection, BillLine
from shanmen.gateway_adapters.providers.base import BillDownload
from shanmen.gateway_adapters.providers.bills import (
    BillUnreadable,
    Header,
    Record,
    Row,
    Totals,
    gzip_text,
    is_remark,
    records,
)

BILL_TYPES: Final[tuple[str, ...]] = ("TRADE", "WEALTH", "ACCOUNT")

_COLUMNS: Final = (
    *("req_seq_id", "hjb_seq_id", "biz_type", "pay_cst_no", "rcv_cst_no"),
    *("amount_fen", "fee_fen", "trans_stat", "finish_time", "org_req_seq_id"),
)
_SUCCEEDED: Final[Mapping[str, bool]] = {"S": True, "P": False, "F": False}
_TRAILER = re.compile(r"#(\d+),(\d+),(\d+)", re.ASCII)


def read(file: BillDownload, platform_cst_no: str) -> Iterator[BillLine]:
    """The rows of a file. Raises BillUnreadable, at the end too if its trailer disagrees."""
    header: Header | None = None
    trailer: Record | None = None
    totals = Totals()
    for record in records(file, gzip_text(file)):
        if trailer is not None:
            detail = "nothing is expected after the trailer"
            raise BillUnreadable(file, detail, line=record.line)
        if is_remark(record, header):
            trailer = record
        elif header is None:
            header = Header(file, record, _COLUMNS)
        else:
            line = _line(file, header.row(record), platform_cst_no)
            totals.add(line)
            yield line
    if header is None:
        raise BillUnreadable(file, "a header row is expected, there is none")
    _check(file, trailer, totals)


def _line(file: BillDownload, row: Row, platform_cst_no: str) -> BillLine:
    if row.text("rcv_cst_no") == platform_cst_no:
        direction = BillDirection.IN
    elif row.text("pay_cst_no") == platform_cst_no:
        direction = BillDirection.OUT
    else:
        raise row.unreadable("rcv_cst_no", "our own account here, or as pay_cst_no,")
    if row.text("trans_stat") not in _SUCCEEDED:
        raise row.unreadable("trans_stat", "S, P or F")
    return BillLine(
        bill_type=file.bill_type,
        line=row.line,
        number=row.text("req_seq_id"),
        original_number=row.text("org_req_seq_id") or None,
        direction=direction,
        amount_fen=row.fen("amount_fen"),
        fee_fen=row.fen("fee_fen"),
        succeeded=_SUCCEEDED[row.text("trans_stat")],
        business_type=row.text("biz_type"),
        channel_ref=row.text("hjb_seq_id"),
        at=row.moment("finish_time", _moment),
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("it has no zone")
    return moment


def _check(file: BillDownload, trailer: Record | None, totals: Totals) -> None:
    found = None if trailer is None else _TRAILER.fullmatch(trailer.text)
    if trailer is None or found is None:
        line = None if trailer is None else trailer.line
        detail = "a trailer #count,sum_in,sum_out is expected at the end"
        raise BillUnreadable(file, detail, line=line)
    added = f"#{totals.rows},{totals.sum_in_fen},{totals.sum_out_fen}"
    if tuple(map(int, found.groups())) != (totals.rows, totals.sum_in_fen, totals.sum_out_fen):
        detail = f"the rows add up to the trailer {added}, found {trailer.text!r}"
        raise BillUnreadable(file, detail, line=trailer.line)
