"""Reports over HTTP: whose they are, and as JSON, CSV and Excel workbooks."""

import io
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree
from zipfile import ZipFile

import httpx
import pytest

if TYPE_CHECKING:
    from services.settlement.tests.conftest import ClientAs, Story

LATE = datetime(2026, 11, 1, 15, 59, 59, tzinfo=UTC)
"""A second before midnight in Beijing."""
PERIOD = {"from": "2026-11-01", "to": "2026-11-02"}
SPOT = "/v1/reports/spots/spt_1"
DISTRIBUTOR = "/v1/reports/distributors/dst_1"
DAILY = "/v1/reports/daily"
PRODUCT = "/v1/reports/products/prd_1"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
READING = ("settlement:read", "reports:read")


@pytest.fixture
async def told(story: "Story") -> "Story":
    """Order `a` is visited and paid out, `b` refunded, all on the first of November."""
    await story.told(story.paid("a"), story.issued("a", entitlement_id="ent_a"))
    await story.told(story.used("a", at=LATE))
    payout_id = (await story.payout())["payout_id"]
    await story.told(story.succeeded(payout_id, finished_at=LATE))
    await story.told(story.paid("b"), story.issued("b"), story.voided("b"))
    refund_id = (await story.refund())["refund_id"]
    await story.told(story.succeeded(refund_id, kind="refund", amount_fen=10_000))
    return story


