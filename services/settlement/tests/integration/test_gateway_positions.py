"""Asking the gateway what is invested for a product."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shanmen.common.errors import Unavailable
from shanmen.contracts.bills import WealthPosition
from shanmen.settlement.ports.positions import GatewayPositions

Answer = Callable[[httpx.Request], httpx.Response]
POSITION: dict[str, Any] = {
    "product_id": "prd/1",
    "principal_fen": 20_000,
    "pending_in_fen": 0,
    "pending_out_fen": 0,
    "accrued_fen": 31,
    "as_of": "2026-11-01T04:00:00Z",
}


def positions(answer: Answer) -> GatewayPositions:
    client = httpx.AsyncClient(base_url="http://gateway", transport=httpx.MockTransport(answer))
    return GatewayPositions(client, "shm_settlement")


async def test_the_answer_is_the_products_position() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.raw_path == b"/internal/wealth/prd%2F1"
        assert request.headers["Authorization"] == "Bearer shm_settlement"
        return httpx.Response(200, json=POSITION)

    found = await positions(answer).position("prd/1")
    assert found == WealthPosition.model_validate(POSITION)


@pytest.mark.parametrize("status", [401, 404, 500, 503])
async def test_a_refusal_is_no_answer(status: int) -> None:
    with pytest.raises(Unavailable):
        await positions(lambda _: httpx.Response(status, json=POSITION)).position("prd/1")


@pytest.mark.parametrize(
    "given", [{"product_id": "prd_2"}, {"accrued_fen": -1}, {"principal_fen": "much"}], ids=str
)
async def test_something_else_is_no_answer(given: dict[str, Any]) -> None:
    with pytest.raises(Unavailable):
        await positions(lambda _: httpx.Response(200, json={**POSITION, **given})).position(
            "prd/1"
        )


async def test_nobody_there_is_no_answer() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(Unavailable):
        await positions(refuse).position("prd/1")
