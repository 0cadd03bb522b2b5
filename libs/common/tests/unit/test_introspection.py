"""Who a token stands for, asked over HTTP: remembered for a minute, outliving short outages."""

import itertools
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import httpx
import pytest
from fastapi import Depends, FastAPI

from shanmen.common.auth import (
    CACHE_S,
    STALE_S,
    Principal,
    PrincipalKind,
    RemoteIntrospector,
    hash_token,
    requires,
)
from shanmen.common.errors import Unavailable
from shanmen.common.http.calls import changes
from shanmen.common.testing.principals import principal


class Catalog:
    """Answers introspection requests (RFC 7662), while it is up."""

    def __init__(self) -> None:
        self.known: dict[str, Principal] = {}
        self.asked: list[httpx.Request] = []
        self.status = 200
        self.is_down = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.is_down:
            raise httpx.ConnectError("down", request=request)
        token = request.content.decode().removeprefix("token=")
        who = self.known.get(token)
        answer = {"active": who is not None, "principal": who and who.model_dump(mode="json")}
        return httpx.Response(self.status, json=answer)


@pytest.fixture
def catalog() -> Catalog:
    """A catalog that knows one token."""
    catalog = Catalog()
    catalog.known["shm_1"] = principal("distributor", "dst_1", scopes=["orders:write"])
    return catalog


@pytest.fixture
async def tokens(catalog: Catalog) -> AsyncIterator[RemoteIntrospector]:
    """An introspector that asks it."""
    transport = httpx.MockTransport(catalog)
    async with httpx.AsyncClient(transport=transport, base_url="http://catalog") as client:
        yield RemoteIntrospector(client, "shm_service")


def let_time_pass(tokens: RemoteIntrospector, seconds: float) -> None:
    """Make everything that is remembered older."""
    tokens._cache = {key: (at - seconds, who) for key, (at, who) in tokens._cache.items()}


async def test_the_answer_is_asked_for_once(tokens: RemoteIntrospector, catalog: Catalog) -> None:
    assert await tokens.introspect("shm_1") == catalog.known["shm_1"]
    assert await tokens.introspect("shm_1") == catalog.known["shm_1"]
    (request,) = catalog.asked
    assert request.headers["authorization"] == "Bearer shm_service"
    assert request.url.path == "/internal/introspect"


async def test_it_is_asked_again_after_a_minute(
    tokens: RemoteIntrospector, catalog: Catalog
) -> None:
    await tokens.introspect("shm_1")
    let_time_pass(tokens, CACHE_S + 1)
    await tokens.introspect("shm_1")
    assert len(catalog.asked) == 2


async def test_a_fresh_answer_is_never_a_remembered_one(
    tokens: RemoteIntrospector, catalog: Catalog
) -> None:
    who = catalog.known["shm_1"]
    assert await tokens.introspect("shm_1") == who
    assert await tokens.introspect("shm_1", fresh=True) == who
    assert len(catalog.asked) == 2
    catalog.is_down = True
    with pytest.raises(Unavailable):
        await tokens.introspect("shm_1", fresh=True)
    assert await tokens.introspect("shm_1") == who, "others may still be served from memory"
    catalog.is_down = False
    del catalog.known["shm_1"]
    assert await tokens.introspect("shm_1") == who
    assert await tokens.introspect("shm_1", fresh=True) is None
    assert await tokens.introspect("shm_1") is None, "what was learnt is remembered"


async def test_a_route_that_wants_fresh_answers_gets_them(
    tokens: RemoteIntrospector, catalog: Catalog
) -> None:
    app = FastAPI()
    app.state.context = SimpleNamespace(tokens=tokens)

    def answer() -> None:
        return None

    for fresh in (False, True):
        reading, writing = (guard("orders:write", fresh=fresh) for guard in (requires, changes))
        app.get(f"/{fresh}", dependencies=[Depends(reading)])(answer)
        app.post(f"/{fresh}", dependencies=[Depends(writing)])(answer)
    asked: dict[tuple[str, str], int] = {}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://test",
        headers={"Authorization": "Bearer shm_1"},
    ) as client:
        await client.get("/False")
        for method, path in itertools.product(("GET", "POST"), ("/False", "/True")):
            before = len(catalog.asked)
            assert (await client.request(method, path)).status_code == 200
            asked[method, path] = len(catalog.asked) - before
    assert asked == {
        ("GET", "/False"): 0,
        ("GET", "/True"): 1,
        ("POST", "/False"): 0,
        ("POST", "/True"): 1,
    }


async def test_an_unknown_token_is_asked_for_each_time(
    tokens: RemoteIntrospector, catalog: Catalog
) -> None:
    assert await tokens.introspect("shm_2") is None
    catalog.known["shm_2"] = catalog.known["shm_1"]
    assert await tokens.introspect("shm_2") is not None


@pytest.mark.parametrize("outage", [{"is_down": True}, {"status": 500}, {"status": 401}])
async def test_a_short_outage_is_outlived(
    tokens: RemoteIntrospector, catalog: Catalog, outage: dict[str, int]
) -> None:
    await tokens.introspect("shm_1")
    vars(catalog).update(outage)
    let_time_pass(tokens, STALE_S - 1)
    assert await tokens.introspect("shm_1") == catalog.known["shm_1"]
    let_time_pass(tokens, 2)
    with pytest.raises(Unavailable):
        await tokens.introspect("shm_1")
    with pytest.raises(Unavailable):
        await tokens.introspect("shm_never_seen")


async def test_a_revoked_token_stays_revoked_through_an_outage(
    tokens: RemoteIntrospector, catalog: Catalog
) -> None:
    await tokens.introspect("shm_1")
    del catalog.known["shm_1"]
    let_time_pass(tokens, CACHE_S + 1)
    assert await tokens.introspect("shm_1") is None
    catalog.is_down = True
    with pytest.raises(Unavailable):
        await tokens.introspect("shm_1")


async def test_a_revocation_is_heard_at_once(tokens: RemoteIntrospector, catalog: Catalog) -> None:
    who = catalog.known.pop("shm_1")
    catalog.known["shm_1"], catalog.known["shm_2"] = who, principal("spot", "spt_1")
    await tokens.introspect("shm_1")
    await tokens.introspect("shm_2")
    catalog.known.pop("shm_1")
    tokens.forget(who.credential_id)
    assert await tokens.introspect("shm_1") is None
    assert len(catalog.asked) == 3
    await tokens.introspect("shm_2")
    assert len(catalog.asked) == 3, "others are still remembered"


async def test_tokens_are_not_kept_in_the_clear(tokens: RemoteIntrospector) -> None:
    await tokens.introspect("shm_1")
    assert list(tokens._cache) == [hash_token("shm_1")]
    assert tokens._cache[hash_token("shm_1")][0] <= time.monotonic()


def test_idempotency_keys_of_different_callers_do_not_meet() -> None:
    callers = [
        principal("distributor", "dst_1"),
        principal("distributor", "dst_2"),
        principal("spot", "dst_1"),
        principal("reseller", "dst_1", reseller="a"),
        principal("reseller", "dst_1", reseller="b"),
        principal("device", "spt_1"),
        principal("device", "spt_1"),
        principal("operator"),
        principal("operator"),
    ]
    assert len({caller.owner for caller in callers}) == len(callers)
    assert [caller.is_operator for caller in callers] == [False] * 7 + [True] * 2
    assert callers[0].kind is PrincipalKind.DISTRIBUTOR
