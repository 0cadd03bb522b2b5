"""The demo's last part: what the combined ticket earned, and every bill against the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from shanmen.platform.demo.combined import PRODUCT_NAME, Tour, Travel
from shanmen.platform.demo.flow import Cast, expect, yuan
from shanmen.platform.demo.narrator import Narrator
from shanmen.platform.localclock import CHANNELS
from shanmen.platform.sample import SHANGHAI

SHOWN: Final = (
    *("sales", "settlements", "refunds", "forfeits", "fees", "margin"),
    *("invested", "redeemed", "yield", "profit"),
)
"""Figures of the report that the demo prints."""
BILLS_READY_AT: Final = 11
"""The hour, in China, at which every channel has made its bills of the day before."""


@dataclass(frozen=True)
class Reconciled:
    """What reconciling came to, over all channels and days."""

    matched: int
    breaks: int


async def report(cast: Cast, tour: Tour, narrator: Narrator) -> list[dict[str, Any]]:
    """财务报告: the basis of the offline profit split; every figure leads to its postings."""
    narrator.chapter("12", "财务报告", "What the combined ticket earned")
    path = f"/v1/reports/products/{tour.product_id}"
    told = await cast.operator.get(path)
    figures = {figure["name"]: figure for figure in told["figures"]}
    narrator.table(
        f"{PRODUCT_NAME}  ({path}, also as CSV and XLSX)",
        ["figure", "", "amount_fen"],
        [
            [name, figures[name]["title"], f"{figures[name]['amount_fen']:,}"]
            for name in SHOWN
            if name in figures
        ],
    )
    profit_fen = figures["profit"]["amount_fen"]
    behind = (await cast.operator.get(f"{path}/postings", figure="profit", limit=200))["items"]
    traced_fen = sum(posting["amount_fen"] for posting in behind)
    expect(traced_fen == profit_fen, f"profit {profit_fen}, its postings add up to {traced_fen}")
    narrator.note(f"the profit's {len(behind)} postings add up to {yuan(profit_fen)}")
    return [{"product": PRODUCT_NAME, "product_id": tour.product_id, "profit_fen": profit_fen}]


async def reconcile(cast: Cast, travel: Travel, narrator: Narrator) -> Reconciled:
    """对账: each channel's bill of each day against the ledger, line by line."""
    narrator.chapter("13", "对账", "Every bill of both channels against the ledger")
    days = sorted(set(travel.days))
    now = cast.clock.now().astimezone(SHANGHAI)
    ready = (now + timedelta(days=1)).replace(hour=BILLS_READY_AT, minute=0, second=0)
    await travel.forward(ready - now, narrator)
    runs = [await _run(cast, channel, day) for day in days for channel in CHANNELS]
    narrator.table(
        "Reconciliations",
        ["channel", "bill of", "matched", "breaks"],
        [[run["channel"], run["bill_date"], run["matched"], run["breaks"]] for run in runs],
    )
    return _sum_of(runs)


async def _run(cast: Cast, channel: str, day: str) -> dict[str, Any]:
    body = {"channel": channel, "bill_date": day}
    run: dict[str, Any] = await cast.operator.post("/v1/reconciliations", body)
    return run


def _sum_of(runs: Sequence[dict[str, Any]]) -> Reconciled:
    return Reconciled(
        matched=sum(run["matched"] for run in runs), breaks=sum(run["breaks"] for run in runs)
    )
