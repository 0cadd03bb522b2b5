"""Operations carried out at the Alipay simulator, whatever happens on the way.

Its books, which it keeps without us, say how often the money has moved.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest

from shanmen.common.app import create_app
from shanmen.common.ids import new_id
from shanmen.common.testing.clients import running_of
from shanmen.common.testing.events import deliver, eventually
from shanmen.common.testing.principals import FakeIntrospector, principal
from shanmen.gateway_adapters.domain.operations import Action, OperationStatus
from shanmen.gateway_adapters.main import SERVICE
from shanmen.gateway_adapters.providers.base import Counterparty
from shanmen.gateway_adapters.tables import ATTEMPTS, OPERATIONS
from shanmen.gateway_adapters.testing import Desk, KnownAccounts, debit, payout, refund
from shanmen.simulators.testing.merchant import DISTRIBUTOR, PLATFORM, SPOT, Merchant

OpenDesk = Callable[..., Desk]

ANYTHING: Final[dict[str, dict[str, Any]]] = {
    "timeout_before": {},
    "timeout_after": {},
    "error_20000_before": {"times": 3},
    "error_20000_after": {},
    "system_error_before": {},
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
}
"""What may befall any operation, by the simulator's name of it."""


async def ordered(simulator: Merchant, kind: str, number: str, **options: Any) -> None:
    await simulator.post("/faults", {"kind": kind, "number": number, "times": 1, **options})


async def movements(simulator: Merchant, account_no: str) -> Counter[tuple[str, int]]:
    """How often which number moved how much into an account (or out of it, then negative)."""
    entries = (await simulator.get(f"/accounts/{account_no}/entries"))["entries"]
    signs = {"in": 1, "out": -1}
    return Counter(
        (entry["business_no"], signs[entry["direction"]] * entry["amount_fen"])
        for entry in entries
    )


async def finished(desk: Desk) -> bool:
    rows = await desk.rows(OPERATIONS)
    assert OperationStatus.OPEN not in {row.status for row in rows}
    return True


async def outcomes(desk: Desk, numbers: dict[str, str]) -> dict[str, str]:
    """The status of each operation, by the name that `numbers` gives it."""
    rows = {row.operation_id: row.status for row in await desk.rows(OPERATIONS)}
    return {name: rows[number] for name, number in numbers.items()}


async def test_every_debit_is_carried_out_once(simulator: Merchant, alipay_desk: OpenDesk) -> None:
    desk = alipay_desk()
    faults = {
        **ANYTHING,
        "none": {},
        "pay_in_process": {"queries": 2},
        "timeout_then_applied": {"delay_ms": 400},
    }
    numbers = {kind: new_id("deb") for kind in faults}
    for kind, options in faults.items():
        if kind != "none":
            await ordered(simulator, kind, numbers[kind], **options)
    await deliver(desk.inbox, *(debit(number, amount_fen=7) for number in numbers.values()))
    async with desk.operating():
        await eventually(lambda: finished(desk), within_s=20)
    assert await outcomes(desk, numbers) == dict.fromkeys(faults, "succeeded")
    moved = await movements(simulator, DISTRIBUTOR)
    assert {kind: moved[number, -7] for kind, number in numbers.items()} == dict.fromkeys(
        faults, 1
    )
    told = Counter(event["operation_id"] for _, event in await desk.told())
    assert told == dict.fromkeys(numbers.values(), 1)


async def test_every_payout_is_carried_out_once(
    simulator: Merchant, alipay_desk: OpenDesk
) -> None:
    desk = alipay_desk()
    faults = {
        **ANYTHING,
        "dealing_then_success": {"queries": 2},
        "timeout_then_applied": {"delay_ms": 400},
    }
    numbers = {kind: new_id("pay") for kind in faults}
    for kind, options in faults.items():
        await ordered(simulator, kind, numbers[kind], **options)
    await deliver(desk.inbox, *(payout(number, amount_fen=11) for number in numbers.values()))
    async with desk.operating():
        await eventually(lambda: finished(desk), within_s=20)
    assert await outcomes(desk, numbers) == dict.fromkeys(faults, "succeeded")
    moved = await movements(simulator, SPOT)
    assert {kind: moved[number, 11] for kind, number in numbers.items()} == dict.fromkeys(
        faults, 1
    )


async def test_every_refund_is_carried_out_once(
    simulator: Merchant, alipay_desk: OpenDesk
) -> None:
    desk = alipay_desk()
    bought = new_id("deb")
    await desk.debit(bought, amount_fen=2_000)
    await desk.work()
    kinds = ("none", "timeout_before", "timeout_after", "error_20000_after", "unsigned")
    numbers = {kind: new_id("ref") for kind in kinds}
    for kind in kinds[1:]:
        await ordered(simulator, kind, numbers[kind])
    requests = [
        refund(number, original_operation_id=bought, amount_fen=13) for number in numbers.values()
    ]
    await deliver(desk.inbox, *requests)
    async with desk.operating():
        await eventually(lambda: finished(desk), within_s=20)
        await deliver(desk.inbox, *requests)  # asked again: told again, not done again
    assert await outcomes(desk, numbers) == dict.fromkeys(kinds, "succeeded")
    moved = await movements(simulator, DISTRIBUTOR)
    assert {kind: moved[number, 13] for kind, number in numbers.items()} == dict.fromkeys(kinds, 1)
    told = Counter(event["operation_id"] for _, event in await desk.told())
    assert all(told[number] == 2 for number in numbers.values())


