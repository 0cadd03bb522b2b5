"""Who may scan and who may look: every route, every kind of caller."""

from collections.abc import Awaitable, Callable

import httpx
import pytest
from fastapi.routing import APIRoute

from shanmen.contracts.orders import TicketsIssued
from shanmen.verification.main import SERVICE

Issue = Callable[..., Awaitable[TicketsIssued]]
Sign = Callable[..., str]
Bearer = Callable[..., dict[str, str]]

ROUTES = [
    # method, path, the scope it needs
    ("POST", "/v1/scans", "scans:write"),
    ("GET", "/v1/scans", "scans:read"),
    ("GET", "/v1/scans/scn_1", "scans:read"),
    ("GET", "/v1/passes/tkt_1", "scans:read"),
]
EVERY_OTHER_SCOPE = ("orders:read", "orders:write", "tickets:read", "devices:write")


async def call(
    client: httpx.AsyncClient, method: str, path: str, headers: dict[str, str]
) -> httpx.Response:
    body = {"qr": "x"} if method == "POST" else None
    return await client.request(method, path, json=body, headers=headers)


def test_the_table_names_every_route() -> None:
    routes = {
        (method, route.path)
        for route in SERVICE.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert routes == {
        ("POST", "/v1/scans"),
        ("GET", "/v1/scans"),
        ("GET", "/v1/scans/{scan_id}"),
        ("GET", "/v1/passes/{ticket_no}"),
    }
    assert len(routes) == len(ROUTES)
    assert all(path.startswith(SERVICE.prefixes) for _, path in routes)


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer shm_guess"}])
async def test_without_a_good_token(
    method: str, path: str, scope: str, headers: dict[str, str], client: httpx.AsyncClient
) -> None:
    answer = await call(client, method, path, headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
async def test_without_the_scope(
    method: str, path: str, scope: str, client: httpx.AsyncClient, bearer: Bearer
) -> None:
    others = {"scans:read", "scans:write", *EVERY_OTHER_SCOPE} - {scope}
    answer = await call(client, method, path, bearer("device", "spt_a", scopes=sorted(others)))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert answer.json()["scopes"] == [scope]


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
@pytest.mark.parametrize(
    ("kind", "party_id"),
    [("distributor", "dst_1"), ("reseller", "dst_1"), ("service", None), ("device", None)],
)
async def test_whoever_belongs_to_no_spot(
    *,
    method: str,
    path: str,
    scope: str,
    kind: str,
    party_id: str | None,
    client: httpx.AsyncClient,
    bearer: Bearer,
) -> None:
    answer = await call(client, method, path, bearer(kind, party_id))
    assert (answer.status_code, answer.json()["code"]) == (403, "not_a_gate")


async def test_the_platform_looks_and_does_not_scan(
    client: httpx.AsyncClient, issue: Issue, sign: Sign, bearer: Bearer
) -> None:
    await issue("tkt_1")
    operator = bearer("operator")
    scanned = await client.post("/v1/scans", json={"qr": sign("tkt_1")}, headers=operator)
    assert (scanned.status_code, scanned.json()["code"]) == (403, "not_a_gate")
    assert (await client.get("/v1/scans", headers=operator)).json()["items"] == []
    looked = (await client.get("/v1/passes/tkt_1", headers=operator)).json()
    assert looked["passes"][0]["usage"] == "unused"


@pytest.mark.parametrize("kind", ["spot", "device"])
async def test_what_is_anothers_looks_like_what_is_not(
    kind: str, client: httpx.AsyncClient, issue: Issue, sign: Sign, bearer: Bearer
) -> None:
    await issue("tkt_theirs", spots=("spt_b",))
    scanned = await client.post(
        "/v1/scans", json={"qr": sign("tkt_theirs")}, headers=bearer("device", "spt_b")
    )
    scan_id = scanned.json()["scan_id"]
    own = bearer(kind, "spt_a")
    pairs = [
        (f"/v1/scans/{scan_id}", "/v1/scans/scn_none", scan_id, "scn_none"),
        ("/v1/passes/tkt_theirs", "/v1/passes/tkt_none", "tkt_theirs", "tkt_none"),
    ]
    for foreign_path, unknown_path, foreign_id, unknown_id in pairs:
        foreign = await client.get(foreign_path, headers=own)
        unknown = await client.get(unknown_path, headers=own)
        assert (foreign.status_code, unknown.status_code) == (404, 404)
        assert foreign.text.replace(foreign_id, unknown_id) == unknown.text


@pytest.mark.parametrize("path", ["/v1/scans/%00", "/v1/passes/%00", "/v1/passes/" + "t" * 65])
async def test_an_impossible_number_is_a_bad_field(
    path: str, client: httpx.AsyncClient, bearer: Bearer
) -> None:
    answer = await client.get(path, headers=bearer("operator"))
    assert answer.status_code == 422
