"""Reconciliation over HTTP and by the job: runs, breaks that open once and resolve themselves,
adjusting under four eyes, and suspense that is worked down to zero."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest

from shanmen.common.clock import ManualClock
from shanmen.contracts.gateway import ResumeRequested, SmsRequested
from shanmen.settlement.domain.reconciliation import Line
from shanmen.settlement.queries import reconciliation
from shanmen.settlement.tables import BREAKS, POSTINGS, RECONCILIATIONS, WORK_ITEMS
from shanmen.settlement.usecases.daily_reconciliation import reconcile_days

if TYPE_CHECKING:
    from services.settlement.tests.conftest import ClientAs, Desk, FakeBills, Story

DAY = date(2026, 11, 1)
NOON = datetime.fromisoformat("2026-11-01T04:00:00+00:00")
SCOPES = ("settlement:read", "ledger:read", "money:write", "money:approve", "approvers:write")
LARGE_FEN = 900_000


def row(bill_type: str, number: str, direction: str, amount_fen: int, **given: Any) -> Line:
    usual: dict[str, Any] = {
        "line": 6,
        "root": number,
        "succeeded": True,
        "business_type": "x",
        "channel_ref": f"ref-{number}",
        "at": NOON,
        "day": DAY,
    }
    return Line(
        bill_type, number=number, direction=direction, amount_fen=amount_fen, **{**usual, **given}
    )


def both(number: str, direction: str, amount_fen: int, **given: Any) -> list[Line]:
    return [
        row(kind, number, direction, amount_fen, **given) for kind in ("trade", "signcustomer")
    ]


@pytest.fixture
def bills(story: "Story") -> "FakeBills":
    """The channels' bills: a day later, nothing moved on any day before."""
    clock = cast("ManualClock", story.context.clock)
    clock.advance(timedelta(days=1))
    found = cast("FakeBills", story.context.bills)
    found.found["alipay", DAY - timedelta(days=1)] = []
    return found


class Reconciler:
    """Runs reconciliations of the day, and reads what they found."""

    def __init__(self, desk: "Desk", bills: "FakeBills") -> None:
        self.desk = desk
        self.bills = bills

    async def run(
        self, lines: Sequence[Line] | None = None, status: int = 201, **body: Any
    ) -> dict[str, Any]:
        if lines is not None:
            self.bills.found["alipay", DAY] = list(lines)
        wish = {"channel": "alipay", "bill_date": str(DAY), **body}
        answer = await self.desk.ask(
            "ann", "POST", "/v1/reconciliations", json=wish, scopes=SCOPES
        )
        assert answer.status_code == status, answer.text
        report: dict[str, Any] = answer.json()
        return report

    async def get(self, path: str, **params: str) -> Any:
        answer = await self.desk.ask("ann", "GET", path, params=params, scopes=SCOPES)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def breaks(self, **params: str) -> list[tuple[str, str, str]]:
        found = (await self.get("/v1/breaks", **params))["items"]
        return sorted((each["break_class"], each["number"], each["status"]) for each in found)

    async def item(self) -> dict[str, Any]:
        (item,) = await self.desk.open_items()
        return item

    async def clear(self, key: str, to: str = "owner", person: str = "ann") -> httpx.Response:
        body = {"to": to, "note": "found it"}
        path = f"/v1/suspense/{key}/clearings"
        return await self.desk.ask(person, "POST", path, json=body, scopes=SCOPES)


@pytest.fixture
def reconciler(desk: "Desk", bills: "FakeBills") -> Reconciler:
    """Someone who reconciles."""
    return Reconciler(desk, bills)


async def told(story: "Story") -> str:
    """A debit of 10060, a payout of 8900, and a refund of 10060; returns the payout's number."""
    await story.told(story.paid("a"), story.issued("a"), story.used("a"), story.paid("b"))
    payout_id = str((await story.payout())["payout_id"])
    await story.told(story.succeeded(payout_id))
    return payout_id


