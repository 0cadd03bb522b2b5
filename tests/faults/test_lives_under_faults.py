"""Every fault that Alipay can have, on the debit, the payout and the refund of a whole order.

All scenarios of one stack live side by side, each with parties of its own; then the installation
as a whole must be sound (`shanmen check`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from shanmen.platform.checks import check_installation
from shanmen.platform.testing.lives import (
    PAY,
    REFUND,
    TRANSFER,
    Life,
    Order,
    Script,
    live_together,
    shown,
)

QUIET_WITHIN_S: Final = 40.0
HOLD_MS: Final = 300
QUICK: Final = {"hold_ms": HOLD_MS}

ON_ANY_CALL: Final[dict[str, dict[str, Any]]] = {
    "timeout_before": {"times": 1, **QUICK},
    "timeout_after": {"times": 1, **QUICK},
    "timeout_then_applied": {"times": 1, **QUICK, "delay_ms": 400},
    "error_20000_before": {"times": 2},
    "error_20000_after": {"times": 1},
    "system_error_before": {"times": 3},
    "system_error_after": {"times": 2},
    "bad_signature": {"times": 1},
    "unsigned": {"times": 1},
    "braces": {},
    "throttled": {"times": 3},
    "slow": {"delay_ms": 700, "times": 1},
    "unlisted_code": {"times": 1},
    "unlisted_code_after": {"times": 1},
}
OF_THEIR_OWN: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "pay_in_process": (PAY, {"queries": 2}),
    "dealing_then_success": (TRANSFER, {"queries": 2}),
}
OF_NOTIFICATIONS: Final[dict[str, dict[str, Any]]] = {
    "notify_duplicate": {"copies": 7},
    "notify_late": {"delay_ms": 3_000},
    "notify_missing": {},
    "notify_reordered": {},
    "notify_forged": {"delay_ms": 500},
}
REFUNDABLE: Final = {"refund_rule": {"before_visit": True, "on_expiry": True}}


async def _whole_life(life: Life, order_faults: Callable[[Life], Any]) -> None:
    """Two tickets: one is visited and paid out, the other is given back before any visit."""
    await order_faults(life)
    product_id = await life.publish(**REFUNDABLE)
    order = await life.buy(product_id, 2, wait_s=0)
    order = await life.until(order, "the order is not issued", lambda o: o["status"] == "issued")
    visited, returned = order["tickets"]
    await life.admit_soon(visited)
    await life.cast.distributor.post(
        f"/v1/orders/{order['order_no']}/refund", {"ticket_nos": [returned["ticket_no"]]}
    )
    done = await life.until(
        order, "it does not end", lambda o: shown(o) == ["refunded", "settled"]
    )
    assert (done["status"], done["refund_status"]) == ("completed", "partially_refunded")
    await _assert_their_books(life, done)


async def _assert_their_books(life: Life, order: Order) -> None:
    """One debit of both tickets with the fee, one refund of one, one payout of the other."""
    trade = await life.trade(order)
    assert trade["amount_fen"] == order["amount_fen"] == 24_072
    assert [refund["amount_fen"] for refund in trade["refunds"]] == [12_000]
    entries = (await life.alipay("GET", f"accounts/{life.payee}/entries"))["entries"]
    assert [entry["amount_fen"] for entry in entries] == [10_735]
    assert await life.balance(life.payer) == 10_000_000 - 24_072 + 12_000


def _on_any_call(kind: str) -> Callable[[Life], Any]:
    async def order_faults(life: Life) -> None:
        for method, account_no in (
            (PAY, life.payer),
            (TRANSFER, life.payee),
            (REFUND, life.payer),
        ):
            await life.order_fault(kind, method, account_no, **ON_ANY_CALL[kind])

    return order_faults


def _on_its_own_call(kind: str) -> Callable[[Life], Any]:
    async def order_faults(life: Life) -> None:
        method, more = OF_THEIR_OWN[kind]
        account_no = life.payer if method == PAY else life.payee
        await life.order_fault(kind, method, account_no, **more)

    return order_faults


def _on_notifications(kind: str) -> Callable[[Life], Any]:
    async def order_faults(life: Life) -> None:
        for account_no in (life.payer, life.payee):
            body = {"kind": kind, "account_no": account_no, **OF_NOTIFICATIONS[kind]}
            await life.alipay("POST", "faults", body)

    return order_faults


def _scripts() -> dict[str, Script]:
    faults = {
        **{kind: _on_any_call(kind) for kind in ON_ANY_CALL},
        **{kind: _on_its_own_call(kind) for kind in OF_THEIR_OWN},
        **{kind: _on_notifications(kind) for kind in OF_NOTIFICATIONS},
    }
    return {
        kind: partial(_whole_life, order_faults=order_faults)
        for kind, order_faults in faults.items()
    }


async def test_no_fault_of_the_channel_leads_money_astray(stack: Any) -> None:
    assert await live_together(stack.installation, stack.sample, _scripts()) == {}
    report = await check_installation(stack.installation, quiet_within_s=QUIET_WITHIN_S)
    assert report.ok, report.text()
