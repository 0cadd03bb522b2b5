"""Waiting for what another task or process does, without polling in a loop."""

import asyncio


async def first_of(*events: asyncio.Event, within_s: float) -> bool:
    """Wait until any of the events is set; False when the time passed first."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for wait in waits:
            wait.cancel()
