"""Alipay's bills: zip files of GBK, their rows, and what is said below them."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import pytest

from shanmen.contracts.bills import BillDirection, BillLine
from shanmen.gateway_adapters.domain.operations import Channel
from shanmen.gateway_adapters.providers.alipay import bills
from shanmen.gateway_adapters.providers.base import BillDownload
from shanmen.gateway_adapters.providers.bills import BillUnreadable

TRADE_COLUMNS = (
    *(
        "支付宝交易号",
        "商户订单号",
        "业务类型",
        "商品名称",
        "创建时间",
        "完成时间",
        "门店编号",
        "门店名称",
    ),
    *(
        "操作员",
        "终端号",
        "对方账户",
        "订单金额（元）",
        "商家实收（元）",
        "支付宝红包（元）",
        "集分宝（元）",
    ),
    *(
        "支付宝优惠（元）",
        "商家优惠（元）",
        "券核销金额（元）",
        "券名称",
        "商家红包消费金额（元）",
        "卡消费金额（元）",
    ),
    *("退款批次号/请求号", "服务费（元）", "分润（元）", "备注"),
)
PAID = {
    "支付宝交易号": "T1\t",
    "商户订单号": "deb_1\t",
    "业务类型": "交易\t",
    "创建时间": "2026-06-05 10:00:00\t",
    "完成时间": "2026-06-05 10:00:01\t",
    "订单金额（元）": "0.29",
    "商家实收（元）": "0.29",
    "服务费（元）": "-0.01",
}
GIVEN_BACK = {
    **PAID,
    "业务类型": "退款",
    "完成时间": "2026-06-05 11:00:00",
    "订单金额（元）": "-0.07",
    "商家实收（元）": "-0.07",
    "退款批次号/请求号": "ref_1\t",
    "服务费（元）": "0.01",
}
TRADED = (
    "#交易合计：1笔，商家实收共0.29元，商家优惠共0.00元",
    "#退款合计：1笔，商家实收退款共-0.07元，商家优惠退款共0.00元",
)

OLD_COLUMNS = (
    *(
        "账务流水号",
        "业务流水号",
        "商户订单号",
        "商品名称",
        "发生时间",
        "对方账号",
        "收入金额（+元）",
        "支出金额（-元）",
    ),
    *("账户余额（元）", "交易渠道", "业务类型", "备注"),
)
NEW_COLUMNS = (
    *(
        "账务流水号",
        "业务流水号",
        "商户订单号",
        "业务基础订单号",
        "商品名称",
        "发生时间",
        "对方账号",
        "业务类型",
    ),
    *("业务描述", "收入金额（+元）", "支出金额（-元）", "账户余额（元）", "交易渠道", "备注"),
)
CAME = {
    "账务流水号": "J1\t",
    "业务流水号": "T1\t",
    "商户订单号": "deb_1\t",
    "发生时间": "2026-06-05 23:59:59\t",
    "收入金额（+元）": "0.29",
    "支出金额（-元）": "0.00",
    "业务类型": "在线支付\t",
}
WENT = {
    **CAME,
    "业务流水号": "T2",
    "商户订单号": "pay_1",
    "收入金额（+元）": "",
    "支出金额（-元）": "-12.30",
    "业务类型": "转账",
}
MOVED = ("#支出合计：1笔，共-12.30元", "#收入合计：1笔，共0.29元")


def detail(
    title: str, columns: Sequence[str], rows: Sequence[Mapping[str, str]], below: Sequence[str]
) -> str:
    return "\r\n".join(
        [
            f"#支付宝{title}明细查询",
            "#账号：[20880000000000010156]",
            "#起始日期：[2026年06月05日 00:00:00]   终止日期：[2026年06月06日 00:00:00]",
            f"#-----{title}明细列表-----",
            ",".join(columns),
            *(",".join(row.get(name, "\t") for name in columns) for row in rows),
            f"#-----{title}明细列表结束-----",
            *below,
            "#导出时间：[2026年06月06日 09:00:00]",
            "",
        ]
    )


def trade(*rows: Mapping[str, str], below: Sequence[str] = TRADED, **given: Any) -> str:
    return detail("业务", given.get("columns", TRADE_COLUMNS), rows, below)


def journal(*rows: Mapping[str, str], below: Sequence[str] = MOVED, **given: Any) -> str:
    return detail("账务", given.get("columns", OLD_COLUMNS), rows, below)


def packed(
    text: str, bill_type: str = "trade", encoding: str = "gbk", names: Sequence[str] = ()
) -> BillDownload:
    """A zip file as Alipay's, with names in GBK, or with entries of these names."""
    archive = io.BytesIO()
    title = {"trade": "业务", "signcustomer": "账务"}[bill_type]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as entries:
        for name in names or (f"2088_{title}明细.csv", f"2088_{title}明细(汇总).csv"):
            content = b"#summary" if "汇总" in name else text.encode(encoding)
            entries.writestr(_Gbk(name), content, zipfile.ZIP_DEFLATED)
    return BillDownload(Channel.ALIPAY, date(2026, 6, 5), bill_type, archive.getvalue())


