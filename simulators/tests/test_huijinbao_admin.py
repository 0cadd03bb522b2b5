"""The admin API of Huijinbao: setting up, topping up, moving the clock, reading the books."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from shanmen.simulators.fields import BadInput
from shanmen.simulators.settings import Settings
from shanmen.simulators.testing.huijinbao_merchant import (
    AGREEMENT,
    DISTRIBUTOR,
    FUND,
    MERCHANT_ID,
    PLATFORM,
    PRODUCT,
    SPOT,
    HuijinbaoMerchant,
)

OpenHuijinbao = Callable[[Settings], AbstractAsyncContextManager[HuijinbaoMerchant]]


async def test_the_journal_tells_every_movement_in_order(huijinbao: HuijinbaoMerchant) -> None:
    await huijinbao.pay("T1", 1_000)
    await huijinbao.refund("R1", "T1", 400)
    await huijinbao.transfer("P1", 500)
    await huijinbao.subscribe("W1", 10_000)
    await huijinbao.advance(days=5)
    await huijinbao.liquidate("L1")

    entries = (await huijinbao.get(f"/accounts/{PLATFORM}/entries"))["entries"]
    assert [
        (each["kind"], each["business_no"], each["direction"], each["amount_fen"])
        for each in entries
    ] == [
        ("opening", PLATFORM, "in", 20_000),
        ("pay", "T1", "in", 1_000),
        ("refund", "R1", "out", 400),
        ("transfer", "P1", "out", 500),
        ("subscribe", "W1", "out", 10_000),
        ("liquidate", "L1", "in", 10_002),
    ]
    assert [each["counterparty_no"] for each in entries] == [
        *(None, DISTRIBUTOR, DISTRIBUTOR, SPOT, FUND, FUND)
    ]
    assert entries[-1]["balance_after_fen"] == await huijinbao.balance_fen(PLATFORM)
    page = (await huijinbao.get(f"/accounts/{PLATFORM}/entries?after=1&limit=2"))["entries"]
    assert len(page) == 2
    fund = (await huijinbao.get(f"/accounts/{FUND}/entries"))["entries"]
    earned = [each for each in fund if each["kind"] == "yield"]
    assert [each["counterparty_no"] for each in earned] == [None, None]
    movements = (await huijinbao.get(f"/accounts/{PLATFORM}/movements"))["movements"]
    assert {each["business_no"]: each["net_fen"] for each in movements} == {
        "T1": 1_000,
        "R1": -400,
        "P1": -500,
        "W1": -10_000,
        "L1": 10_002,
    }
    statements = (await huijinbao.get("/statements"))["statements"]
    assert all(each["balance_fen"] == each["journal_fen"] for each in statements)
    assert len(statements) == 4


async def test_orders_are_shown_with_their_story(huijinbao: HuijinbaoMerchant) -> None:
    await huijinbao.pay("T1", 1_000)
    await huijinbao.refund("R1", "T1", 400)
    await huijinbao.transfer("P1", 500)
    await huijinbao.subscribe("W1", 100)
    await huijinbao.cancel("T2")

    order = await huijinbao.get("/orders/T1")
    assert (order["status"], order["amount_fen"], order["refunded_fen"]) == ("S", 1_000, 400)
    assert (order["payer_no"], order["agreement_no"]) == (DISTRIBUTOR, AGREEMENT)
    assert order["refunds"][0]["req_seq_id"] == "R1"
    assert (await huijinbao.get(f"/orders/{order['hjb_seq_id']}"))["req_seq_id"] == "T1"
    for query, numbers in (
        ("", ["T1", "R1", "P1", "W1", "T2"]),
        ("?biz_type=transfer", ["P1"]),
        ("?status=F", ["T2"]),
        ("?after=3&limit=1", ["W1"]),
    ):
        found = (await huijinbao.get(f"/orders{query}"))["orders"]
        assert [each["req_seq_id"] for each in found] == numbers


async def test_a_top_up_with_a_reference_counts_once(huijinbao: HuijinbaoMerchant) -> None:
    for _ in range(2):
        body = {"amount_fen": 5, "reference": "bank-1"}
        await huijinbao.post(f"/accounts/{SPOT}/top-up", body)
    assert await huijinbao.balance_fen(SPOT) == 5


async def test_the_clock_moves_ahead_and_stays_there(
    huijinbao_settings: Settings, open_huijinbao: OpenHuijinbao
) -> None:
    async with open_huijinbao(huijinbao_settings) as merchant:
        today = date.fromisoformat((await merchant.get("/clock"))["china_date"])
        await merchant.subscribe("W1", 10_000)
        moved = await merchant.advance(days=11)
        assert moved == (today + timedelta(days=11)).isoformat()

    async with open_huijinbao(huijinbao_settings) as merchant:
        assert (await merchant.get("/clock"))["china_date"] == moved
        assert (await merchant.position())["accrued_yield"] == 5
        back = await merchant.http.post("/admin/clock", json={"advance_s": -1})
        assert (back.status_code, "at least 0" in back.text) == (400, True)


async def test_seeding_again_changes_nothing(
    huijinbao_settings: Settings, open_huijinbao: OpenHuijinbao
) -> None:
    async with open_huijinbao(huijinbao_settings) as merchant:
        await merchant.pay("T1", 1_000)
        await merchant.post("/accounts", {"account_no": SPOT, "name": "景区丙"})

    async with open_huijinbao(huijinbao_settings) as merchant:
        assert await merchant.balance_fen(DISTRIBUTOR) == 79_000
        assert (await merchant.get(f"/accounts/{SPOT}"))["name"] == "景区丙"


async def test_a_seed_that_makes_no_sense_leaves_nothing(
    huijinbao_settings: Settings, open_huijinbao: OpenHuijinbao, tmp_path: Path
) -> None:
    seed_file = tmp_path / "bad.json"
    seed_file.write_text('{"accounts": [{"account_no": "1", "name": "a"}], "shops": []}', "utf-8")
    with pytest.raises(BadInput, match="knows no shops; it takes accounts, agreements, merchants"):
        async with open_huijinbao(replace(huijinbao_settings, seed_file=seed_file)):
            pass
    async with open_huijinbao(replace(huijinbao_settings, seed_file=None)) as merchant:
        assert (await merchant.get("/accounts"))["accounts"] == []


_PRODUCT = {"product_code": "P2", "name": "x", "yield_10k": "1"}


@pytest.mark.parametrize(
    ("path", "body", "hint"),
    [
        ("accounts", {"account_no": "9"}, "an account needs name"),
        ("accounts", {"account_no": "9", "name": "x", "status": "ODD"}, "NORMAL, ABNORMAL"),
        ("accounts", {"account_no": "9", "name": "x", "balance_fen": 1.5}, "whole number"),
        ("agreements", {"agreement_no": "9", "account_no": "9"}, "there is no account 9"),
        ("agreements", {"agreement_no": "9", "account_no": SPOT, "status": "TEMP"}, "NORMAL"),
        ("merchants", {"merchant_id": "M9", "account_no": "9"}, "there is no account 9"),
        (
            "merchants",
            {"merchant_id": "M9", "account_no": SPOT, "keys": {"k1": "no key"}},
            "k1 must be an RSA public key",
        ),
        ("products", {**_PRODUCT, "yield_10k": 1}, "yield_10k must be text"),
        ("products", {**_PRODUCT, "yield_10k": "1.23456"}, "at most four decimals"),
        ("products", {**_PRODUCT, "yield_10k": "-1"}, "at most four decimals"),
        ("products", {**_PRODUCT, "status": "GONE"}, "OPEN, CLOSED"),
        (f"accounts/{SPOT}/top-up", {"amount_fen": 0}, "at least 1"),
        ("clock", {"advance_s": "1"}, "whole number"),
        ("clock", {}, "needs advance_s"),
    ],
)
async def test_bad_input_is_refused_with_a_hint(
    huijinbao: HuijinbaoMerchant, path: str, body: dict[str, Any], hint: str
) -> None:
    response = await huijinbao.http.post(f"/admin/{path}", json=body)
    assert response.status_code == 400
    assert hint in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({"date": "soon", "yield_10k": "1"}, "date must be a day"),
        ({"date": "2999-01-01", "yield_10k": "much"}, "four decimals"),
        ({"date": "2020-01-01", "yield_10k": "1"}, "is over"),
        ({"yield_10k": "1"}, "needs date"),
    ],
)
async def test_a_yield_that_makes_no_sense_is_refused(
    huijinbao: HuijinbaoMerchant, body: dict[str, str], hint: str
) -> None:
    response = await huijinbao.http.put(f"/admin/products/{PRODUCT}/yields", json=body)
    assert response.status_code == 400
    assert hint in response.json()["error"]
    assert (await huijinbao.get(f"/products/{PRODUCT}"))["yields"] == {}


@pytest.mark.parametrize(
    "path", ["accounts/none", "accounts/none/entries", "orders/none", "products/none"]
)
async def test_what_is_not_there_is_not_found(huijinbao: HuijinbaoMerchant, path: str) -> None:
    assert (await huijinbao.http.get(f"/admin/{path}")).status_code == 404


async def test_a_token_guards_the_admin_api_alone(
    huijinbao_settings: Settings, open_huijinbao: OpenHuijinbao
) -> None:
    async with open_huijinbao(huijinbao_settings) as merchant:
        keys = merchant.channel_keys
    async with open_huijinbao(replace(huijinbao_settings, admin_token="sesame")) as merchant:
        for path in ("accounts", "orders", "health", "public-keys", "faults", "clock"):
            assert (await merchant.http.get(f"/admin/{path}")).status_code == 401
        right = {"Authorization": "Bearer sesame"}
        health = await merchant.http.get("/admin/health", headers=right)
        assert health.json() == {"status": "ok"}
        merchant.channel_keys = keys
        assert (await merchant.query("none"))["resp_code"] == "HJB_0021"
        key = (await merchant.http.get("/admin/public-key", headers=right)).text
        assert key == keys["k1"]
        shown = (await merchant.http.get(f"/admin/merchants/{MERCHANT_ID}", headers=right)).json()
        assert shown["account_no"] == PLATFORM
