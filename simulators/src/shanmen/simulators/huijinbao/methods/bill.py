"""Asking for the bill of a day."""

from shanmen.simulators import downloads
from shanmen.simulators.books import Books
from shanmen.simulators.huijinbao import bills
from shanmen.simulators.huijinbao.methods.call import Call
from shanmen.simulators.huijinbao.wire import PROCESSING, Answer, answered, success


def query(books: Books, call: Call) -> Answer:
    """A link to the bill of a day, valid for a minute; NOT_READY before 09:30 of the next day."""
    day = call.day("bill_date")
    bill_type = call.choice("bill_type", tuple(bills.BILL_TYPES))
    if not bills.is_ready(books, day):
        return answered("00000100", PROCESSING, status="NOT_READY", bill_date=day.isoformat())
    bill = bills.make(books, call.account_no, day, bill_type, call.spoilt_by)
    token = downloads.offer(
        books, bill.content, wall_ms=call.wall_ms, valid_ms=bills.LINK_VALID_MS
    )
    return success(
        status="READY",
        bill_date=day.isoformat(),
        url=f"{call.base_url}/hjb/bills/{token}",
        sha256=bill.sha256,
        rows=bill.rows,
        sum=bill.sum_fen,
    )
