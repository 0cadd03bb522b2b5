"""The gateway's answers about bills: whole, or refused."""

import json
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from shanmen.common.errors import Refusal
from shanmen.settlement.ports.bills import GatewayBills

DAY = date(2026, 11, 1)
HEAD = {
    "channel": "alipay",
    "bill_date": "2026-11-01",
    "files": [
        {
            "bill_type": "trade",
            "sha256": "ab",
            "rows": 2,
            "sum_in_fen": 7,
            "sum_out_fen": 4,
            "fetched_at": "2026-11-02T01:00:00Z",
        }
    ],
}
PAID: dict[str, Any] = {
    "bill_type": "trade",
    "line": 6,
    "number": "d",
    "original_number": None,
    "direction": "in",
    "amount_fen": 7,
    "fee_fen": 0,
    "succeeded": True,
    "business_type": "交易",
    "channel_ref": "c1",
    "at": "2026-11-01T04:00:00Z",
    "known": {"kind": "debit", "status": "succeeded", "amount_fen": 7},
}
BACK = {
    **PAID,
    "line": 7,
    "number": "r",
    "original_number": "d",
    "direction": "out",
    "known": None,
}
NAMELESS = {**PAID, "line": 8, "number": "", "channel_ref": "c2"}


def bills(*lines: Any, status: int = 200) -> GatewayBills:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/internal/bills/alipay/2026-11-01"
        assert request.headers["authorization"] == "Bearer secret"
        return httpx.Response(status, text="".join(f"{json.dumps(line)}\n" for line in lines))

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://gateway")
    return GatewayBills(client, "secret")


async def test_rows_as_they_are_matched() -> None:
    found = await bills(HEAD, PAID, BACK, NAMELESS, {"rows": 3}).bill("alipay", DAY)
    assert [file.sum_out_fen for file in found.files] == [4]
    paid, back, nameless = found.lines
    assert (paid.number, paid.root, paid.known) == ("d", "d", ("debit", "succeeded"))
    assert (paid.at, paid.day) == (datetime(2026, 11, 1, 4, tzinfo=UTC), DAY)
    assert (back.number, back.root, back.known) == ("r", "d", None)
    assert (nameless.number, nameless.root) == ("c2", "c2")


async def test_only_some_rows_are_kept() -> None:
    whole = bills(HEAD, PAID, BACK, NAMELESS, {"rows": 3})
    for wanted, numbers in (("r", ["r"]), ("d", ["d", "r"]), ("c2", ["c2"]), ("x", [])):
        found = await whole.bill("alipay", DAY, only=frozenset({wanted}))
        assert [line.number for line in found.lines] == numbers


@pytest.mark.parametrize(
    "lines",
    [
        [HEAD, PAID],
        [HEAD, PAID, {"rows": 2}],
        [HEAD, PAID, {"rows": 1}, BACK],
        [PAID, {"rows": 1}],
        [{**HEAD, "bill_date": "2026-11-02"}, {"rows": 0}],
        [HEAD, {**PAID, "at": "then"}, {"rows": 1}],
        [HEAD, [1], {"rows": 1}],
        [],
    ],
)
async def test_an_answer_that_is_not_whole(lines: list[Any]) -> None:
    with pytest.raises(Refusal) as refused:
        await bills(*lines).bill("alipay", DAY)
    assert (refused.value.status, refused.value.code) == (503, "unavailable")


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (409, "bill_not_ready", 409),
        (422, "bill_unreadable", 422),
        (503, "unavailable", 503),
        (401, "unauthenticated", 503),
    ],
)
async def test_the_gateways_refusals(status: int, code: str, told: int) -> None:
    with pytest.raises(Refusal, match="line 7") as refused:
        await bills({"code": code, "detail": "line 7 is cut"}, status=status).bill("alipay", DAY)
    assert refused.value.status == told
    assert refused.value.code == (code if told != 503 else "unavailable")
