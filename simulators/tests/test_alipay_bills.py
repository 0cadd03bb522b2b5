"""Daily bills: read back from the file, against the account's journal."""

import sqlite3
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from shanmen.simulators.alipay import books as books_module
from shanmen.simulators.alipay.bills import days
from shanmen.simulators.alipay.settings import Settings
from shanmen.simulators.books import Books
from shanmen.simulators.moments import CHINA, DAY_MS, china_midnight_ms
from shanmen.simulators.testing.alipay_bill import ReadBill, read_bill
from shanmen.simulators.testing.merchant import PLATFORM, SPOT, Merchant, payment

_METHOD = "alipay.data.dataservice.bill.downloadurl.query"
_DAY = "2026-11-20"
_NEXT = "2026-11-21"
_TRADE_HEADER = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,"
    "对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,"
    "券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,"
    "分润（元）,备注"
)

OpenChannel = Callable[[Settings], AbstractAsyncContextManager[Merchant]]


def _starting(settings: Settings, clock_time: str) -> Settings:
    """Settings by whose clock a day in November begins at a time."""
    start = datetime.fromisoformat(f"{_DAY}T{clock_time}").replace(tzinfo=CHINA)
    zero_s = time.monotonic()
    return replace(settings, clock=lambda: start + timedelta(seconds=time.monotonic() - zero_s))


@pytest.fixture
async def merchant(settings: Settings, open_channel: OpenChannel) -> AsyncIterator[Merchant]:
    async with open_channel(_starting(settings, "12:00:00")) as merchant:
        yield merchant


async def _ask(merchant: Merchant, day: str, bill_type: str) -> dict[str, Any]:
    return await merchant.call(_METHOD, {"bill_type": bill_type, "bill_date": day})


async def _bill(merchant: Merchant, day: str, bill_type: str) -> ReadBill:
    told = await _ask(merchant, day, bill_type)
    response = await merchant.http.get(told["bill_download_url"])
    assert (response.status_code, response.headers["content-type"]) == (200, "application/zip")
    bill = read_bill(response.content)
    assert ("bill_file_code" in told) is (not bill.rows)
    return bill


async def _busy_day(merchant: Merchant) -> None:
    """A day with one of everything, and what failed; the next one has begun afterwards."""
    await merchant.pay("T1", "10.00")
    await merchant.pay("T2", "3.05")
    await merchant.pay("T3", "99999.00")
    await merchant.call("alipay.trade.cancel", {"out_trade_no": "T2"})
    await merchant.refund("T1", "R1", "4.00")
    await merchant.refund("T1", "R2", "0.01")
    await merchant.transfer("P1", "5.00")
    await merchant.post(f"/accounts/{PLATFORM}/top-up", {"amount_fen": 7, "reference": "B-7"})
    withdrawn = {"balance_fen": await merchant.balance_fen(PLATFORM) - 250}
    await merchant.http.put(f"/admin/accounts/{PLATFORM}/balance", json=withdrawn)
    await merchant.advance(days=2)


async def test_the_trade_bill_has_payments_and_refunds(merchant: Merchant) -> None:
    await _busy_day(merchant)

    bill = await _bill(merchant, _DAY, "trade")

    amounts = bill.fens("商家实收（元）")
    names = ("业务类型", "商户订单号", "退款批次号/请求号")
    rows = zip(*(bill.column(name) for name in names), amounts, strict=True)
    assert list(rows) == [
        ("交易", "T1", "", 1_000),
        ("交易", "T2", "", 305),
        ("退款", "T2", "T2", -305),
        ("退款", "T1", "R1", -400),
        ("退款", "T1", "R2", -1),
    ]
    trade = await merchant.get("/trades/T1")
    assert bill.column("支付宝交易号")[::3] == [trade["trade_no"]] * 2
    assert bill.fens("订单金额（元）") == amounts
    assert set(bill.column("对方账户")) == {"经销商甲(dis***@example.com)"}
    assert {at[:13] for at in bill.column("完成时间")} == {f"{_DAY} 12"}


