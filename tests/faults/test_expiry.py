"""The end of validity: gates refuse, what was not used expires, and its money goes back or stays.

Time moves by the installation's own clock, never by waiting.
"""

import asyncio
from functools import partial
from typing import Any, Final

from shanmen.platform.checks import check_installation
from shanmen.platform.demo import flow
from shanmen.platform.testing.lives import REFUND, Life, Order, Script, live_together, shown

QUIET_WITHIN_S: Final = 40.0
UNPAID_FEN: Final = 10_000_000
ARRANGED_WITHIN_S: Final = 60.0


class Midnight:
    """Lets scenarios prepare side by side, then moves the time past all their validities once."""

    def __init__(self, stack: Any, waiting: int) -> None:
        self._stack = stack
        self._barrier = asyncio.Barrier(waiting)

    async def pass_by(self) -> None:
        """Wait until everybody is ready, and for the day after tomorrow."""
        async with asyncio.timeout(ARRANGED_WITHIN_S):
            if await self._barrier.wait() == 0:
                moved = await asyncio.to_thread(self._stack.run, "clock", "advance", "48h")
                assert moved.returncode == 0, moved.stderr
            await self._barrier.wait()


async def refunded_in_full(life: Life, midnight: Midnight) -> None:
    """交易关闭2: nothing was used; price parts go back, the fee stays by default."""
    order = await life.buy(life.product_id, 2)
    await midnight.pass_by()
    done = await life.until(order, "not refunded", lambda o: o["status"] == "closed_refunded")
    assert done["refund_status"] == "refunded"
    assert shown(done) == ["refunded", "refunded"]
    fee_fen = order["amount_fen"] - 2 * flow.UNIT_PRICE_FEN
    assert await life.balance(life.payer) == UNPAID_FEN - fee_fen
    assert await life.admit(order["tickets"][0]) == "expired"


async def with_its_fee(life: Life, midnight: Midnight) -> None:
    """Where the product says so, the fee goes back with the last fen."""
    product_id = await life.publish(refund_rule={"on_expiry": True, "refunds_fee": True})
    order = await life.buy(product_id, 3)
    await midnight.pass_by()
    await life.until(order, "no", lambda o: o["status"] == "closed_refunded")
    assert await life.balance(life.payer) == UNPAID_FEN


async def forfeited(life: Life, midnight: Midnight) -> None:
    """无须退款: the product refunds nothing, and the order is 交易成功."""
    product_id = await life.publish(refund_rule={"on_expiry": False})
    order = await life.buy(product_id)
    await midnight.pass_by()
    done = await life.until(order, "not forfeited", lambda o: shown(o) == ["forfeited"])
    assert (done["status"], done["refund_status"]) == ("completed", "none")
    assert await life.balance(life.payer) == UNPAID_FEN - order["amount_fen"]


async def partly_used(life: Life, midnight: Midnight) -> None:
    """部分退款成功: one visited and settled, the other expired and refunded."""
    order = await life.buy(life.product_id, 2)
    await life.admit_soon(order["tickets"][0])
    await life.until(order, "not settled", lambda o: "settled" in shown(o))
    await midnight.pass_by()
    done = await life.until(order, "no", lambda o: shown(o) == ["refunded", "settled"])
    assert (done["status"], done["refund_status"]) == ("completed", "partially_refunded")


async def refund_fails_at_first(life: Life, midnight: Midnight) -> None:
    """退款失败 after expiry: shown as 待退款, then started again by a person."""
    order: Order = await life.buy(life.product_id)
    fault = await life.alipay(
        "POST",
        "faults",
        {
            "kind": "insufficient_funds",
            "method": REFUND,
            "number": order["payment"]["operation_id"],
        },
    )
    await midnight.pass_by()
    waiting = await life.until(order, "no", lambda o: shown(o) == ["awaiting_refund"])
    assert waiting["refund_status"] == "refund_pending"
    item = await life.until_item("refund_short", order_no=order["order_no"])
    await life.call_off(fault["fault_id"])
    await life.cast.operator.post(f"/v1/work-items/{item['item_id']}/refund", {"note": "重退"})
    await life.until(order, "not refunded", lambda o: o["status"] == "closed_refunded")


SCRIPTS: Final = (refunded_in_full, with_its_fee, forfeited, partly_used, refund_fails_at_first)


async def test_what_expires_is_refunded_or_forfeited(stack: Any) -> None:
    midnight = Midnight(stack, len(SCRIPTS))
    scripts: dict[str, Script] = {
        script.__name__: partial(script, midnight=midnight) for script in SCRIPTS
    }
    assert await live_together(stack.installation, stack.sample, scripts) == {}
    report = await check_installation(stack.installation, quiet_within_s=QUIET_WITHIN_S)
    assert report.ok, report.text()
