"""Bills that are spoilt on demand: what each kind changes, and that it changes nothing else."""

import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from shanmen.simulators.alipay.bills.spoilers import SPOILERS
from shanmen.simulators.alipay.settings import Settings
from shanmen.simulators.moments import CHINA
from shanmen.simulators.testing.alipay_bill import ReadBill, read_bill
from shanmen.simulators.testing.merchant import PLATFORM, Merchant, payment

_METHOD = "alipay.data.dataservice.bill.downloadurl.query"
_DAY = "2026-11-20"
_EMPTY_DAY = "2026-01-02"
_TYPES = ("trade", "signcustomer")
_AMOUNT = {"trade": "商家实收（元）", "signcustomer": "支出金额（-元）"}


@pytest.fixture
async def merchant(
    settings: Settings,
    open_channel: Callable[[Settings], AbstractAsyncContextManager[Merchant]],
) -> AsyncIterator[Merchant]:
    """With a day of business behind it, whose last row is of money that went out."""
    noon = datetime(2026, 11, 20, 12, tzinfo=CHINA)
    shift = noon - settings.clock()
    async with open_channel(replace(settings, clock=lambda: settings.clock() + shift)) as merchant:
        await merchant.pay("T1", "10.00")
        await merchant.pay("T2", "3.00")
        await merchant.transfer("P1", "5.00")
        await merchant.refund("T1", "R1", "4.00")
        await merchant.advance(days=2)
        yield merchant


async def _file(merchant: Merchant, bill_type: str, day: str = _DAY) -> bytes:
    told = await merchant.call(_METHOD, {"bill_type": bill_type, "bill_date": day})
    return (await merchant.http.get(told["bill_download_url"])).content


async def _spoil(merchant: Merchant, kind: str, **narrowed: Any) -> None:
    await merchant.post("/faults", {"kind": kind, "times": 1, **narrowed})


async def _pair(merchant: Merchant, bill_type: str, kind: str) -> tuple[ReadBill, ReadBill]:
    """The honest bill of the day, and the spoilt one."""
    honest = read_bill(await _file(merchant, bill_type))
    await _spoil(merchant, kind)
    spoilt = read_bill(await _file(merchant, bill_type))
    assert read_bill(await _file(merchant, bill_type)).rows == honest.rows
    return honest, spoilt


def _adds_up(bill: ReadBill, bill_type: str) -> bool:
    """Whether the trailer and the summary say what the rows say."""
    if bill_type == "trade":
        amounts = bill.fens("商家实收（元）")
    else:
        columns = (bill.fens("收入金额（+元）"), bill.fens("支出金额（-元）"))
        amounts = [gain + loss for gain, loss in zip(*columns, strict=True)]
    ins = [amount_fen for amount_fen in amounts if amount_fen > 0]
    outs = [amount_fen for amount_fen in amounts if amount_fen < 0]
    shown_in, shown_out = (f"共{Decimal(sum(fens)) / 100:.2f}元" for fens in (ins, outs))
    in_line, out_line = bill.tail[1:3] if bill_type == "trade" else bill.tail[2:0:-1]
    return (
        f"：{len(ins)}笔" in in_line
        and shown_in in in_line
        and f"：{len(outs)}笔" in out_line
        and shown_out in out_line
    )


@pytest.mark.parametrize("bill_type", _TYPES)
async def test_an_extra_row_is_nobodys(merchant: Merchant, bill_type: str) -> None:
    honest, spoilt = await _pair(merchant, bill_type, "bill_extra_row")

    assert spoilt.rows[:-1] == honest.rows
    assert spoilt.column("商户订单号")[-1] == "NOBODY_SENT_THIS"
    assert abs(spoilt.fens(_AMOUNT[bill_type])[-1]) == 1
    assert _adds_up(honest, bill_type)
    assert _adds_up(spoilt, bill_type)


@pytest.mark.parametrize("bill_type", _TYPES)
async def test_a_row_is_missing(merchant: Merchant, bill_type: str) -> None:
    honest, spoilt = await _pair(merchant, bill_type, "bill_missing_row")

    assert spoilt.rows == honest.rows[:-1]
    assert _adds_up(spoilt, bill_type)


@pytest.mark.parametrize("bill_type", _TYPES)
async def test_an_amount_differs_by_a_fen(merchant: Merchant, bill_type: str) -> None:
    honest, spoilt = await _pair(merchant, bill_type, "bill_amount_differs")

    column = _AMOUNT[bill_type]
    assert spoilt.rows[:-1] == honest.rows[:-1]
    assert spoilt.fens(column)[-1] == honest.fens(column)[-1] - 1
    assert spoilt.column("商户订单号") == honest.column("商户订单号")
    assert _adds_up(spoilt, bill_type)


@pytest.mark.parametrize("bill_type", _TYPES)
async def test_a_row_comes_twice(merchant: Merchant, bill_type: str) -> None:
    honest, spoilt = await _pair(merchant, bill_type, "bill_duplicate_row")

    assert spoilt.rows == [*honest.rows, honest.rows[-1]]
    assert _adds_up(spoilt, bill_type)


