"""Operations carried out at the Huijinbao simulator, whatever happens on the way.

Its books, which it keeps without us, say how often the money has moved.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import pytest

from shanmen.common.app import create_app
from shanmen.common.events import Event
from shanmen.common.ids import new_id
from shanmen.common.testing.clients import running_of
from shanmen.common.testing.events import deliver, eventually
from shanmen.gateway_adapters.domain.operations import Action, OperationStatus
from shanmen.gateway_adapters.main import SERVICE
from shanmen.gateway_adapters.tables import NOTIFICATIONS, OPERATIONS
from shanmen.gateway_adapters.testing import (
    Desk,
    debit,
    liquidate,
    payout,
    redeem,
    refund,
    subscribe,
)
from shanmen.simulators.testing.huijinbao_merchant import (
    DISTRIBUTOR,
    FUND,
    PLATFORM,
    SPOT,
    HuijinbaoMerchant,
)
from shanmen.simulators.testing.servers import served

OpenDesk = Callable[..., Desk]

ANYTHING: Final[dict[str, dict[str, Any]]] = {
    "none": {},
    "timeout_before": {},
    "timeout_after": {},
    "timeout_then_applied": {"delay_ms": 400},
    "system_error_before": {"times": 3},
    "system_error_after": {"times": 2},
    "bad_signature": {"times": 2},
    "unsigned": {},
    "throttled": {"times": 4},
    "unlisted_code": {},
    "unlisted_code_after": {},
    "down": {"times": 3},
    "down_cut": {"times": 3},
    "braces": {},
    "slow": {"delay_ms": 100},
    "processing_then_success": {"queries": 2},
}
"""What may befall any operation, by the simulator's name of it."""

PAYER: Final = {"account_id": "acc_payer", "channel": "huijinbao"}
RECEIVER: Final = {"account_id": "acc_receiver", "channel": "huijinbao"}


def numbered(prefix: str) -> dict[str, str]:
    """A number of its own for each thing that may befall it."""
    return {kind: new_id(prefix) for kind in ANYTHING}


async def order_faults(simulator: HuijinbaoMerchant, numbers: dict[str, str]) -> None:
    for kind, number in numbers.items():
        if kind != "none":
            order = {"kind": kind, "number": number, "times": 1, **ANYTHING[kind]}
            await simulator.post("/faults", order)


async def carry_out(desk: Desk, *events: Event) -> dict[str, str]:
    """Work until every one of these has come to its end; the status of each number."""
    await deliver(desk.inbox, *events)

    async def all_ended() -> bool:
        rows = await desk.rows(OPERATIONS)
        assert OperationStatus.OPEN not in {row.status for row in rows}
        return True

    async with desk.operating():
        await eventually(all_ended, within_s=30)
    return {row.operation_id: row.status for row in await desk.rows(OPERATIONS)}


async def movements(simulator: HuijinbaoMerchant, account_no: str) -> Counter[tuple[str, int]]:
    """How often which number moved how much into an account (or out of it, then negative)."""
    entries = (await simulator.get(f"/accounts/{account_no}/entries?limit=1000"))["entries"]
    signs = {"in": 1, "out": -1}
    return Counter(
        (entry["business_no"], signs[entry["direction"]] * entry["amount_fen"])
        for entry in entries
    )


@pytest.mark.parametrize(
    ("build", "account_no", "moved_fen"),
    [
        (lambda number: debit(number, account=PAYER, amount_fen=7), DISTRIBUTOR, -7),
        (lambda number: payout(number, account=RECEIVER, amount_fen=11), SPOT, 11),
        (lambda number: subscribe(number, product_id="prd_many", amount_fen=13), FUND, 13),
    ],
    ids=["debit", "payout", "subscribe"],
)
async def test_every_operation_is_carried_out_once(
    huijinbao_simulator: HuijinbaoMerchant,
    huijinbao_desk: OpenDesk,
    build: Callable[[str], Event],
    account_no: str,
    moved_fen: int,
) -> None:
    desk, numbers = huijinbao_desk(), numbered("any")
    await order_faults(huijinbao_simulator, numbers)
    statuses = await carry_out(desk, *map(build, numbers.values()))
    assert {kind: statuses[number] for kind, number in numbers.items()} == dict.fromkeys(
        ANYTHING, "succeeded"
    )
    moved = await movements(huijinbao_simulator, account_no)
    assert {kind: moved[number, moved_fen] for kind, number in numbers.items()} == (
        dict.fromkeys(ANYTHING, 1)
    )
    told = Counter(event["operation_id"] for _, event in await desk.told())
    assert told == dict.fromkeys(numbers.values(), 1)


async def test_every_refund_is_carried_out_once(
    huijinbao_simulator: HuijinbaoMerchant, huijinbao_desk: OpenDesk
) -> None:
    desk, bought, numbers = huijinbao_desk(), new_id("deb"), numbered("ref")
    await carry_out(desk, debit(bought, account=PAYER, amount_fen=500))
    await order_faults(huijinbao_simulator, numbers)
    given = {"original_operation_id": bought, "account": PAYER, "amount_fen": 5}
    statuses = await carry_out(desk, *(refund(number, **given) for number in numbers.values()))
    assert set(statuses.values()) == {"succeeded"}
    moved = await movements(huijinbao_simulator, DISTRIBUTOR)
    assert {kind: moved[number, 5] for kind, number in numbers.items()} == dict.fromkeys(
        ANYTHING, 1
    )