async def clean(story: "Story") -> list[Line]:
    payout_id = await told(story)
    return [
        *both("deb_a", "in", 10_060),
        *both("deb_b", "in", 10_060, line=7),
        row("signcustomer", payout_id, "out", 8_900, line=8),
    ]


async def test_a_clean_day(story: "Story", reconciler: Reconciler) -> None:
    report = await reconciler.run(await clean(story))
    assert (report["matched"], report["differences"], report["started_by"]) == (5, [], "ann")
    sums = {file["bill_type"]: file for file in report["files"]}
    assert sums["signcustomer"]["ours_in_fen"] == sums["signcustomer"]["theirs_in_fen"] == 20_120
    assert sums["signcustomer"]["ours_out_fen"] == sums["signcustomer"]["theirs_out_fen"] == 8_900
    kept = await reconciler.get(f"/v1/reconciliations/{report['run_id']}")
    assert kept.items() <= report.items()
    listed = await reconciler.get("/v1/reconciliations", channel="alipay")
    assert listed["items"] == [kept]
    assert await story.open_work() == []
    assert await story.sent(SmsRequested) == []


async def test_rows_removed_added_and_altered(story: "Story", reconciler: Reconciler) -> None:
    lines = await clean(story)
    removed, kept, payout = lines[:2], lines[2:4], lines[4]
    lines = [*kept, payout._replace(amount_fen=8_901), *both("stranger", "in", 5, line=9)]
    report = await reconciler.run(lines)
    counts = ("matched", "missing_here", "missing_there", "amount_differs", "status_differs")
    assert [report[name] for name in counts] == [2, 1, 1, 1, 0]
    assert await reconciler.breaks() == [
        ("amount", payout.number, "open"),
        ("missing_here", "stranger", "open"),
        ("missing_there", removed[0].number, "open"),
    ]
    assert sorted(kind for kind, _ in await story.open_work()) == [
        *("break_amount", "break_missing_here", "break_missing_there"),
    ]
    (sms,) = await story.sent(SmsRequested)
    assert (sms["template"], sms["params"]["breaks"]) == ("reconciliation_breaks", "3")
    (one,) = (await reconciler.get("/v1/breaks", number="stranger"))["items"]
    assert one["reason"].startswith(
        "stranger in: the ledger has 0.00 yuan, the bill of 2026-11-01"
    )
    assert (one["next_step"] is not None, one["allowed"]) == (True, ["adjust", "resolve"])
    assert await reconciler.get(f"/v1/breaks/{one['break_id']}") == one
    # Again, the same: nothing is opened twice, and nobody is told twice.
    again = await reconciler.run()
    assert (again["missing_here"], again["opened"], again["resolved"]) == (1, 0, 0)
    assert len(await story.rows(BREAKS)) == len(await story.rows(WORK_ITEMS)) == 3
    assert len(await story.sent(SmsRequested)) == 1


async def test_what_is_explained_resolves_itself(story: "Story", reconciler: Reconciler) -> None:
    lines = await clean(story)
    await reconciler.run(lines[2:])
    assert await story.open_work() != []
    report = await reconciler.run(lines, refetch=True)
    assert report["resolved"] == 1
    assert ("alipay", DAY, True) in reconciler.bills.asked
    (closed,) = await story.rows(BREAKS)
    assert (closed["resolved_how"], closed["resolved_by"]) == ("explained", report["run_id"])
    (item,) = await story.rows(WORK_ITEMS)
    assert item["resolution"] == f"explained by run {report['run_id']}"


async def test_the_next_days_bill_resolves_a_break(story: "Story", reconciler: Reconciler) -> None:
    lines = await clean(story)
    await reconciler.run(lines[2:])
    clock = cast("ManualClock", story.context.clock)
    clock.advance(timedelta(days=1))
    late = [line._replace(day=DAY + timedelta(days=1)) for line in lines[:2]]
    reconciler.bills.found["alipay", DAY + timedelta(days=1)] = late
    report = await reconciler.run(bill_date=str(DAY + timedelta(days=1)))
    assert (report["matched"], report["resolved"], report["differences"]) == (2, 1, [])
    assert await story.open_work() == []


