"""Daily bills: parsed back, against the books; and spoilt on demand."""

import csv
import gzip
import hashlib
import io
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shanmen.simulators.huijinbao.bills import HEADER, SPOILERS
from shanmen.simulators.moments import CHINA
from shanmen.simulators.settings import Settings
from shanmen.simulators.testing.huijinbao_merchant import (
    DISTRIBUTOR,
    FUND,
    PLATFORM,
    SPOT,
    HuijinbaoMerchant,
)


@dataclass(frozen=True)
class Parsed:
    """A bill as a merchant reads it."""

    rows: list[dict[str, str]]
    trailer: tuple[int, int, int]


def _parsed(content: bytes) -> Parsed:
    lines = gzip.decompress(content).decode().splitlines()
    assert lines[-1].startswith("#")
    count, sum_in, sum_out = (int(part) for part in lines[-1].removeprefix("#").split(","))
    rows = list(csv.DictReader(io.StringIO("\n".join(lines[:-1]))))
    return Parsed(rows, (count, sum_in, sum_out))


async def _ask(huijinbao: HuijinbaoMerchant, day: str, bill_type: str) -> dict[str, Any]:
    return await huijinbao.call("bill.query", {"bill_date": day, "bill_type": bill_type})


async def _bill(huijinbao: HuijinbaoMerchant, day: str, bill_type: str) -> Parsed:
    told = await _ask(huijinbao, day, bill_type)
    content = (await huijinbao.http.get(told["url"])).content
    assert hashlib.sha256(content).hexdigest() == told["sha256"]
    parsed = _parsed(content)
    assert told["rows"] == len(parsed.rows) == parsed.trailer[0]
    assert told["sum"] == sum(parsed.trailer[1:])
    return parsed


async def _busy_day(huijinbao: HuijinbaoMerchant) -> str:
    """A day with one of everything, and what failed; the next one has begun afterwards."""
    day = str((await huijinbao.get("/clock"))["china_date"])
    await huijinbao.pay("T1", 1_000, biz_no="订单,1")
    await huijinbao.pay("T2", 10**6)
    await huijinbao.cancel("T3")
    await huijinbao.transfer("P1", 500)
    await huijinbao.refund("R1", "T1", 400)
    await huijinbao.subscribe("W1", 300)
    await huijinbao.redeem("X1", 100)
    await huijinbao.redeem("X2", 50, "NORMAL")
    await huijinbao.liquidate("L1")
    await huijinbao.post(f"/accounts/{PLATFORM}/top-up", {"amount_fen": 7, "reference": "B-7"})
    await huijinbao.advance(days=2)
    return day


async def test_the_trade_bill_lists_what_succeeded_with_both_parties(
    huijinbao: HuijinbaoMerchant,
) -> None:
    day = await _busy_day(huijinbao)

    bill = await _bill(huijinbao, day, "TRADE")

    assert tuple(bill.rows[0]) == HEADER
    assert bill.trailer == (3, 1_000, 900)
    assert [
        (
            row["req_seq_id"],
            row["biz_type"],
            row["pay_cst_no"],
            row["rcv_cst_no"],
            row["amount_fen"],
        )
        for row in bill.rows
    ] == [
        ("T1", "pay", DISTRIBUTOR, PLATFORM, "1000"),
        ("P1", "transfer", PLATFORM, SPOT, "500"),
        ("R1", "refund", PLATFORM, DISTRIBUTOR, "400"),
    ]
    assert [row["org_req_seq_id"] for row in bill.rows] == ["", "", "T1"]
    assert bill.rows[0]["biz_no"] == "订单,1"
    paid = await huijinbao.query("T1")
    assert bill.rows[0]["hjb_seq_id"] == paid["hjb_seq_id"]
    assert bill.rows[0]["finish_time"] == paid["finish_time"]
    assert {(row["trans_date"], row["trans_stat"], row["fee_fen"]) for row in bill.rows} == {
        (day, "S", "0")
    }


async def test_the_wealth_bill_lists_what_went_in_and_came_out(
    huijinbao: HuijinbaoMerchant,
) -> None:
    day = await _busy_day(huijinbao)

    bill = await _bill(huijinbao, day, "WEALTH")
    assert [(row["req_seq_id"], row["pay_cst_no"], row["amount_fen"]) for row in bill.rows] == [
        ("W1", PLATFORM, "300"),
        ("X1", FUND, "100"),
        ("L1", FUND, "150"),
    ]
    assert bill.trailer == (3, 250, 300)