async def ask(client: httpx.AsyncClient, path: str, accept: str = "", **params: str) -> Any:
    answer = await client.get(path, params=params or PERIOD, headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    return answer


def amounts(figures: list[dict[str, Any]]) -> dict[str, int]:
    return {figure["name"]: figure["amount_fen"] for figure in figures}


async def test_a_spots_own_statement(told: "Story", client_as: "ClientAs") -> None:
    async with client_as("spot", "spt_1") as client:
        statement = (await ask(client, SPOT)).json()
        before = (await ask(client, SPOT, **{"from": "2026-10-31", "to": "2026-10-31"})).json()
        after = (await ask(client, SPOT, **{"from": "2026-11-02", "to": "2026-11-02"})).json()
    (visit,), (payout,) = statement["visits"], statement["payouts"]
    assert amounts(statement["figures"]) == {
        "opening": 0,
        "earned": 8_900,
        "paid": 8_900,
        "closing": 0,
    }
    assert (statement["from"], statement["to"]) == ("2026-11-01", "2026-11-02")
    assert (visit["ticket_no"], visit["used_at"]) == ("T-a", "2026-11-01T15:59:59Z")
    assert (visit["settle_fen"], visit["settlement_fee_fen"]) == (9_000, 100)
    assert visit["payout_id"] == payout["payout_id"]
    assert visit["settled_at"] == payout["paid_at"]
    assert not {"part_fen", "distributor_id"} & visit.keys()
    assert before["visits"] == after["visits"] == []


async def test_a_distributors_own_statement(told: "Story", client_as: "ClientAs") -> None:
    async with client_as("distributor", "dst_1") as client:
        statement = (await ask(client, DISTRIBUTOR)).json()
    assert statement["totals"] == {
        "order_no": "",
        "price_fen": 20_000,
        "fee_fen": 120,
        "refunded_fen": 10_000,
        "refunded_fee_fen": 0,
        "net_fen": 10_120,
    }
    assert [order["net_fen"] for order in statement["orders"]] == [10_060, 60]
    assert [debit["posting_key"] for debit in statement["debits"]] == [
        *("debit:deb_a", "debit:deb_b")
    ]
    (refund,) = statement["refunds"]
    assert (refund["order_no"], refund["amount_fen"]) == ("ord_b", 10_000)


@pytest.mark.parametrize(
    ("caller", "path", "status"),
    [
        (("operator", None), SPOT, 200),
        (("operator", None), DISTRIBUTOR, 200),
        (("operator", None), DAILY, 200),
        (("operator", None), PRODUCT, 404),  # nothing was sold of it
        (("spot", "spt_2"), SPOT, 404),
        (("distributor", "dst_2"), DISTRIBUTOR, 404),
        (("spot", "spt_1"), DISTRIBUTOR, 403),
        (("spot", "dst_1"), DISTRIBUTOR, 403),
        (("distributor", "dst_1"), SPOT, 403),
        (("spot", "spt_1"), DAILY, 403),
        (("spot", "spt_1"), PRODUCT, 403),
        (("distributor", "dst_1"), PRODUCT, 403),
        (("device", "spt_1"), SPOT, 403),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/csv", XLSX])
async def test_whose_reports_they_are(
    client_as: "ClientAs", caller: tuple[str, str | None], path: str, status: int, accept: str
) -> None:
    async with client_as(*caller, scopes=READING) as client:
        answer = await client.get(path, params=PERIOD, headers={"Accept": accept})
    assert answer.status_code == status, answer.text


async def test_the_days_of_the_platform_need_a_scope(told: "Story", client_as: "ClientAs") -> None:
    async with client_as("operator", scopes=("settlement:read",)) as client:
        answer = await client.get(DAILY, params=PERIOD)
    assert answer.status_code == 403


async def test_a_day_ends_at_midnight_in_beijing(told: "Story", client_as: "ClientAs") -> None:
    await told.told(told.paid("c", paid_at=datetime(2026, 11, 1, 16, 0, tzinfo=UTC)))
    async with client_as("operator", scopes=READING) as client:
        first, second = (await ask(client, DAILY)).json()["days"]
    assert amounts(first["figures"]) == {
        "debited": 20_120,
        "refunded": 10_000,
        "paid_out": 8_900,
        "earned_by_spots": 8_900,
        "transaction_fees": 120,
        "settlement_fees": 100,
        "refunded_fees": 0,
        "fees": 220,
        "margin": 1_000,
        "forfeits": 0,
        "subscribed": 0,
        "redeemed": 0,
        "liquidated": 0,
        "yield": 0,
        "adjustments": 0,
        "clearings": 0,
        "owner": 0,
    }
    assert amounts(second["figures"])["debited"] == 10_060
    assert amounts(first["balances"])["cash:alipay"] == 1_220
    assert amounts(second["balances"])["cash:alipay"] == 11_280
    assert (second["day"], amounts(second["balances"])["custody"]) == ("2026-11-02", 10_000)
    assert first["figures"][0]["source"] == {
        "accounts": ["custody:*", "fees"],
        "kinds": ["debit"],
        "from": "2026-10-31T16:00:00Z",
        "to": "2026-11-01T16:00:00Z",
        "side": "credit",
    }


@pytest.mark.parametrize(
    ("first", "last", "code"),
    [
        ("2026-11-02", "2026-11-01", "invalid"),
        ("2026-01-01", "2026-12-31", "report_too_long"),
        ("0001-01-01", "0001-01-02", "invalid"),
        ("9999-12-30", "9999-12-31", "invalid"),
    ],
)
async def test_periods_that_are_refused(
    client_as: "ClientAs", first: str, last: str, code: str
) -> None:
    async with client_as("operator", scopes=READING) as client:
        answer = await client.get(DAILY, params={"from": first, "to": last})
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_a_statement_as_csv(told: "Story", client_as: "ClientAs") -> None:
    async with client_as("spot", "spt_1") as client:
        answer = await ask(client, SPOT, "text/csv")
    text = answer.content.decode()
    assert text.startswith(
        "\ufeff景区对账单\r\n景区,spt_1\r\n期间 (北京时间),2026-11-01 至 2026-11-02\r\n"
        "\r\n汇总\r\n项目,金额 (元)\r\n期初应付,0.00\r\n应付,89.00\r\n"
    )
    assert "\r\n2026-11-01 23:59:59,T-a,ord_a,prd_1,90.00,1.00,89.00,已结算," in text
    assert ",合计,,,90.00,1.00,89.00,,,\r\n" in text
    assert answer.headers["content-disposition"] == (
        'attachment; filename="spot-spt-1-2026-11-01-2026-11-02.csv"'
    )


def sheet_names(book: ZipFile) -> list[str]:
    root = ElementTree.fromstring(book.read("xl/workbook.xml"))  # noqa: S314 # our own file
    return [sheet.attrib["name"] for sheet in root.findall(".//{*}sheet")]


def cells(book: ZipFile, number: int) -> dict[str, str]:
    """The texts and numbers of a sheet, by cell."""
    strings = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))  # noqa: S314 # our own
    texts = ["".join(item.itertext()) for item in strings]
    sheet = ElementTree.fromstring(  # noqa: S314 # our own
        book.read(f"xl/worksheets/sheet{number}.xml")
    )
    assert sheet.find(".//{*}pane").attrib["state"] == "frozen"  # type: ignore[union-attr] # it is there
    assert sheet.find(".//{*}f") is None  # no formula
    found = {}
    for cell in sheet.findall(".//{*}c"):
        value = cell.findtext("{*}v")
        if value is not None:
            is_text = cell.attrib.get("t") == "s"
            found[cell.attrib["r"]] = texts[int(value)] if is_text else value
    assert sheet.find(".//{*}pageSetup").attrib["orientation"] == "landscape"  # type: ignore[union-attr] # as above
    return found


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (SPOT, ["汇总", "核销", "打款"]),
        (DISTRIBUTOR, ["订单", "扣款", "退款"]),
        (DAILY, ["日报", "日终余额"]),
        (PRODUCT, ["汇总", "景区", "每日", "理财"]),
    ],
)
async def test_a_report_as_a_workbook(
    told: "Story", client_as: "ClientAs", path: str, names: list[str]
) -> None:
    async with client_as("operator", scopes=READING) as client:
        answer = await ask(client, path, XLSX)
    assert answer.headers["content-type"] == XLSX
    book = ZipFile(io.BytesIO(answer.content))
    assert sheet_names(book) == names
    for number in range(1, len(names) + 1):
        assert cells(book, number)["A1"]


