"""The financial reports of products over HTTP."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from services.settlement.tests.conftest import ClientAs, Story

LIST = "/v1/reports/products"
PRODUCT = f"{LIST}/prd_1"
POSTINGS = f"{PRODUCT}/postings"
MONDAY = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
NAME = "=HYPERLINK(1)"


@pytest.fixture
async def told(story: "Story") -> "Story":
    """Of a combined product, order `a` is visited on Sunday and paid out on Monday; `b` is sold on
    Monday, and not visited."""
    product = {"product_name": NAME, "kind": "combined"}
    await story.told(story.paid("a", **product), story.issued("a"), story.used("a"))
    payout_id = (await story.payout())["payout_id"]
    await story.told(story.succeeded(payout_id, finished_at=MONDAY))
    await story.told(story.paid("b", paid_at=MONDAY, **product), story.issued("b"))
    return story


async def ask(client: httpx.AsyncClient, path: str, **params: str) -> Any:
    answer = await client.get(path, params=params or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


def amounts(report: dict[str, Any]) -> dict[str, int]:
    return {figure["name"]: figure["amount_fen"] for figure in report["figures"]}


@pytest.fixture
async def reporter(told: "Story", client_as: "ClientAs") -> httpx.AsyncClient:
    return client_as("operator", scopes=("reports:read",))


async def test_a_report_is_of_all_of_the_products_time(reporter: httpx.AsyncClient) -> None:
    async with reporter as client:
        report = await ask(client, PRODUCT)
    assert (report["product_name"], report["kind"]) == (NAME, "combined")
    assert (report["from"], report["to"]) == ("2026-11-01", "2026-11-02")
    assert (report["first_sold_at"], report["last_sold_at"]) == (
        *("2026-11-01T04:00:00Z", "2026-11-02T04:00:00Z"),
    )
    assert {name: fen for name, fen in amounts(report).items() if fen} == {
        "sales": 20_000,
        "transaction_fees": 120,
        "settlements": 9_000,
        "settlement_fees": 100,
        "earned_by_spots": 8_900,
        "paid_out": 8_900,
        "custody": 10_000,
        "fees": 220,
        "margin": 1_000,
        "profit": 1_220,
    }
    (spot,) = report["spots"]
    assert (spot["spot_id"], spot["visits"], spot["paid_out_fen"]) == ("spt_1", 1, 8_900)
    assert [(day["day"], day["profit_fen"]) for day in report["days"]] == [
        *(("2026-11-01", 1_160), ("2026-11-02", 60)),
    ]


async def test_a_report_of_one_day(reporter: httpx.AsyncClient) -> None:
    async with reporter as client:
        report = await ask(client, PRODUCT, **{"from": "2026-11-01", "to": "2026-11-01"})
        later = await ask(client, PRODUCT, **{"from": "2026-12-01", "to": "2027-11-30"})
    fen = amounts(report)
    assert (fen["sales"], fen["paid_out"], fen["still_payable"]) == (10_000, 0, 8_900)
    assert {name: fen for name, fen in amounts(later).items() if fen} == {"custody": 10_000}
    assert later["days"] == []


async def test_a_figure_leads_to_its_postings(reporter: httpx.AsyncClient) -> None:
    async with reporter as client:
        report = await ask(client, PRODUCT)
        (margin,) = (one for one in report["figures"] if one["name"] == "margin")
        (posting,) = (await ask(client, margin["postings"]))["items"]
        links = [await ask(client, figure["postings"]) for figure in report["figures"]]
    assert margin["source"] == {
        "accounts": ["margin"],
        "kinds": ["admission"],
        "from": "2026-10-31T16:00:00Z",
        "to": "2026-11-02T16:00:00Z",
        "side": "credit",
    }
    assert posting == {
        "posting_key": "admission:ent_a",
        "kind": "admission",
        "occurred_at": "2026-11-01T04:00:00Z",
        "order_no": "ord_a",
        "amount_fen": 1_000,
    }
    assert [sum(item["amount_fen"] for item in page["items"]) for page in links] == [
        figure["amount_fen"] for figure in report["figures"]
    ]


async def test_postings_come_in_pages(reporter: httpx.AsyncClient) -> None:
    async with reporter as client:
        first = await ask(client, POSTINGS, figure="sales", limit="1")
        second = await ask(
            client, POSTINGS, figure="sales", limit="1", cursor=first["next_cursor"]
        )
    keys = [item["posting_key"] for page in (first, second) for item in page["items"]]
    assert (keys, second["next_cursor"]) == (["debit:deb_a", "debit:deb_b"], None)


async def test_the_list_has_combined_products_newest_first(
    told: "Story", reporter: httpx.AsyncClient
) -> None:
    await told.told(
        told.paid("c", product_id="prd_2", product_name="联票", kind="combined"),
        told.paid("d", product_id="prd_3", product_name="单票"),
    )
    async with reporter as client:
        first = await ask(client, LIST, limit="1")
        second = await ask(client, LIST, limit="1", cursor=first["next_cursor"])
    assert first["items"] == [
        {
            "product_id": "prd_2",
            "product_name": "联票",
            "sales_fen": 10_000,
            "profit_fen": 60,
            "first_sold_at": "2026-11-01T04:00:00Z",
            "last_sold_at": "2026-11-01T04:00:00Z",
        }
    ]
    (product,) = second["items"]
    assert (product["product_id"], product["profit_fen"]) == ("prd_1", 1_220)
    assert second["next_cursor"] is None


async def test_a_single_product_has_a_report_too(
    told: "Story", reporter: httpx.AsyncClient
) -> None:
    await told.told(told.paid("d", product_id="prd_3", product_name="单票"))
    async with reporter as client:
        report = await ask(client, f"{LIST}/prd_3")
    assert (report["kind"], amounts(report)["profit"]) == ("single", 60)
    assert [total["moves"] for total in report["wealth"]] == [0, 0, 0]


@pytest.mark.parametrize(
    ("path", "params", "status", "field"),
    [
        (f"{LIST}/prd_9", {}, 404, None),
        (f"{LIST}/prd_9/postings", {"figure": "sales"}, 404, None),
        (PRODUCT, {"from": "2026-11-01"}, 422, "to"),
        (PRODUCT, {"to": "2026-11-01"}, 422, "from"),
        (PRODUCT, {"from": "2026-11-02", "to": "2026-11-01"}, 422, "to"),
        (PRODUCT, {"from": "1999-11-02", "to": "2026-11-01"}, 422, "to"),
        (POSTINGS, {}, 422, None),
        (POSTINGS, {"figure": "everything"}, 422, "figure"),
        (POSTINGS, {"figure": "sales", "cursor": "nonsense"}, 422, "cursor"),
        (LIST, {"cursor": "!"}, 422, "cursor"),
    ],
)
async def test_questions_that_are_refused(
    reporter: httpx.AsyncClient,
    path: str,
    params: dict[str, str],
    status: int,
    field: str | None,
) -> None:
    async with reporter as client:
        answer = await client.get(path, params=params)
    assert answer.status_code == status, answer.text
    if field is not None:
        assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("path", [LIST, PRODUCT, f"{POSTINGS}?figure=sales"])
@pytest.mark.parametrize(
    ("caller", "scopes"),
    [
        (("spot", "spt_1"), ("reports:read",)),
        (("distributor", "dst_1"), ("reports:read",)),
        (("operator", None), ("settlement:read", "ledger:read")),
    ],
)
async def test_they_are_the_platforms_only(
    told: "Story",
    client_as: "ClientAs",
    caller: tuple[str, str | None],
    scopes: tuple[str, ...],
    path: str,
) -> None:
    async with client_as(*caller, scopes=scopes) as client:
        answer = await client.get(path)
    assert answer.status_code == 403, answer.text


async def test_a_report_as_csv(reporter: httpx.AsyncClient) -> None:
    async with reporter as client:
        answer = await client.get(PRODUCT, headers={"Accept": "text/csv"})
    text = answer.content.decode()
    assert text.startswith(f"\ufeff联票财务报告\r\n产品,'{NAME}\r\n产品编号,prd_1\r\n")
    assert "\r\n期间 (北京时间),2026-11-01 至 2026-11-02\r\n\r\n汇总\r\n" in text
    assert "\r\n项目,金额 (元),金额 (分),科目: 业务\r\n" in text
    assert "\r\n差价,10.00,1000,margin: 核销\r\n" in text
    assert "\r\n利润,12.20,1220,fees、margin、yield: 全部业务\r\n" in text
    assert "\r\nspt_1,1,90.00,1.00,89.00,89.00,0.00,10.00\r\n" in text
    assert "\r\n合计,200.00,0.00,90.00,2.20,10.00,0.00,0.00,12.20\r\n" in text
    assert answer.headers["content-disposition"] == (
        'attachment; filename="product-prd-1-2026-11-01-2026-11-02.csv"'
    )
