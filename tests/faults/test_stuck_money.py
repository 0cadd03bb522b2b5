"""Money that cannot move by itself: who is told, what waits where, and how it goes on."""

import asyncio
from typing import Any, Final

from shanmen.catalog.bootstrap import mint_operator_token
from shanmen.platform.checks import check_installation
from shanmen.platform.demo import flow
from shanmen.platform.testing.lives import (
    PAY,
    PLATFORM,
    REFUND,
    TRANSFER,
    Life,
    Order,
    Script,
    live_together,
    refusal_of,
    shown,
)
from shanmen.settlement.bootstrap import grant_approvers

QUIET_WITHIN_S: Final = 40.0
REFUNDABLE: Final = {"refund_rule": {"before_visit": True, "on_expiry": True}}


def state(order: Order) -> str:
    """How far the order's debit is."""
    return str(order["payment"]["state"])


async def short_until_topped_up(life: Life) -> None:
    """余额不足: told once, waits, and goes on under the same number when it is asked for again."""
    await life.alipay("PUT", f"accounts/{life.payer}/balance", {"balance_fen": 100})
    order = await life.buy(life.product_id)
    assert (order["status"], state(order)) == ("awaiting_payment", "short_of_funds")
    number = order["payment"]["operation_id"]
    for _ in range(3):
        again = await life.cast.distributor.post(f"/v1/orders/{order['order_no']}/pay", wait_s=20)
        assert (state(again), again["payment"]["operation_id"]) == ("short_of_funds", number)
    told = await life.cast.distributor.get("/v1/webhook-events", order_no=order["order_no"])
    assert [event["type"] for event in told["items"]] == ["order.payment_short"]
    item = await life.until_item("debit_short", order_no=order["order_no"])
    assert item["amount_fen"] == order["amount_fen"]
    await life.alipay("POST", f"accounts/{life.payer}/top-up", {"amount_fen": 1_000_000})
    paid = await life.cast.distributor.post(f"/v1/orders/{order['order_no']}/pay", wait_s=20)
    assert (paid["status"], paid["payment"]["operation_id"]) == ("issued", number)
    await life.until_no_items(order_no=order["order_no"])
    messages = await life.cast.operator.get("/v1/messages", template="payment_short")
    assert messages["items"]


async def short_past_its_deadline(life: Life) -> None:
    """交易关闭1 only after the channel's certain word; the stock comes back once."""
    await life.alipay("PUT", f"accounts/{life.payer}/balance", {"balance_fen": 100})
    product_id = await life.publish(payment_timeout_s=1)
    before = await flow.left(life.cast, product_id)
    order = await life.buy(product_id, 3)
    closed = await life.until(order, "not closed", lambda o: o["status"] == "closed_unpaid")
    assert state(closed) == "refused"

    async def is_back() -> bool | None:
        return await flow.left(life.cast, product_id) == before or None

    await flow.until(is_back, "the stock is not back")
    await life.until_no_items(order_no=order["order_no"])
    assert await life.balance(life.payer) == 100


async def cancelled_in_doubt(life: Life) -> None:
    """A debit that nobody knows of is cancelled at the channel; no money stays away."""
    fault = await life.order_fault("timeout_before", PAY, life.payer, hold_ms=300)
    order = await life.buy(life.product_id, wait_s=0)
    await life.cast.distributor.post(f"/v1/orders/{order['order_no']}/cancel")
    closed = await life.until(order, "not closed", lambda o: o["status"] == "closed_unpaid")
    await life.call_off(fault)
    assert await life.balance(life.payer) == 10_000_000
    paying = life.cast.distributor.post(f"/v1/orders/{closed['order_no']}/pay")
    assert await refusal_of(paying) == "order_closed"


