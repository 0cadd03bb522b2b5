"""Distributors and spots on either channel, in any mix; one channel's fault spares the other."""

import asyncio
from typing import Any, Final

import pytest

from shanmen.platform.checks import check_installation
from shanmen.platform.testing.lives import PLATFORM_FUNDS, Life, live, shown

CHANNELS: Final = ("alipay", "huijinbao")
FAULTS: Final[dict[str, dict[str, Any]]] = {
    "timeout_after": {"times": 1, "hold_ms": 300},
    "system_error_before": {"times": 2},
    "bad_signature": {"times": 1},
    "throttled": {"times": 2},
    "processing_then_success": {"times": 1, "queries": 2},
}
"""Of Huijinbao, on whatever call of the life comes first."""


async def _whole_life(life: Life, pays_by: str, paid_by: str) -> None:
    """One of two tickets is visited and paid out, the other given back the way it came."""
    product_id = await life.publish(refund_rule={"before_visit": True})
    order = await life.buy(product_id, 2, wait_s=0)
    order = await life.until(order, "not issued", lambda o: o["status"] == "issued")
    visited, returned = order["tickets"]
    await life.admit_soon(visited)
    await life.cast.distributor.post(
        f"/v1/orders/{order['order_no']}/refund", {"ticket_nos": [returned["ticket_no"]]}
    )
    done = await life.until(order, "no end", lambda o: shown(o) == ["refunded", "settled"])
    assert (done["status"], done["refund_status"]) == ("completed", "partially_refunded")
    payer = await life.channel(pays_by, "GET", f"accounts/{life.payer}")
    payee = await life.channel(paid_by, "GET", f"accounts/{life.payee}")
    assert payer["balance_fen"] == 10_000_000 - done["amount_fen"] + 12_000
    assert payee["balance_fen"] == 10_735


async def _assert_sound(stack: Any) -> None:
    report = await check_installation(stack.installation, quiet_within_s=40)
    assert report.ok, report.text()


@pytest.mark.parametrize("pays_by", CHANNELS)
async def test_either_channel_in_any_mix(stack: Any, pays_by: str) -> None:
    async def mix(paid_by: str) -> None:
        async def script(life: Life) -> None:
            await _fund(life)
            await _whole_life(life, pays_by, paid_by)

        await live(stack.installation, stack.sample, script, pays_by=pays_by, paid_by=paid_by)

    await asyncio.gather(*(mix(paid_by) for paid_by in CHANNELS))
    await _assert_sound(stack)


async def _fund(life: Life) -> None:
    for channel in CHANNELS:
        await life.fund(channel, PLATFORM_FUNDS)


@pytest.mark.parametrize("kind", FAULTS)
async def test_huijinbaos_faults_lead_no_money_astray(stack: Any, kind: str) -> None:
    async def script(life: Life) -> None:
        await _fund(life)
        for account_no in (life.payer, life.payee):
            body = {"kind": kind, "account_no": account_no, **FAULTS[kind]}
            await life.channel("huijinbao", "POST", "faults", body)
        await _whole_life(life, "huijinbao", "huijinbao")

    await live(stack.installation, stack.sample, script, pays_by="huijinbao", paid_by="huijinbao")
    await _assert_sound(stack)
