"""The ledger over HTTP: trial balance, an account's entries, postings."""

from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from services.settlement.tests.conftest import ClientAs, Story


@pytest.fixture
async def told(story: "Story") -> "Story":
    """Order `a` went all the way; `b` is paid for and waits for its visitor."""
    await story.told(story.paid("a"), story.issued("a"), story.used("a"))
    await story.told(story.succeeded((await story.payout())["payout_id"]), story.paid("b"))
    return story


async def get(client: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def balances(trial: dict[str, Any]) -> dict[str, int]:
    return {account["account"]: account["balance_fen"] for account in trial["accounts"]}


async def test_the_trial_balance(told: "Story", client_as: "ClientAs") -> None:
    async with client_as("operator") as client:
        trial = await get(client, "/v1/ledger/accounts")
    assert balances(trial) == {
        "cash:alipay": 11_220,
        "custody:ord_b": 10_000,
        "fees": 220,
        "margin": 1_000,
        "payable:spt_1": 0,
    }
    assert trial["balanced"] is True
    assert trial["debit_fen"] == trial["credit_fen"] == 10_060 + 10_000 + 8_900 + 10_060
    assert trial["accounts"][0] == {
        "account": "cash:alipay",
        "kind": "asset",
        "debit_fen": 20_120,
        "credit_fen": 8_900,
        "balance_fen": 11_220,
    }


async def test_orders_that_are_worked_off_are_left_out_unless_asked_for(
    told: "Story", client_as: "ClientAs"
) -> None:
    async with client_as("operator") as client:
        usual = await get(client, "/v1/ledger/accounts", prefix="custody:")
        whole = await get(client, "/v1/ledger/accounts", prefix="custody:", include_zero=True)
        nothing = await get(client, "/v1/ledger/accounts", prefix="cust%")
    assert balances(usual) == {"custody:ord_b": 10_000}
    assert balances(whole) == {"custody:ord_a": 0, "custody:ord_b": 10_000}
    assert (nothing["accounts"], nothing["debit_fen"]) == ([], usual["debit_fen"])


async def test_an_empty_ledger_is_balanced(story: "Story", client_as: "ClientAs") -> None:
    async with client_as("operator") as client:
        trial = await get(client, "/v1/ledger/accounts")
    assert trial == {
        "at": None,
        "recorded_by": None,
        "balanced": True,
        "debit_fen": 0,
        "credit_fen": 0,
        "accounts": [],
        "next_cursor": None,
    }


async def test_accounts_come_in_pages(told: "Story", client_as: "ClientAs") -> None:
    seen: dict[str, int] = {}
    cursor: dict[str, str] = {}
    async with client_as("operator") as client:
        for _ in range(3):
            trial = await get(client, "/v1/ledger/accounts", limit=2, **cursor)
            seen |= balances(trial)
            cursor = {"cursor": trial["next_cursor"]}
    assert cursor == {"cursor": None}
    assert list(seen) == ["cash:alipay", "custody:ord_b", "fees", "margin", "payable:spt_1"]


@pytest.mark.parametrize("written", ["cash:alipay", "cash%3Aalipay"])
async def test_an_accounts_entries_with_their_facts(
    told: "Story", client_as: "ClientAs", written: str
) -> None:
    payout_id = (await told.payout())["payout_id"]
    async with client_as("operator") as client:
        page = await get(client, f"/v1/ledger/accounts/{written}/entries", limit=2)
        rest = await get(
            client, f"/v1/ledger/accounts/{written}/entries", cursor=page["next_cursor"]
        )
    entries = page["items"] + rest["items"]
    assert [(e["key"], e["order_no"], e["debit_fen"], e["credit_fen"]) for e in entries] == [
        ("debit:deb_b", "ord_b", 10_060, 0),
        (f"payout:{payout_id}", "ord_a", 0, 8_900),
        ("debit:deb_a", "ord_a", 10_060, 0),
    ]
    assert rest["next_cursor"] is None


async def test_an_account_without_entries_is_unknown(
    story: "Story", client_as: "ClientAs"
) -> None:
    async with client_as("operator") as client:
        answer = await client.get("/v1/ledger/accounts/custody:ord_0/entries")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_postings_of_an_order(told: "Story", client_as: "ClientAs") -> None:
    async with client_as("operator") as client:
        page = await get(client, "/v1/ledger/postings", order_no="ord_a")
    payout, admission, debit = page["items"]
    assert [posting["kind"] for posting in page["items"]] == ["payout", "admission", "debit"]
    assert admission["key"] == "admission:ent_a"
    assert admission["entries"] == [
        {"account": "custody:ord_a", "debit_fen": 10_000, "credit_fen": 0},
        {"account": "fees", "debit_fen": 0, "credit_fen": 100},
        {"account": "margin", "debit_fen": 0, "credit_fen": 1_000},
        {"account": "payable:spt_1", "debit_fen": 0, "credit_fen": 8_900},
    ]
    assert debit["occurred_at"] == "2026-11-01T04:00:00Z"
    assert {entry["account"] for entry in payout["entries"]} == {"cash:alipay", "payable:spt_1"}


async def test_all_postings_come_in_pages(told: "Story", client_as: "ClientAs") -> None:
    async with client_as("operator") as client:
        page = await get(client, "/v1/ledger/postings", limit=3)
        rest = await get(client, "/v1/ledger/postings", limit=3, cursor=page["next_cursor"])
        last = [posting["key"] for posting in rest["items"]]
        bad = await client.get("/v1/ledger/postings", params={"cursor": "ZXZpbA=="})
    assert len(page["items"]) == 3
    assert last == ["debit:deb_a"]
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "cursor")
