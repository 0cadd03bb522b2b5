"""Why does the gate (not) open: what a gate keeper can tell the visitor."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import httpx

from shanmen.contracts.orders import TicketsIssued

Issue = Callable[..., Awaitable[TicketsIssued]]
Sign = Callable[..., str]
Bearer = Callable[..., dict[str, str]]


async def test_a_spot_sees_its_own_pass_and_what_a_scan_would_answer(
    client: httpx.AsyncClient, issue: Issue, bearer: Bearer
) -> None:
    since, until = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) + timedelta(hours=2)
    await issue("tkt_1", spots=("spt_a", "spt_b"), valid_from=since, valid_until=until)

    answer = await client.get("/v1/passes/tkt_1", headers=bearer("device", "spt_a"))

    assert answer.status_code == 200
    (held,) = answer.json()["passes"]
    for instant in ("valid_from", "valid_until", "expires_at"):
        held[instant] = datetime.fromisoformat(held[instant])
    assert held == {
        "entitlement_id": "tkt_1@spt_a",
        "order_no": "ord_1",
        "spot_id": "spt_a",
        "usage": "unused",
        "activated": True,
        "valid_from": since,
        "valid_until": until,
        "expires_at": until,
        "first_admission": None,
        "voided_at": None,
        "expired_at": None,
        "now": {
            "verdict": "refused",
            "code": "not_yet_valid",
            "detail": "This ticket is not valid yet (未到有效期).",
        },
    }


async def test_asking_does_not_use_the_ticket_up(
    client: httpx.AsyncClient, issue: Issue, sign: Sign, bearer: Bearer
) -> None:
    await issue("tkt_1")
    gate = bearer("device", "spt_a")
    for _ in range(2):
        asked = (await client.get("/v1/passes/tkt_1", headers=gate)).json()
        assert asked["passes"][0]["now"]["verdict"] == "admitted"

    first = (await client.post("/v1/scans", json={"qr": sign("tkt_1")}, headers=gate)).json()
    asked = (await client.get("/v1/passes/tkt_1", headers=gate)).json()

    assert first["verdict"] == "admitted"
    assert asked["passes"][0]["now"]["code"] == "already_used"
    assert asked["passes"][0]["first_admission"] == {
        "scan_id": first["scan_id"],
        "at": first["scanned_at"],
        "device": first["device"],
        "spot_id": "spt_a",
    }


async def test_the_platform_sees_the_passes_of_every_spot(
    client: httpx.AsyncClient, issue: Issue, bearer: Bearer
) -> None:
    await issue("tkt_1", spots=("spt_a", "spt_b"))
    answer = await client.get("/v1/passes/tkt_1", headers=bearer("operator"))
    assert [held["spot_id"] for held in answer.json()["passes"]] == ["spt_a", "spt_b"]