@pytest.mark.parametrize("bill_type", _TYPES)
async def test_a_wrong_trailer_contradicts_the_rows(merchant: Merchant, bill_type: str) -> None:
    honest, spoilt = await _pair(merchant, bill_type, "bill_wrong_trailer")

    assert spoilt.rows == honest.rows
    assert not _adds_up(spoilt, bill_type)


@pytest.mark.parametrize("bill_type", _TYPES)
async def test_columns_stand_in_another_order(merchant: Merchant, bill_type: str) -> None:
    honest, spoilt = await _pair(merchant, bill_type, "bill_reordered_columns")

    assert spoilt.columns != honest.columns
    assert spoilt.rows == honest.rows


@pytest.mark.parametrize("bill_type", _TYPES)
@pytest.mark.parametrize(
    ("kind", "encoding"), [("bill_utf8", "utf-8-sig"), ("bill_utf16", "utf-16")]
)
async def test_the_words_are_the_same_in_another_encoding(
    merchant: Merchant, bill_type: str, kind: str, encoding: str
) -> None:
    honest = read_bill(await _file(merchant, bill_type))
    await _spoil(merchant, kind)

    content = await _file(merchant, bill_type)

    with pytest.raises(UnicodeDecodeError):
        read_bill(content)
    spoilt = read_bill(content, encoding)
    assert (spoilt.names, spoilt.rows) == (honest.names, honest.rows)


@pytest.mark.parametrize("kind", ["bill_truncated", "bill_empty_file"])
async def test_half_a_file_or_none_is_no_zip(merchant: Merchant, kind: str) -> None:
    whole = await _file(merchant, "trade")
    await _spoil(merchant, kind)

    content = await _file(merchant, "trade")

    assert (content == b"") is (kind == "bill_empty_file")
    assert len(content) < len(whole)
    with pytest.raises(zipfile.BadZipFile):
        read_bill(content)


@pytest.mark.parametrize("bill_type", _TYPES)
async def test_one_kind_of_bill_is_spoilt_and_not_the_other(
    merchant: Merchant, bill_type: str
) -> None:
    [other] = set(_TYPES) - {bill_type}
    honest = {name: read_bill(await _file(merchant, name)).rows for name in _TYPES}
    await merchant.post("/faults", {"kind": "bill_missing_row", "number": bill_type})

    assert read_bill(await _file(merchant, other)).rows == honest[other]
    for _ in range(2):
        assert read_bill(await _file(merchant, bill_type)).rows == honest[bill_type][:-1]
    await merchant.http.delete("/admin/faults")
    assert read_bill(await _file(merchant, bill_type)).rows == honest[bill_type]


async def test_the_bill_of_one_day_or_one_account_is_spoilt(merchant: Merchant) -> None:
    honest = read_bill(await _file(merchant, "trade")).rows
    await _spoil(merchant, "bill_missing_row", number=_EMPTY_DAY)
    await _spoil(merchant, "bill_missing_row", account_no="somebody")
    assert read_bill(await _file(merchant, "trade")).rows == honest

    await _spoil(merchant, "bill_missing_row", number=_DAY, account_no=PLATFORM)

    assert read_bill(await _file(merchant, "trade")).rows == honest[:-1]


async def test_a_fault_of_bills_leaves_payments_alone(merchant: Merchant) -> None:
    await _spoil(merchant, "bill_missing_row")

    paid = await merchant.call("alipay.trade.pay", payment("T9"))

    assert paid["code"] == "10000"
    [fault] = (await merchant.get("/faults"))["faults"]
    assert fault["times_left"] == 1


@pytest.mark.parametrize("bill_type", _TYPES)
async def test_every_spoilt_bill_of_an_empty_day_is_still_made(
    merchant: Merchant, bill_type: str
) -> None:
    for kind in SPOILERS:
        await _spoil(merchant, kind)
        asked = {"bill_type": bill_type, "bill_date": _EMPTY_DAY}
        told = await merchant.call(_METHOD, asked)
        assert ("bill_file_code" in told) is (kind != "bill_extra_row")
    await _spoil(merchant, "bill_extra_row")
    bill = read_bill(await _file(merchant, bill_type, _EMPTY_DAY))
    [at] = bill.column("完成时间" if bill_type == "trade" else "发生时间")
    assert at == f"{_EMPTY_DAY} 00:00:00"


async def test_trouble_around_the_call_is_as_for_any_other(merchant: Merchant) -> None:
    asked = {"bill_type": "trade", "bill_date": _DAY}
    await _spoil(merchant, "system_error_before")
    assert (await merchant.call(_METHOD, asked))["sub_code"] == "UNKNOWN_ERROR"
    await _spoil(merchant, "bad_signature", method=_METHOD)
    with pytest.raises(ValueError, match="not a verified answer"):
        await merchant.call(_METHOD, asked)
