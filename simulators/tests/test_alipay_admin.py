"""The admin API: setting up, topping up, reading the books."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shanmen.simulators.alipay.settings import Settings
from shanmen.simulators.fields import BadInput
from shanmen.simulators.moments import CHINA
from shanmen.simulators.testing.merchant import DISTRIBUTOR, PLATFORM, SPOT, Merchant

OpenChannel = Callable[[Settings], AbstractAsyncContextManager[Merchant]]


async def test_the_journal_tells_every_movement_in_order(merchant: Merchant) -> None:
    await merchant.pay("T1", "10.00")
    await merchant.refund("T1", "R1", "4.00")
    await merchant.transfer("P1", "5.00")
    await merchant.post(f"/accounts/{PLATFORM}/top-up", {"amount_fen": 7})

    entries = (await merchant.get(f"/accounts/{PLATFORM}/entries"))["entries"]

    assert [
        (
            entry["kind"],
            entry["business_no"],
            entry["direction"],
            entry["amount_fen"],
            entry["counterparty_no"],
            entry["balance_after_fen"],
        )
        for entry in entries[:-1]
    ] == [
        ("opening", PLATFORM, "in", 20_000, None, 20_000),
        ("trade", "T1", "in", 1_000, DISTRIBUTOR, 21_000),
        ("refund", "R1", "out", 400, DISTRIBUTOR, 20_600),
        ("transfer", "P1", "out", 500, SPOT, 20_100),
    ]
    assert (entries[-1]["kind"], entries[-1]["balance_after_fen"]) == ("top_up", 20_107)
    tail = await merchant.get(
        f"/accounts/{PLATFORM}/entries?after={entries[2]['entry_id']}&limit=1"
    )
    assert tail["entries"] == [entries[3]]


async def test_movements_are_summed_up_per_business_number_and_paged_in_its_order(
    merchant: Merchant,
) -> None:
    await merchant.pay("T2", "10.00")
    await merchant.pay("T1", "3.00")
    await merchant.refund("T2", "R1", "4.00")
    await merchant.transfer("P1", "5.00")
    await merchant.call("alipay.trade.cancel", {"out_trade_no": "T1"})
    await merchant.post(f"/accounts/{PLATFORM}/top-up", {"amount_fen": 7})

    path = f"/accounts/{PLATFORM}/movements"
    first = (await merchant.get(f"{path}?limit=3"))["movements"]
    rest = (await merchant.get(f"{path}?after={first[-1]['business_no']}"))["movements"]

    assert [
        (row["business_no"], row["kinds"], row["net_fen"], row["moves"], row["counterparty_no"])
        for row in [*first, *rest]
    ] == [
        ("P1", "transfer", -500, 1, SPOT),
        ("R1", "refund", -400, 1, DISTRIBUTOR),
        ("T1", "trade,refund", 0, 2, DISTRIBUTOR),
        ("T2", "trade", 1_000, 1, DISTRIBUTOR),
    ]


async def test_a_statement_says_what_the_journal_says(merchant: Merchant) -> None:
    await merchant.pay("T1", "10.00")
    await merchant.post(f"/accounts/{PLATFORM}/top-up", {"amount_fen": 7})

    rows = {
        row["account_no"]: row
        for after in ("", PLATFORM)
        for row in (await merchant.get(f"/statements?limit=9&after={after}"))["statements"]
    }

    assert {PLATFORM, SPOT, DISTRIBUTOR} <= rows.keys()
    assert rows[PLATFORM]["traded_fen"] == 1_000
    assert rows[DISTRIBUTOR]["traded_fen"] == -1_000
    assert all(row["balance_fen"] == row["journal_fen"] for row in rows.values())
    assert rows[PLATFORM]["balance_fen"] == await merchant.balance_fen(PLATFORM)


async def test_a_top_up_with_a_reference_happens_once(merchant: Merchant) -> None:
    for _ in range(2):
        await merchant.post(
            f"/accounts/{DISTRIBUTOR}/top-up", {"amount_fen": 5, "reference": "bank-1"}
        )
    assert await merchant.balance_fen(DISTRIBUTOR) == 80_005


async def test_a_balance_can_be_set(merchant: Merchant) -> None:
    for balance_fen in (0, 123, 123):
        response = await merchant.http.put(
            f"/admin/accounts/{DISTRIBUTOR}/balance", json={"balance_fen": balance_fen}
        )
        assert response.json()["balance_fen"] == balance_fen


async def test_setting_an_account_up_again_never_touches_its_money(merchant: Merchant) -> None:
    account = {"account_no": DISTRIBUTOR, "name": "经销商新名", "balance_fen": 1}
    changed = await merchant.post("/accounts", account)
    assert (changed["name"], changed["balance_fen"]) == ("经销商新名", 80_000)


async def test_a_seed_is_planted_once(settings: Settings, open_channel: OpenChannel) -> None:
    async with open_channel(settings) as merchant:
        await merchant.pay("T1", "10.00")
        before = await merchant.get("/accounts")
    async with open_channel(settings) as merchant:
        assert await merchant.get("/accounts") == before
        assert await merchant.balance_fen(DISTRIBUTOR) == 79_000


@pytest.mark.parametrize("content", ["{", "[]", '{"acounts": []}', '{"accounts": [{}]}'])
async def test_a_seed_that_cannot_be_used_stops_the_start(
    settings: Settings, open_channel: OpenChannel, tmp_path: Path, content: str
) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(content)
    with pytest.raises(BadInput):
        async with open_channel(replace(settings, seed_file=wrong)):
            pass


@pytest.mark.parametrize(
    ("path", "body", "hint"),
    [
        ("accounts", {"name": "x"}, "needs account_no"),
        ("accounts", {"account_no": "a", "name": "x", "balance_fen": 1.5}, "whole number"),
        ("accounts", {"account_no": "a", "name": "x", "user_id": SPOT}, f"account {SPOT} already"),
        ("agreements", {"agreement_no": "1", "account_no": "none"}, "there is no account none"),
        ("agreements", {"agreement_no": "1", "account_no": SPOT, "status": "OK"}, "NORMAL"),
        ("apps", {"app_id": "1", "account_no": SPOT, "public_key_pem": "x"}, "in PEM"),
        (f"accounts/{SPOT}/top-up", {"amount_fen": 0}, "at least 1"),
        (f"accounts/{SPOT}/top-up", {"amount": 1}, "needs amount_fen"),
        ("clock", {}, "needs advance_s"),
    ],
)
async def test_bad_input_is_answered_with_what_to_send(
    merchant: Merchant, path: str, body: dict[str, Any], hint: str
) -> None:
    response = await merchant.http.post(f"/admin/{path}", json=body)
    assert response.status_code == 400
    assert hint in response.json()["error"]


async def test_trades_and_payouts_are_shown_with_their_story(merchant: Merchant) -> None:
    await merchant.pay("T1", "10.00")
    await merchant.refund("T1", "R1", "4.00")
    await merchant.transfer("P1", "5.00")

    trade = await merchant.get("/trades/T1")
    payout = await merchant.get("/transfers/P1")

    assert (trade["status"], trade["amount_fen"], trade["refunded_fen"]) == (
        "TRADE_SUCCESS",
        1_000,
        400,
    )
    assert (trade["buyer_no"], trade["refunds"][0]["out_request_no"]) == (DISTRIBUTOR, "R1")
    assert (payout["status"], payout["payee_no"], payout["fee_fen"]) == ("SUCCESS", SPOT, 0)
    assert (await merchant.get("/trades?status=TRADE_CLOSED"))["trades"] == []
    [listed] = (await merchant.get("/transfers?status=SUCCESS"))["transfers"]
    assert listed["out_biz_no"] == "P1"


@pytest.mark.parametrize(
    "path", ["accounts/none", "accounts/none/entries", "trades/none", "transfers/none"]
)
async def test_what_is_not_there_is_not_found(merchant: Merchant, path: str) -> None:
    assert (await merchant.http.get(f"/admin/{path}")).status_code == 404


async def test_the_clock_moves_ahead_and_stays_there(
    settings: Settings, open_channel: OpenChannel
) -> None:
    async with open_channel(settings) as merchant:
        today = date.fromisoformat((await merchant.get("/clock"))["china_date"])
        day_s, late = 86_400, {"kind": "dealing_then_success", "times": 1}
        await merchant.post("/faults", {**late, "delay_ms": 3 * day_s * 1000})
        assert (await merchant.transfer("P1"))["status"] == "DEALING"
        moved = await merchant.advance(days=3)
        assert moved == (today + timedelta(days=3)).isoformat()
        assert (await merchant.get("/transfers/P1"))["status"] == "SUCCESS"

    async with open_channel(settings) as merchant:
        assert (await merchant.get("/clock"))["china_date"] == moved
        paid = await merchant.pay("T1")
        assert paid["gmt_payment"][:10] == moved
        *_, paid_out, entry = (await merchant.get(f"/accounts/{PLATFORM}/entries"))["entries"]
        for at in (paid_out["at_at"], entry["at_at"]):
            assert datetime.fromisoformat(at).astimezone(CHINA).date().isoformat() == moved
        back = await merchant.http.post("/admin/clock", json={"advance_s": -1})
        assert (back.status_code, "at least 0" in back.text) == (400, True)


async def test_a_token_guards_the_admin_api_alone(
    settings: Settings, open_channel: OpenChannel
) -> None:
    async with open_channel(replace(settings, admin_token="sesame")) as merchant:
        paths = ("accounts", "trades", "health", "public-key", "faults")
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "sesame"}):
            for path in paths:
                response = await merchant.http.get(f"/admin/{path}", headers=header)
                assert response.status_code == 401
        right = {"Authorization": "Bearer sesame"}
        health = await merchant.http.get("/admin/health", headers=right)
        assert health.json() == {"status": "ok"}
        gateway = await merchant.raw("alipay.trade.query", {"out_trade_no": "T1"})
        assert gateway.status_code == 200
