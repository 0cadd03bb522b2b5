"""The simulator as its own process: killed in the middle of things, its books are right."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from shanmen.simulators.alipay.settings import Settings
from shanmen.simulators.alipay.signing import SigningKey
from shanmen.simulators.testing.merchant import DISTRIBUTOR, Merchant
from shanmen.simulators.testing.servers import free_port

_PATIENCE_S = 20


@asynccontextmanager
async def _process(
    settings: Settings, key: SigningKey
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Merchant]]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shanmen.simulators.alipay",
        *("--port", str(port), "--data", str(settings.data_dir)),
        *("--seed-file", str(settings.seed_file)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            public_key = await _public_key(http)
            yield process, Merchant(http, key, public_key)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _public_key(http: httpx.AsyncClient) -> str:
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            try:
                return (await http.get("/admin/public-key")).text
            except httpx.ConnectError:
                await asyncio.sleep(0.02)


async def test_whatever_was_answered_before_a_kill_is_in_the_books(
    settings: Settings, merchant_key: SigningKey
) -> None:
    answered: list[str] = []

    async def pay_until_it_dies(merchant: Merchant, number: str) -> None:
        answer = await merchant.pay(number, "1.00")
        assert answer["code"] == "10000"
        answered.append(number)

    async with _process(settings, merchant_key) as (process, merchant):
        paying = [
            asyncio.create_task(pay_until_it_dies(merchant, f"T{number}")) for number in range(200)
        ]
        await asyncio.wait(paying[:20])
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await asyncio.gather(*paying, return_exceptions=True)

    assert len(answered) >= 20
    async with _process(settings, merchant_key) as (process, merchant):
        trades = (await merchant.get("/trades"))["trades"]
        paid = {trade["out_trade_no"] for trade in trades}
        assert set(answered) <= paid
        assert await merchant.balance_fen(DISTRIBUTOR) == 80_000 - 100 * len(paid)
        again = await merchant.pay(answered[0], "1.00")
        assert again["code"] == "10000"
        assert await merchant.balance_fen(DISTRIBUTOR) == 80_000 - 100 * len(paid)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), _PATIENCE_S) in {0, -signal.SIGTERM}


def _run_refused(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "shanmen.simulators.alipay", "--port", "20000", *arguments)


async def test_an_open_admin_api_is_refused_off_the_loopback(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *_run_refused("--data", str(tmp_path), "--host", "0.0.0.0"),  # noqa: S104 - refused
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()

    assert process.returncode == 2
    assert b"set SHANMEN_SIMULATOR_ADMIN_TOKEN" in errors
