"""Lists of scans: whose, which, and page by page."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from shanmen.common.pagination import encode_cursor
from shanmen.contracts.orders import TicketsIssued

Issue = Callable[..., Awaitable[TicketsIssued]]
Sign = Callable[..., str]
Bearer = Callable[..., dict[str, str]]
Json = dict[str, Any]


@pytest.fixture
async def posted(
    client: httpx.AsyncClient, issue: Issue, sign: Sign, bearer: Bearer
) -> list[Json]:
    """Seven scans, oldest first: four at spot a, three at spot b."""
    await issue("tkt_1", spots=("spt_a", "spt_b"))
    gates = {spot: bearer("device", spot) for spot in ("spt_a", "spt_b")}
    scans = [
        *((spot, sign("tkt_1")) for spot in ("spt_a", "spt_b", "spt_a")),
        *((spot, "noise") for spot in ("spt_b", "spt_a", "spt_b", "spt_a")),
    ]
    return [
        (await client.post("/v1/scans", json={"qr": qr}, headers=gates[spot])).json()
        for spot, qr in scans
    ]


def newest_first(scans: list[Json]) -> list[Json]:
    return list(reversed(scans))


async def page(
    client: httpx.AsyncClient, headers: dict[str, str], **params: Any
) -> dict[str, Any]:
    answer = await client.get("/v1/scans", params=params, headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("kind", ["spot", "device"])
async def test_a_spot_sees_its_own_scans(
    kind: str, client: httpx.AsyncClient, posted: list[Json], bearer: Bearer
) -> None:
    listed = await page(client, bearer(kind, "spt_a"))
    own = [scan for scan in posted if scan["spot_id"] == "spt_a"]
    assert listed == {"items": newest_first(own), "next_cursor": None}


async def test_naming_another_spot_shows_nothing_of_it(
    client: httpx.AsyncClient, posted: list[Json], bearer: Bearer
) -> None:
    listed = await page(client, bearer("spot", "spt_a"), spot_id="spt_b")
    assert listed["items"] == []


async def test_the_platform_sees_every_spot_or_one(
    client: httpx.AsyncClient, posted: list[Json], bearer: Bearer
) -> None:
    operator = bearer("operator")
    assert (await page(client, operator))["items"] == newest_first(posted)
    one = [scan for scan in posted if scan["spot_id"] == "spt_b"]
    assert (await page(client, operator, spot_id="spt_b"))["items"] == newest_first(one)


async def test_filters_narrow(
    client: httpx.AsyncClient, posted: list[Json], bearer: Bearer
) -> None:
    operator = bearer("operator")

    async def listed(**params: str) -> list[Json]:
        return list(reversed((await page(client, operator, **params))["items"]))

    assert await listed(verdict="admitted") == posted[:2]
    assert await listed(verdict="refused") == posted[2:]
    assert await listed(ticket_no="tkt_1") == posted[:3]
    assert await listed(ticket_no="tkt_1", spot_id="spt_a") == [posted[0], posted[2]]
    at = posted[3]["scanned_at"]
    assert await listed(**{"from": at}) == posted[3:]  # its first instant is inside
    assert await listed(to=at) == posted[:3]  # its last is not
    assert await listed(**{"from": posted[1]["scanned_at"], "to": at}) == posted[1:3]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_pages_join_up_to_the_whole(
    limit: int, client: httpx.AsyncClient, posted: list[Json], bearer: Bearer
) -> None:
    operator, items, cursor, pages = bearer("operator"), [], None, 0
    while pages == 0 or cursor:
        params = {"limit": limit, **({"cursor": cursor} if cursor else {})}
        listed = await page(client, operator, **params)
        items += listed["items"]
        cursor, pages = listed["next_cursor"], pages + 1
    assert items == newest_first(posted)
    assert pages == -(-len(posted) // limit)


async def test_scans_that_come_in_between_do_not_disturb_the_pages(
    client: httpx.AsyncClient, posted: list[Json], bearer: Bearer
) -> None:
    operator = bearer("operator")
    first = await page(client, operator, limit=3)
    await client.post("/v1/scans", json={"qr": "late"}, headers=bearer("device", "spt_a"))
    rest = await page(client, operator, cursor=first["next_cursor"])
    assert first["items"] + rest["items"] == newest_first(posted)


@pytest.mark.parametrize(
    "params",
    [
        {"verdict": "maybe"},
        {"limit": 0},
        {"limit": 201},
        {"cursor": "!"},
        {"cursor": encode_cursor("scn_1")},
        {"cursor": encode_cursor("99999999999999999999.scn_" + "0" * 26)},
        {"cursor": encode_cursor("1.scn_\x00" + "0" * 25)},
        {"from": "yesterday"},
        {"from": "2026-11-22T00:00:00"},
        {"from": "0001-01-01T00:00:00+14:00"},
        {"to": "9999-12-31T23:59:59-14:00"},
        {"ticket_no": "tkt\x00"},
        {"spot_id": ""},
        {"spot_id": "s" * 65},
    ],
)
async def test_a_bad_filter_is_named(
    params: dict[str, Any], client: httpx.AsyncClient, bearer: Bearer
) -> None:
    answer = await client.get("/v1/scans", params=params, headers=bearer("operator"))
    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["errors"]
    assert problem["field"].removeprefix("query.") == next(iter(params))