async def cancelled_while_the_money_moves(life: Life) -> None:
    """Either paid or closed with nothing debited, whoever was faster; never both."""
    await life.order_fault("timeout_after", PAY, life.payer, times=1, hold_ms=300)
    order = await life.buy(life.product_id, wait_s=0)
    cancelling = life.cast.distributor.post(f"/v1/orders/{order['order_no']}/cancel")
    assert await refusal_of(cancelling) in (None, "order_already_paid")
    ended = await life.until(
        order, "neither", lambda o: o["status"] in ("closed_unpaid", "issued")
    )
    spent_fen = 10_000_000 - await life.balance(life.payer)
    assert spent_fen == (ended["amount_fen"] if ended["status"] == "issued" else 0)


async def debited_after_it_was_closed(life: Life) -> None:
    """A request that the channel carries out late, for a closed order, goes back in full."""
    await life.order_fault(
        "timeout_then_applied", PAY, life.payer, times=1, hold_ms=100, delay_ms=4_000
    )
    await life.alipay(
        "POST", "faults", {"kind": "notify_missing", "account_no": life.payer, "times": 1}
    )
    order = await life.buy(life.product_id, wait_s=0)
    await life.cast.distributor.post(f"/v1/orders/{order['order_no']}/cancel")
    await life.until(order, "not closed", lambda o: o["status"] == "closed_unpaid")

    async def went_and_came_back() -> bool | None:
        entries = (await life.alipay("GET", f"accounts/{life.payer}/entries"))["entries"]
        moved = [(entry["direction"], entry["amount_fen"]) for entry in entries[1:]]
        amount_fen = order["amount_fen"]
        return moved == [("out", amount_fen), ("in", amount_fen)] or None

    await flow.until(went_and_came_back, "the late debit did not come back in full")
    assert (await life.order(order["order_no"]))["status"] == "closed_unpaid"


async def _visited(life: Life, product_id: str | None = None) -> Order:
    order = await life.buy(product_id or life.product_id)
    assert order["status"] == "issued"
    await life.admit_soon(order["tickets"][0])
    return order


async def payout_short(life: Life) -> None:
    """结算失败: told, on the work list, remitted by hand under the same number."""
    fault = await life.order_fault("insufficient_funds", TRANSFER, PLATFORM)
    order = await _visited(life)
    waiting = await life.until(order, "no", lambda o: shown(o) == ["awaiting_settlement"])
    assert waiting["tickets"][0]["spots"][0]["reason"]
    item = await life.until_item("payout_short", spot_id=life.cast.spot_id)
    await life.call_off(fault)
    await life.cast.operator.post(f"/v1/work-items/{item['item_id']}/retry", {"note": "充值"})
    await life.until(order, "not settled", lambda o: shown(o) == ["settled"])
    await life.until_no_items(spot_id=life.cast.spot_id)
    assert await life.balance(life.payee) == 10_735


async def payout_past_its_window(life: Life) -> None:
    """System failures end in the work list; the hand that starts it again never pays twice."""
    fault = await life.order_fault("system_error_after", TRANSFER, life.payee)
    quiet = {"kind": "system_error_before", "account_no": life.payee}
    query = await life.alipay(
        "POST", "faults", {**quiet, "method": "alipay.fund.trans.common.query"}
    )
    order = await _visited(life)
    item = await life.until_item("payout_stuck", spot_id=life.cast.spot_id)
    await life.call_off(fault)
    await life.call_off(query["fault_id"])
    path = f"/v1/work-items/{item['item_id']}/retry"
    answers = await asyncio.gather(
        *(life.cast.operator.post(path, {"note": "再试"}) for _ in range(4)),
        return_exceptions=True,
    )
    assert any(not isinstance(answer, BaseException) for answer in answers)
    await life.until(order, "not settled", lambda o: shown(o) == ["settled"])
    assert await life.balance(life.payee) == 10_735