async def test_a_repeat_is_answered_without_asking_for_the_bill_again(
    story: "Story", bills: "FakeBills", client_as: "ClientAs"
) -> None:
    bills.found["alipay", DAY] = await clean(story)
    wish = {"channel": "alipay", "bill_date": str(DAY)}
    async with client_as("operator", scopes=SCOPES, person="ann") as client:
        client.headers["Idempotency-Key"] = "again"
        first = await client.post("/v1/reconciliations", json=wish)
        asked = len(bills.asked)
        again = await client.post("/v1/reconciliations", json=wish)
    assert (first.status_code, again.content) == (201, first.content)
    assert len(bills.asked) == asked


async def test_a_dry_run_keeps_nothing(story: "Story", reconciler: Reconciler) -> None:
    lines = await clean(story)
    report = await reconciler.run(lines[2:], 200, dry_run=True)
    assert (report["dry_run"], report["run_id"], report["missing_there"]) == (True, None, 1)
    assert await story.rows(RECONCILIATIONS) == await story.rows(BREAKS) == []
    assert await story.open_work() == []


@pytest.mark.parametrize(
    ("change", "effect_fen"), [("missing", -10_060), ("more", 7), ("strange", 5)]
)
async def test_adjusting(
    story: "Story", reconciler: Reconciler, change: str, effect_fen: int
) -> None:
    lines = await clean(story)
    changed = {
        "missing": lines[2:],
        "more": [*(line._replace(amount_fen=10_067) for line in lines[:2]), *lines[2:]],
        "strange": [*lines, *both("stranger", "in", 5, line=9)],
    }
    await reconciler.run(changed[change])
    before = await story.balances()
    item = await reconciler.item()
    still = await reconciler.desk.act("ann", item["item_id"], "resolve")
    assert (still.status_code, still.json()["code"]) == (409, "still_stuck")
    done = await reconciler.desk.act("ann", item["item_id"], "adjust")
    assert (done.status_code, done.json()["status"]) == (200, "executed"), done.text
    after = await story.balances()
    assert after["cash:alipay"] - before["cash:alipay"] == effect_fen
    assert after["suspense"] == effect_fen
    again = await reconciler.desk.act("ann", item["item_id"], "adjust")
    assert (again.status_code, again.json()["code"]) == (409, "item_resolved")
    # From now on it reconciles clean.
    report = await reconciler.run()
    assert (report["differences"], report["opened"]) == ([], 0)
    listed = await reconciler.get("/v1/suspense")
    (left,) = listed["items"]
    key = f"adjustment:{item['subject_id']}"
    assert (listed["total_fen"], left["posting_key"]) == (effect_fen, key)
    cleared = await reconciler.clear(key, "fees")
    assert (cleared.status_code, cleared.json()["status"]) == (200, "executed"), cleared.text
    assert "suspense" not in await story.balances()
    assert await reconciler.get("/v1/suspense") == {"total_fen": 0, "items": []}
    twice = await reconciler.clear(key)
    assert (twice.status_code, twice.json()["code"]) == (409, "nothing_in_suspense")
    assert (await reconciler.clear("adjustment:x")).status_code == 404


async def test_adjusting_and_clearing_take_four_eyes(
    story: "Story", reconciler: Reconciler
) -> None:
    desk = reconciler.desk
    await desk.grant("bob")
    await reconciler.run([*(await clean(story)), *both("stranger", "out", LARGE_FEN, line=9)])
    item = await reconciler.item()
    asked = await desk.act("ann", item["item_id"], "adjust")
    assert (asked.status_code, asked.json()["status"]) == (202, "waiting")
    assert "suspense" not in await story.balances()
    own = await desk.approve("ann", asked.json()["action_id"], LARGE_FEN)
    assert own.json()["code"] == "same_person"
    done = await desk.approve("bob", asked.json()["action_id"], LARGE_FEN)
    assert (done.status_code, done.json()["status"]) == (200, "executed"), done.text
    assert (await story.balances())["suspense"] == -LARGE_FEN
    assert await story.open_work() == []
    key = f"adjustment:{item['subject_id']}"
    waits = await reconciler.clear(key)
    assert (waits.status_code, waits.json()["account_id"]) == (202, "owner")
    other = await reconciler.clear(key, "fees", "carl")
    assert (other.status_code, other.json()["code"]) == (409, "cleared_already")
    await desk.approve("bob", waits.json()["action_id"], LARGE_FEN)
    balances = await story.balances()
    assert (balances.get("suspense"), balances["owner"]) == (None, -LARGE_FEN)


