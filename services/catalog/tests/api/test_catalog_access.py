"""Who may call what: every route, every scope; and what no route ever answers with."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx
from fastapi.routing import APIRoute
from sqlalchemy import text

from shanmen.catalog.domain import AccountRole
from shanmen.catalog.main import SERVICE
from shanmen.catalog.tables import PARTIES, PRODUCTS
from shanmen.common.db import Database
from shanmen.common.idempotency import IDEMPOTENCY_KEYS

if TYPE_CHECKING:
    from services.catalog.tests.conftest import Market

Bearer = Callable[..., dict[str, str]]

ROUTES = [
    # method, path, the scope it needs
    ("POST", "/v1/spots", "parties:write"),
    ("GET", "/v1/spots", "parties:read"),
    ("GET", "/v1/spots/{spot_id}", "parties:read"),
    ("POST", "/v1/distributors", "parties:write"),
    ("GET", "/v1/distributors", "parties:read"),
    ("GET", "/v1/distributors/{distributor_id}", "parties:read"),
    ("POST", "/v1/accounts", "parties:write"),
    ("GET", "/v1/accounts", "parties:read"),
    ("POST", "/v1/credentials", "credentials:write"),
    ("GET", "/v1/credentials", "credentials:write"),
    ("POST", "/v1/credentials/{credential_id}/revoke", "credentials:write"),
    ("POST", "/v1/products", "catalog:write"),
    ("GET", "/v1/products", "catalog:read"),
    ("GET", "/v1/products/{product_id}", "catalog:read"),
    ("PUT", "/v1/products/{product_id}/stock", "catalog:write"),
    ("PUT", "/v1/products/{product_id}/terms", "catalog:write"),
    ("POST", "/v1/products/{product_id}/consents", "catalog:write"),
    ("POST", "/v1/products/{product_id}/publish", "catalog:write"),
    ("POST", "/v1/products/{product_id}/withdraw", "catalog:write"),
    ("GET", "/v1/availability", "catalog:read"),
    ("POST", "/internal/reservations", "stock:reserve"),
    ("POST", "/internal/introspect", "tokens:introspect"),
    ("GET", "/internal/accounts/{account_id}", "accounts:read"),
    ("GET", "/internal/contacts/{party_id}", "contacts:read"),
    ("GET", "/internal/receivers/{spot_id}", "receivers:read"),
]
EVERY_SCOPE = {scope for _, _, scope in ROUTES}


def test_the_table_names_every_route() -> None:
    routes = {
        (method, route.path)
        for route in SERVICE.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert routes == {(method, path) for method, path, _ in ROUTES}
    public = [path for _, path, _ in ROUTES if not path.startswith("/internal/")]
    assert all(path.startswith(SERVICE.prefixes) for path in public)
    assert not any(prefix.startswith("/internal") for prefix in SERVICE.prefixes)


async def test_every_route_asks_for_a_token_and_its_scope(
    client: httpx.AsyncClient, bearer: Bearer
) -> None:
    for method, path, scope in ROUTES:
        for headers in ({}, {"Authorization": "Bearer shm_guess"}, {"Authorization": "Basic eA"}):
            answer = await client.request(method, path, headers=headers)
            assert (path, answer.status_code, answer.json()["code"]) == (
                path,
                401,
                "unauthenticated",
            )
            assert answer.headers["www-authenticate"] == "Bearer"
        others = bearer("operator", scopes=EVERY_SCOPE - {scope})
        answer = await client.request(method, path, headers=others)
        assert (path, answer.status_code, answer.json()["scopes"]) == (path, 403, [scope])


async def test_what_is_anothers_looks_like_what_is_not(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    spot, distributor = await market.spot(), await market.distributor()
    foreign = bearer("spot", await market.spot())
    rival = bearer("distributor", await market.distributor())
    draft = await market.product(spot, publish=False)
    pairs = [
        (foreign, f"/v1/spots/{spot}", "/v1/spots/spt_none"),
        (rival, f"/v1/spots/{spot}", "/v1/spots/spt_none"),
        (rival, f"/v1/distributors/{distributor}", "/v1/distributors/dst_none"),
        (foreign, f"/v1/distributors/{distributor}", "/v1/distributors/dst_none"),
        (rival, f"/v1/products/{draft}", "/v1/products/prd_none"),
        (foreign, f"/v1/products/{draft}", "/v1/products/prd_none"),
    ]
    for headers, hidden_path, unknown_path in pairs:
        hidden = await client.get(hidden_path, headers=headers)
        unknown = await client.get(unknown_path, headers=headers)
        assert (hidden_path, hidden.status_code, unknown.status_code) == (hidden_path, 404, 404)
        key = hidden_path.rpartition("/")[2]
        assert hidden.text.replace(key, unknown_path.rpartition("/")[2]) == unknown.text
    listed = await client.get("/v1/accounts", params={"party_id": spot}, headers=rival)
    assert {item["party_id"] for item in listed.json()["items"]} == {
        item["distributor_id"]
        for item in (await client.get("/v1/distributors", headers=rival)).json()["items"]
    }


async def test_an_impossible_number_is_a_bad_field(
    client: httpx.AsyncClient, bearer: Bearer
) -> None:
    headers = bearer("operator", scopes=EVERY_SCOPE)
    for number in ("%00", "x" * 65, "%E7%A5%A8", "a%20b"):
        for method, path, _ in ROUTES:
            if "{" in path:
                url = path[: path.index("{")] + number + path[path.index("}") + 1 :]
                answer = await client.request(method, url, json={"entries": []}, headers=headers)
                assert (url, answer.status_code) == (url, 422)
        for path, name in (("/v1/availability", "product_id"), ("/v1/accounts", "party_id")):
            answer = await client.get(f"{path}?{name}={number}", headers=headers)
            assert answer.json()["errors"][0]["field"] == f"query.{name}"


async def test_introspection(client: httpx.AsyncClient, bearer: Bearer) -> None:
    service = bearer("service", scopes=["tokens:introspect"])
    asked = bearer("reseller", "dst_1", reseller="甲")["Authorization"].removeprefix("Bearer ")
    known = await client.post("/internal/introspect", data={"token": asked}, headers=service)
    unknown = await client.post("/internal/introspect", data={"token": "x"}, headers=service)
    principal = known.json()["principal"]
    assert known.json()["active"] is True
    assert (principal["kind"], principal["party_id"], principal["reseller"]) == (
        "reseller",
        "dst_1",
        "甲",
    )
    assert unknown.json() == {"active": False, "principal": None}


async def test_the_gateway_gets_an_account_in_full(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    distributor = await market.distributor()
    seller = bearer("distributor", distributor)
    (account,) = (await client.get("/v1/accounts", headers=seller)).json()["items"]
    service = bearer("service", scopes=["accounts:read"])
    path = "/internal/accounts/"
    found = await client.get(path + account["account_id"], headers=service)
    assert found.json() == {
        "account_id": account["account_id"],
        "channel": "alipay",
        "account_no": "2088000000000001",
        "account_name": "某某公司",
        "agreement_no": "20260001",
    }
    assert (await client.get(f"{path}acc_none", headers=service)).status_code == 404


async def test_the_gateway_gets_a_phone_in_full(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    reachable = await market.distributor(contact_phone="+8613800000000")
    silent = await market.spot()
    service = bearer("service", scopes=["contacts:read"])
    for party_id, phone in ((reachable, "+8613800000000"), (silent, None)):
        found = await client.get(f"/internal/contacts/{party_id}", headers=service)
        assert found.json() == {"party_id": party_id, "phone": phone}
    assert (await client.get("/internal/contacts/spt_none", headers=service)).status_code == 404


async def test_settlement_gets_the_account_that_a_spot_is_paid_to_now(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    spot, unpaid = await market.spot(), await market.spot(with_account=False)
    distributor = await market.distributor()
    newest = await market.account(spot, AccountRole.RECEIVE, account_no="2088000000000009")
    service = bearer("service", scopes=["receivers:read"])
    found = await client.get(f"/internal/receivers/{spot}", headers=service)
    account = {"account_id": newest, "channel": "alipay"}
    assert found.json() == {"spot_id": spot, "account": account}
    for nobody in (unpaid, distributor, "spt_none"):
        answer = await client.get(f"/internal/receivers/{nobody}", headers=service)
        assert (nobody, answer.status_code) == (nobody, 404)


async def test_reservations_over_http_answer_for_each(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    product, distributor = await market.product(), await market.distributor()
    item = {
        "order_no": "ord_1",
        "distributor_id": distributor,
        "product_id": product,
        "visit_date": "2026-11-05",
        "slot": None,
        "quantity": 2,
    }
    body = {"items": [item, item | {"order_no": "ord_2", "quantity": 0}]}
    service = bearer("service", scopes=["stock:reserve"])
    answer = await client.post("/internal/reservations", json=body, headers=service)
    first, second = answer.json()["items"]
    assert (first["offer"]["quantity"], first["refused"]) == (2, None)
    assert (second["offer"], second["refused"]["code"]) == (None, "quantity_out_of_range")


REFUSE_TO_COMMIT = """
CREATE FUNCTION refuse_to_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the commit fails' USING ERRCODE = 'check_violation'; END $$
"""
AT_COMMIT = """
CREATE CONSTRAINT TRIGGER never AFTER INSERT OR UPDATE ON {table}
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_to_commit()
"""


async def test_what_could_not_be_committed_is_never_told_as_done(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer, database: Database
) -> None:
    """Every statement succeeds, and then COMMIT itself fails."""
    product = await market.product()
    before = [await market.rows(table) for table in (PARTIES, PRODUCTS)]
    async with database.transaction() as tx:
        await tx.execute(text(REFUSE_TO_COMMIT))
        for table in ("parties", "products", "credentials", "stock"):
            await tx.execute(text(AT_COMMIT.format(table=table)))
    headers = bearer("operator") | {"Idempotency-Key": "k"}
    entries = {"entries": [{"visit_date": "2026-11-05", "total": 60}]}
    answers = [
        await client.post("/v1/spots", json={"name": "泰山"}, headers=headers),
        await client.post(f"/v1/products/{product}/withdraw", headers=headers),
        await client.put(f"/v1/products/{product}/stock", json=entries, headers=headers),
        await client.post(
            "/v1/credentials", json={"kind": "operator", "label": "x"}, headers=headers
        ),
    ]
    assert [answer.status_code for answer in answers] == [500] * 4
    assert not any("commit fails" in answer.text for answer in answers)
    assert [await market.rows(table) for table in (PARTIES, PRODUCTS)] == before
    assert await market.rows(IDEMPOTENCY_KEYS) == []
