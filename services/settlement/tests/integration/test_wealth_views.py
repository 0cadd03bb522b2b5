"""Invested money over HTTP: positions and moves, for operators."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from shanmen.contracts.bills import WealthPosition
from shanmen.settlement.usecases.accruing import refresh_accruals

if TYPE_CHECKING:
    from services.settlement.tests.conftest import ClientAs, FakePositions, Story
    from services.settlement.tests.integration.conftest import Fund

POSITIONS, MOVES = "/v1/wealth/positions", "/v1/wealth/moves"


def position(fund: "Fund", accrued_fen: int, minutes: int = 0) -> WealthPosition:
    return WealthPosition(
        product_id="prd_1",
        principal_fen=20_000,
        pending_in_fen=0,
        pending_out_fen=0,
        accrued_fen=accrued_fen,
        as_of=fund.now().replace(microsecond=0) + timedelta(minutes=minutes),
    )


async def get(client_as: "ClientAs", path: str, **params: Any) -> Any:
    async with client_as("operator") as client:
        answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def channel(story: "Story") -> "FakePositions":
    """What the channel says about positions."""
    return cast("FakePositions", story.context.positions)


async def test_a_position_from_its_beginning_to_its_end(
    story: "Story", fund: "Fund", client_as: "ClientAs", channel: "FakePositions"
) -> None:
    await fund.invested("a", "b")
    await story.told(story.used("a"))
    await fund.done("redeem", "a")
    channel.known["prd_1"] = position(fund, 31)
    await refresh_accruals(story.context)
    told = await get(client_as, f"{POSITIONS}/prd_1")
    as_of = channel.known["prd_1"].as_of.isoformat().replace("+00:00", "Z")
    assert told == {
        "product_id": "prd_1",
        "product_name": "江南三景联票",
        "invested_fen": 20_000,
        "redeemed_fen": 9_000,
        "outstanding_fen": 11_000,
        "accrued_fen": 31,
        "accrued_as_of": as_of,
        "realised_fen": 0,
        "ends_at": "2026-11-08T04:00:00Z",
        "liquidated_at": None,
        "moves": {"subscribe": {"done": 2}, "redeem": {"done": 1}},
    }
    assert told["outstanding_fen"] == await fund.outstanding_fen()

    fund.end()
    await fund.job()
    finished_at = fund.now().replace(microsecond=0)
    await fund.liquidated(11_000, 40, finished_at=finished_at)
    told = await get(client_as, f"{POSITIONS}/prd_1")
    ended = {name: told[name] for name in ("outstanding_fen", "accrued_fen", "realised_fen")}
    assert ended == {"outstanding_fen": 0, "accrued_fen": 0, "realised_fen": 40}
    assert told["liquidated_at"] == finished_at.isoformat().replace("+00:00", "Z")
    assert told["moves"]["liquidate"] == {"done": 1}


async def test_positions_page_by_product(
    story: "Story", fund: "Fund", client_as: "ClientAs"
) -> None:
    for name in ("c", "a", "b"):
        await story.told(fund.paid(name, product_id=f"prd_{name}"))
    first = await get(client_as, POSITIONS, limit=2)
    rest = await get(client_as, POSITIONS, limit=2, cursor=first["next_cursor"])
    assert [item["product_id"] for item in first["items"] + rest["items"]] == [
        *("prd_a", "prd_b", "prd_c")
    ]
    assert rest["next_cursor"] is None
    assert first["items"][0]["invested_fen"] == 0
    assert first["items"][0]["accrued_fen"] is None
    assert first["items"][0]["moves"] == {"subscribe": {"requested": 1}}


async def test_an_accrual_stays_when_nobody_can_tell_and_is_never_older(
    story: "Story", fund: "Fund", client_as: "ClientAs", channel: "FakePositions"
) -> None:
    await fund.invested("a")
    for accrued_fen, minutes in ((10, 5), (7, 3)):
        channel.known["prd_1"] = position(fund, accrued_fen, minutes)
        await refresh_accruals(story.context)
    channel.known.clear()
    await refresh_accruals(story.context)
    assert (await get(client_as, f"{POSITIONS}/prd_1"))["accrued_fen"] == 10


async def test_only_what_is_invested_is_asked_about(
    story: "Story", fund: "Fund", client_as: "ClientAs", channel: "FakePositions"
) -> None:
    await fund.invested("a")
    fund.end()
    await fund.job()
    await fund.liquidated(10_000)
    channel.known["prd_1"] = position(fund, 99, 5)
    await refresh_accruals(story.context)
    assert (await get(client_as, f"{POSITIONS}/prd_1"))["accrued_fen"] == 0


@pytest.mark.parametrize(
    ("params", "kinds"),
    [
        ({}, ["subscribe", "subscribe", "redeem"]),
        ({"order_no": "ord_a"}, ["subscribe", "redeem"]),
        ({"kind": "redeem"}, ["redeem"]),
        ({"status": "done"}, ["subscribe", "subscribe"]),
        ({"product_id": "prd_9"}, []),
    ],
)
async def test_moves_are_filtered(
    story: "Story",
    fund: "Fund",
    client_as: "ClientAs",
    params: dict[str, str],
    kinds: list[str],
) -> None:
    await fund.invested("a", "b")
    await story.told(story.used("a"))
    found = []
    page = await get(client_as, MOVES, limit=1, **params)
    found += page["items"]
    while page["next_cursor"] is not None:
        page = await get(client_as, MOVES, limit=1, cursor=page["next_cursor"], **params)
        found += page["items"]
    assert [item["kind"] for item in found] == kinds


async def test_one_move(story: "Story", fund: "Fund", client_as: "ClientAs") -> None:
    await fund.invested("a")
    await story.told(story.used("a"))
    move = await fund.move("redeem", "a")
    told = await get(client_as, f"{MOVES}/{move['move_id']}")
    assert told.pop("requested_at").startswith("2026-11-01T04:00")
    assert told == {
        "move_id": move["move_id"],
        "kind": "redeem",
        "product_id": "prd_1",
        "order_no": "ord_a",
        "entitlement_id": "ent_a",
        "amount_fen": 9_000,
        "principal_fen": None,
        "yield_fen": None,
        "status": "requested",
        "reason": None,
        "finished_at": None,
        "liquidated_by": None,
        "replaced_by": None,
    }
    settlement = await get(client_as, "/v1/settlements/ent_a")
    assert settlement["held_for"] == "redemption"


@pytest.mark.parametrize("path", [POSITIONS, f"{POSITIONS}/prd_1", MOVES, f"{MOVES}/sub_1"])
@pytest.mark.parametrize(
    ("kind", "party_id", "scope"),
    [
        ("operator", None, "settlement:read"),
        ("distributor", "dst_1", "ledger:read"),
        ("spot", "spt_1", "reports:read"),
    ],
)
async def test_it_is_for_operators_with_the_scope(
    client_as: "ClientAs", path: str, kind: str, party_id: str | None, scope: str
) -> None:
    async with client_as(kind, party_id, scopes=(scope,)) as client:
        assert (await client.get(path)).status_code == 403


@pytest.mark.parametrize("path", [f"{POSITIONS}/prd_9", f"{MOVES}/sub_9"])
async def test_what_is_unknown_is_not_found(client_as: "ClientAs", path: str) -> None:
    async with client_as("operator", scopes=("reports:read",)) as client:
        assert (await client.get(path)).status_code == 404
