"""Bills over HTTP: all of one or a refusal, kept in every version, and shown to operators."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from shanmen.common.app import create_app
from shanmen.common.testing.clients import running_of
from shanmen.common.testing.fixtures import OpenDatabase
from shanmen.common.testing.principals import FakeIntrospector, principal
from shanmen.contracts.bills import BillDirection, BillEnd, BillHead, BillLine, WealthPosition
from shanmen.gateway_adapters.domain.operations import Action, Channel, Outcome
from shanmen.gateway_adapters.main import SERVICE
from shanmen.gateway_adapters.providers.base import (
    Answer,
    BillUnavailable,
    Contact,
    Instruction,
    PositionUnavailable,
)
from shanmen.gateway_adapters.tables import BILLS
from shanmen.gateway_adapters.testing import Desk, ScriptedChannel, open_desk
from shanmen.gateway_adapters.usecases.billing import BATCH
from shanmen.simulators.testing.huijinbao_merchant import HuijinbaoMerchant

DAY = date(2026, 6, 5)
BILL = f"/internal/bills/alipay/{DAY}"
ROUTES = ("/v1/bills", f"/v1/bills/alipay/{DAY}/trade/file")


def line(number: str, amount_fen: int = 29, **given: Any) -> BillLine:
    usual = {
        "bill_type": "trade",
        "line": 2,
        "number": number,
        "direction": BillDirection.IN,
        "amount_fen": amount_fen,
        "business_type": "交易",
        "channel_ref": "T1",
        "at": datetime(2026, 6, 5, tzinfo=UTC),
    }
    return BillLine.model_validate({**usual, **given})


def written(*lines: BillLine) -> bytes:
    return b"".join(each.model_dump_json().encode() + b"\n" for each in lines)


def bill_of(*trades: BillLine) -> dict[str, bytes]:
    went = line("pay_1", 10, bill_type="signcustomer", direction=BillDirection.OUT)
    return {"trade": written(*trades), "signcustomer": written(went)}


def read(answered: httpx.Response) -> tuple[BillHead, list[BillLine]]:
    """The head and the lines of an answer that has its end."""
    assert answered.status_code == 200, answered.text
    assert answered.headers["content-type"] == "application/x-ndjson"
    head, *lines, end = answered.text.splitlines()
    assert BillEnd.model_validate(json.loads(end), strict=True).rows == len(lines)
    assert answered.text.endswith("\n")
    return BillHead.model_validate_json(head), [
        BillLine.model_validate_json(each) for each in lines
    ]


def settlement_of(desk: Desk, tokens: FakeIntrospector) -> httpx.AsyncClient:
    """A client of the HTTP face of `desk` with settlement's token."""
    token = tokens.issue(principal("service", scopes=["bills:read"]))
    app = create_app(SERVICE, running_of(SERVICE, desk.ctx, service_token="the gateway's own"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=headers)


@pytest.fixture
async def settlement(desk: Desk, tokens: FakeIntrospector) -> AsyncIterator[httpx.AsyncClient]:
    """Settlement at `desk`."""
    async with settlement_of(desk, tokens) as http:
        yield http


@pytest.fixture
async def fetched(
    settlement: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> ScriptedChannel:
    """The channel, after two versions of a day's bill and the bill of the next were fetched."""
    for day, amount_fen in ((DAY, 29), (DAY, 30), (DAY + timedelta(days=1), 29)):
        channel.bills[day] = bill_of(line("deb_1", amount_fen))
        desk.clock.advance(timedelta(hours=1))
        path = f"/internal/bills/alipay/{day}"
        read(await settlement.get(path, params={"refetch": "true"}))
    return channel


async def test_a_bill_is_told_whole_with_what_is_known_of_its_numbers(
    settlement: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    channel.will_say(Outcome.OK)
    await desk.debit("deb_1", amount_fen=30)
    await desk.work()
    lines = [
        line("deb_1"),
        line("deb_unheard"),
        line("ref_1", 7, direction=BillDirection.OUT, original_number="deb_1"),
        line(""),
    ]
    channel.bills[DAY] = bill_of(*lines)
    head, told = read(await settlement.get(BILL))
    assert (head.channel, head.bill_date) == ("alipay", DAY)
    trade, account = head.files
    assert (trade.bill_type, trade.rows, trade.sum_in_fen, trade.sum_out_fen) == (
        *("trade", 4, 87, 7),
    )
    assert (account.rows, account.sum_in_fen, account.sum_out_fen) == (1, 0, 10)
    assert trade.sha256 == hashlib.sha256(written(*lines)).hexdigest()
    assert [each.number for each in told] == ["deb_1", "deb_unheard", "ref_1", "", "pay_1"]
    known = told[0].known
    assert known is not None
    assert (known.kind, known.status, known.amount_fen) == ("debit", "succeeded", 30)
    assert [each.known for each in told[1:]] == [None] * 4
    assert told[2] == lines[2]


async def test_the_number_of_another_channels_operation_is_not_known(
    settlement: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    await desk.debit("deb_1", account={"account_id": "a", "channel": "huijinbao"})
    channel.bills[DAY] = bill_of(line("deb_1"))
    _, told = read(await settlement.get(BILL))
    assert told[0].known is None


async def test_a_long_bill_is_told_whole(
    settlement: httpx.AsyncClient, channel: ScriptedChannel
) -> None:
    lines = [line(f"deb_{place}", place, line=place) for place in range(1, 2 * BATCH + 2)]
    channel.bills[DAY] = bill_of(*lines)
    head, told = read(await settlement.get(BILL))
    assert told[:-1] == lines
    assert head.files[0].sum_in_fen == sum(each.amount_fen for each in lines)


async def test_a_bill_is_fetched_once_and_again_only_if_it_is_wanted_anew(
    settlement: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    channel.bills[DAY] = bill_of(line("deb_1"))
    first = (await settlement.get(BILL)).content
    channel.bills[DAY] = bill_of(line("deb_1", 30))
    desk.clock.advance(timedelta(hours=1))
    assert (await settlement.get(BILL)).content == first
    head, told = read(await settlement.get(BILL, params={"refetch": "true"}))
    assert told[0].amount_fen == 30
    assert channel.bills_asked_for == [DAY, DAY]
    assert read(await settlement.get(BILL)) == (head, told)
    versions = [(row.bill_type, row.sum_in_fen) for row in await desk.rows(BILLS)]
    assert versions == [("trade", 29), ("signcustomer", 0), ("trade", 30)]


async def test_a_version_that_comes_back_is_the_newest_again(
    settlement: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    for amount_fen in (29, 30, 29):
        channel.bills[DAY] = bill_of(line("deb_1", amount_fen))
        desk.clock.advance(timedelta(hours=1))
        await settlement.get(BILL, params={"refetch": "true"})
    _, told = read(await settlement.get(BILL))
    assert told[0].amount_fen == 29
    assert len(await desk.rows(BILLS)) == 3


async def test_a_bill_of_which_one_file_is_unreadable_is_refused_and_nothing_kept(
    settlement: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    whole = bill_of(line("deb_1"))
    channel.bills[DAY] = {**whole, "signcustomer": whole["signcustomer"] + b"spoilt\n"}
    answered = await settlement.get(BILL)
    assert (answered.status_code, answered.json()["code"]) == (422, "bill_unreadable")
    assert answered.headers["content-type"] == "application/problem+json"
    assert answered.json()["detail"] == (
        "alipay bill signcustomer of 2026-06-05, line 2: a BillLine is expected."
    )
    assert await desk.rows(BILLS) == []
    channel.bills[DAY] = whole
    assert len(read(await settlement.get(BILL))[1]) == 2


async def test_an_unreadable_bill_leaves_the_one_that_is_kept(
    settlement: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    channel.bills[DAY] = bill_of(line("deb_1"))
    first = (await settlement.get(BILL)).content
    channel.bills[DAY] = {**bill_of(line("deb_2")), "trade": b"spoilt"}
    assert (await settlement.get(BILL, params={"refetch": "true"})).status_code == 422
    assert (await settlement.get(BILL)).content == first


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/internal/bills/alipay/{DAY + timedelta(days=1)}", 409, "bill_not_ready"),
        (f"/internal/bills/huijinbao/{DAY}", 409, "channel_off"),
        (f"/internal/bills/bank/{DAY}", 422, "invalid"),
        ("/internal/bills/alipay/2026-02-30", 422, "invalid"),
        ("/internal/wealth/prd_1", 409, "channel_off"),
    ],
)
async def test_what_there_is_no_bill_of_is_refused(
    settlement: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    answered = await settlement.get(path)
    assert (answered.status_code, answered.json()["code"]) == (status, code)


async def test_a_channel_that_gives_no_bill_is_unavailable(
    settlement: httpx.AsyncClient, channel: ScriptedChannel
) -> None:
    channel.bills[DAY] = BillUnavailable("timeout: no answer")
    answered = await settlement.get(BILL)
    assert (answered.status_code, answered.json()["code"]) == (503, "channel_unavailable")
    assert answered.json()["detail"] == "alipay gave no bill: timeout: no answer."
    assert answered.headers["retry-after"]


async def test_a_channel_that_counts_as_down_is_not_asked_and_what_is_kept_is_told(
    settlement: httpx.AsyncClient, desk: Desk, channel: ScriptedChannel
) -> None:
    async def silent(_action: Action, _instruction: Instruction) -> Answer:
        return Answer(Outcome.UNKNOWN, "transport", "silence", contact=Contact.SILENT)

    channel.bills[DAY] = bill_of(line("deb_1"))
    await settlement.get(BILL)
    channel.reply = silent
    for place in range(desk.ctx.settings.circuit_failures):
        await desk.debit(f"deb_{place}")
    await desk.work()
    answered = await settlement.get(BILL, params={"refetch": "true"})
    assert (answered.status_code, answered.json()["code"]) == (503, "channel_unavailable")
    assert channel.bills_asked_for == [DAY]
    assert len(read(await settlement.get(BILL))[1]) == 2


async def test_only_who_may_read_bills_is_told_them(
    client: httpx.AsyncClient, tokens: FakeIntrospector, channel: ScriptedChannel
) -> None:
    channel.bills[DAY] = bill_of(line("deb_1"))
    for path in (BILL, "/internal/wealth/prd_1"):
        assert (await client.get(path)).status_code == 401
        token = tokens.issue(principal("operator", scopes=["operations:read"]))
        answered = await client.get(path, headers={"Authorization": f"Bearer {token}"})
        assert (answered.status_code, answered.json()["code"]) == (403, "forbidden")


def test_internal_routes_are_not_at_the_edge() -> None:
    assert "/v1/bills" in SERVICE.prefixes
    assert not [prefix for prefix in SERVICE.prefixes if prefix.startswith("/internal")]


async def test_a_position_is_asked_of_huijinbao(
    open_database: OpenDatabase, tokens: FakeIntrospector
) -> None:
    told = WealthPosition(
        product_id="prd_1",
        principal_fen=100,
        pending_in_fen=1,
        pending_out_fen=2,
        accrued_fen=3,
        as_of=datetime(2026, 6, 5, tzinfo=UTC),
    )
    huijinbao = ScriptedChannel(Channel.HUIJINBAO)
    huijinbao.positions = {"prd_1": told, "prd_2": PositionUnavailable("no answer")}
    desk = open_desk(await open_database(SERVICE), tokens, {Channel.HUIJINBAO: huijinbao})
    async with settlement_of(desk, tokens) as http:
        answered = await http.get("/internal/wealth/prd_1")
        assert answered.status_code == 200
        assert WealthPosition.model_validate_json(answered.content) == told
        for product_id, status, code in (
            ("prd_2", 503, "channel_unavailable"),
            ("prd_3", 409, "no_wealth"),
        ):
            answered = await http.get(f"/internal/wealth/{product_id}")
            assert (answered.status_code, answered.json()["code"]) == (status, code)


@pytest.mark.usefixtures("fetched")
async def test_operators_see_every_version_newest_day_first(
    operator: httpx.AsyncClient,
) -> None:
    seen, cursor = [], None
    for _ in range(3):
        query = {"limit": "2"} | ({} if cursor is None else {"cursor": cursor})
        page = (await operator.get("/v1/bills", params=query)).json()
        seen += page["items"]
        cursor = page["next_cursor"]
    assert cursor is None
    assert [(each["bill_date"], each["bill_type"], each["sum_in_fen"]) for each in seen] == [
        ("2026-06-06", "signcustomer", 0),
        ("2026-06-06", "trade", 29),
        ("2026-06-05", "trade", 30),
        ("2026-06-05", "signcustomer", 0),
        ("2026-06-05", "trade", 29),
    ]
    content = written(line("deb_1", 30))
    assert seen[2]["sha256"] == hashlib.sha256(content).hexdigest()
    assert (seen[2]["size_bytes"], seen[2]["rows"]) == (len(content), 1)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"from": "2026-06-06"}, 2),
        ({"to": "2026-06-05"}, 3),
        ({"from": "2026-06-05", "to": "2026-06-06"}, 5),
        ({"from": "2026-06-07"}, 0),
        ({"channel": "alipay"}, 5),
        ({"channel": "huijinbao"}, 0),
    ],
)
@pytest.mark.usefixtures("fetched")
async def test_bills_are_filtered(
    operator: httpx.AsyncClient, query: dict[str, str], found: int
) -> None:
    assert len((await operator.get("/v1/bills", params=query)).json()["items"]) == found


@pytest.mark.usefixtures("fetched")
async def test_a_file_is_given_as_it_came_under_a_name_that_says_which(
    operator: httpx.AsyncClient,
) -> None:
    old, new = (written(line("deb_1", amount_fen)) for amount_fen in (29, 30))
    path = f"/v1/bills/alipay/{DAY}/trade/file"
    newest = await operator.get(path)
    assert (newest.status_code, newest.content) == (200, new)
    assert newest.headers["content-type"] == "application/zip"
    name = f"alipay-2026-06-05-trade-{hashlib.sha256(new).hexdigest()[:12]}.zip"
    assert newest.headers["content-disposition"] == f'attachment; filename="{name}"'
    older = await operator.get(path, params={"sha256": hashlib.sha256(old).hexdigest()})
    assert older.content == old


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/bills?from=2026-06-06&to=2026-06-05", 422, "invalid"),
        ("/v1/bills?from=yesterday", 422, "invalid"),
        ("/v1/bills?cursor=YQ==", 422, "invalid"),
        ("/v1/bills?cursor=%21", 422, "invalid"),
        (f"/v1/bills/alipay/{DAY}/trade/file", 404, "not_found"),
        (f"/v1/bills/alipay/{DAY}/trade/file?sha256=x", 422, "invalid"),
        (f"/v1/bills/bank/{DAY}/trade/file", 422, "invalid"),
    ],
)
async def test_bad_questions_are_refused(
    operator: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    answered = await operator.get(path)
    assert (answered.status_code, answered.json()["code"]) == (status, code)


@pytest.mark.parametrize("path", ROUTES)
async def test_only_the_platform_itself_may_look(
    client: httpx.AsyncClient, tokens: FakeIntrospector, path: str
) -> None:
    assert (await client.get(path)).status_code == 401
    for caller in (
        principal("operator", scopes=["orders:read"]),
        principal("service", scopes=["bills:read"]),
        principal("distributor", "dst_1", scopes=["operations:read"]),
    ):
        headers = {"Authorization": f"Bearer {tokens.issue(caller)}"}
        answered = await client.get(path, headers=headers)
        assert (answered.status_code, answered.json()["code"]) == (403, "forbidden")


async def test_huijinbaos_bill_of_a_day_from_the_simulator_to_the_last_line(
    huijinbao_desk: Callable[..., Desk],
    huijinbao_simulator: HuijinbaoMerchant,
    tokens: FakeIntrospector,
) -> None:
    desk = huijinbao_desk()
    day = await huijinbao_simulator.advance(days=1)
    account = {"account_id": "acc_payer", "channel": "huijinbao"}
    await desk.debit("deb_http_1", account=account, amount_fen=290)
    await desk.work()
    await huijinbao_simulator.advance(days=2)
    async with settlement_of(desk, tokens) as http:
        head, told = read(await http.get(f"/internal/bills/huijinbao/{day}"))
    assert [(file.bill_type, file.rows, file.sum_in_fen) for file in head.files] == [
        ("TRADE", 1, 290),
        ("WEALTH", 0, 0),
        ("ACCOUNT", 1, 290),
    ]
    for each in told:
        assert each.known is not None
        assert (each.number, each.known.kind) == ("deb_http_1", "debit")
