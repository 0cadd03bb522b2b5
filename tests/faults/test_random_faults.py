"""Faults at random over many orders, single and combined, on both channels and both transports;
then every invariant, both channels' books, what the combined tickets earned, and the bills.

`SOAK_ORDERS` and `SOAK_SEED` make it longer or another one; `make soak` runs thousands.
"""

import logging
import os
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import pytest

from shanmen.common.clock import Clock
from shanmen.platform.api_client import ApiClient
from shanmen.platform.checks import check_installation
from shanmen.platform.demo import flow
from shanmen.platform.localclock import CHANNELS, move_world
from shanmen.platform.sample import SHANGHAI
from shanmen.platform.testing.soak import Soaked, soak

log = logging.getLogger(__name__)

ORDERS: Final = int(os.environ.get("SOAK_ORDERS", "60"))
SEED: Final = int(os.environ.get("SOAK_SEED", "1"))


@pytest.mark.timeout(240 + 2 * ORDERS)
async def test_random_faults_lead_no_money_astray(stack: Any) -> None:
    first_day = flow.today(stack.installation.clock())
    soaked = await soak(stack.installation, stack.sample, orders=ORDERS, seed=SEED)
    log.info(soaked.text())
    assert soaked.restless == [], soaked.text()
    assert len(soaked.orders) == ORDERS
    report = await check_installation(stack.installation, quiet_within_s=60)
    assert report.ok, f"{report.text()}\n{soaked.text()}"
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        books = Books(stack, client)
        await books.assert_profits(soaked)
        await books.assert_bills(first_day)


class Books:
    """The public API and the channels' own books, read with nothing of the services' code."""

    def __init__(self, stack: Any, client: httpx.AsyncClient) -> None:
        self._stack = stack
        self._client = client
        edge = stack.installation.url("edge")
        self._operator = ApiClient(client, edge, stack.sample.operator_token)

    async def assert_profits(self, soaked: Soaked) -> None:
        """The report of each combined product says what its raw facts come to."""
        for product_id in soaked.tours:
            told = await self._operator.get(f"/v1/reports/products/{product_id}")
            (profit,) = (it["amount_fen"] for it in told["figures"] if it["name"] == "profit")
            assert profit == await self._profit_fen(soaked.orders, product_id), told

    async def _profit_fen(self, order_nos: list[str], product_id: str) -> int:
        """What distributors paid and the yield, less what went back and what spots are owed."""
        profit_fen = await self._yield_fen(product_id)
        for order_no in order_nos:
            visits = await self._all("/v1/settlements", order_no=order_no)
            if not visits or visits[0]["product_id"] != product_id:
                continue
            debits = await self._all("/v1/operations", business_ref=order_no, kind="debit")
            refunds = await self._all("/v1/refunds", order_no=order_no)
            profit_fen += sum(it["amount_fen"] for it in debits if it["status"] == "succeeded")
            profit_fen -= sum(it["amount_fen"] for it in refunds if it["status"] == "refunded")
            profit_fen -= sum(it["payable_fen"] for it in visits if it["used_at"])
        return profit_fen

    async def _yield_fen(self, product_id: str) -> int:
        """What Huijinbao paid on top, out of its own books."""
        url = f"{self._stack.installation.url('huijinbao')}/admin/orders"
        orders = (
            await self._client.get(url, params={"biz_type": "liquidate", "limit": 500})
        ).json()
        return sum(
            order["yield_fen"]
            for order in orders["orders"]
            if order["biz_no"] == product_id and order["status"] == "S"
        )

    async def assert_bills(self, first_day: str) -> None:
        """Every bill of the days since agrees with the ledger."""
        installation = self._stack.installation
        urls = {name: installation.url(name) for name in CHANNELS}
        until_ready = _until_bills(installation.clock())
        await move_world(installation.state, urls, self._client, until_ready)
        day = datetime.fromisoformat(first_day).date()
        matched = 0
        while day.isoformat() < flow.today(installation.clock()):
            for channel in CHANNELS:
                body = {"channel": channel, "bill_date": day.isoformat()}
                run = await self._operator.post("/v1/reconciliations", body)
                assert run["breaks"] == 0, run
                matched += run["matched"]
            day += timedelta(days=1)
        assert matched > ORDERS

    async def _all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        page = await self._operator.get(path, limit=200, **query)
        found: list[dict[str, Any]] = page["items"]
        assert page.get("next_cursor") is None
        return found


def _until_bills(clock: Clock) -> timedelta:
    """How long until the bills of today are there: the channels make them in the morning."""
    now = clock.now().astimezone(SHANGHAI)
    tomorrow = (now + timedelta(days=1)).replace(hour=11, minute=0, second=0)
    return tomorrow - now