class _Gbk(zipfile.ZipInfo):
    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - the name is zipfile's
        return self.filename.encode("gbk"), self.flag_bits


def read(file: BillDownload) -> list[BillLine]:
    return list(bills.read(file))


def test_a_trade_and_its_refund() -> None:
    paid, given_back = read(packed(trade(PAID, GIVEN_BACK)))
    assert paid == BillLine(
        bill_type="trade",
        line=6,
        number="deb_1",
        direction=BillDirection.IN,
        amount_fen=29,
        fee_fen=1,
        business_type="交易",
        channel_ref="T1",
        at=datetime(2026, 6, 5, 2, 0, 1, tzinfo=UTC),
    )
    assert given_back == BillLine(
        bill_type="trade",
        line=7,
        number="ref_1",
        original_number="deb_1",
        direction=BillDirection.OUT,
        amount_fen=7,
        fee_fen=-1,
        business_type="退款",
        channel_ref="T1",
        at=datetime(2026, 6, 5, 3, tzinfo=UTC),
    )


@pytest.mark.parametrize("columns", [OLD_COLUMNS, NEW_COLUMNS, NEW_COLUMNS[::-1]])
@pytest.mark.parametrize("expense", ["-12.30", "12.3"])
def test_movements_are_read_by_column_name_whatever_the_sign_of_what_went_out(
    columns: Sequence[str], expense: str
) -> None:
    rows = (CAME, {**WENT, "支出金额（-元）": expense, "备注": "#1 景区"})
    came, went = read(packed(journal(*rows, columns=columns), "signcustomer"))
    assert came == BillLine(
        bill_type="signcustomer",
        line=6,
        number="deb_1",
        direction=BillDirection.IN,
        amount_fen=29,
        business_type="在线支付",
        channel_ref="T1",
        at=datetime(2026, 6, 5, 15, 59, 59, tzinfo=UTC),
    )
    assert (went.number, went.direction, went.amount_fen) == ("pay_1", BillDirection.OUT, 1230)


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "utf-8", "utf-8-sig"])
def test_the_encoding_is_found_out(encoding: str) -> None:
    assert len(read(packed(trade(PAID, GIVEN_BACK), encoding=encoding))) == 2


def test_brackets_of_either_width_name_the_same_column() -> None:
    narrow = [name.replace("（", "(").replace("）", ")") for name in TRADE_COLUMNS]
    text = trade(PAID, GIVEN_BACK).replace(",".join(TRADE_COLUMNS), ",".join(narrow))
    assert read(packed(text)) == read(packed(trade(PAID, GIVEN_BACK)))


def test_an_empty_day_and_rows_that_come_twice_are_bills() -> None:
    nothing = [line.replace("1笔", "0笔") for line in TRADED]
    nothing = [line.replace("0.29", "0.00").replace("-0.07", "0.00") for line in nothing]
    assert read(packed(trade(below=nothing))) == []
    twice = [TRADED[0].replace("1笔", "2笔").replace("0.29", "0.58"), TRADED[1]]
    lines = read(packed(trade(PAID, PAID, GIVEN_BACK, below=twice)))
    assert [line.number for line in lines] == ["deb_1", "deb_1", "ref_1"]


