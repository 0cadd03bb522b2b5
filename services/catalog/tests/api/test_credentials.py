"""Minting and revoking tokens over HTTP."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx

from shanmen.catalog.domain import SCOPES
from shanmen.catalog.tables import CREDENTIALS

if TYPE_CHECKING:
    from services.catalog.tests.conftest import Market

Bearer = Callable[..., dict[str, str]]
Refused = tuple[int, str]


async def mint(client: httpx.AsyncClient, headers: dict[str, str], **body: Any) -> httpx.Response:
    return await client.post("/v1/credentials", json={"label": "x", **body}, headers=headers)


async def test_who_mints_what(client: httpx.AsyncClient, market: "Market", bearer: Bearer) -> None:
    """Every kind of caller, every kind of credential; below an operator for the own party only."""
    spot, other_spot = await market.spot(), await market.spot()
    distributor, other_distributor = await market.distributor(), await market.distributor()
    everything = ["credentials:write"]
    callers = {
        "operator": bearer("operator"),
        "spot": bearer("spot", spot),
        "distributor": bearer("distributor", distributor),
        # their kinds can never have the scope; if they did, they would still mint nothing
        "reseller": bearer("reseller", distributor, reseller="甲", scopes=everything),
        "device": bearer("device", spot, scopes=everything),
        "service": bearer("service", scopes=everything),
    }
    wanted: dict[str, dict[str, Any]] = {
        "operator": {},
        "spot": {"party_id": spot},
        "distributor": {"party_id": distributor},
        "reseller": {"party_id": distributor, "reseller": "甲"},
        "device": {"party_id": spot},
    }
    made = {
        ("operator", "operator"),
        ("operator", "spot"),
        ("operator", "distributor"),
        ("spot", "device"),
        ("distributor", "reseller"),
    }
    for caller, headers in callers.items():
        for kind, body in wanted.items():
            answer = await mint(client, headers, kind=kind, **body)
            pair = (caller, kind)
            expected = (201, None) if pair in made else (403, "not_yours")
            assert (pair, answer.status_code, answer.json().get("code")) == (pair, *expected)
    for caller, foreign in (("spot", other_spot), ("distributor", other_distributor)):
        kind = {"spot": "device", "distributor": "reseller"}[caller]
        body = {**wanted[kind], "party_id": foreign}
        answer = await mint(client, callers[caller], kind=kind, **body)
        assert (caller, answer.status_code) == (caller, 404)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"kind": "spot"}, "body.party_id"),
    ({"kind": "spot", "party_id": "spt_none"}, "body.party_id"),
    ({"kind": "spot", "party_id": "DISTRIBUTOR"}, "body.party_id"),
    ({"kind": "distributor", "party_id": "SPOT"}, "body.party_id"),
    ({"kind": "operator", "party_id": "SPOT"}, "body.party_id"),
    ({"kind": "operator", "reseller": "甲"}, "body.reseller"),
    ({"kind": "operator", "scopes": ["orders:write"]}, "body.scopes"),
    ({"kind": "operator", "scopes": ["parties:read", "root"]}, "body.scopes"),
    ({"kind": "operator", "expires_at": "2026-11-01T03:59:59Z"}, "body.expires_at"),
    ({"kind": "operator", "expires_at": "2027-01-01T00:00:00"}, "body.expires_at"),
    ({"kind": "operator", "label": ""}, "body.label"),
    ({"kind": "spot", "party_id": "SPOT", "person": "张三"}, "body.person"),
    ({"kind": "service"}, "body.kind"),
]


async def test_bad_fields_are_named(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    parties = {"SPOT": await market.spot(), "DISTRIBUTOR": await market.distributor()}
    operator = bearer("operator")
    for body, field in BAD:
        party_id = body.get("party_id", "")
        given = body | ({"party_id": parties.get(party_id, party_id)} if party_id else {})
        answer = await mint(client, operator, **given)
        assert (body, answer.status_code) == (body, 422), answer.text
        assert (body, answer.json()["errors"][0]["field"]) == (body, field)
    assert await market.rows(CREDENTIALS) == []


async def test_an_operator_mints_for_itself_only(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    zhang = bearer("operator", person="张三")
    own = await mint(client, zhang, kind="operator")
    assert (own.status_code, own.json()["person"]) == (201, "张三")
    other = await mint(client, zhang, kind="operator", person="李四")
    assert other.status_code == 422, "nobody makes a second person of themselves"


async def test_a_narrow_operators_token_makes_no_wider_one(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    narrow = bearer("operator", scopes={"credentials:write", "parties:read"})
    wider = await mint(client, narrow, kind="operator", scopes=["money:approve"])
    assert (wider.status_code, wider.json()["errors"][0]["field"]) == (422, "body.scopes")
    same = await mint(client, narrow, kind="operator")
    assert same.json()["scopes"] == ["credentials:write", "parties:read"]


async def test_a_reseller_needs_its_name(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    own = bearer("distributor", await market.distributor())
    answer = await mint(client, own, kind="reseller")
    assert answer.json()["errors"][0]["field"] == "body.reseller"


async def test_a_token_is_shown_once(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    spot = await market.spot()
    headers = bearer("operator") | {"Idempotency-Key": "mint-1"}
    first = await mint(client, headers, kind="spot", party_id=spot, scopes=["catalog:read"])
    second = await mint(client, headers, kind="spot", party_id=spot)
    tokens = {answer.json()["token"] for answer in (first, second)}
    assert len(tokens) == 2  # a key would have stored the first: it is not looked at
    assert first.json()["scopes"] == ["catalog:read"]
    assert second.json()["scopes"] == sorted(SCOPES["spot"])
    listed = await client.get("/v1/credentials", headers=headers)
    assert [item["token"] for item in listed.json()["items"]] == [None, None]
    assert not any(token in listed.text for token in tokens)


async def test_a_party_sees_and_revokes_its_own(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer
) -> None:
    operator = bearer("operator")
    spot, other = bearer("spot", await market.spot()), bearer("spot", await market.spot())
    own = (await mint(client, spot, kind="device")).json()
    foreign = (await mint(client, other, kind="device")).json()
    seen = {
        name: [item["credential_id"] for item in answer.json()["items"]]
        for name, answer in {
            "own": await client.get("/v1/credentials", headers=spot),
            "all": await client.get("/v1/credentials", headers=operator),
        }.items()
    }
    assert seen == {
        "own": [own["credential_id"]],
        "all": [own["credential_id"], foreign["credential_id"]],
    }

    async def revoke(credential_id: str, headers: dict[str, str]) -> httpx.Response:
        return await client.post(f"/v1/credentials/{credential_id}/revoke", headers=headers)

    refused = await revoke(foreign["credential_id"], spot)
    unknown = await revoke("crd_none", spot)
    assert refused.status_code == unknown.status_code == 404
    assert refused.text.replace(foreign["credential_id"], "crd_none") == unknown.text
    revoked = await revoke(own["credential_id"], spot)
    assert (revoked.status_code, revoked.json()["token"]) == (200, None)
    assert revoked.json()["revoked_at"] is not None
    assert (await revoke(own["credential_id"], spot)).status_code == 404  # not a live one
    assert (await revoke(foreign["credential_id"], operator)).status_code == 200