async def test_a_waiting_adjustment_lapses_once_a_run_explains_it(
    story: "Story", reconciler: Reconciler
) -> None:
    lines = await clean(story)
    await reconciler.run([*lines, *both("stranger", "in", LARGE_FEN, line=9)])
    item = await reconciler.item()
    asked = await reconciler.desk.act("ann", item["item_id"], "adjust")
    await reconciler.desk.grant("bob")
    await reconciler.run(lines)
    late = await reconciler.desk.approve("bob", asked.json()["action_id"], LARGE_FEN)
    assert (late.status_code, late.json()["code"]) == (409, "action_decided")
    assert not any(posting["kind"] == "adjustment" for posting in await story.rows(POSTINGS))


async def test_a_bill_besides_that_of_the_account_is_not_adjusted(
    story: "Story", reconciler: Reconciler
) -> None:
    lines = [*(await clean(story)), row("trade", "stranger", "in", 5, line=9)]
    await reconciler.run(lines)
    item = await reconciler.item()
    refused = await reconciler.desk.act("ann", item["item_id"], "adjust")
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_adjust")
    assert (await reconciler.desk.act("ann", item["item_id"], "resolve")).status_code == 200
    assert (await reconciler.run())["differences"] == []
    assert await reconciler.breaks() == [("missing_here", "stranger", "resolved")]


async def test_retrying_a_status_asks_the_channel_again(
    story: "Story", reconciler: Reconciler
) -> None:
    lost = both("deb_c", "in", 10_060, line=9, known=("debit", "open"))
    await reconciler.run([*(await clean(story)), *lost])
    item = await reconciler.item()
    assert item["kind"] == "break_status"
    assert (await reconciler.desk.act("ann", item["item_id"], "retry")).status_code == 200
    assert {"operation_id": "deb_c"} in await story.sent(ResumeRequested)
    assert len(await story.open_work()) == 1
    await story.told(story.paid("c"))
    found = [line._replace(known=("debit", "succeeded")) for line in lost]
    payout = reconciler.bills.found["alipay", DAY][:5]
    assert (await reconciler.run([*payout, *found]))["resolved"] == 1
    assert await story.open_work() == []


async def test_unexplained_money_is_cleared_or_settled_outside(
    story: "Story", reconciler: Reconciler
) -> None:
    await story.told(story.paid("a"), story.issued("a"), story.used("a"))
    payout_id = str((await story.payout())["payout_id"])
    await story.told(story.failed(payout_id), story.succeeded(payout_id))
    key = f"unexplained:{payout_id}"
    assert (await reconciler.get("/v1/suspense"))["total_fen"] == -8_900
    lines = [*both("deb_a", "in", 10_060), row("signcustomer", payout_id, "out", 8_900)]
    assert (await reconciler.run(lines))["differences"] == []
    assert (await reconciler.clear(key, "margin")).status_code == 200
    assert "suspense" not in await story.balances()
    (item,) = await reconciler.desk.open_items()
    done = await reconciler.desk.act("ann", item["item_id"], "settle-outside")
    assert done.status_code == 200, done.text
    balances = await story.balances()
    assert (balances.get("suspense"), balances["owner"]) == (None, 8_900)