async def test_every_redemption_is_carried_out_once_and_a_liquidation_takes_the_rest(
    huijinbao_simulator: HuijinbaoMerchant, huijinbao_desk: OpenDesk
) -> None:
    desk, numbers, product_id = huijinbao_desk(), numbered("red"), new_id("prd")
    await carry_out(desk, subscribe(new_id("sub"), product_id=product_id, amount_fen=1_000))
    await order_faults(huijinbao_simulator, numbers)
    given = {"product_id": product_id, "amount_fen": 3}
    statuses = await carry_out(desk, *(redeem(number, **given) for number in numbers.values()))
    assert set(statuses.values()) == {"succeeded"}
    moved = await movements(huijinbao_simulator, PLATFORM)
    assert {kind: moved[number, 3] for kind, number in numbers.items()} == dict.fromkeys(
        ANYTHING, 1
    )
    ended = new_id("liq")
    await carry_out(desk, liquidate(ended, product_id=product_id))
    row = await desk.operation(ended)
    rest_fen = 1_000 - 3 * len(ANYTHING)
    assert (row.status, row.principal_fen, row.yield_fen) == ("succeeded", rest_fen, 0)
    assert (await huijinbao_simulator.position(product_id))["principal"] == 0


@pytest.mark.parametrize("kind", [kind for kind in ANYTHING if kind != "none"])
async def test_a_liquidation_tells_its_yield_whatever_happens(
    huijinbao_simulator: HuijinbaoMerchant, huijinbao_desk: OpenDesk, kind: str
) -> None:
    desk, product_id, ended = huijinbao_desk(), new_id("prd"), new_id("liq")
    await carry_out(desk, subscribe(new_id("sub"), product_id=product_id, amount_fen=600))
    await huijinbao_simulator.advance(days=40)
    order = {"kind": kind, "number": ended, "times": 1, **ANYTHING[kind]}
    await huijinbao_simulator.post("/faults", order)
    await carry_out(desk, liquidate(ended, product_id=product_id))
    earned_fen = 39 * 600 * 5_432 // 10**8
    *_, (name, event) = await desk.told()
    assert (name, event["principal_fen"], event["yield_fen"]) == (
        *("operation_succeeded", 600),
        earned_fen,
    )
    moved = await movements(huijinbao_simulator, PLATFORM)
    assert moved[ended, 600 + earned_fen] == 1


async def test_a_debit_that_is_given_up_never_succeeds(
    huijinbao_simulator: HuijinbaoMerchant, huijinbao_desk: OpenDesk
) -> None:
    desk, number = huijinbao_desk(), new_id("deb")
    order = {"kind": "processing_then_success", "number": number, "times": 1, "queries": 99}
    await huijinbao_simulator.post("/faults", order)
    await desk.request(debit(number, account=PAYER, amount_fen=7))
    async with desk.operating():
        await eventually(lambda: _was_sent(desk, number))
        await desk.cancel(number)
        await eventually(lambda: _has_failed(desk, number))
    assert (await desk.operation(number)).code == "cancelled"
    assert Action.CANCEL in {row.action for row in await desk.attempts(number)}
    assert not (await movements(huijinbao_simulator, DISTRIBUTOR))[number, -7]


async def test_what_has_no_money_waits_and_goes_on_after_a_top_up(
    huijinbao_simulator: HuijinbaoMerchant, huijinbao_desk: OpenDesk
) -> None:
    desk, number = huijinbao_desk(), new_id("pay")
    amount_fen = await huijinbao_simulator.balance_fen(PLATFORM) + 1
    request = payout(number, account=RECEIVER, amount_fen=amount_fen)
    assert (await carry_out(desk, request))[number] == "parked"
    assert (await desk.operation(number)).code == "HJB_0005"
    await huijinbao_simulator.post(f"/accounts/{PLATFORM}/top-up", {"amount_fen": 30_001})
    assert (await carry_out(desk, request))[number] == "succeeded"
    moved = await movements(huijinbao_simulator, SPOT)
    assert moved[number, amount_fen] == 1


async def test_a_notification_ends_what_would_be_asked_about_much_later(
    huijinbao_simulator: HuijinbaoMerchant, huijinbao_desk: OpenDesk
) -> None:
    app: Any = None

    async def door(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    async with served(door) as url:
        desk = huijinbao_desk(
            notify_url=f"{url}/notify/huijinbao", query_delays_s=(3600.0,), absent_grace_s=3600.0
        )
        app = create_app(SERVICE, running_of(SERVICE, desk.ctx, service_token="the gateway's own"))
        number = new_id("deb")
        order = {"kind": "system_error_after", "number": number, "times": 1}
        await huijinbao_simulator.post("/faults", order)
        statuses = await carry_out(desk, debit(number, account=PAYER, amount_fen=7))
    assert statuses[number] == "succeeded"
    (notification,) = await desk.rows(NOTIFICATIONS)
    assert (notification.number, notification.status, notification.believed) == (
        *(number, "S"),
        True,
    )


async def _was_sent(desk: Desk, number: str) -> bool:
    attempts = await desk.attempts(number)
    assert any(row.outcome == "pending" for row in attempts)
    return True


async def _has_failed(desk: Desk, number: str) -> bool:
    assert (await desk.operation(number)).status == "failed"
    return True
