"""Which settlement account is a party's default: replaced, taken up again, and since when."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from shanmen.catalog.tables import ACCOUNTS
from shanmen.contracts.catalog import ReserveStock

if TYPE_CHECKING:
    from services.catalog.tests.conftest import Market

Bearer = Callable[..., dict[str, str]]
Wanted = Callable[..., ReserveStock]

PAY: dict[str, Any] = {
    "role": "pay",
    "channel": "alipay",
    "account_no": "2088000000000001",
    "account_name": "好去处旅行社",
    "agreement_no": "20260001",
}
OTHER = PAY | {"channel": "huijinbao", "account_no": "6200000000000002", "agreement_no": "7001"}


class Registry:
    """The accounts of one party, as an operator registers and reads them."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str], party_id: str) -> None:
        self._client, self._headers = client, headers
        self.party_id = party_id

    async def post(self, body: dict[str, Any]) -> httpx.Response:
        """Register an account of the party."""
        given = body | {"party_id": self.party_id}
        return await self._client.post("/v1/accounts", json=given, headers=self._headers)

    async def put(self, body: dict[str, Any]) -> dict[str, Any]:
        """Register an account, which must become the default."""
        answer = await self.post(body)
        assert answer.status_code == 201, answer.text
        view: dict[str, Any] = answer.json()
        assert view["is_default"] is True
        return view

    async def ids(self, **filters: str) -> list[str]:
        """The ids of the party's accounts."""
        params = {"party_id": self.party_id, **filters}
        answer = await self._client.get("/v1/accounts", params=params, headers=self._headers)
        return [account["account_id"] for account in answer.json()["items"]]


def to_the_minute(account: dict[str, Any]) -> str:
    """Since when it has been the default; the clock of a test runs on."""
    return str(account["default_since"])[:16]


@pytest.fixture
async def registry(client: httpx.AsyncClient, market: "Market", bearer: Bearer) -> Registry:
    """Of a distributor without accounts."""
    distributor = await market.distributor(with_account=False)
    return Registry(client, bearer("operator"), distributor)


async def test_an_account_is_the_default_again_and_orders_keep_theirs(
    registry: Registry, market: "Market", wanted: Wanted
) -> None:
    product = await market.product()

    async def paid_from(order_no: str) -> str:
        offer = await market.offer(wanted(order_no, registry.party_id, product))
        return offer.pay_account.account_id

    first = await registry.put(PAY)
    assert await paid_from("ord_1") == first["account_id"]
    market.clock.advance(timedelta(hours=1))
    second = await registry.put(OTHER)
    assert await paid_from("ord_2") == second["account_id"]
    before = {row["account_id"]: row for row in await market.rows(ACCOUNTS)}
    market.clock.advance(timedelta(hours=1))

    again = await registry.put(PAY)

    assert again == first | {"default_since": again["default_since"]}
    assert [to_the_minute(view) for view in (first, second, again)] == [
        "2026-11-01T04:00",
        "2026-11-01T05:00",
        "2026-11-01T06:00",
    ]
    placed = [await paid_from(order_no) for order_no in ("ord_1", "ord_2", "ord_3")]
    assert placed == [first["account_id"], second["account_id"], first["account_id"]]
    moved = {"is_default", "default_since"}
    for row in await market.rows(ACCOUNTS):
        if row["party_id"] == registry.party_id:
            old = before[row["account_id"]]
            assert {name for name in row if row[name] != old[name]} <= moved, "accounts stay"


async def test_a_spot_is_paid_to_the_account_it_went_back_to(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer, wanted: Wanted
) -> None:
    spot, distributor = await market.spot(with_account=False), await market.distributor()
    registry = Registry(client, bearer("operator"), spot)
    receive = PAY | {"role": "receive", "agreement_no": None}
    first = await registry.put(receive)
    await registry.put(receive | {"account_no": "pay@example.com"})
    again = await registry.put(receive)
    assert again["account_id"] == first["account_id"], "without an agreement it is the same, too"
    offer = await market.offer(wanted("ord_1", distributor, await market.product(spot)))
    assert offer.spots[0].receive_account.account_id == first["account_id"]


