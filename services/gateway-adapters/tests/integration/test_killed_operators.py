"""Operators that are killed in the middle of their work: every debit is carried out once."""

import asyncio
import json
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shanmen.common.ids import new_id
from shanmen.common.testing.events import deliver, eventually
from shanmen.gateway_adapters.tables import ATTEMPTS, OPERATIONS
from shanmen.gateway_adapters.testing import Desk, debit
from shanmen.simulators.testing.merchant import AGREEMENT, DISTRIBUTOR, Merchant

SCRIPT = Path(__file__).with_name("operator_process.py")
ORDERS = 100
KILLS = 6

Start = Callable[[dict[str, str]], Awaitable[Process]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts `operator_process.py`; what is left of it at the end is killed."""
    processes: list[Process] = []

    async def started(environment: dict[str, str]) -> Process:
        processes.append(
            await asyncio.create_subprocess_exec(
                *(sys.executable, str(SCRIPT)),
                env={**os.environ, **environment},
                stdout=PIPE,
                start_new_session=True,
            )
        )
        return processes[-1]

    yield started
    for process in processes:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


async def next_pid(supervisor: Process) -> int:
    """The process id of the operator that has just been started."""
    assert supervisor.stdout is not None
    return int(await asyncio.wait_for(supervisor.stdout.readline(), 20))


async def test_a_killed_operator_debits_nobody_twice(
    simulator: Merchant,
    alipay_desk: Callable[..., Desk],
    alipay_values: dict[str, Any],
    start: Start,
) -> None:
    desk = alipay_desk()
    await simulator.post("/faults", {"kind": "slow", "delay_ms": 50})
    numbers = [new_id("deb") for _ in range(ORDERS)]
    await deliver(desk.inbox, *(debit(number, amount_fen=3) for number in numbers))

    async def count_open() -> int:
        return sum(row.status == "open" for row in await desk.rows(OPERATIONS))

    async def all_finished() -> bool:
        return await count_open() == 0

    async def is_calling(before: int) -> bool:
        return len(await desk.rows(ATTEMPTS)) > before

    moments = random.Random(30)  # noqa: S311 - when to kill
    supervisor = await start(
        {
            "DATABASE_URL": desk.ctx.db.url,
            "ALIPAY": json.dumps(alipay_values),
            "PAYER": json.dumps([DISTRIBUTOR, "经销商甲", AGREEMENT]),
        }
    )
    for _ in range(KILLS):
        before, pid = len(await desk.rows(ATTEMPTS)), await next_pid(supervisor)
        await eventually(partial(is_calling, before), within_s=20)
        await asyncio.sleep(moments.uniform(0, 0.1))
        assert not await all_finished()
        os.kill(pid, signal.SIGKILL)
    pid = await next_pid(supervisor)
    await eventually(all_finished, within_s=60)
    os.kill(pid, signal.SIGTERM)
    assert await supervisor.wait() == 0

    assert {row.status for row in await desk.rows(OPERATIONS)} == {"succeeded"}
    entries = (await simulator.get(f"/accounts/{DISTRIBUTOR}/entries"))["entries"]
    debits = Counter(entry["business_no"] for entry in entries if entry["kind"] == "trade")
    assert {number: debits[number] for number in numbers} == dict.fromkeys(numbers, 1)
    told = Counter(event["operation_id"] for _, event in await desk.told())
    assert told == dict.fromkeys(numbers, 1)
    # The kills did hit calls under way, and a query, not a send, came after each of them.
    attempts = await desk.rows(ATTEMPTS)
    lost = {(row.operation_id, row.lease) for row in attempts if row.outcome is None}
    followers = [row.action for row in attempts if (row.operation_id, row.lease - 1) in lost]
    assert lost
    assert followers == ["query"] * len(lost)
