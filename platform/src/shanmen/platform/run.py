"""`shanmen run`: the single-process mode for a person at a terminal."""

import asyncio
import signal
import time
from datetime import datetime

from rich.console import Console

from shanmen.platform.sample import SHANGHAI
from shanmen.platform.single import Platform, single_process


def stop_on_signals() -> asyncio.Event:
    """An event that Ctrl-C and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    return stop


async def run_until_stopped(console: Console) -> None:
    """Start, say where everything is, and stop cleanly."""
    started_at = time.monotonic()
    stop = stop_on_signals()
    console.print("Starting Shanmen 山门 …")
    async with single_process(stop) as platform:
        if not stop.is_set():
            _introduce(console, platform, time.monotonic() - started_at)
        await stop.wait()
        console.print("\nStopping …")
    console.print("Stopped; the next start has the same data.")


def _introduce(console: Console, platform: Platform, took_s: float) -> None:
    sample, url = platform.sample, platform.base_url
    today = datetime.now(SHANGHAI).date()
    console.print(f"\n[bold green]Shanmen is up[/] after {took_s:.1f} s\n")
    for name, value in (
        ("API", url),
        ("OpenAPI", f"{url}/openapi.json"),
        ("Alipay (simulated)", f"{platform.installation.url('alipay')}/admin/accounts"),
        ("State", str(platform.installation.state.path)),
        ("Operator token", sample.operator_token),
        ("Spot token", sample.spot_token),
        ("Gate token", sample.gate_token),
        ("Distributor token", sample.distributor_token),
        ("Product", sample.product_id),
    ):
        console.print(f"  {name:<20} {value}", soft_wrap=True)
    console.print("\nPlace an order and pay for it; paste this:\n")
    body = (
        f'{{"distributor_order_no": "\'$(date +%s)\'", "product_id": "{sample.product_id}", '
        f'"visit_date": "{today}", "quantity": 1, "pay": true}}'
    )
    print(  # noqa: T201 - as it is, to be pasted
        f"curl -sS {url}/v1/orders -H 'Authorization: Bearer {sample.distributor_token}' "
        f"-H 'Content-Type: application/json' -H 'Prefer: wait=10' -d '{body}'"
    )
    console.print(
        '\nThen show the ticket\'s `qr` at the gate: POST /v1/scans {"qr": …} with the gate token.'
        "\nCtrl-C stops everything."
    )