async def test_the_trade_bill_looks_as_it_is_described(merchant: Merchant) -> None:
    await _busy_day(merchant)

    bill = await _bill(merchant, _DAY, "trade")

    account = f"{PLATFORM}0156"
    assert bill.names == (
        f"{account}_20261120_业务明细.csv",
        f"{account}_20261120_业务明细(汇总).csv",
    )
    assert bill.head == [
        "#支付宝业务明细查询",
        f"#账号：[{account}]",
        "#起始日期：[2026年11月20日 00:00:00]   终止日期：[2026年11月21日 00:00:00]",
        f"#{'-' * 41}业务明细列表{'-' * 40}",
    ]
    assert ",".join(bill.columns) == _TRADE_HEADER
    assert bill.tail[:-1] == [
        f"#{'-' * 41}业务明细列表结束{'-' * 36}",
        "#交易合计：2笔，商家实收共13.05元，商家优惠共0.00元",
        "#退款合计：3笔，商家实收退款共-7.06元，商家优惠退款共0.00元",
    ]
    assert bill.tail[-1].startswith("#导出时间：[2026年11月22日 12:")
    texts = [name for name in bill.columns if not name.endswith("（元）")]
    assert len(texts) == 14
    assert all(row[name].endswith("\t") for row in bill.rows for name in texts)
    assert (bill.summary["交易订单总笔数"], bill.summary["退款订单总笔数"]) == ("2", "3")
    assert bill.summary["实收净额（元）"] == "5.99"


async def test_the_account_bill_is_the_accounts_journal_to_the_fen(merchant: Merchant) -> None:
    for number in range(20):
        await merchant.pay(f"N{number}", f"{number + 1}.{number:02d}")
    await _busy_day(merchant)

    bill = await _bill(merchant, _DAY, "signcustomer")

    entries = (await merchant.get(f"/accounts/{PLATFORM}/entries"))["entries"]
    ins, outs = bill.fens("收入金额（+元）"), bill.fens("支出金额（-元）")
    assert [(gain, -loss) for gain, loss in zip(ins, outs, strict=True)] == [
        (entry["amount_fen"], 0) if entry["direction"] == "in" else (0, entry["amount_fen"])
        for entry in entries
    ]
    assert bill.fens("账户余额（元）") == [entry["balance_after_fen"] for entry in entries]
    assert sum(ins) + sum(outs) == await merchant.balance_fen(PLATFORM)
    assert len(set(bill.column("账务流水号"))) == len(entries)
    count_in = sum(1 for gain in ins if gain)
    assert bill.tail[1:3] == [
        f"#支出合计：{len(entries) - count_in}笔，共-14.56元",
        f"#收入合计：{count_in}笔，共{sum(ins) // 100}.{sum(ins) % 100:02d}元",
    ]
    assert (bill.summary["收入笔数"], bill.summary["支出金额（-元）"]) == (str(count_in), "-14.56")


async def test_the_account_bill_names_every_kind_of_movement(merchant: Merchant) -> None:
    await _busy_day(merchant)

    bill = await _bill(merchant, _DAY, "signcustomer")

    assert bill.names[0].endswith("_20261120_账务明细.csv")
    assert bill.head[0] == "#支付宝账务明细查询"
    assert "账务明细列表-" in bill.head[3]
    trade_no = (await merchant.get("/trades/T1"))["trade_no"]
    undone_no = (await merchant.get("/trades/T2"))["trade_no"]
    payout = await merchant.get("/transfers/P1")
    names = ("业务类型", "商户订单号", "业务流水号", "业务基础订单号")
    rows = list(zip(*(bill.column(name) for name in names), strict=True))
    assert rows[:-1] == [
        ("充值", "", PLATFORM, ""),
        ("在线支付", "T1", trade_no, trade_no),
        ("在线支付", "T2", undone_no, undone_no),
        ("退款", "T2", undone_no, undone_no),
        ("退款", "T1", trade_no, trade_no),
        ("退款", "T1", trade_no, trade_no),
        ("转账", "P1", payout["pay_fund_order_id"], payout["order_id"]),
        ("充值", "", "B-7", ""),
    ]
    assert rows[-1][:2] == ("提现", "")
    assert bill.column("业务描述")[6] == "单笔转账到支付宝账户"
    assert bill.column("对方账号")[6] == "景区乙(spo***@example.com)"


