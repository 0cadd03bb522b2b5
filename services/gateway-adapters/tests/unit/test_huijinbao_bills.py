"""Huijinbao's bills: read by the names of the columns, and refused where they are not whole."""

import gzip
from collections.abc import Sequence
from datetime import UTC, date, datetime

import pytest

from shanmen.contracts.bills import BillDirection, BillLine
from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.providers.base import BillDownload
from shanmen.gateway_adapters.providers.bills import BillUnreadable
from shanmen.gateway_adapters.providers.huijinbao import bills

OURS, THEIRS = "6200000000000001", "6200000000000002"
COLUMNS = (
    *("trans_date", "req_seq_id", "hjb_seq_id", "biz_type", "pay_cst_no", "rcv_cst_no"),
    *("amount_fen", "fee_fen", "trans_stat", "finish_time", "org_req_seq_id", "biz_no"),
)
PAID = {
    "trans_date": "2026-11-20",
    "req_seq_id": "deb_1",
    "hjb_seq_id": "H1",
    "biz_type": "pay",
    "pay_cst_no": THEIRS,
    "rcv_cst_no": OURS,
    "amount_fen": "29",
    "fee_fen": "1",
    "trans_stat": "S",
    "finish_time": "2026-11-21T00:30:00+08:00",
    "org_req_seq_id": "",
    "biz_no": "订单,1",
}
GIVEN_BACK = {
    **PAID,
    "req_seq_id": "ref_1",
    "biz_type": "refund",
    "pay_cst_no": OURS,
    "rcv_cst_no": THEIRS,
    "amount_fen": "7",
    "fee_fen": "0",
    "org_req_seq_id": "deb_1",
}


def text_of(*rows: dict[str, str], trailer: str, columns: Sequence[str] = COLUMNS) -> str:
    lines = [",".join(f'"{row[name]}"' for name in columns) for row in rows]
    return "\n".join([",".join(columns), *lines, trailer, ""])


def packed(text: str, encoding: str = "utf-8") -> BillDownload:
    content = gzip.compress(text.encode(encoding))
    return BillDownload(Channel.HUIJINBAO, date(2026, 11, 20), "TRADE", content)


def read(file: BillDownload) -> list[BillLine]:
    return list(bills.read(file, OURS))


def test_rows_become_lines() -> None:
    paid, given_back = read(packed(text_of(PAID, GIVEN_BACK, trailer="#2,29,7")))
    assert paid == BillLine(
        bill_type="TRADE",
        line=2,
        number="deb_1",
        direction=BillDirection.IN,
        amount_fen=29,
        fee_fen=1,
        business_type="pay",
        channel_ref="H1",
        at=datetime(2026, 11, 20, 16, 30, tzinfo=UTC),
    )
    assert (given_back.number, given_back.original_number) == ("ref_1", "deb_1")
    assert (given_back.direction, given_back.amount_fen) == (BillDirection.OUT, 7)
    assert given_back.line == 3


@pytest.mark.parametrize(("word", "succeeded"), [("S", True), ("P", False), ("F", False)])
def test_only_s_has_moved(word: str, succeeded: bool) -> None:
    (line,) = read(packed(text_of({**PAID, "trans_stat": word}, trailer="#1,29,0")))
    assert line.succeeded is succeeded


def test_columns_may_stand_anywhere_and_others_may_be_there() -> None:
    usual = read(packed(text_of(PAID, GIVEN_BACK, trailer="#2,29,7")))
    columns = ("new", *reversed(COLUMNS))
    rows = ({**PAID, "new": "#1"}, {**GIVEN_BACK, "new": "2"})
    assert read(packed(text_of(*rows, trailer="#2,29,7", columns=columns))) == usual


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_the_encoding_is_found_out(encoding: str) -> None:
    text = text_of({**PAID, "biz_type": "付款"}, trailer="#1,29,0")
    (line,) = read(packed(text, encoding))
    assert line.business_type == "付款"


def test_a_day_without_rows_and_rows_that_come_twice_are_bills() -> None:
    assert read(packed(text_of(trailer="#0,0,0"))) == []
    twice = read(packed(text_of(PAID, PAID, trailer="#2,58,0")))
    assert [(line.line, line.number) for line in twice] == [(2, "deb_1"), (3, "deb_1")]


