"""Looking phone numbers up at catalog: each time anew, and never quoted when it goes wrong."""

import traceback
from collections.abc import Callable

import httpx
import pytest

from shanmen.common.errors import NotFound, Unavailable
from shanmen.gateway_adapters.ports import CatalogContacts

PHONE = "13800001234"
Answering = Callable[[httpx.Request], httpx.Response]


def contacts(answer: Answering) -> CatalogContacts:
    client = httpx.AsyncClient(
        transport=httpx.MockTransport(answer), base_url="http://catalog", trust_env=False
    )
    return CatalogContacts(client, "the gateway's own")


async def test_a_phone_number_is_asked_for_each_time() -> None:
    phones: list[str | None] = [PHONE, None]
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.raw_path, request.headers["authorization"]))
        return httpx.Response(200, json={"party_id": "dst_1", "phone": phones.pop(0)})

    known = contacts(answer)
    assert [await known.phone("dst_1") for _ in range(2)] == [PHONE, None]
    assert asked == [(b"/internal/contacts/dst_1", "Bearer the gateway's own")] * 2


async def test_an_unknown_party_is_not_found() -> None:
    with pytest.raises(NotFound):
        await contacts(lambda _: httpx.Response(404)).phone("dst_9")


def refuse(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody listens")


@pytest.mark.parametrize(
    "answer",
    [
        refuse,
        lambda _: httpx.Response(503),
        lambda _: httpx.Response(403),
        lambda _: httpx.Response(200, json={"party_id": "dst_1", "phone": int(PHONE)}),
        lambda _: httpx.Response(200, content=f"<html>{PHONE}".encode()),
    ],
)
async def test_without_an_answer_the_number_is_unavailable_and_unsaid(answer: Answering) -> None:
    with pytest.raises(Unavailable) as refused:
        await contacts(answer).phone("dst_1")
    assert PHONE not in "".join(traceback.format_exception(refused.value))
