"""What operators see of operations and balances, and that nobody else does."""

from datetime import timedelta

import httpx
import pytest

from shanmen.common.testing.principals import FakeIntrospector, principal
from shanmen.gateway_adapters.domain.operations import Outcome
from shanmen.gateway_adapters.testing import Desk, ScriptedChannel, answer

ROUTES = (
    "/v1/operations",
    "/v1/operations/deb_1",
    "/v1/balances",
    "/v1/notifications",
    "/v1/circuits",
)


async def test_an_operation_is_shown_with_every_attempt(
    operator: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(answer(Outcome.UNKNOWN, "20000", sub_code="isp.x", raw=b"the raw answer"))
    channel.will_say(answer(Outcome.UNKNOWN, "40004", sub_code="NEW", listed=False, raw=b"raw"))
    channel.will_say(answer(Outcome.OK, "10000", raw=b"the raw answer"))
    await desk.debit()
    for seconds in (0, 10, 30):
        await desk.work_after(seconds)
    answered = await operator.get("/v1/operations/deb_1")
    assert answered.status_code == 200
    assert b"raw" not in answered.content
    shown = answered.json()
    attempts = shown.pop("attempts")
    assert {name: shown[name] for name in ("status", "outcome", "code", "channel_ref")} == {
        "status": "succeeded",
        "outcome": "ok",
        "code": "10000",
        "channel_ref": "2026112222001",
    }
    assert [
        (each["action"], each["outcome"], each["code"], each["sub_code"], each["listed"])
        for each in attempts
    ] == [
        ("send", "unknown", "20000", "isp.x", True),
        ("query", "unknown", "40004", "NEW", False),
        ("query", "ok", "10000", "", True),
    ]
    assert (await operator.get("/v1/operations")).json()["items"] == [shown]


async def test_an_attempt_under_way_has_no_outcome(
    operator: httpx.AsyncClient, desk: Desk
) -> None:
    await desk.debit()
    shown = (await operator.get("/v1/operations/deb_1")).json()
    assert (shown["status"], shown["next_action"], shown["attempts"]) == ("open", "send", [])
    assert shown["finished_at"] is None


async def test_operations_are_listed_newest_first_in_pages(
    operator: httpx.AsyncClient, desk: Desk
) -> None:
    await desk.payout("pay_1")
    await desk.debit("deb_1")
    await desk.refund("ref_1")
    await desk.debit("deb_2")
    seen, cursor = [], None
    for _ in range(2):
        page = (await operator.get("/v1/operations", params=_page(2, cursor))).json()
        seen += [item["operation_id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == ["deb_2", "ref_1", "deb_1", "pay_1"]
    assert cursor is None


def _page(limit: int, cursor: str | None) -> dict[str, str | int]:
    return {"limit": limit} if cursor is None else {"limit": limit, "cursor": cursor}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"kind": "payout"}, ["pay_1"]),
        ({"kind": "refund"}, []),
        ({"status": "parked"}, ["deb_1"]),
        ({"status": "open"}, ["deb_2"]),
        ({"business_ref": "ord_2"}, ["deb_2"]),
        ({"channel": "huijinbao"}, []),
        ({"channel": "alipay", "kind": "debit", "status": "parked"}, ["deb_1"]),
    ],
)
async def test_operations_are_filtered(
    operator: httpx.AsyncClient,
    desk: Desk,
    channel: ScriptedChannel,
    query: dict[str, str],
    found: list[str],
) -> None:
    channel.will_say(Outcome.OK)
    await desk.payout()
    await desk.work()
    channel.will_say(Outcome.FUNDS)
    await desk.debit()
    await desk.work()
    await desk.debit("deb_2", order_no="ord_2")
    page = (await operator.get("/v1/operations", params=query)).json()
    assert [item["operation_id"] for item in page["items"]] == found


async def test_operations_are_found_by_their_debit_and_since_when_they_are_parked(
    operator: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    async def found(**query: str) -> list[str]:
        page = (await operator.get("/v1/operations", params=query)).json()
        return [item["operation_id"] for item in page["items"]]

    channel.will_say(Outcome.FUNDS)
    await desk.debit()
    await desk.work()
    before = (await desk.operation()).finished_at
    channel.will_say(Outcome.FUNDS)
    await desk.refund()
    await desk.work_after(60)
    await desk.debit("deb_2")
    assert await found(original_operation_id="deb_1") == ["ref_1"]
    assert await found(parked_since=before.isoformat()) == ["ref_1", "deb_1"]
    later = before + timedelta(seconds=30)
    assert await found(parked_since=later.isoformat()) == ["ref_1"]


async def test_one_that_was_given_up_says_so(operator: httpx.AsyncClient, desk: Desk) -> None:
    await desk.debit()
    assert (await operator.get("/v1/operations/deb_1")).json()["abandoned_at"] is None
    await desk.cancel()
    assert (await operator.get("/v1/operations/deb_1")).json()["abandoned_at"] is not None


@pytest.mark.parametrize("path", ROUTES)
async def test_only_the_platform_itself_may_look(
    client: httpx.AsyncClient, desk: Desk, tokens: FakeIntrospector, path: str
) -> None:
    await desk.debit()
    assert (await client.get(path)).status_code == 401
    callers = {
        "no scope": principal("operator", scopes=["orders:read"]),
        "distributor": principal("distributor", "dst_1", scopes=["operations:read"]),
        "spot": principal("spot", "spt_1", scopes=["operations:read"]),
    }
    for name, caller in callers.items():
        headers = {"Authorization": f"Bearer {tokens.issue(caller)}"}
        answered = await client.get(path, headers=headers)
        assert (answered.status_code, answered.json()["code"]) == (403, "forbidden"), name


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/operations/deb_unheard", 404, "not_found"),
        ("/v1/operations?status=done", 422, "invalid"),
        ("/v1/operations?limit=0", 422, "invalid"),
        ("/v1/operations?cursor=%21", 422, "invalid"),
    ],
)
async def test_bad_questions_are_refused(
    operator: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    answered = await operator.get(path)
    assert (answered.status_code, answered.json()["code"]) == (status, code)
    assert answered.headers["content-type"] == "application/problem+json"


async def test_balances_are_asked_of_the_channels(
    operator: httpx.AsyncClient, channel: ScriptedChannel
) -> None:
    channel.available_fen = 20_000
    (item,) = (await operator.get("/v1/balances")).json()["items"]
    assert (item["channel"], item["available_fen"]) == ("alipay", 20_000)


async def test_a_channel_that_is_down_has_no_balance(
    operator: httpx.AsyncClient, channel: ScriptedChannel
) -> None:
    channel.available_fen = None
    answered = await operator.get("/v1/balances")
    assert (answered.status_code, answered.json()["code"]) == (503, "channel_unavailable")
    assert answered.headers["retry-after"]
