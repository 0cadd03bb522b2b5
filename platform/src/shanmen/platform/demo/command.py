"""The demo from set-up to verdict."""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console

from shanmen.platform.api_client import ApiRefusal
from shanmen.platform.checks import check_installation
from shanmen.platform.demo import closing, combined, flow
from shanmen.platform.demo.evidence import (
    Evidence,
    gather_evidence,
    show_evidence,
    wealth_of,
)
from shanmen.platform.demo.narrator import Narrator
from shanmen.platform.run import stop_on_signals
from shanmen.platform.servers.state import StateDir
from shanmen.platform.servers.throwaway import throwaway_state
from shanmen.platform.single import Platform, single_process

MODE: Final = "demo"
QUIET_WITHIN_S: Final = 30.0


async def run_demo(console: Console, result_file: Path | None) -> bool:
    """Run the demo on a single-process platform of its own; True when everything agrees.

    It lets a month pass, which no other installation should have to live with.
    """
    stop = stop_on_signals()
    console.print("Starting Shanmen 山门 …")
    with throwaway_state() as state:
        return await _run(console, result_file, stop, state)


async def _run(
    console: Console, result_file: Path | None, stop: asyncio.Event, state: StateDir
) -> bool:
    narrator = Narrator(console)
    async with single_process(stop, mode=MODE, state=state) as platform:
        started_at = time.monotonic()
        telling = asyncio.create_task(tell(platform, narrator))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({telling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not telling.done():
            telling.cancel()
            narrator.verdict(ok=False, text="Interrupted.")
            return False
        try:
            evidence = telling.result()
        except (flow.DemoFailed, ApiRefusal, httpx.HTTPError) as error:
            narrator.verdict(ok=False, text=f"The demo failed: {error}")
            return False
        narrator.note("looking whether every invariant holds …")
        report = await check_installation(platform.installation, quiet_within_s=QUIET_WITHIN_S)
        ok = report.ok and evidence.ok
        seconds = time.monotonic() - started_at
        result = {**evidence.as_json(seconds), "ok": ok, "check": report.counts()}
    if result_file is not None:
        await asyncio.to_thread(_write, result_file, result)
    for disagreement in evidence.disagreements:
        console.print(f"[red]✗[/] {disagreement}")
    if not report.ok:
        console.print(f"[red]✗[/] {report.text()}", soft_wrap=True)
    held = len(report.findings)
    good = f"Everything agrees, to the fen, and all {held} invariants hold."
    text = good if ok else "Not everything agrees."
    narrator.verdict(ok, text)
    return ok


async def tell(platform: Platform, narrator: Narrator) -> Evidence:
    """Drive both kinds of ticket through public HTTP, and read back what it came to."""
    installation = platform.installation
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        cast = await flow.onboard(installation, client, platform.sample, narrator)
        travel = combined.Travel(installation, client)
        product_id = await flow.publish(cast, narrator)
        single = await flow.buy(cast, product_id, narrator, quantity=2)
        await flow.visit(cast, single, narrator)
        await flow.settle(cast, single["order_no"], narrator)
        cancelled = await flow.cancel_another(cast, product_id, narrator)
        tour = await combined.publish(installation, cast, narrator)
        order = await combined.buy(installation, cast, tour, narrator)
        await combined.visit(cast, tour, order, travel, narrator)
        held = await combined.end(cast, tour, order, travel, narrator)
        reports = await closing.report(cast, tour, narrator)
        reconciled = await closing.reconcile(cast, travel, narrator)
        evidence = await gather_evidence(
            *(installation, client, cast),
            [single["order_no"], cancelled["order_no"], order["order_no"]],
        )
        evidence = replace(
            evidence,
            wealth=wealth_of(held),
            reports=reports,
            reconciliation={"matched": reconciled.matched, "breaks": reconciled.breaks},
        )
        await show_evidence(cast, evidence, order["order_no"], narrator)
    return evidence


def _write(file: Path, result: object) -> None:
    file.write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