async def test_the_account_bill_is_the_accounts_whole_day(huijinbao: HuijinbaoMerchant) -> None:
    opening_fen = await huijinbao.balance_fen(PLATFORM)
    day = await _busy_day(huijinbao)

    bill = await _bill(huijinbao, day, "ACCOUNT")

    kinds = [row["biz_type"] for row in bill.rows]
    assert kinds == [
        *("opening", "pay", "transfer", "refund", "subscribe", "redeem", "liquidate", "top_up")
    ]
    _, sum_in, sum_out = bill.trailer
    arrived_later_fen = 50
    closing_fen = await huijinbao.balance_fen(PLATFORM)
    assert sum_in - sum_out == closing_fen - arrived_later_fen
    assert sum_in - opening_fen == 1_000 + 100 + 150 + 7
    assert (bill.rows[-1]["req_seq_id"], bill.rows[-1]["pay_cst_no"]) == ("B-7", "")


async def test_what_arrives_on_another_day_is_on_that_days_bill(
    huijinbao_settings: Settings,
    open_huijinbao: Callable[[Settings], AbstractAsyncContextManager[HuijinbaoMerchant]],
) -> None:
    late = datetime.now(CHINA).replace(hour=23, minute=58, second=0, microsecond=0)
    shift = late - datetime.now(CHINA)
    settings = replace(huijinbao_settings, clock=lambda: huijinbao_settings.clock() + shift)
    async with open_huijinbao(settings) as merchant:
        now = (await merchant.get("/clock"))["now"]
        seconds = iter(range(1, 200))
        start = datetime.fromisoformat(now)

        def head() -> dict[str, str]:
            return {"timestamp": (start + timedelta(seconds=next(seconds))).isoformat()}

        data = {"pay_cst_no": PLATFORM, "rcv_cst_no": SPOT, "trx_amount": 5, "biz_no": "V"}
        fault = {"kind": "processing_then_success", "times": 1, "delay_ms": 240_000}
        await merchant.post("/faults", fault)
        today = str((await merchant.get("/clock"))["china_date"])
        await merchant.call("transfer", {**data, "req_seq_id": "P1"}, **head())
        await merchant.call("transfer", {**data, "req_seq_id": "P2"}, **head())
        tomorrow = await merchant.advance(seconds=240)
        await merchant.advance(days=2)

        found = {}
        for day in (today, tomorrow):
            named = {"bill_date": day, "bill_type": "TRADE"}
            told = await merchant.call("bill.query", named, **head())
            rows = _parsed((await merchant.http.get(told["url"])).content).rows
            found[day] = [row["req_seq_id"] for row in rows]

    assert found == {today: ["P2"], tomorrow: ["P1"]}


async def test_a_bill_is_ready_from_half_past_nine(
    huijinbao_settings: Settings,
    open_huijinbao: Callable[[Settings], AbstractAsyncContextManager[HuijinbaoMerchant]],
) -> None:
    early = datetime.now(CHINA).replace(hour=9, minute=29, second=0, microsecond=0)
    shift = early - datetime.now(CHINA)
    settings = replace(huijinbao_settings, clock=lambda: huijinbao_settings.clock() + shift)
    yesterday = (early - timedelta(days=1)).date().isoformat()
    async with open_huijinbao(settings) as merchant:

        async def told(day: str) -> dict[str, Any]:
            stamp = (await merchant.get("/clock"))["now"]
            named = {"bill_date": day, "bill_type": "TRADE"}
            return await merchant.call("bill.query", named, timestamp=stamp)

        waiting = await told(yesterday)
        assert (waiting["resp_code"], waiting["trans_stat"], waiting["status"]) == (
            "00000100",
            "P",
            "NOT_READY",
        )
        assert "url" not in waiting
        await merchant.advance(seconds=61)
        assert (await told(yesterday))["status"] == "READY"
        assert (await told(early.date().isoformat()))["status"] == "NOT_READY"


async def test_a_link_is_good_for_a_minute(
    huijinbao_settings: Settings,
    open_huijinbao: Callable[[Settings], AbstractAsyncContextManager[HuijinbaoMerchant]],
) -> None:
    ahead = timedelta()
    settings = replace(huijinbao_settings, clock=lambda: huijinbao_settings.clock() + ahead)
    async with open_huijinbao(settings) as merchant:
        day = str((await merchant.get("/clock"))["china_date"])
        await merchant.advance(days=2)
        told = await _ask(merchant, day, "TRADE")
        assert (await merchant.http.get(told["url"])).status_code == 200
        assert (await merchant.http.get(told["url"][:-1])).status_code == 404
        ahead = timedelta(seconds=61)
        late = await merchant.http.get(told["url"])
        assert (late.status_code, "ask for a new one" in late.text) == (404, True)


