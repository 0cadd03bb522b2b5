"""Asking catalog where a spot is paid now."""

from collections.abc import Callable

import httpx
import pytest

from shanmen.common.errors import NotFound, Unavailable
from shanmen.contracts.terms import AccountRef
from shanmen.settlement.ports.receivers import CatalogReceivers

Answer = Callable[[httpx.Request], httpx.Response]


def receivers(answer: Answer) -> CatalogReceivers:
    client = httpx.AsyncClient(base_url="http://catalog", transport=httpx.MockTransport(answer))
    return CatalogReceivers(client, "shm_settlement")


async def test_the_answer_is_the_spots_account() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.raw_path == b"/internal/receivers/spt%2F1"
        assert request.headers["Authorization"] == "Bearer shm_settlement"
        account = {"account_id": "acc_1", "channel": "alipay"}
        return httpx.Response(200, json={"spot_id": "spt/1", "account": account})

    found = await receivers(answer).current("spt/1")
    assert found == AccountRef(account_id="acc_1", channel="alipay")


async def test_a_spot_without_an_account_is_told_apart() -> None:
    with pytest.raises(NotFound, match="receive account of spot 'spt_1'"):
        await receivers(lambda _: httpx.Response(404, json={})).current("spt_1")


@pytest.mark.parametrize("status", [200, 401, 500, 503])
async def test_anything_else_is_no_answer(status: int) -> None:
    with pytest.raises(Unavailable):
        await receivers(lambda _: httpx.Response(status, json={})).current("spt_1")


async def test_nobody_there_is_no_answer() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(Unavailable):
        await receivers(refuse).current("spt_1")
