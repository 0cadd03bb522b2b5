"""Parties and their settlement accounts over HTTP."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx

from shanmen.catalog.tables import ACCOUNTS

if TYPE_CHECKING:
    from services.catalog.tests.conftest import Market

Bearer = Callable[..., dict[str, str]]

ACCOUNT = {
    "role": "receive",
    "channel": "alipay",
    "account_no": "2088123412341234",
    "account_name": "黄山景区",
}


def fields(answer: httpx.Response) -> set[str]:
    """The fields that a 422 names."""
    assert answer.status_code == 422, answer.text
    return {error["field"] for error in answer.json()["errors"]}


async def test_a_spot_joins(client: httpx.AsyncClient, bearer: Bearer) -> None:
    operator = bearer("operator")
    body = {
        "name": "  黄山 ",
        "contact_phone": "+86-559-5561111",
        "settlement_fee_bps": 60,
        "offline_grace_s": 3600,
    }
    made = await client.post("/v1/spots", json=body, headers=operator)
    assert made.status_code == 201, made.text
    view = made.json()
    assert (
        view.items()
        >= {
            "name": "黄山",
            "contact_phone": "+86****11",
            "time_zone": "Asia/Shanghai",
            "settlement_fee_bps": 60,
            "offline_grace_s": 3600,
        }.items()
    )
    own = bearer("spot", view["spot_id"])
    for headers in (operator, own):
        shown = await client.get(f"/v1/spots/{view['spot_id']}", headers=headers)
        assert shown.json() == view
        listed = await client.get("/v1/spots", headers=headers)
        assert listed.json() == {"items": [view], "next_cursor": None}


async def test_a_distributor_joins(client: httpx.AsyncClient, bearer: Bearer) -> None:
    operator = bearer("operator")
    body = {"name": "好去处", "contact_phone": "13800001234", "transaction_fee_bps": 60}
    made = await client.post("/v1/distributors", json=body, headers=operator)
    assert made.status_code == 201, made.text
    view = made.json()
    assert (view["contact_phone"], view["transaction_fee_bps"]) == ("138****34", 60)
    own = bearer("distributor", view["distributor_id"])
    shown = await client.get(f"/v1/distributors/{view['distributor_id']}", headers=own)
    assert shown.json() == view
    assert (await client.get("/v1/distributors", headers=own)).json()["items"] == [view]


BAD_PARTIES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("spots", {}, {"body.name"}),
    ("spots", {"name": " "}, {"body.name"}),
    ("spots", {"name": "x" * 101}, {"body.name"}),
    ("spots", {"name": "a\x00b"}, {"body.name"}),
    ("spots", {"name": "x", "time_zone": "Asia/Nowhere"}, {"body.time_zone"}),
    ("spots", {"name": "x", "contact_phone": "110"}, {"body.contact_phone"}),
    ("spots", {"name": "x", "contact_phone": "call me"}, {"body.contact_phone"}),
    ("spots", {"name": "x", "settlement_fee_bps": 10_001}, {"body.settlement_fee_bps"}),
    ("spots", {"name": "x", "settlement_fee_bps": -1}, {"body.settlement_fee_bps"}),
    ("spots", {"name": "x", "settlement_fee_bps": 0.5}, {"body.settlement_fee_bps"}),
    ("spots", {"name": "x", "settlement_fee_bps": True}, {"body.settlement_fee_bps"}),
    ("spots", {"name": "x", "offline_grace_s": 8 * 86_400}, {"body.offline_grace_s"}),
    ("spots", {"name": "x", "offline_grace_s": "60"}, {"body.offline_grace_s"}),
    ("spots", {"name": "x", "fee": 1}, {"body.fee"}),
    ("distributors", {"name": "", "transaction_fee_bps": "much"}, {
        "body.name",
        "body.transaction_fee_bps",
    }),
]  # fmt: skip


async def test_bad_fields_are_named(client: httpx.AsyncClient, bearer: Bearer) -> None:
    operator = bearer("operator")
    for path, body, named in BAD_PARTIES:
        answer = await client.post(f"/v1/{path}", json=body, headers=operator)
        assert (body, fields(answer)) == (body, named)
        assert "call me" not in answer.text  # what was sent is not repeated
    assert (await client.get("/v1/spots", headers=operator)).json()["items"] == []


async def test_an_account_is_registered_and_its_number_masked_everywhere(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    operator, spot = bearer("operator"), await market.spot(with_account=False)
    body = ACCOUNT | {"party_id": spot}
    made = await client.post("/v1/accounts", json=body, headers=operator)
    assert made.status_code == 201, made.text
    listed = await client.get("/v1/accounts", params={"party_id": spot}, headers=operator)
    own = await client.get("/v1/accounts", headers=bearer("spot", spot))
    twice = await client.post("/v1/accounts", json=body, headers=operator)
    assert made.json().items() >= {"account_no_masked": "20***1234", "is_default": True}.items()
    assert listed.json()["items"] == own.json()["items"] == [made.json()]
    for answer in (made, listed, own, twice):
        assert ACCOUNT["account_no"] not in answer.text
    assert (twice.status_code, twice.json()["code"]) == (409, "duplicate_account")


async def test_a_new_account_replaces_the_default_and_the_old_one_stays(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    operator, spot = bearer("operator"), await market.spot(with_account=False)
    for account_no in ("2088000000000001", "pay@example.com"):
        body = ACCOUNT | {"party_id": spot, "account_no": account_no}
        await client.post("/v1/accounts", json=body, headers=operator)
    rows = await market.rows(ACCOUNTS)
    assert [(row["account_no"], row["is_default"]) for row in rows] == [
        ("2088000000000001", False),
        ("pay@example.com", True),
    ]


async def test_accounts_that_come_at_once_leave_one_default(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    operator, spot = bearer("operator"), await market.spot()
    answers = await asyncio.gather(
        *(
            client.post(
                "/v1/accounts",
                json=ACCOUNT | {"party_id": spot, "account_no": f"20880000000000{n}"},
                headers=operator,
            )
            for n in range(10, 18)
        )
    )
    assert [answer.status_code for answer in answers] == [201] * 8
    rows = await market.rows(ACCOUNTS)
    assert (len(rows), [row["is_default"] for row in rows].count(True)) == (9, 1)


BAD_ACCOUNTS: list[tuple[dict[str, Any], str]] = [
    # what is different, the field that is named
    ({"party_id": None}, "body.party_id"),
    ({"party_id": "spt_none"}, "body.party_id"),
    ({"party_id": "a\x00b"}, "body.party_id"),
    ({"role": "pay"}, "body.agreement_no"),
    ({"role": "pay", "agreement_no": "2026"}, "body.role"),  # a spot is not debited
    ({"role": "both"}, "body.role"),
    ({"channel": "cash"}, "body.channel"),
    ({"account_no": "2089123412341234"}, "body.account_no"),
    ({"account_no": "a\x00@b"}, "body.account_no"),
    ({"account_no": ""}, "body.account_no"),
    ({"channel": "huijinbao", "account_no": "lower"}, "body.account_no"),
    ({"account_name": ""}, "body.account_name"),
    ({"agreement_no": "20 26"}, "body.agreement_no"),
]


async def test_bad_accounts_are_refused_by_field(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    operator, spot = bearer("operator"), await market.spot(with_account=False)
    for change, field in BAD_ACCOUNTS:
        body = ACCOUNT | {"party_id": spot} | change
        answer = await client.post("/v1/accounts", json=body, headers=operator)
        assert (change, fields(answer)) == (change, {field})
    assert await market.rows(ACCOUNTS) == []


GOOD_ACCOUNTS = [
    ("alipay", "2088123412341234"),
    ("alipay", "13800001234"),
    ("alipay", "pay+1@example.com"),
    ("huijinbao", "HJB000001"),
]


async def test_each_channels_accounts(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    operator, spot = bearer("operator"), await market.spot(with_account=False)
    for channel, account_no in GOOD_ACCOUNTS:
        body = ACCOUNT | {"party_id": spot, "channel": channel, "account_no": account_no}
        answer = await client.post("/v1/accounts", json=body, headers=operator)
        assert (account_no, answer.status_code) == (account_no, 201)


async def test_the_same_key_gives_the_same_answer(
    client: httpx.AsyncClient, bearer: Bearer
) -> None:
    headers = bearer("operator") | {"Idempotency-Key": "join-1"}
    first = await client.post("/v1/spots", json={"name": "黄山"}, headers=headers)
    again = await client.post("/v1/spots", json={"name": "黄山"}, headers=headers)
    other = await client.post("/v1/spots", json={"name": "泰山"}, headers=headers)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    listed = await client.get("/v1/spots", headers=headers)
    assert [spot["name"] for spot in listed.json()["items"]] == ["黄山"]


async def test_pages_join_up(client: httpx.AsyncClient, market: "Market", bearer: Bearer) -> None:
    operator = bearer("operator")
    spots = [await market.spot() for _ in range(5)]
    for path, key, every in (
        ("/v1/spots", "spot_id", spots),
        ("/v1/accounts", "party_id", spots),
    ):
        seen: list[str] = []
        cursor: str | None = None
        for _ in range(3):
            params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
            page = (await client.get(path, params=params, headers=operator)).json()
            seen += [item[key] for item in page["items"]]
            cursor = page["next_cursor"]
        assert (seen, cursor) == (every, None)