async def test_amounts_and_times_of_a_workbook_are_such(
    told: "Story", client_as: "ClientAs"
) -> None:
    async with client_as("spot", "spt_1") as client:
        book = ZipFile(io.BytesIO((await ask(client, SPOT, XLSX)).content))
    visits = cells(book, 2)
    assert visits["A1"] == "景区对账单  核销"
    assert visits["A2"] == "景区: spt_1    期间 (北京时间): 2026-11-01 至 2026-11-02"
    assert (visits["A3"], visits["E3"]) == ("游玩时间 (北京时间)", "景区结算价 (元)")
    assert (visits["B4"], visits["E4"], visits["G4"]) == ("T-a", "90.00", "89.00")
    days_of_excel = (date(2026, 11, 1) - date(1899, 12, 30)).days
    assert visits["A4"].startswith(f"{days_of_excel}.9999")
    assert (visits["B5"], visits["G5"]) == ("合计", "89.00")


async def test_a_products_workbook_names_itself_and_its_period(
    told: "Story", client_as: "ClientAs"
) -> None:
    await told.told(told.paid("c", product_name="=1+1", kind="combined"))
    async with client_as("operator", scopes=READING) as client:
        book = ZipFile(io.BytesIO((await ask(client, PRODUCT, XLSX)).content))
    summary, spots, days, wealth = (cells(book, number) for number in range(1, 5))
    assert summary["A1"] == "联票财务报告  汇总"
    assert summary["A2"] == (
        "产品: =1+1    产品编号: prd_1    期间 (北京时间): 2026-11-01 至 2026-11-02"
    )
    titles = [summary[f"{column}3"] for column in "ABCD"]
    assert titles == ["项目", "金额 (元)", "金额 (分)", "科目: 业务"]
    assert [summary[f"{column}4"] for column in "ABCD"] == [
        *("销售额", "300.00", "30000", "custody:*: 扣款"),
    ]
    last = sum(cell.startswith("A") for cell in summary)
    assert [summary[f"{column}{last}"] for column in "ABC"] == ["利润", "12.80", "1280"]
    assert (spots["A4"], spots["B4"], spots["C4"]) == ("spt_1", "1", "90.00")
    assert (spots["A5"], spots["B5"], spots["C5"]) == ("合计", "1", "90.00")
    assert (days["A5"], days["B5"], days["I5"]) == ("合计", "300.00", "12.80")
    assert [wealth[f"A{row}"] for row in (4, 5, 6)] == ["理财申购", "理财赎回", "理财清算"]
