"""Daily bills: gzip of a CSV with a header row and a trailer `#count,sum_in,sum_out`.

TRADE lists debits, payouts and refunds, WEALTH what went into and came out of wealth products,
ACCOUNT every movement of the merchant's account. Only what succeeded is listed; in and out are
seen from the merchant's account.
"""

import csv
import gzip
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from shanmen.simulators.books import Books
from shanmen.simulators.moments import DAY_MS, china_midnight_ms, china_rfc3339

HEADER: Final = (
    "trans_date",
    "req_seq_id",
    "hjb_seq_id",
    "biz_type",
    "pay_cst_no",
    "rcv_cst_no",
    "amount_fen",
    "fee_fen",
    "trans_stat",
    "finish_time",
    "org_req_seq_id",
    "biz_no",
)
BILL_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "TRADE": ("pay", "transfer", "refund"),
    "WEALTH": ("subscribe", "redeem", "liquidate"),
    "ACCOUNT": (),
}
"""Which kinds of order a bill lists; ACCOUNT lists every movement."""

LINK_VALID_MS: Final = 60_000

_READY_AFTER_MS: Final = (9 * 60 + 30) * 60_000


@dataclass(frozen=True)
class Row:
    """One line of a bill, as the merchant's account sees it."""

    cells: dict[str, str]
    amount_fen: int
    is_in: bool


@dataclass(frozen=True)
class Bill:
    """A bill's file, and what the answer says about it."""

    content: bytes
    rows: int
    sum_fen: int

    @property
    def sha256(self) -> str:
        """Of the file as it is downloaded."""
        return hashlib.sha256(self.content).hexdigest()


def is_ready(books: Books, day: date) -> bool:
    """Whether the bill of a day is there: from 09:30 of the next."""
    return books.now_ms >= china_midnight_ms(day) + DAY_MS + _READY_AFTER_MS


def make(books: Books, account_no: str, day: date, bill_type: str, spoilt_by: str | None) -> Bill:
    """The bill of a day; `spoilt_by` names one of `SPOILERS`."""
    first_ms = china_midnight_ms(day)
    read = _movements if bill_type == "ACCOUNT" else _orders
    rows = read(books, account_no, bill_type, first_ms, first_ms + DAY_MS)
    return SPOILERS.get(spoilt_by or "", _file)(rows)


def _orders(
    books: Books, account_no: str, bill_type: str, first_ms: int, end_ms: int
) -> list[Row]:
    marks = ", ".join("?" * len(BILL_TYPES[bill_type]))
    found = books.rows(
        "SELECT orders.*, original.req_seq_id AS org_req_seq_id FROM orders"
        " LEFT JOIN orders AS original ON original.hjb_seq_id = orders.original_no"
        " WHERE orders.status = 'S' AND ? IN (orders.payer_no, orders.payee_no)"
        " AND orders.finished_ms >= ? AND orders.finished_ms < ?"
        f" AND orders.biz_type IN ({marks}) ORDER BY orders.finished_ms, orders.rowid",
        account_no,
        first_ms,
        end_ms,
        *BILL_TYPES[bill_type],
    )
    return [
        _row(
            account_no,
            at_ms=order["finished_ms"],
            req_seq_id=order["req_seq_id"],
            hjb_seq_id=order["hjb_seq_id"],
            biz_type=order["biz_type"],
            pay_cst_no=order["payer_no"],
            rcv_cst_no=order["payee_no"],
            amount_fen=order["amount_fen"],
            org_req_seq_id=order["org_req_seq_id"],
            biz_no=order["biz_no"],
        )
        for order in found
    ]


def _movements(
    books: Books, account_no: str, _bill_type: str, first_ms: int, end_ms: int
) -> list[Row]:
    found = books.rows(
        "SELECT entries.*, orders.biz_no, original.req_seq_id AS org_req_seq_id FROM entries"
        " LEFT JOIN orders ON orders.hjb_seq_id = entries.channel_no"
        " LEFT JOIN orders AS original ON original.hjb_seq_id = orders.original_no"
        " WHERE account_no = ? AND at_ms >= ? AND at_ms < ? ORDER BY entry_id",
        account_no,
        first_ms,
        end_ms,
    )
    rows = []
    for entry in found:
        parties = (account_no, entry["counterparty_no"])
        payer_no, payee_no = parties if entry["direction"] == "out" else parties[::-1]
        rows.append(
            _row(
                account_no,
                at_ms=entry["at_ms"],
                req_seq_id=entry["business_no"],
                hjb_seq_id=entry["channel_no"],
                biz_type=entry["kind"],
                pay_cst_no=payer_no,
                rcv_cst_no=payee_no,
                amount_fen=entry["amount_fen"],
                org_req_seq_id=entry["org_req_seq_id"],
                biz_no=entry["biz_no"],
            )
        )
    return rows