async def test_an_empty_day_has_an_empty_bill(huijinbao: HuijinbaoMerchant) -> None:
    assert await _bill(huijinbao, "2026-01-02", "TRADE") == Parsed([], (0, 0, 0))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"bill_type": "TRADE"}, "HJB_0001"),
        ({"bill_date": "2026-02-30", "bill_type": "TRADE"}, "HJB_0006"),
        ({"bill_date": "20260102", "bill_type": "TRADE"}, "HJB_0006"),
        ({"bill_date": "2026-01-02", "bill_type": "GOSSIP"}, "HJB_0006"),
    ],
)
async def test_a_bill_that_makes_no_sense_is_refused(
    huijinbao: HuijinbaoMerchant, data: dict[str, str], code: str
) -> None:
    assert (await huijinbao.call("bill.query", data))["resp_code"] == code


async def _spoilt(huijinbao: HuijinbaoMerchant, kind: str) -> tuple[list[str], bytes]:
    """The lines of an honest bill, and the file of the same day with a fault."""
    day = await _busy_day(huijinbao)
    honest = (await huijinbao.http.get((await _ask(huijinbao, day, "TRADE"))["url"])).content
    await huijinbao.post("/faults", {"kind": kind, "times": 1})
    told = await _ask(huijinbao, day, "TRADE")
    content = (await huijinbao.http.get(told["url"])).content
    assert hashlib.sha256(content).hexdigest() == told["sha256"]
    return gzip.decompress(honest).decode().splitlines(), content


@pytest.mark.parametrize(
    ("kind", "rows", "trailer"),
    [
        ("bill_extra_row", ["T1", "P1", "R1", "NOBODY-SENT-THIS"], (4, 1_000, 901)),
        ("bill_missing_row", ["T1", "P1"], (2, 1_000, 500)),
        ("bill_amount_differs", ["T1", "P1", "R1"], (3, 1_000, 901)),
        ("bill_duplicate_row", ["T1", "P1", "R1", "R1"], (4, 1_000, 1_300)),
        ("bill_wrong_trailer", ["T1", "P1", "R1"], (4, 0, 0)),
    ],
)
async def test_a_spoilt_bill_differs_in_one_thing(
    huijinbao: HuijinbaoMerchant, kind: str, rows: list[str], trailer: tuple[int, int, int]
) -> None:
    honest, content = await _spoilt(huijinbao, kind)

    parsed = _parsed(content)

    assert [row["req_seq_id"] for row in parsed.rows] == rows
    assert parsed.trailer == trailer
    assert gzip.decompress(content).decode().splitlines()[:3] == honest[:3]


async def test_a_truncated_bill_does_not_unpack(huijinbao: HuijinbaoMerchant) -> None:
    _, content = await _spoilt(huijinbao, "bill_truncated")
    with pytest.raises(EOFError):
        gzip.decompress(content)


async def test_an_empty_file_has_nothing_in_it(huijinbao: HuijinbaoMerchant) -> None:
    _, content = await _spoilt(huijinbao, "bill_empty_file")
    assert content == b""


async def test_columns_stand_in_another_order(huijinbao: HuijinbaoMerchant) -> None:
    honest, content = await _spoilt(huijinbao, "bill_reordered_columns")

    header, *_ = gzip.decompress(content).decode().splitlines()

    assert header.split(",") == honest[0].split(",")[::-1]
    assert _parsed(content).rows == list(csv.DictReader(honest[:-1]))


@pytest.mark.parametrize(
    ("kind", "encoding"), [("bill_utf8", "utf-8-sig"), ("bill_utf16", "utf-16")]
)
async def test_the_words_are_the_same_in_another_encoding(
    huijinbao: HuijinbaoMerchant, kind: str, encoding: str
) -> None:
    honest, content = await _spoilt(huijinbao, kind)

    assert gzip.decompress(content).decode(encoding).splitlines() == honest
    assert not gzip.decompress(content).startswith(HEADER[0].encode())


async def test_one_kind_of_bill_is_spoilt_and_not_the_others(
    huijinbao: HuijinbaoMerchant,
) -> None:
    day = await _busy_day(huijinbao)
    await huijinbao.post("/faults", {"kind": "bill_missing_row", "number": "WEALTH"})

    counts = [
        (await _ask(huijinbao, day, name))["rows"] for name in ("TRADE", "WEALTH", "ACCOUNT")
    ]

    assert counts == [3, 2, 8]


async def test_every_spoilt_bill_of_an_empty_day_is_still_made(
    huijinbao: HuijinbaoMerchant,
) -> None:
    for kind in SPOILERS:
        await huijinbao.post("/faults", {"kind": kind, "times": 1})
        assert (await _ask(huijinbao, "2026-01-02", "TRADE"))["status"] == "READY"
