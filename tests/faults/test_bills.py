"""对账: what a channel's bill has too much, lacks or tells wrongly is found, and nothing else."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import pytest

from shanmen.platform.checks import check_installation
from shanmen.platform.checks.view import PLATFORM_ACCOUNTS
from shanmen.platform.demo import flow
from shanmen.platform.localclock import CHANNELS, move_world
from shanmen.platform.sample import SHANGHAI
from shanmen.platform.testing.lives import PAY, PLATFORM_FUNDS, Life, live, refusal_of, shown

BILLS: Final[Mapping[str, tuple[str, ...]]] = {
    "alipay": ("trade", "signcustomer"),
    "huijinbao": ("TRADE", "ACCOUNT"),
}
BILL_METHODS: Final = {
    "alipay": "alipay.data.dataservice.bill.downloadurl.query",
    "huijinbao": "bill.query",
}
FOUND: Final = {
    "bill_extra_row": {"missing_here"},
    "bill_missing_row": {"missing_there"},
    "bill_amount_differs": {"amount"},
    "bill_duplicate_row": {"missing_here", "amount"},
    "bill_reordered_columns": set[str](),
    "bill_utf8": set[str](),
}
"""The class of the one difference that each fault makes; none where it changes nothing."""
UNREADABLE: Final = ("bill_wrong_trailer", "bill_truncated", "bill_utf16", "bill_empty_file")


async def _trade(life: Life) -> None:
    """One visit that is paid out, and one refund."""
    product_id = await life.publish(refund_rule={"before_visit": True})
    order = await life.buy(product_id, 2)
    visited, returned = order["tickets"]
    await life.admit_soon(visited)
    await life.cast.distributor.post(
        f"/v1/orders/{order['order_no']}/refund", {"ticket_nos": [returned["ticket_no"]]}
    )
    await life.until(order, "no end", lambda o: shown(o) == ["refunded", "settled"])


async def _until_the_bills(life: Life) -> str:
    """Let time pass until the bills of today are there; today."""
    clock = life.installation.clock()
    now, day = clock.now().astimezone(SHANGHAI), flow.today(clock)
    ready = (now + timedelta(days=1)).replace(hour=11, minute=0, second=0)
    urls = {name: life.installation.url(name) for name in CHANNELS}
    await move_world(life.installation.state, urls, life.client, ready - now)
    return day


class Clerk:
    """Reconciles a channel's day, with a spoilt bill or an honest one."""

    def __init__(self, life: Life, channel: str, day: str) -> None:
        self._life = life
        self._channel = channel
        self._day = day

    async def spoil(self, kind: str, bill_type: str) -> None:
        """Let one of the day's files be false, until called off."""
        method = BILL_METHODS[self._channel]
        body = {"kind": kind, "method": method, "number": bill_type}
        await self._life.channel(self._channel, "POST", "faults", body)

    async def honest(self) -> None:
        """Let every file be true again."""
        await self._life.channel(self._channel, "DELETE", "faults")

    async def reconcile(self, **more: Any) -> dict[str, Any]:
        """Compare the bill, asked for anew, with the ledger."""
        body = {"channel": self._channel, "bill_date": self._day, "refetch": True, **more}
        run: dict[str, Any] = await self._life.cast.operator.post("/v1/reconciliations", body)
        return run

    async def breaks(self) -> list[dict[str, Any]]:
        """What is open for the day."""
        page = await self._life.cast.operator.get(
            "/v1/breaks", channel=self._channel, bill_date=self._day, status="open"
        )
        found: list[dict[str, Any]] = page["items"]
        return found


async def _every_fault(clerk: Clerk, bill_type: str) -> None:
    for kind, classes in FOUND.items():
        await clerk.spoil(kind, bill_type)
        run = await clerk.reconcile(dry_run=True)
        found = [it["break_class"] for it in run["differences"]]
        assert len(found) == bool(classes), (kind, bill_type, run)
        assert set(found) <= classes, (kind, bill_type, run)
        assert {place["bill_type"] for it in run["differences"] for place in it["places"]} <= {
            bill_type
        }
        await clerk.honest()
    for kind in UNREADABLE:
        await clerk.spoil(kind, bill_type)
        assert await refusal_of(clerk.reconcile()) == "bill_unreadable", (kind, bill_type)
        await clerk.honest()
    assert await clerk.breaks() == []