async def test_words_that_would_break_the_file_do_not(merchant: Merchant) -> None:
    subject = '门票,"甲" 🎫\r\n#两张\t'
    await merchant.call("alipay.trade.pay", payment("T1", subject=subject))
    await merchant.advance(days=2)

    for bill_type in ("trade", "signcustomer"):
        bill = await _bill(merchant, _DAY, bill_type)
        assert bill.rows[-1]["商品名称"] == '门票,"甲" ?  #两张 \t'


async def test_what_finishes_after_midnight_is_on_the_next_days_bill(
    settings: Settings, open_channel: OpenChannel
) -> None:
    async with open_channel(_starting(settings, "23:58:00")) as merchant:
        await merchant.post("/faults", {"kind": "pay_in_process", "times": 1, "delay_ms": 180_000})
        await merchant.pay("T1")
        await merchant.pay("T2")
        await merchant.advance(seconds=180)
        await merchant.refund("T2", "R2", "1.00")
        await merchant.advance(days=2)

        bills = {day: await _bill(merchant, day, "trade") for day in (_DAY, _NEXT)}
        account = {day: await _bill(merchant, day, "signcustomer") for day in (_DAY, _NEXT)}

    assert [bill.column("商户订单号") for bill in bills.values()] == [["T2"], ["T1", "T2"]]
    crossed = bills[_NEXT]
    assert crossed.column("创建时间")[0][:10] == _DAY
    assert crossed.column("完成时间")[0][:10] == _NEXT
    assert crossed.fens("商家实收（元）") == [1_000, -100]
    assert account[_DAY].column("商户订单号") == ["", "T2"]
    assert account[_NEXT].column("商户订单号") == ["T1", "T2"]
    assert account[_NEXT].fens("账户余额（元）")[0] == (
        account[_DAY].fens("账户余额（元）")[-1] + 1_000
    )


async def test_a_bill_is_there_from_nine_oclock(
    settings: Settings, open_channel: OpenChannel
) -> None:
    async with open_channel(_starting(settings, "08:59:30")) as merchant:
        yesterday = "2026-11-19"
        early = await _ask(merchant, yesterday, "trade")
        assert (early["code"], early["sub_code"]) == ("40004", "BILL_NOT_EXIST")
        assert "bill_download_url" not in early
        await merchant.advance(seconds=31)
        assert (await _ask(merchant, yesterday, "trade"))["code"] == "10000"
        for day in (_DAY, _NEXT, "9999-12-31"):
            assert (await _ask(merchant, day, "trade"))["sub_code"] == "BILL_NOT_EXIST"


@pytest.mark.parametrize("bill_type", ["trade", "signcustomer"])
async def test_an_empty_day_has_a_file_without_rows(merchant: Merchant, bill_type: str) -> None:
    told = await _ask(merchant, "2026-01-02", bill_type)
    assert told["bill_file_code"] == "EMPTY_DATA_WITH_BILL_FILE"

    bill = await _bill(merchant, "2026-01-02", bill_type)

    assert bill.rows == []
    assert bill.columns
    assert all("：0笔" in line and "共0.00元" in line for line in bill.tail[1:3])


@pytest.mark.parametrize(
    ("content", "sub_code"),
    [
        ({"bill_date": _DAY}, "INVAILID_ARGUMENTS"),
        ({"bill_type": "trade"}, "INVAILID_ARGUMENTS"),
        ({"bill_type": "trade", "bill_date": "2026-02-30"}, "INVAILID_ARGUMENTS"),
        ({"bill_type": "trade", "bill_date": "2026-11"}, "INVAILID_ARGUMENTS"),
        ({"bill_type": "trade", "bill_date": 20261120}, "INVAILID_ARGUMENTS"),
        ({"bill_type": "merchant_act", "bill_date": "2026-01-02"}, "TYPE_NOT_SUPPORTED"),
        ({"bill_type": "trade", "bill_date": "2020-11-19"}, "NO_BILL_DATA"),
        ({"bill_type": "trade", "bill_date": "0001-01-01"}, "NO_BILL_DATA"),
    ],
)
async def test_a_bill_that_makes_no_sense_is_refused(
    merchant: Merchant, content: dict[str, Any], sub_code: str
) -> None:
    answer = await merchant.call(_METHOD, content)
    assert (answer["code"], answer["sub_code"]) == ("40004", sub_code)