def test_the_summary_need_not_be_there() -> None:
    assert len(read(packed(trade(PAID, GIVEN_BACK), names=["a.csv"]))) == 2


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"商家实收（元）": "0.291"}, "商家实收（元）"),
        ({"商家实收（元）": "29e-2"}, "商家实收（元）"),
        ({"商家实收（元）": ""}, "商家实收（元）"),
        ({"商家实收（元）": "-0.29"}, "商家实收（元）"),
        ({"服务费（元）": "?"}, "服务费（元）"),
        ({"业务类型": "其他"}, "业务类型"),
        ({"完成时间": "2026-06-05"}, "完成时间"),
        ({"完成时间": "2026-06-31 10:00:00"}, "完成时间"),
        ({"完成时间": ""}, "完成时间"),
    ],
)
def test_a_cell_of_a_trade_that_cannot_be_read_is_named(
    changes: dict[str, str], column: str
) -> None:
    with pytest.raises(BillUnreadable, match="alipay bill trade of 2026-06-05") as refusal:
        read(packed(trade({**PAID, **changes}, GIVEN_BACK)))
    assert (refusal.value.line, refusal.value.column) == (6, column)
    assert f"line 6, column {column}: " in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"收入金额（+元）": "0.29", "支出金额（-元）": "-0.29"}, "收入金额（+元）"),
        ({"收入金额（+元）": "0.00", "支出金额（-元）": ""}, "收入金额（+元）"),
        ({"收入金额（+元）": "-0.29"}, "收入金额（+元）"),
        ({"支出金额（-元）": "--1"}, "支出金额（-元）"),
        ({"发生时间": "2026/06/05 10:00"}, "发生时间"),
    ],
)
def test_a_cell_of_a_movement_that_cannot_be_read_is_named(
    changes: dict[str, str], column: str
) -> None:
    with pytest.raises(BillUnreadable, match="alipay bill signcustomer") as refusal:
        read(packed(journal({**CAME, **changes}, WENT), "signcustomer"))
    assert (refusal.value.line, refusal.value.column) == (6, column)


@pytest.mark.parametrize(
    ("below", "said"),
    [
        ([TRADED[0]], "a trailer #退款合计 is expected"),
        ([TRADED[1]], "a trailer #交易合计 is expected"),
        ([TRADED[0].replace("1笔", "2笔"), TRADED[1]], "line 9: the rows add up to 1笔 and 0.29"),
        ([TRADED[0].replace("0.29", "0.30"), TRADED[1]], "line 9: the rows add up to"),
        ([TRADED[0], TRADED[1].replace("-0.07", "-0.08")], "line 10: the rows add up to 1笔"),
        ([TRADED[0].replace("0.29", "0.2.9"), TRADED[1]], "a trailer #交易合计 is expected"),
        ([*TRADED, "T1,deb_1"], "line 11: no row is expected below the list"),
    ],
)
def test_trailers_that_are_missing_or_disagree_are_refused(below: list[str], said: str) -> None:
    with pytest.raises(BillUnreadable, match=said):
        read(packed(trade(PAID, GIVEN_BACK, below=below)))


def test_a_list_without_its_end_is_refused() -> None:
    whole = trade(PAID, GIVEN_BACK)
    with pytest.raises(BillUnreadable, match="the file breaks off before it"):
        read(packed(whole[: whole.index("#-----业务明细列表结束")]))


def test_the_bill_of_another_day_is_refused() -> None:
    text = trade(PAID, GIVEN_BACK).replace("[2026年06月05日", "[2026年06月04日")
    with pytest.raises(BillUnreadable, match="line 3: a bill of 2026-06-05 is expected"):
        read(packed(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("#支付宝业务明细查询\r\n", "a header row is expected"),
        (journal(CAME, WENT), "column 支付宝交易号: the column is missing"),
    ],
)
def test_what_is_not_that_bill_is_refused(text: str, said: str) -> None:
    with pytest.raises(BillUnreadable, match=said):
        read(packed(text))


@pytest.mark.parametrize(
    "names", [["业务明细(汇总).csv"], ["readme.txt"], ["a.csv", "b.csv"], ["明细.csv/"]]
)
def test_a_zip_without_one_detail_file_is_refused(names: list[str]) -> None:
    with pytest.raises(BillUnreadable, match="one detail file"):
        read(packed(trade(PAID), names=names))


def test_a_text_in_another_encoding_is_refused() -> None:
    with pytest.raises(BillUnreadable, match="text in UTF-8 or GB18030"):
        read(packed(trade(PAID, GIVEN_BACK), encoding="utf-16"))


def test_half_a_file_is_refused_wherever_it_breaks_off() -> None:
    whole = packed(trade(*[PAID] * 50, GIVEN_BACK)).content
    for length in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        part = BillDownload(Channel.ALIPAY, date(2026, 6, 5), "trade", whole[:length])
        with pytest.raises(BillUnreadable, match="a whole zip file is expected"):
            read(part)


def test_no_changed_byte_is_taken_for_another_trouble_or_for_another_bill() -> None:
    """Whatever byte is changed: the bill is unreadable, or what it said before."""
    file = packed(trade(PAID, GIVEN_BACK))
    usual = read(file)
    for place in range(len(file.content)):
        changed = bytearray(file.content)
        changed[place] ^= 0x55
        spoilt = BillDownload(file.channel, file.bill_date, file.bill_type, bytes(changed))
        with suppress(BillUnreadable):
            assert read(spoilt) == usual
