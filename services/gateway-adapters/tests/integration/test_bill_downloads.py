"""A bill's file on its way: what comes instead of it is no bill, whatever was told of it."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from shanmen.common.clock import SystemClock
from shanmen.gateway_adapters.providers import calls
from shanmen.gateway_adapters.providers.base import (
    BillNotReady,
    BillUnavailable,
    PositionUnavailable,
)
from shanmen.gateway_adapters.providers.huijinbao.provider import HuijinbaoProvider
from shanmen.gateway_adapters.providers.huijinbao.settings import HuijinbaoSettings
from shanmen.simulators.testing.servers import served

DAY = date(2026, 11, 20)
FILE = b"the file"
TAKEN = {"resp_code": "00000000", "trans_stat": "S", "status": "READY"}
POSITION = {"principal": 5, "pending_in": 6, "pending_out": 7, "accrued_yield": 8}


class Seal(Protocol):
    def __call__(self, method: str, data: dict[str, Any], **marks: str) -> bytes: ...


@dataclass
class Channelled:
    """A Huijinbao whose answer and whose file are what a test says."""

    seal: Seal
    url: str = ""
    told: dict[str, Any] = field(default_factory=dict)
    file: Response = field(default_factory=lambda: Response(FILE))

    async def answer(self, request: Request) -> Response:
        sent = json.loads(await request.body())
        return Response(self.seal(request.path_params["method"], self.told, nonce=sent["nonce"]))

    async def give(self, _request: Request) -> Response:
        return self.file

    def has_file(self, file: Response, content: bytes = FILE) -> None:
        """Link to this file, and tell the hash of this content."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.told = {**TAKEN, "url": f"{self.url}/file", "sha256": sha256}
        self.file = file


@pytest.fixture
async def channelled(seal: Seal) -> AsyncIterator[Channelled]:
    channelled = Channelled(seal)
    routes = [
        Route("/hjb/v2/{method}", channelled.answer, methods=["POST"]),
        Route("/file", channelled.give),
    ]
    async with served(Starlette(routes=routes)) as url:
        channelled.url = url
        yield channelled


@pytest.fixture
async def provider(
    channelled: Channelled, huijinbao_values: dict[str, Any]
) -> AsyncIterator[HuijinbaoProvider]:
    values = {**huijinbao_values, "base_url": channelled.url, "bill_timeout_s": 5}
    provider = HuijinbaoProvider(HuijinbaoSettings.model_validate(values), SystemClock())
    yield provider
    await provider.aclose()


async def test_a_file_that_has_the_hash_is_taken(
    channelled: Channelled, provider: HuijinbaoProvider
) -> None:
    channelled.has_file(Response(FILE))
    files = await provider.bill(DAY)
    assert [(file.bill_type, file.content) for file in files] == [
        ("TRADE", FILE),
        ("WEALTH", FILE),
        ("ACCOUNT", FILE),
    ]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (Response(b"another file"), "has another hash than told"),
        (Response(b""), "has another hash than told"),
        (Response(FILE, 404), "HTTP 404 instead of a file"),
        (Response(FILE, 206), "HTTP 206 instead of a file"),
        (RedirectResponse("/file"), "HTTP 307 instead of a file"),
    ],
)
async def test_anything_else_is_no_bill(
    channelled: Channelled, provider: HuijinbaoProvider, file: Response, said: str
) -> None:
    channelled.has_file(file)
    with pytest.raises(BillUnavailable, match=said):
        await provider.bill(DAY)


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "http://[", "http://127.0.0.1:1/"])
async def test_a_link_that_leads_nowhere_is_no_bill(
    channelled: Channelled, provider: HuijinbaoProvider, url: str
) -> None:
    channelled.has_file(Response(FILE))
    channelled.told["url"] = url
    with pytest.raises(BillUnavailable, match="no bill TRADE of 2026-11-20"):
        await provider.bill(DAY)


async def test_a_file_longer_than_any_bill_is_not_read_to_its_end(
    channelled: Channelled, provider: HuijinbaoProvider
) -> None:
    content = bytes(calls.FILE_LIMIT_BYTES + 1)
    channelled.has_file(Response(content), content)
    with pytest.raises(BillUnavailable, match="longer than"):
        await provider.bill(DAY)


@pytest.mark.parametrize(
    ("told", "refusal"),
    [
        ({"resp_code": "00000100", "status": "NOT_READY"}, BillNotReady),
        ({"resp_code": "00000100"}, BillUnavailable),
        ({"resp_code": "HJB_0090"}, BillUnavailable),
        (TAKEN, BillUnavailable),
    ],
)
async def test_an_answer_without_a_file(
    channelled: Channelled,
    provider: HuijinbaoProvider,
    told: dict[str, Any],
    refusal: type[Exception],
) -> None:
    channelled.told = told
    with pytest.raises(refusal):
        await provider.bill(DAY)


async def test_a_position_has_all_its_amounts(
    channelled: Channelled, provider: HuijinbaoProvider
) -> None:
    channelled.told = {**TAKEN, **POSITION, "as_of": "2026-11-20T08:00:00+08:00"}
    position = await provider.position("prd_1")
    assert position.model_dump(mode="json") == {
        "product_id": "prd_1",
        "principal_fen": 5,
        "pending_in_fen": 6,
        "pending_out_fen": 7,
        "accrued_fen": 8,
        "as_of": "2026-11-20T00:00:00Z",
    }


@pytest.mark.parametrize("name", POSITION)
@pytest.mark.parametrize("value", [None, "5", -1, 0.5])
async def test_a_position_without_one_of_them_is_none(
    channelled: Channelled, provider: HuijinbaoProvider, name: str, value: object
) -> None:
    channelled.told = {**TAKEN, **POSITION, name: value}
    with pytest.raises(PositionUnavailable, match="has not all of"):
        await provider.position("prd_1")


@pytest.mark.parametrize("as_of", [None, "", "today", "2026-11-20T08:00:00"])
async def test_a_position_that_names_no_moment_is_of_now(
    channelled: Channelled, provider: HuijinbaoProvider, as_of: object
) -> None:
    channelled.told = {**TAKEN, **POSITION, "as_of": as_of}
    before = SystemClock().now()
    position = await provider.position("prd_1")
    assert before <= position.as_of <= SystemClock().now()