def _row(account_no: str, *, at_ms: int, amount_fen: int, **cells: str | None) -> Row:
    finish_time = china_rfc3339(at_ms)
    known = {name: value or "" for name, value in cells.items()}
    return Row(
        {
            **known,
            "trans_date": finish_time[:10],
            "fee_fen": "0",
            "trans_stat": "S",
            "finish_time": finish_time,
        },
        amount_fen,
        is_in=cells["rcv_cst_no"] == account_no,
    )


def _file(rows: Sequence[Row]) -> Bill:
    return _written(rows, _trailer(rows))


def _trailer(rows: Sequence[Row]) -> str:
    sum_in = sum(row.amount_fen for row in rows if row.is_in)
    sum_out = sum(row.amount_fen for row in rows if not row.is_in)
    return f"#{len(rows)},{sum_in},{sum_out}"


def _written(
    rows: Sequence[Row],
    trailer: str,
    *,
    header: Sequence[str] = HEADER,
    encoding: str = "utf-8",
) -> Bill:
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row.cells, "amount_fen": str(row.amount_fen)})
    text.write(trailer + "\n")
    return Bill(
        content=gzip.compress(text.getvalue().encode(encoding), mtime=0),
        rows=len(rows),
        sum_fen=sum(row.amount_fen for row in rows),
    )


def _with_extra_row(rows: Sequence[Row]) -> Bill:
    foreign = dict.fromkeys(HEADER, "") if not rows else rows[-1].cells
    extra = {**foreign, "req_seq_id": "NOBODY-SENT-THIS", "hjb_seq_id": "99990101550000000000"}
    is_in = rows[-1].is_in if rows else True
    return _file([*rows, Row(extra, 1, is_in=is_in)])


def _with_missing_row(rows: Sequence[Row]) -> Bill:
    return _file(rows[:-1])


def _with_other_amount(rows: Sequence[Row]) -> Bill:
    changed = [replace(row, amount_fen=row.amount_fen + 1) for row in rows[-1:]]
    return _file([*rows[:-1], *changed])


def _with_duplicate_row(rows: Sequence[Row]) -> Bill:
    return _file([*rows, *rows[-1:]])


def _with_wrong_trailer(rows: Sequence[Row]) -> Bill:
    return _written(rows, f"#{len(rows) + 1},0,0")


def _truncated(rows: Sequence[Row]) -> Bill:
    whole = _file(rows)
    return replace(whole, content=whole.content[: len(whole.content) // 2])


def _with_reordered_columns(rows: Sequence[Row]) -> Bill:
    return _written(rows, _trailer(rows), header=HEADER[::-1])


def _in_utf8(rows: Sequence[Row]) -> Bill:
    return _written(rows, _trailer(rows), encoding="utf-8-sig")


def _in_utf16(rows: Sequence[Row]) -> Bill:
    return _written(rows, _trailer(rows), encoding="utf-16")


def _empty(rows: Sequence[Row]) -> Bill:
    return replace(_file(rows), content=b"")


SPOILERS: Final[dict[str, Callable[[Sequence[Row]], Bill]]] = {
    "bill_extra_row": _with_extra_row,
    "bill_missing_row": _with_missing_row,
    "bill_amount_differs": _with_other_amount,
    "bill_duplicate_row": _with_duplicate_row,
    "bill_wrong_trailer": _with_wrong_trailer,
    "bill_truncated": _truncated,
    "bill_reordered_columns": _with_reordered_columns,
    "bill_utf8": _in_utf8,
    "bill_utf16": _in_utf16,
    "bill_empty_file": _empty,
}
"""Faults of a bill. The first four are well-formed files that tell something untrue; reordered
columns and UTF-8 with its mark are harmless; the others cannot be read, or contradict themselves.
"""