async def test_what_was_recorded_by_hand_is_found(story: "Story", reconciler: Reconciler) -> None:
    lines = await clean(story)
    clock = cast("ManualClock", story.context.clock)
    clock.advance(timedelta(days=-1))
    body = {"channel": "alipay", "amount_fen": 500, "direction": "in", "note": "bank"}
    keys = []
    for reference in ("T-1", "T-2"):
        answer = await reconciler.desk.ask(
            "ann", "POST", "/v1/top-ups", json={**body, "reference": reference}
        )
        keys.append(f"owner:{answer.json()['action_id']}")
    clock.advance(timedelta(days=1))
    lines += [row("signcustomer", "", "in", 500, line=9, channel_ref="T-1")._replace(number="T-1")]
    await reconciler.run(lines)
    assert await reconciler.breaks() == [("missing_there", "T-2", "open")]
    mistake = {"posting_key": keys[1], "reason": "typed twice"}
    await reconciler.desk.ask("ann", "POST", "/v1/ledger/corrections", json=mistake)
    assert (await reconciler.run())["resolved"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"bill_date": "2026-11-02"}, "bill_date"),
        ({"bill_date": "2027-01-01"}, "bill_date"),
        ({"bill_date": "2026-10-30"}, "bill_date"),
        ({"channel": "wechat"}, "channel"),
    ],
)
async def test_bad_input(
    story: "Story", reconciler: Reconciler, body: dict[str, Any], field: str
) -> None:
    await reconciler.run(await clean(story))
    refused = await reconciler.run(None, 422, **body)
    assert refused["errors"][0]["field"] == field
    assert len(await story.rows(RECONCILIATIONS)) == 1


async def test_a_bill_that_is_not_ready(story: "Story", reconciler: Reconciler) -> None:
    await told(story)
    assert (await reconciler.run(status=409))["code"] == "bill_not_ready"
    assert await story.rows(RECONCILIATIONS) == []


async def test_one_run_of_a_day_at_a_time(story: "Story", reconciler: Reconciler) -> None:
    lines = await clean(story)
    async with reconciliation.held(story.context.db, f"reconcile alipay {DAY}") as is_mine:
        assert is_mine
        busy = await reconciler.run(lines, 409)
        assert busy["code"] == "reconciliation_running"
    await reconciler.run(lines)


async def test_the_daily_job(story: "Story", reconciler: Reconciler) -> None:
    clock = cast("ManualClock", story.context.clock)
    lines = await clean(story)
    reconciler.bills.found["alipay", DAY] = lines[2:]
    clock.advance(timedelta(hours=-2))  # 10:00 in China
    assert await reconcile_days(story.context) == 0
    clock.advance(timedelta(hours=1))
    assert await reconcile_days(story.context) == 1  # Huijinbao has no bill yet
    assert await reconcile_days(story.context) == 0
    (run,) = await story.rows(RECONCILIATIONS)
    assert (run["started_by"], run["bill_date"]) == ("schedule", DAY)
    clock.advance(timedelta(days=2))
    days = await reconciler.get("/v1/reconciliations/days", channel="alipay")
    assert [(day["bill_date"], day["state"]) for day in days["items"]] == [
        *(("2026-11-03", "missing"), ("2026-11-02", "missing"), ("2026-11-01", "breaks")),
    ]


async def test_breaks_as_csv(story: "Story", reconciler: Reconciler) -> None:
    lines = await clean(story)
    await reconciler.run([*lines, *both("=1+1", "in", 5, line=9)])
    async with reconciler.desk._client_as("operator", scopes=SCOPES, person="ann") as client:
        answer = await client.get("/v1/breaks", headers={"Accept": "text/csv"})
    header, text, _ = answer.text.split("\r\n")
    assert "我方金额" in header
    assert text.split(",")[2:7] == ["我方缺失", "'=1+1", "收入", "0.00", "0.05"]


async def test_who_may_reconcile(story: "Story", reconciler: Reconciler) -> None:
    await told(story)
    body = {"channel": "alipay", "bill_date": str(DAY)}
    answer = await reconciler.desk.ask(
        "ann", "POST", "/v1/reconciliations", json=body, scopes=["ledger:read"]
    )
    assert answer.status_code == 403