async def payee_refused(life: Life) -> None:
    """The channel refuses the account: the item names it; a new number pays the new one."""
    fault = await life.order_fault(
        "unlisted_code", TRANSFER, life.payee, sub_code="PAYEE_NOT_EXIST"
    )
    order = await _visited(life)
    item = await life.until_item("payout_refused", spot_id=life.cast.spot_id)
    assert item["account_id"]
    assert item["code"] == "PAYEE_NOT_EXIST"
    await life.call_off(fault)
    done = await life.cast.operator.post(
        f"/v1/work-items/{item['item_id']}/remit", {"note": "账户已更正"}
    )
    assert done["status"] == "executed"
    await life.until(order, "not settled", lambda o: shown(o) == ["settled"])
    assert await life.balance(life.payee) == 10_735


async def above_the_set_amount(life: Life) -> None:
    """四眼: a large remittance by hand waits for another person, who has the right to approve."""
    database = life.installation.database_url
    approver, outsider = f"审批人{life.payee}", f"旁人{life.payee}"
    await grant_approvers(database("settlement"), [approver])
    second, third = [
        life.as_principal(await mint_operator_token(database("catalog"), person))
        for person in (approver, outsider)
    ]
    spots = [{"spot_id": life.cast.spot_id, "settle_fen": 600_000}]
    product_id = await life.publish(unit_price_fen=700_000, spots=spots)
    fault = await life.order_fault(
        "unlisted_code", TRANSFER, life.payee, sub_code="PAYEE_NOT_EXIST"
    )
    order = await _visited(life, product_id)
    item = await life.until_item("payout_refused", spot_id=life.cast.spot_id)
    await life.call_off(fault)
    path = f"/v1/work-items/{item['item_id']}/remit"
    asked = await life.cast.operator.post(path, {"note": "账户已更正"})
    assert asked["status"] == "waiting"
    approve = f"/v1/manual-actions/{asked['action_id']}/approve"
    exact = {"amount_fen": asked["amount_fen"]}
    assert await refusal_of(life.cast.operator.post(approve, exact)) == "same_person"
    assert await refusal_of(third.post(approve, exact)) == "not_an_approver"
    other_fen = {"amount_fen": asked["amount_fen"] - 1}
    assert await refusal_of(second.post(approve, other_fen)) == "approval_differs"
    assert shown(await life.order(order["order_no"])) == ["awaiting_settlement"]
    done = await second.post(approve, exact)
    assert (done["status"], done["approved_by"]) == ("executed", approver)
    await life.until(order, "not settled", lambda o: shown(o) == ["settled"])
    assert await life.balance(life.payee) == asked["amount_fen"]


async def dealt_and_failed(life: Life) -> None:
    """A payout that was accepted and then fails is on the work list, and paid anew."""
    await life.order_fault("dealing_then_fail", TRANSFER, life.payee, times=1, queries=1)
    order = await _visited(life)
    item = await life.until_item("payout_refused", spot_id=life.cast.spot_id)
    await life.cast.operator.post(f"/v1/work-items/{item['item_id']}/remit", {"note": "重汇"})
    await life.until(order, "not settled", lambda o: shown(o) == ["settled"])
    assert await life.balance(life.payee) == 10_735


async def refund_short(life: Life) -> None:
    """退款失败 is shown as 待退款 with the channel's reason, and an operator starts it again."""
    product_id = await life.publish(**REFUNDABLE)
    order = await life.buy(product_id)
    fault = await life.alipay(
        "POST",
        "faults",
        {
            "kind": "insufficient_funds",
            "method": REFUND,
            "number": order["payment"]["operation_id"],
        },
    )
    await life.cast.distributor.post(f"/v1/orders/{order['order_no']}/refund")
    waiting = await life.until(order, "no", lambda o: shown(o) == ["awaiting_refund"])
    assert waiting["refund_status"] == "refund_pending"
    assert waiting["tickets"][0]["spots"][0]["reason"]
    item = await life.until_item("refund_short", order_no=order["order_no"])
    await life.call_off(fault["fault_id"])
    await life.cast.operator.post(f"/v1/work-items/{item['item_id']}/refund", {"note": "重退"})
    done = await life.until(order, "not refunded", lambda o: shown(o) == ["refunded"])
    assert (done["status"], done["refund_status"]) == ("closed_refunded", "refunded")
    assert await life.admit(order["tickets"][0]) == "voided"