async def test_a_request_that_arrives_after_it_was_sent_again_moves_nothing(
    simulator: Merchant, alipay_desk: OpenDesk
) -> None:
    """The channel says "not found" twice for a request that it carries out later still."""
    desk, number = alipay_desk(), new_id("deb")
    began = time.monotonic()
    await ordered(simulator, "timeout_then_applied", number, delay_ms=1_500)
    await desk.debit(number, amount_fen=17)
    async with desk.operating():
        await eventually(lambda: finished(desk), within_s=20)
    actions = [attempt.action for attempt in await desk.attempts(number)]
    assert actions == ["send", "query", "query", "send"]
    # Until the first request has been carried out too, which leaves no trace to wait for.
    await asyncio.sleep(began + 2 - time.monotonic())
    assert (await movements(simulator, DISTRIBUTOR))[number, -17] == 1


async def test_while_the_channel_is_down_nothing_is_lost_and_then_all_is_done(
    simulator: Merchant, alipay_desk: OpenDesk
) -> None:
    desk = alipay_desk()
    fault = await simulator.post("/faults", {"kind": "down"})
    numbers = [new_id("deb") for _ in range(8)]
    await deliver(desk.inbox, *(debit(number, amount_fen=19) for number in numbers))

    async def all_asked_twice() -> bool:
        asked = Counter(row.operation_id for row in await desk.rows(ATTEMPTS))
        return all(asked[number] >= 3 for number in numbers)

    async with desk.operating():
        await eventually(all_asked_twice, within_s=20)
        assert {row.status for row in await desk.rows(OPERATIONS)} == {"open"}
        await simulator.http.delete(f"/admin/faults/{fault['fault_id']}")
        await eventually(lambda: finished(desk), within_s=20)
    moved = await movements(simulator, DISTRIBUTOR)
    assert [moved[number, -19] for number in numbers] == [1] * 8
    assert {row.status for row in await desk.rows(OPERATIONS)} == {"succeeded"}


async def test_a_debit_that_is_short_of_money_goes_on_after_a_top_up(
    simulator: Merchant, alipay_desk: OpenDesk, accounts: KnownAccounts
) -> None:
    await simulator.post("/accounts", {"account_no": "2088000000000007", "name": "经销商丁"})
    agreement = {"agreement_no": "20265101000000000007", "account_no": "2088000000000007"}
    await simulator.post("/agreements", agreement)
    poor = Counterparty("2088000000000007", "经销商丁", agreement["agreement_no"])
    accounts.known = {**accounts.known, "acc_poor": poor}
    desk, number = alipay_desk(), new_id("deb")
    order = {"account": {"account_id": "acc_poor", "channel": "alipay"}, "amount_fen": 5_000}
    await desk.debit(number, **order)
    await desk.work()
    ((name, event),) = await desk.told()
    assert (name, event["outcome"], event["code"]) == (
        *("operation_stuck", "funds"),
        "ACQ.BUYER_BALANCE_NOT_ENOUGH",
    )
    await simulator.post("/accounts/2088000000000007/top-up", {"amount_fen": 5_000})
    await desk.debit(number, **order)
    await desk.work()
    assert [name for name, _ in await desk.told()] == ["operation_stuck", "operation_succeeded"]
    assert [attempt.action for attempt in await desk.attempts(number)] == [Action.SEND] * 2
    assert (await movements(simulator, "2088000000000007"))[number, -5_000] == 1
    assert await simulator.balance_fen("2088000000000007") == 0


@pytest.mark.parametrize(
    ("account_id", "fault", "code"),
    [
        ("acc_misnamed", None, "PAYEE_USER_INFO_ERROR"),
        ("acc_receiver", "dealing_then_fail", "PAYEE_ACCOUNT_STATUS_ERROR"),
    ],
)
async def test_a_payout_that_the_channel_refuses_says_why(
    simulator: Merchant, alipay_desk: OpenDesk, account_id: str, fault: str | None, code: str
) -> None:
    desk, number = alipay_desk(), new_id("pay")
    if fault is not None:
        await ordered(simulator, fault, number)
    before = await simulator.balance_fen(PLATFORM)
    await desk.payout(number, account={"account_id": account_id, "channel": "alipay"})
    async with desk.operating():
        await eventually(lambda: finished(desk), within_s=20)
    ((name, event),) = await desk.told()
    assert (name, event["code"]) == ("operation_failed", code)
    assert await simulator.balance_fen(PLATFORM) == before


async def test_the_balance_is_the_one_in_the_channels_books(
    simulator: Merchant, alipay_desk: Callable[..., Desk], tokens: FakeIntrospector
) -> None:
    desk = alipay_desk()
    token = tokens.issue(principal("operator", scopes=["operations:read"]))
    app = create_app(SERVICE, running_of(SERVICE, desk.ctx, service_token="the gateway's own"))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://gateway",
        headers={"Authorization": f"Bearer {token}"},
    ) as client:
        (item,) = (await client.get("/v1/balances")).json()["items"]
        assert item["available_fen"] == await simulator.balance_fen(PLATFORM)
        fault = await simulator.post("/faults", {"kind": "down"})
        answered = await client.get("/v1/balances")
        await simulator.http.delete(f"/admin/faults/{fault['fault_id']}")
    assert (answered.status_code, answered.json()["code"]) == (503, "channel_unavailable")
