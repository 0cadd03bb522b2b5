"""How every service answers what it refuses, and how it pages through lists."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from shanmen.common.db import Database
from shanmen.common.http.middleware import MAX_BODY_BYTES
from shanmen.common.testing.clients import api_client
from shanmen.common.testing.events import eventually
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.principals import FakeIntrospector, principal
from shanmen.common.testing.servers import PostgresServer
from shanmen.common.testing.toys.maker import MAKER, READ, WRITE, MakerContext


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    """The maker's database."""
    return await open_database(MAKER)


@pytest.fixture
async def client(database: Database, tokens: FakeIntrospector) -> AsyncIterator[httpx.AsyncClient]:
    """A distributor that may do everything."""
    token = tokens.issue(principal("distributor", "dst_acme", scopes=[READ, WRITE]))
    async with api_client(MAKER, MakerContext(database, tokens), token=token) as opened:
        yield opened


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"urn:shanmen:problem:{code}"
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer shm_unknown", "shm_unknown"]
)
async def test_without_a_token_that_we_know(client: httpx.AsyncClient, authorization: str) -> None:
    answer = await client.get("/v1/things", headers={"Authorization": authorization})
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_revoked_token(client: httpx.AsyncClient, tokens: FakeIntrospector) -> None:
    assert (await client.get("/v1/things")).status_code == 200
    tokens.revoke(client.headers["authorization"].removeprefix("Bearer "))
    assert_problem(await client.get("/v1/things"), 401, "unauthenticated")


async def test_a_token_without_the_scope(
    client: httpx.AsyncClient, tokens: FakeIntrospector
) -> None:
    token = tokens.issue(principal("distributor", "dst_acme", scopes=[READ]))
    answer = await client.post(
        "/v1/things", json={"number": 1}, headers={"Authorization": f"Bearer {token}"}
    )
    assert_problem(answer, 403, "forbidden")
    assert answer.json()["scopes"] == [WRITE]


async def test_anothers_thing_looks_as_if_it_did_not_exist(
    client: httpx.AsyncClient, tokens: FakeIntrospector
) -> None:
    made = (await client.post("/v1/things", json={"number": 1})).json()
    assert (await client.get(f"/v1/things/{made['thing_no']}")).json() == made
    stranger = tokens.issue(principal("distributor", "dst_bolt", scopes=[READ]))
    foreign = await client.get(
        f"/v1/things/{made['thing_no']}", headers={"Authorization": f"Bearer {stranger}"}
    )
    unknown = await client.get("/v1/things/thg_unknown")
    assert_problem(foreign, 404, "not_found")
    assert_problem(unknown, 404, "not_found")
    assert foreign.text.replace(made["thing_no"], "thg_unknown") == unknown.text


async def test_unknown_paths_and_methods(client: httpx.AsyncClient) -> None:
    assert_problem(await client.get("/v1/nowhere"), 404, "not_found")
    answer = await client.delete("/v1/things")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.number"),
        ({"number": 0}, "body.number"),
        ({"number": "many"}, "body.number"),
        ({"number": 1, "colour": "red"}, "body.colour"),
        ([], "body"),
    ],
)
async def test_a_bad_field_is_named(client: httpx.AsyncClient, body: object, field: str) -> None:
    answer = await client.post("/v1/things", json=body)
    assert_problem(answer, 422, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert answer.json()["errors"][0]["detail"]


async def test_a_bad_value_is_not_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/things", json={"number": "110101199003071234"})
    assert_problem(answer, 422, "invalid")
    assert "110101199003071234" not in answer.text


async def test_a_body_that_is_no_json(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/v1/things", content=b"{not json", headers=headers)
    assert_problem(answer, 422, "invalid")
    assert answer.json()["errors"] == [{"field": "body", "detail": "not JSON (character 1)"}]


async def test_a_body_that_is_not_said_to_be_json(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/things", content=b"{}", headers={"Content-Type": "text/plain"})
    assert_problem(answer, 422, "invalid")
    told = {"field": "body", "detail": "send a JSON object, as application/json"}
    assert answer.json()["errors"] == [told]


def body_of(size: int) -> bytes:
    frame = json.dumps({"number": 1, "note": ""}).encode()
    return frame.replace(b'""', b'"' + b"x" * (size - len(frame)) + b'"')


async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_is_bounded(client: httpx.AsyncClient, announced: bool) -> None:
    headers = {"Content-Type": "application/json"}
    for size, status in ((MAX_BODY_BYTES, 201), (MAX_BODY_BYTES + 1, 413)):
        body = body_of(size)
        assert len(body) == size
        content = body if announced else in_chunks(body)
        answer = await client.post("/v1/things", content=content, headers=headers)
        assert answer.status_code == status, answer.text
        if status == 413:
            assert_problem(answer, 413, "body_too_large")


async def test_our_own_mistake(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/broken")
    assert_problem(answer, 500, "internal_error")
    assert "the inside of the machine" not in answer.text


async def test_a_full_pool_is_answered_soon(database: Database, client: httpx.AsyncClient) -> None:
    async with AsyncExitStack() as held:
        for _ in range(10):
            await held.enter_async_context(database.transaction())
        async with asyncio.timeout(3):
            answer = await client.get("/v1/things/thg_1")
    assert_problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert_problem(await client.get("/v1/things/thg_1"), 404, "not_found")


async def test_a_database_that_is_away(
    client: httpx.AsyncClient, postgres_server: PostgresServer
) -> None:
    assert (await client.get("/health")).status_code == 200
    await asyncio.to_thread(postgres_server.kill)
    try:
        for _ in range(2):  # once on a connection that broke, once on none
            answer = await client.get("/v1/things/thg_1")
            assert_problem(answer, 503, "unavailable")
            assert answer.headers["retry-after"]
        assert (await client.get("/health")).status_code == 503
    finally:
        await asyncio.to_thread(postgres_server.start)

    async def is_back() -> bool:
        return (await client.get("/v1/things/thg_1")).status_code == 404

    await eventually(is_back)


async def test_pages_follow_each_other(client: httpx.AsyncClient) -> None:
    made = [
        (await client.post("/v1/things", json={"number": n})).json()["thing_no"] for n in (1, 2, 3)
    ]
    first = (await client.get("/v1/things", params={"limit": 2})).json()
    late = (await client.post("/v1/things", json={"number": 4})).json()["thing_no"]
    rest = (
        await client.get("/v1/things", params={"limit": 2, "cursor": first["next_cursor"]})
    ).json()
    assert [thing["thing_no"] for thing in first["items"]] == made[:2]
    assert [thing["thing_no"] for thing in rest["items"]] == [made[2], late]
    assert rest["next_cursor"] is None
    everything = (await client.get("/v1/things", params={"limit": 4})).json()
    assert len(everything["items"]) == 4
    assert everything["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "query.limit"),
        ({"limit": "201"}, "query.limit"),
        ({"limit": "x"}, "query.limit"),
        ({"cursor": "no base64 !"}, "cursor"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"cursor": "x" * 201}, "query.cursor"),
    ],
)
async def test_a_bad_page(client: httpx.AsyncClient, query: dict[str, str], field: str) -> None:
    answer = await client.get("/v1/things", params=query)
    assert_problem(answer, 422, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_the_document_describes_tokens_and_problems(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/v1/things"]["post"]
    assert operation["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert "application/problem+json" in operation["responses"]["default"]["content"]
    assert "422" not in operation["responses"]
    assert {"Problem", "FieldProblem"} <= document["components"]["schemas"].keys()
    assert "Idempotency-Key" in {p["name"].title() for p in operation["parameters"]}