async def test_a_link_is_good_for_half_a_minute_on_the_wall(
    settings: Settings, open_channel: OpenChannel
) -> None:
    ahead = timedelta()
    at_noon = _starting(settings, "12:00:00")
    async with open_channel(replace(at_noon, clock=lambda: at_noon.clock() + ahead)) as merchant:
        await merchant.advance(days=2)
        link = (await _ask(merchant, _DAY, "trade"))["bill_download_url"]
        assert link.startswith(str(merchant.http.base_url))
        await merchant.advance(days=3)
        ahead = timedelta(seconds=28)
        assert (await merchant.http.get(link)).status_code == 200
        assert (await merchant.http.get(link[:-1])).status_code == 404
        ahead = timedelta(seconds=31)
        late = await merchant.http.get(link)
        assert (late.status_code, "ask for a new one" in late.text) == (404, True)


async def test_a_bill_is_for_who_signed(merchant: Merchant) -> None:
    await _busy_day(merchant)
    signed = merchant.signed(_METHOD, {"bill_type": "trade", "bill_date": _DAY})

    response = await merchant.http.post(
        "/gateway.do", data={**signed, "biz_content": '{"bill_type": "signcustomer"}'}
    )

    refusal = response.json()["error_response"]
    assert refusal["sub_code"] == "isv.invalid-signature"


async def test_another_merchants_bill_is_its_own(merchant: Merchant) -> None:
    app = {"account_no": SPOT, "public_key_pem": merchant.key.public_pem()}
    await merchant.post("/apps", {"app_id": "SPOTS", **app})
    await _busy_day(merchant)
    asked = {"bill_date": _DAY}

    trade = await merchant.call(_METHOD, {**asked, "bill_type": "trade"}, app_id="SPOTS")
    own = await merchant.call(_METHOD, {**asked, "bill_type": "signcustomer"}, app_id="SPOTS")

    assert trade["bill_file_code"] == "EMPTY_DATA_WITH_BILL_FILE"
    bill = read_bill((await merchant.http.get(own["bill_download_url"])).content)
    assert bill.column("商户订单号") == ["P1"]
    assert bill.fens("收入金额（+元）") == [500]
    assert bill.names[0].startswith(f"{SPOT}0156_")


def _books_with_trades(count: int, day: date) -> Books:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.executescript(books_module.SCHEMA)
    first_ms = china_midnight_ms(day)
    connection.executescript(
        "INSERT INTO accounts VALUES ('M', 'M', 'm', '票务平台', 0, 0);"
        "INSERT INTO accounts VALUES ('D', 'D', 'd', '经销商甲', 0, 0);"
        "INSERT INTO apps VALUES ('A', 'M', 'none', NULL);"
        "WITH RECURSIVE numbers (n) AS"
        f" (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT {count})"
        " INSERT INTO trades (trade_no, merchant_no, app_id, out_trade_no, buyer_no, agreement_no,"
        " amount_fen, subject, fingerprint, status, created_ms, paid_ms)"
        f" SELECT n, 'M', 'A', 'T' || n, 'D', 'G', n, '门票', '', 'TRADE_SUCCESS',"
        f" {first_ms} + n, {first_ms} + n FROM numbers;"
        "INSERT INTO entries (account_no, kind, channel_no, business_no, direction, amount_fen,"
        " counterparty_no, balance_after_fen, at_ms)"
        " SELECT 'M', 'trade', trade_no, out_trade_no, 'in', amount_fen, 'D', 0, paid_ms"
        " FROM trades;"
    )
    return Books(connection, first_ms + 2 * DAY_MS)


@pytest.mark.parametrize("bill_type", ["trade", "signcustomer"])
def test_a_long_bill_is_never_in_memory_as_a_whole(bill_type: str) -> None:
    count, day = 20_000, date(2026, 11, 20)
    books = _books_with_trades(count, day)

    tracemalloc.start()
    bill = days.make(books, "M", day, bill_type, None)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert bill.rows == count
    assert peak_bytes < 4_000_000
    column = "商家实收（元）" if bill_type == "trade" else "收入金额（+元）"
    assert sum(read_bill(bill.content).fens(column)) == count * (count + 1) // 2