async def _found_told_and_mended(life: Life, clerk: Clerk, channel: str, bill_type: str) -> None:
    """A break is listed once however often it is found, and goes by itself once it is mended."""
    await clerk.spoil("bill_missing_row", bill_type)
    first = await clerk.reconcile()
    again = await clerk.reconcile()
    assert (first["opened"], again["opened"]) == (1, 0)
    (found,) = await clerk.breaks()
    item = await life.until_item("break_missing_there", channel=channel)
    assert item["subject_id"] == found["break_id"]
    await clerk.honest()
    assert (await clerk.reconcile())["resolved"] == 1
    assert await clerk.breaks() == []
    await life.until_no_items(channel=channel)


@pytest.mark.parametrize("channel", CHANNELS)
async def test_each_false_row_is_found_and_no_other(stack: Any, channel: str) -> None:
    async def script(life: Life) -> None:
        for name in CHANNELS:
            await life.fund(name, PLATFORM_FUNDS)
        await _trade(life)
        day = await _until_the_bills(life)
        clerk = Clerk(life, channel, day)
        honest = await clerk.reconcile()
        assert honest["breaks"] == 0, honest
        assert honest["matched"] > 0
        for bill_type in BILLS[channel]:
            await _every_fault(clerk, bill_type)
        await _found_told_and_mended(life, clerk, channel, BILLS[channel][-1])

    await live(*(stack.installation, stack.sample, script), pays_by=channel, paid_by=channel)
    report = await check_installation(stack.installation, quiet_within_s=40)
    assert report.ok, report.text()


async def test_what_is_learned_a_day_late_is_booked_on_the_day_of_the_bill(stack: Any) -> None:
    """The answer to a debit was lost, and so was every query until the next day."""

    async def script(life: Life) -> None:
        for method, kind in ((PAY, "timeout_after"), ("alipay.trade.query", "down")):
            await life.order_fault(kind, method, life.payer, hold_ms=200)
        order = await life.buy(life.product_id, wait_s=0)
        await life.until(order, "", lambda o: o["payment"]["state"] == "requested")
        await _until_taken(life)
        day = await _until_the_bills(life)
        clerk = Clerk(life, "alipay", day)
        (found,) = (await clerk.reconcile())["differences"]
        assert (found["break_class"], found["number"]) == (
            "status",
            order["payment"]["operation_id"],
        )
        await life.alipay("DELETE", "faults")
        await life.until(order, "not issued", lambda o: o["status"] == "issued")
        assert (await clerk.reconcile())["breaks"] == 0
        assert await clerk.breaks() == []
        await life.until_no_items(channel="alipay")

    await live(stack.installation, stack.sample, script)
    report = await check_installation(stack.installation, quiet_within_s=40)
    assert report.ok, report.text()


async def _until_taken(life: Life) -> None:
    """Wait until Alipay has taken the distributor's money."""

    async def look() -> bool | None:
        return await life.balance(life.payer) < 10_000_000 or None

    await flow.until(look, "Alipay takes nothing")


async def test_a_movement_that_nobody_booked_is_adjusted_and_cleared(stack: Any) -> None:
    """The owner topped an account up and told nobody: found, put in suspense, and explained."""

    async def script(life: Life) -> None:
        account_no = PLATFORM_ACCOUNTS["huijinbao"]
        await life.channel(
            "huijinbao",
            "POST",
            f"accounts/{account_no}/top-up",
            {"amount_fen": 1_234, "reference": f"unknown-{life.payer}"},
        )
        day = await _until_the_bills(life)
        clerk = Clerk(life, "huijinbao", day)
        run = await clerk.reconcile()
        (found,) = run["differences"]
        assert (found["break_class"], found["theirs_fen"]) == ("missing_here", 1_234)
        item = await life.until_item("break_missing_here", channel="huijinbao")
        note = {"note": "查明: 未登记的注资"}
        await life.cast.operator.post(f"/v1/work-items/{item['item_id']}/adjust", note)
        suspense = await life.cast.operator.get("/v1/suspense")
        (open_one,) = suspense["items"]
        await life.cast.operator.post(
            f"/v1/suspense/{open_one['posting_key']}/clearings", {"to": "owner", **note}
        )
        assert (await life.cast.operator.get("/v1/suspense"))["items"] == []
        assert (await clerk.reconcile())["breaks"] == 0
        await life.until_no_items(channel="huijinbao")

    await live(stack.installation, stack.sample, script)
    report = await check_installation(stack.installation, quiet_within_s=40)
    assert report.ok, report.text()
