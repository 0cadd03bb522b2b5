"""Scanning over HTTP: every code gets a recorded verdict, and every repeat the same one."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from shanmen.contracts.orders import TicketsIssued
from shanmen.verification.ports import VerificationContext
from shanmen.verification.tables import SCANS

Issue = Callable[..., Awaitable[TicketsIssued]]
Sign = Callable[..., str]
Bearer = Callable[..., dict[str, str]]

HOUR = timedelta(hours=1)


async def scan(
    client: httpx.AsyncClient, headers: dict[str, str], qr: str, key: str | None = None
) -> httpx.Response:
    keyed = {**headers, "Idempotency-Key": key} if key else headers
    return await client.post("/v1/scans", json={"qr": qr}, headers=keyed)


async def stored_scans(ctx: VerificationContext) -> list[Any]:
    async with ctx.db.transaction() as tx:
        return list(await tx.execute(select(SCANS).order_by(SCANS.c.scan_id)))


@pytest.fixture
def gate(bearer: Bearer) -> dict[str, str]:
    return bearer("device", "spt_a")


async def test_the_first_scan_admits(
    client: httpx.AsyncClient, issue: Issue, sign: Sign, gate: dict[str, str]
) -> None:
    await issue("tkt_1")

    answer = await scan(client, gate, sign("tkt_1"))

    assert answer.status_code == 201
    body = answer.json()
    assert body.pop("scan_id").startswith("scn_")
    assert body.pop("device").startswith("crd_")
    assert datetime.fromisoformat(body.pop("scanned_at")).tzinfo is not None
    assert body == {
        "verdict": "admitted",
        "code": None,
        "detail": "Admitted (放行).",
        "spot_id": "spt_a",
        "ticket_no": "tkt_1",
        "entitlement_id": "tkt_1@spt_a",
        "first_admission": None,
        "valid_from": None,
        "valid_until": None,
    }


async def test_the_second_scan_learns_when_and_where_the_first_was(
    client: httpx.AsyncClient, issue: Issue, sign: Sign, bearer: Bearer
) -> None:
    await issue("tkt_1")
    first = (await scan(client, bearer("device", "spt_a"), sign("tkt_1"))).json()

    second = await scan(client, bearer("spot", "spt_a"), sign("tkt_1"))

    assert second.status_code == 201
    body = second.json()
    assert (body["verdict"], body["code"]) == ("refused", "already_used")
    assert "已使用" in body["detail"]
    assert body["first_admission"] == {
        "scan_id": first["scan_id"],
        "at": first["scanned_at"],
        "device": first["device"],
        "spot_id": "spt_a",
    }


async def test_another_spots_ticket_is_refused_and_nothing_else_is_said_of_it(
    client: httpx.AsyncClient, issue: Issue, sign: Sign, bearer: Bearer
) -> None:
    over = datetime.now(UTC) - HOUR
    await issue("tkt_fresh", spots=("spt_b",))
    await issue("tkt_over", spots=("spt_b",), valid_until=over)
    await issue("tkt_idle", spots=("spt_b",), activated=False)
    await issue("tkt_used", spots=("spt_b",))
    await scan(client, bearer("device", "spt_b"), sign("tkt_used"))
    gate = bearer("device", "spt_a")

    bodies = [
        (await scan(client, gate, sign(ticket_no))).json()
        for ticket_no in ("tkt_fresh", "tkt_over", "tkt_idle", "tkt_used")
    ]

    shown = [
        {k: v for k, v in body.items() if k not in {"scan_id", "scanned_at", "ticket_no"}}
        for body in bodies
    ]
    assert all(body == shown[0] for body in shown)
    assert shown[0]["code"] == "wrong_spot"
    assert "spt_b" not in json.dumps(bodies)
    assert [shown[0][k] for k in ("entitlement_id", "first_admission", "valid_until")] == [
        None
    ] * 3
    assert (await client.get("/v1/passes/tkt_fresh", headers=gate)).status_code == 404


@pytest.mark.parametrize(
    ("window", "code"),
    [((HOUR, 2 * HOUR), "not_yet_valid"), ((-2 * HOUR, -HOUR), "expired")],
)
async def test_a_refusal_about_validity_says_when_it_is(
    *,
    window: tuple[timedelta, timedelta],
    code: str,
    client: httpx.AsyncClient,
    issue: Issue,
    sign: Sign,
    gate: dict[str, str],
) -> None:
    since, until = (datetime.now(UTC) + offset for offset in window)
    await issue("tkt_1", valid_from=since, valid_until=until)

    body = (await scan(client, gate, sign("tkt_1"))).json()

    assert body["code"] == code
    assert datetime.fromisoformat(body["valid_from"]) == since
    assert datetime.fromisoformat(body["valid_until"]) == until


async def test_what_is_no_ticket_of_ours_is_refused_and_recorded(
    client: httpx.AsyncClient, ctx: VerificationContext, sign: Sign, gate: dict[str, str]
) -> None:
    good = sign("tkt_1")
    posted = {
        good.replace("tkt_1", "tkt_2"): "forged",
        sign("tkt_1", key=Ed25519PrivateKey.generate()): "forged",
        sign("tkt_1", key_id="2019x"): "forged",
        good + "A": "unreadable",
        "二维码\x00\n": "unreadable",
        "0" * 7_089: "unreadable",
    }

    answers = [await scan(client, gate, qr) for qr in posted]

    assert [answer.status_code for answer in answers] == [201] * len(posted)
    assert [answer.json()["code"] for answer in answers] == list(posted.values())
    assert {answer.json()["ticket_no"] for answer in answers} == {None}
    rows = await stored_scans(ctx)
    assert [(row.verdict, row.code) for row in rows] == [("refused", c) for c in posted.values()]
    hashes = [hashlib.sha256(qr.encode()).hexdigest() for qr in posted]
    assert [row.qr_sha256 for row in rows] == hashes


async def test_a_repeated_key_gives_the_first_answer_byte_for_byte(
    client: httpx.AsyncClient,
    ctx: VerificationContext,
    issue: Issue,
    sign: Sign,
    gate: dict[str, str],
) -> None:
    await issue("tkt_1")
    first = await scan(client, gate, sign("tkt_1"), "key-1")
    again = await scan(client, gate, sign("tkt_1"), "key-1")
    refused = await scan(client, gate, sign("tkt_1"), "key-2")
    refused_again = await scan(client, gate, sign("tkt_1"), "key-2")

    assert first.json()["verdict"] == "admitted"
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert refused.json()["code"] == "already_used"
    assert refused_again.content == refused.content
    assert len(await stored_scans(ctx)) == 2


async def test_a_key_of_another_code_is_refused(
    client: httpx.AsyncClient, issue: Issue, sign: Sign, gate: dict[str, str]
) -> None:
    await issue("tkt_1", "tkt_2")
    await scan(client, gate, sign("tkt_1"), "key-1")
    other = await scan(client, gate, sign("tkt_2"), "key-1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (await scan(client, gate, sign("tkt_2"))).json()["verdict"] == "admitted"


async def test_one_key_on_eight_connections_is_one_scan(
    client: httpx.AsyncClient,
    ctx: VerificationContext,
    issue: Issue,
    sign: Sign,
    gate: dict[str, str],
) -> None:
    await issue("tkt_1")
    answers = await asyncio.gather(*(scan(client, gate, sign("tkt_1"), "key-1") for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert len(await stored_scans(ctx)) == 1


async def test_a_key_that_two_gates_share_does_not_admit_twice(
    client: httpx.AsyncClient, issue: Issue, sign: Sign, bearer: Bearer
) -> None:
    await issue("tkt_1")
    first = await scan(client, bearer("device", "spt_a"), sign("tkt_1"), "1")
    second = await scan(client, bearer("device", "spt_a"), sign("tkt_1"), "1")
    assert first.json()["verdict"] == "admitted"
    assert (second.status_code, second.json()["code"]) == (201, "already_used")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"qr": ""},
        {"qr": None},
        {"qr": 7},
        {"qr": "x" * 7_090},
        {"qr": "x", "spot_id": "spt_b"},
        {"qr": "x", "scanned_at": "2026-11-22T00:00:00Z"},
        ["x"],
    ],
)
async def test_a_body_that_is_no_scan_is_refused_and_nothing_recorded(
    body: Any, client: httpx.AsyncClient, ctx: VerificationContext, gate: dict[str, str]
) -> None:
    answer = await client.post("/v1/scans", json=body, headers=gate)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["errors"]
    assert await stored_scans(ctx) == []


async def test_half_a_surrogate_pair_is_a_bad_field(
    client: httpx.AsyncClient, gate: dict[str, str]
) -> None:
    answer = await client.post(
        "/v1/scans",
        content=b'{"qr": "\\ud83d"}',
        headers={**gate, "Content-Type": "application/json"},
    )
    assert answer.status_code == 422


async def test_a_scan_reads_later_as_it_was_answered(
    client: httpx.AsyncClient, issue: Issue, sign: Sign, gate: dict[str, str]
) -> None:
    await issue("tkt_1")
    await issue("tkt_over", valid_until=datetime.now(UTC) - HOUR)
    codes = [sign("tkt_1"), sign("tkt_1"), sign("tkt_over"), sign("tkt_none"), "?"]
    posted = [(await scan(client, gate, qr)).json() for qr in codes]

    for body in posted:
        shown = await client.get(f"/v1/scans/{body['scan_id']}", headers=gate)
        assert (shown.status_code, shown.json()) == (200, body)