async def refund_past_its_window(life: Life) -> None:
    """A refund that nobody can tell of ends in the work list, and is never paid twice."""
    product_id = await life.publish(**REFUNDABLE)
    order = await life.buy(product_id)
    faults = []
    for method in (REFUND, "alipay.trade.fastpay.refund.query"):
        kind = "system_error_after" if method == REFUND else "system_error_before"
        number = order["payment"]["operation_id"]
        body = {"kind": kind, "method": method, "number": number}
        faults.append(await life.alipay("POST", "faults", body))
    await life.cast.distributor.post(f"/v1/orders/{order['order_no']}/refund")
    item = await life.until_item("refund_stuck", order_no=order["order_no"])
    waiting = await life.until(order, "no", lambda o: shown(o) == ["awaiting_refund"])
    assert waiting["refund_status"] == "refund_pending"
    for fault in faults:
        await life.call_off(fault["fault_id"])
    await life.cast.operator.post(f"/v1/work-items/{item['item_id']}/retry", {"note": "再试"})
    done = await life.until(order, "not refunded", lambda o: o["status"] == "closed_refunded")
    assert len((await life.trade(done))["refunds"]) == 1


async def below_the_minimum(life: Life) -> None:
    """Visits of less than 0.10 yuan wait for the next one, and are paid together, once."""
    product_id = await life.publish(
        unit_price_fen=100, spots=[{"spot_id": life.cast.spot_id, "settle_fen": 4}]
    )
    order = await life.buy(product_id, 3)
    for ticket in order["tickets"]:
        await life.admit_soon(ticket)
    await life.until(order, "not settled", lambda o: set(shown(o)) == {"settled"})
    assert await life.balance(life.payee) == 12


async def refund_races_the_gate(life: Life) -> None:
    """Void and scan at the same time: each ticket is either refunded or settled."""
    product_id = await life.publish(**REFUNDABLE)
    order = await life.buy(product_id, 6)
    await life.admit_soon(order["tickets"][0])
    scans = [life.admit(ticket) for ticket in order["tickets"][1:]]
    asked = life.cast.distributor.post(f"/v1/orders/{order['order_no']}/refund")
    *codes, _ = await asyncio.gather(*scans, asked, return_exceptions=True)
    admitted = 1 + codes.count("admitted")
    over = {"refunded", "settled"}
    done = await life.until(order, "no end", lambda o: set(shown(o)) <= over)
    assert shown(done).count("settled") == admitted
    assert await life.balance(life.payee) == 10_735 * admitted
    trade = await life.trade(done)
    assert len(trade["refunds"]) == 6 - admitted


SCRIPTS: Final[dict[str, Script]] = {
    script.__name__: script
    for script in (
        short_until_topped_up,
        short_past_its_deadline,
        cancelled_in_doubt,
        cancelled_while_the_money_moves,
        debited_after_it_was_closed,
        payout_past_its_window,
        payee_refused,
        above_the_set_amount,
        dealt_and_failed,
        refund_short,
        refund_past_its_window,
        below_the_minimum,
        refund_races_the_gate,
    )
}


async def test_stuck_money_is_told_and_goes_on(stack: Any) -> None:
    assert await live_together(stack.installation, stack.sample, SCRIPTS) == {}
    # The platform itself runs short: nobody else's payouts may be under way.
    alone = {"payout_short": payout_short}
    assert await live_together(stack.installation, stack.sample, alone) == {}
    report = await check_installation(stack.installation, quiet_within_s=QUIET_WITHIN_S)
    assert report.ok, report.text()
