"""Looking accounts up at catalog: once each, and never mistaking an outage for an answer."""

from collections.abc import Callable

import httpx
import pytest

from shanmen.common.errors import NotFound, Unavailable
from shanmen.gateway_adapters.ports import CatalogAccounts
from shanmen.gateway_adapters.providers.base import Counterparty

DETAILS = {
    "account_id": "acc_1",
    "channel": "alipay",
    "account_no": "2088000000000002",
    "account_name": "经销商甲",
    "agreement_no": "20265101000000000001",
}
Answering = Callable[[httpx.Request], httpx.Response]


def accounts(answer: Answering) -> CatalogAccounts:
    client = httpx.AsyncClient(
        transport=httpx.MockTransport(answer), base_url="http://catalog", trust_env=False
    )
    return CatalogAccounts(client, "the gateway's own")


async def test_an_account_is_asked_for_once() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.raw_path, request.headers["authorization"]))
        return httpx.Response(200, json=DETAILS)

    known = accounts(answer)
    wanted = Counterparty("2088000000000002", "经销商甲", "20265101000000000001")
    assert [await known.counterparty("acc_1") for _ in range(2)] == [wanted, wanted]
    assert asked == [(b"/internal/accounts/acc_1", "Bearer the gateway's own")]


async def test_an_id_cannot_lead_elsewhere() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return httpx.Response(404)

    with pytest.raises(NotFound):
        await accounts(answer).counterparty("../parties?x=1")
    assert asked == [b"/internal/accounts/..%2Fparties%3Fx%3D1"]


def refuse(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody listens")


@pytest.mark.parametrize(
    "answer",
    [
        refuse,
        lambda _: httpx.Response(503),
        lambda _: httpx.Response(401),
        lambda _: httpx.Response(200, json={"account_id": "acc_1"}),
        lambda _: httpx.Response(200, content=b"<html>"),
    ],
)
async def test_without_an_answer_the_account_is_unavailable(answer: Answering) -> None:
    with pytest.raises(Unavailable):
        await accounts(answer).counterparty("acc_1")
