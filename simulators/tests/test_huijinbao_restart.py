"""The simulator as its own process: killed in the middle of things, its books are right."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from shanmen.simulators.settings import Settings
from shanmen.simulators.signing import SigningKey
from shanmen.simulators.testing.huijinbao_merchant import (
    DISTRIBUTOR,
    FUND,
    PLATFORM,
    HuijinbaoMerchant,
)
from shanmen.simulators.testing.servers import free_port

_PATIENCE_S = 20


@asynccontextmanager
async def _process(
    settings: Settings, key: SigningKey
) -> AsyncIterator[tuple[asyncio.subprocess.Process, HuijinbaoMerchant]]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shanmen.simulators.huijinbao",
        *("--port", str(port), "--data", str(settings.data_dir)),
        *("--seed-file", str(settings.seed_file)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            yield process, HuijinbaoMerchant(http, key, await _public_keys(http))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _public_keys(http: httpx.AsyncClient) -> dict[str, str]:
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            try:
                keys: dict[str, str] = (await http.get("/admin/public-keys")).json()["keys"]
            except httpx.ConnectError:
                await asyncio.sleep(0.02)
            else:
                return keys


async def test_whatever_was_answered_before_a_kill_is_in_the_books(
    huijinbao_settings: Settings, merchant_key: SigningKey
) -> None:
    answered: list[str] = []

    async def pay_and_invest_until_it_dies(merchant: HuijinbaoMerchant, number: int) -> None:
        paid = await merchant.pay(f"T{number}", 100)
        assert paid["trans_stat"] == "S"
        answered.append(f"T{number}")
        invested = await merchant.subscribe(f"W{number}", 100)
        assert invested["trans_stat"] == "S"
        answered.append(f"W{number}")

    async with _process(huijinbao_settings, merchant_key) as (process, merchant):
        tasks = [
            asyncio.create_task(pay_and_invest_until_it_dies(merchant, number))
            for number in range(150)
        ]
        await asyncio.wait(tasks[:20])
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert len(answered) >= 40
    async with _process(huijinbao_settings, merchant_key) as (process, merchant):
        orders = (await merchant.get("/orders?status=S"))["orders"]
        done = {order["req_seq_id"] for order in orders}
        assert set(answered) <= done
        paid = sum(number.startswith("T") for number in done)
        invested = len(done) - paid
        assert await merchant.balance_fen(DISTRIBUTOR) == 80_000 - 100 * paid
        assert await merchant.balance_fen(PLATFORM) == 20_000 + 100 * (paid - invested)
        assert await merchant.balance_fen(FUND) == 100 * invested
        assert (await merchant.position())["pending_in"] == 100 * invested
        assert (await merchant.pay(answered[0], 100))["replayed"]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), _PATIENCE_S) in {0, -signal.SIGTERM}
