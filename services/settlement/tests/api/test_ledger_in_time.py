"""The ledger over HTTP at past times: balances, an account's statement, and both as CSV."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import insert

from shanmen.settlement.tables import ENTRIES, POSTINGS

if TYPE_CHECKING:
    from services.settlement.tests.conftest import ClientAs, Story

NOON = datetime(2026, 11, 1, 4, 0, tzinfo=UTC)
FEES = "/v1/ledger/accounts/fees/statement"
CSV = {"Accept": "text/csv"}


def hours(number: float) -> datetime:
    return NOON + timedelta(hours=number)


@pytest.fixture
async def told(story: "Story") -> "Story":
    """Order `a` is paid at noon, `b` an hour later; news of `b` came first."""
    await story.told(story.paid("b", paid_at=hours(1)), story.paid("a"), story.issued("a"))
    await story.told(story.used("a", at=hours(2)))
    return story


async def get(client: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def table(client: httpx.AsyncClient, path: str, **params: Any) -> list[list[str]]:
    answer = await client.get(path, params=params, headers=CSV)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    text = answer.content.decode()
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


def balances(trial: dict[str, Any]) -> dict[str, int]:
    return {account["account"]: account["balance_fen"] for account in trial["accounts"]}


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOON - timedelta(microseconds=1), {}),
        (NOON, {"cash:alipay": 10_060, "custody:ord_a": 10_000, "fees": 60}),
        (
            hours(1.5),
            {
                "cash:alipay": 20_120,
                "fees": 120,
                "custody:ord_a": 10_000,
                "custody:ord_b": 10_000,
            },
        ),
        (
            hours(2),
            {
                "cash:alipay": 20_120,
                "fees": 220,
                "margin": 1_000,
                "payable:spt_1": 8_900,
                "custody:ord_b": 10_000,
            },
        ),
    ],
)
async def test_balances_at_a_past_time(
    told: "Story", client_as: "ClientAs", at: datetime, expected: dict[str, int]
) -> None:
    async with client_as("operator") as client:
        trial = await get(client, "/v1/ledger/accounts", at=at.isoformat())
    assert balances(trial) == expected
    assert trial["debit_fen"] == trial["credit_fen"]
    assert datetime.fromisoformat(trial["at"]) == at


async def test_what_was_recorded_by_then_stays_the_answer(
    story: "Story", client_as: "ClientAs"
) -> None:
    """A fact of noon that is told late changes the present answer only."""
    early = datetime.now(UTC) - timedelta(hours=2)
    async with story.context.db.transaction() as tx:
        values = {"key": "k", "kind": "debit", "occurred_at": NOON, "recorded_at": early}
        added = insert(POSTINGS).values(values).returning(POSTINGS.c.posting_id)
        posting_id = await tx.scalar(added)
        for account, debit_fen in (("cash:alipay", 7), ("fees", 0)):
            entry = {"posting_id": posting_id, "account": account}
            amounts = {"debit_fen": debit_fen, "credit_fen": 7 - debit_fen}
            await tx.execute(insert(ENTRIES).values({**entry, **amounts}))
    asked = {"at": NOON.isoformat(), "recorded_by": (early + timedelta(hours=1)).isoformat()}
    period = {"from": NOON.isoformat(), "to": hours(1).isoformat()}
    async with client_as("operator") as client:
        before = await get(client, "/v1/ledger/accounts", **asked)
        await story.told(story.paid("a"))
        after = await get(client, "/v1/ledger/accounts", **asked)
        now = await get(client, "/v1/ledger/accounts", at=NOON.isoformat())
        then = await get(client, FEES, **period, recorded_by=asked["recorded_by"])
        nothing = await get(
            client, "/v1/ledger/accounts", recorded_by=(early - timedelta(hours=1)).isoformat()
        )
        recent = (datetime.now(UTC) - timedelta(minutes=9)).isoformat()
        refused = await client.get("/v1/ledger/accounts", params={"recorded_by": recent})
    assert before == after
    assert (balances(before)["cash:alipay"], balances(now)["cash:alipay"]) == (7, 10_067)
    assert (then["closing_fen"], len(then["items"])) == (7, 1)
    assert nothing["accounts"] == []
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "recorded_by")


async def test_a_statement_runs_from_the_opening_to_the_closing_balance(
    told: "Story", client_as: "ClientAs"
) -> None:
    period = {"from": hours(1).isoformat(), "to": hours(3).isoformat()}
    async with client_as("operator") as client:
        whole = await get(client, FEES, **period)
        first = await get(client, FEES, **period, limit=1)
        rest = await get(client, FEES, **period, limit=1, cursor=first["next_cursor"])
        without_end = await get(client, FEES, **{**period, "to": (hours(2)).isoformat()})
    assert (whole["opening_fen"], whole["closing_fen"]) == (60, 220)
    lines = [(line["key"], line["credit_fen"], line["balance_fen"]) for line in whole["items"]]
    assert lines == [("debit:deb_b", 60, 120), ("admission:ent_a", 100, 220)]
    assert first["items"] + rest["items"] == whole["items"]
    assert (first["next_cursor"] is None, rest["next_cursor"]) == (False, None)
    assert (rest["opening_fen"], rest["closing_fen"]) == (60, 220)
    assert without_end["closing_fen"] == 120  # the visit is of the moment that is not included


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("/v1/ledger/accounts/fees/statement", {"from": hours(1), "to": hours(1)}, 422),
        ("/v1/ledger/accounts/fees/statement", {"from": hours(0)}, 422),
        ("/v1/ledger/accounts/custody:ord_0/statement", {"from": NOON, "to": hours(1)}, 404),
        ("/v1/ledger/accounts/nothing/statement", {"from": NOON, "to": hours(1)}, 404),
        ("/v1/ledger/accounts", {"at": "9999-12-31T23:59:59Z"}, 422),
        ("/v1/ledger/accounts", {"at": "2026-11-01T04:00:00"}, 422),
        ("/v1/ledger/accounts/fees/entries", {"cursor": "MTI="}, 422),
    ],
)
async def test_questions_that_are_refused(
    told: "Story", client_as: "ClientAs", path: str, params: dict[str, Any], status: int
) -> None:
    async with client_as("operator") as client:
        answer = await client.get(path, params=params)
    assert answer.status_code == status, answer.text


async def test_a_statement_as_csv_ends_with_its_closing_balance(
    told: "Story", client_as: "ClientAs"
) -> None:
    period = {"from": NOON.isoformat(), "to": hours(3).isoformat()}
    async with client_as("operator") as client:
        rows = await table(client, FEES, **period, limit=1)
        missing = await client.get(
            "/v1/ledger/accounts/margin:x/statement", params=period, headers=CSV
        )
    assert [(row[0], row[2], row[6], row[7]) for row in rows[1:]] == [
        ("2026-11-01 12:00:00", "期初余额", "", "0.00"),
        ("2026-11-01 12:00:00", "扣款", "0.60", "0.60"),
        ("2026-11-01 13:00:00", "扣款", "0.60", "1.20"),
        ("2026-11-01 14:00:00", "核销", "1.00", "2.20"),
        ("2026-11-01 15:00:00", "期末余额", "", "2.20"),
    ]
    assert missing.status_code == 404


async def test_the_trial_balance_as_csv_has_all_accounts(
    told: "Story", client_as: "ClientAs"
) -> None:
    async with client_as("operator") as client:
        rows = await table(client, "/v1/ledger/accounts", limit=1, at=hours(1).isoformat())
    assert rows[1:] == [
        ["cash:alipay", "资产", "201.20", "0.00", "201.20"],
        ["custody:ord_a", "负债", "0.00", "100.00", "100.00"],
        ["custody:ord_b", "负债", "0.00", "100.00", "100.00"],
        ["fees", "收入", "0.00", "1.20", "1.20"],
        ["合计", "", "201.20", "201.20", ""],
    ]