@pytest.mark.parametrize("change", [{"account_name": "好去处国际"}, {"agreement_no": "20260002"}])
async def test_with_another_name_or_agreement_it_is_another_account(
    change: dict[str, str], registry: Registry, market: "Market"
) -> None:
    first = await registry.put(PAY)
    changed = await registry.put(PAY | change)
    assert changed["account_id"] != first["account_id"]
    assert (await registry.put(PAY))["account_id"] == first["account_id"]
    assert (await registry.put(PAY | change))["account_id"] == changed["account_id"]
    kept = [row for row in await market.rows(ACCOUNTS) if row["party_id"] == registry.party_id]
    assert [row["is_default"] for row in kept] == [False, True]
    (name,) = change
    assert [row[name] for row in kept] == [PAY[name], change[name]]


async def test_the_default_itself_is_not_registered_again(
    registry: Registry, market: "Market"
) -> None:
    await registry.put(OTHER)
    default = await registry.put(PAY)
    before = await market.rows(ACCOUNTS)
    market.clock.advance(timedelta(hours=1))
    refused = await registry.post(PAY)
    assert (refused.status_code, refused.json()["code"]) == (409, "duplicate_account")
    assert refused.json()["account_id"] == default["account_id"]
    assert await market.rows(ACCOUNTS) == before, "and it has been the default all the time"


async def test_an_account_that_another_party_had_is_never_taken_up(
    client: httpx.AsyncClient, market: "Market", bearer: Bearer, registry: Registry
) -> None:
    other = await market.distributor(with_account=False)
    theirs = Registry(client, bearer("operator"), other)
    former, default = await theirs.put(PAY), await theirs.put(OTHER)
    own = await registry.put(PAY)
    assert own["account_id"] not in (former["account_id"], default["account_id"])
    assert await theirs.ids(is_default="true") == [default["account_id"]]
    assert await theirs.ids(is_default="false") == [former["account_id"]]
    assert await registry.ids() == [own["account_id"]]


async def test_the_default_is_found_among_all(registry: Registry, market: "Market") -> None:
    first, second = await registry.put(PAY), await registry.put(OTHER)
    assert await registry.ids() == [first["account_id"], second["account_id"]]
    assert await registry.ids(is_default="true") == [second["account_id"]]
    assert await registry.ids(is_default="false") == [first["account_id"]]


async def test_only_the_default_has_been_it_since_a_time(
    client: httpx.AsyncClient, bearer: Bearer, registry: Registry
) -> None:
    await registry.put(PAY)
    await registry.put(OTHER)
    own = bearer("distributor", registry.party_id)
    listed = (await client.get("/v1/accounts", headers=own)).json()["items"]
    former, default = listed
    assert (former["is_default"], former["default_since"]) == (False, None)
    assert (default["is_default"], to_the_minute(default)) == (True, "2026-11-01T04:00")


async def test_switches_that_come_at_once_leave_one_default(
    registry: Registry, market: "Market"
) -> None:
    bodies = [PAY, OTHER, PAY | {"account_no": "13800001234"}]
    ids = [(await registry.put(body))["account_id"] for body in bodies]
    for _ in range(5):
        answers = await asyncio.gather(*(registry.post(body) for body in bodies[:2] * 4))
        # What finds itself the default already has nothing left to do.
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert {a.json()["account_id"] for a in answers} == set(ids[:2])
        (default,) = await registry.ids(is_default="true")
        assert default in ids[:2]
        assert await registry.ids() == ids
        assert (await registry.put(bodies[2]))["account_id"] == ids[2]


async def test_switches_and_orders_at_once_take_an_account_that_was_the_default(
    registry: Registry, market: "Market", wanted: Wanted
) -> None:
    product, bodies = await market.product(), [PAY, OTHER]
    ids = [(await registry.put(body))["account_id"] for body in bodies]
    commands = [wanted(f"ord_{n}", registry.party_id, product) for n in range(10)]

    async def switch() -> None:
        for body in bodies * 5:
            await registry.put(body)

    async def order() -> list[str]:
        offers = [await market.offer(command) for command in commands]
        return [offer.pay_account.account_id for offer in offers]

    _, used = await asyncio.gather(switch(), order())
    assert set(used) <= set(ids), "never none, and no other"