def test_a_liquidation_that_brought_nothing_is_a_row_too() -> None:
    (line,) = read(packed(text_of({**PAID, "amount_fen": "0"}, trailer="#1,0,0")))
    assert line.amount_fen == 0


@pytest.mark.parametrize(
    ("changes", "line", "column"),
    [
        ({"amount_fen": "0.29"}, 3, "amount_fen"),
        ({"amount_fen": "-29"}, 3, "amount_fen"),
        ({"amount_fen": ""}, 3, "amount_fen"),
        ({"amount_fen": "9" * 16}, 3, "amount_fen"),
        ({"fee_fen": "x"}, 3, "fee_fen"),
        ({"finish_time": "yesterday"}, 3, "finish_time"),
        ({"finish_time": "2026-11-20T10:00:00"}, 3, "finish_time"),
        ({"finish_time": "0001-01-01T00:00:00+08:00"}, 3, "finish_time"),
        ({"trans_stat": ""}, 3, "trans_stat"),
        ({"rcv_cst_no": "6200000000000009"}, 3, "rcv_cst_no"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(
    changes: dict[str, str], line: int, column: str
) -> None:
    file = packed(text_of(PAID, {**PAID, **changes}, trailer="#2,58,0"))
    with pytest.raises(BillUnreadable, match="huijinbao bill TRADE of 2026-11-20") as refusal:
        read(file)
    assert (refusal.value.line, refusal.value.column) == (line, column)
    assert f"line {line}, column {column}: " in str(refusal.value)


@pytest.mark.parametrize(
    "trailer", ["#1,29,7", "#2,28,7", "#2,29,8", "#2,7,29", "#2,29", "#all", "", "2,29,7"]
)
def test_a_trailer_that_disagrees_is_refused(trailer: str) -> None:
    with pytest.raises(BillUnreadable, match=r"trailer|12 cells"):
        read(packed(text_of(PAID, GIVEN_BACK, trailer=trailer)))


@pytest.mark.parametrize("column", ["amount_fen", "req_seq_id", "org_req_seq_id"])
def test_a_column_that_is_missing_or_there_twice_is_named(column: str) -> None:
    without = tuple(name for name in COLUMNS if name != column)
    with pytest.raises(BillUnreadable, match=f"line 1, column {column}: the column is missing"):
        read(packed(text_of(PAID, trailer="#1,29,0", columns=without)))
    with pytest.raises(BillUnreadable, match=f"column {column}: the column is there twice"):
        read(packed(text_of(PAID, trailer="#1,29,0", columns=(*COLUMNS, column))))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("\n\n", "a header row is expected"),
        ("#0,0,0\n", "a header row is expected"),
        (text_of(PAID, trailer="#1,29,0") + "more\n", "line 4: nothing is expected after"),
        (text_of(PAID, trailer='deb_2,"unclosed'), "line 3: comma-separated cells"),
        (text_of(PAID, trailer="deb_2,H2"), "line 3: a row of 12 cells is expected, found 2"),
        (text_of(PAID, trailer=",".join("123456789abcd")), "a row of 12 cells"),
        ("<html><body>busy</body></html>", "column req_seq_id: the column is missing"),
    ],
)
def test_what_is_not_a_bill_is_refused(text: str, said: str) -> None:
    with pytest.raises(BillUnreadable, match=said):
        read(packed(text))


def test_a_text_in_another_encoding_is_refused() -> None:
    with pytest.raises(BillUnreadable, match="text in UTF-8 or GB18030"):
        read(packed(text_of(PAID, trailer="#1,29,0"), "utf-16"))


def test_half_a_file_is_refused_wherever_it_breaks_off() -> None:
    whole = packed(text_of(*[PAID, GIVEN_BACK] * 50, trailer="#100,1450,350")).content
    for length in (0, 1, 5, 20, len(whole) // 2, len(whole) - 1):
        part = BillDownload(Channel.HUIJINBAO, date(2026, 11, 20), "TRADE", whole[:length])
        with pytest.raises(BillUnreadable):
            read(part)
