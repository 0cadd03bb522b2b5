"""The load keeps its bounds: it ends by itself, and what it says about time is true."""

import asyncio
from time import perf_counter

from shanmen.platform.bench.connection import ConnectionBroken
from shanmen.platform.bench.driving import NO_ANSWER, Step, drive


async def at_once(number: int) -> str | None:
    await asyncio.sleep(0)
    return None if number % 10 else "409 sold_out"


async def never(number: int) -> str | None:
    await asyncio.Event().wait()
    return None


async def test_it_ends_after_so_many_operations() -> None:
    numbers: list[int] = []

    async def step(number: int) -> str | None:
        numbers.append(number)
        return await at_once(number)

    tally = await drive(lambda: step, workers=4, most=50, seconds=30)
    assert sorted(numbers) == list(range(50))  # each once, over all workers
    assert len(tally.latencies_s) == 45
    assert tally.refused == {"409 sold_out": 5}


async def test_it_ends_after_so_many_seconds() -> None:
    began_at = perf_counter()
    tally = await drive(lambda: at_once, workers=4, most=10**9, seconds=0.1)
    assert perf_counter() - began_at < 1
    assert tally.latencies_s


async def test_it_does_not_wait_for_ever_for_answers() -> None:
    tally = await drive(lambda: never, workers=3, most=100, seconds=0.05, grace_s=0.05)
    assert tally.refused == {NO_ANSWER: 3}


async def test_a_rate_is_kept_and_bounds_the_number() -> None:
    began_at = perf_counter()
    tally = await drive(lambda: at_once, workers=8, most=1000, seconds=0.2, rate=200)
    assert perf_counter() - began_at >= 0.19  # the last is due after 39 two-hundredths
    assert len(tally.latencies_s) + tally.refused.total() == 40


async def test_at_a_rate_a_stall_counts_for_all_that_were_due() -> None:
    """One stall of 0.2 s, with a worker alone: those that were due meanwhile waited as well."""

    async def stalls_once(number: int) -> str | None:
        await asyncio.sleep(0.2 if number == 0 else 0)
        return None

    tally = await drive(lambda: stalls_once, workers=1, most=10, seconds=0.1, rate=100)
    assert len(tally.latencies_s) == 10
    assert min(tally.latencies_s) > 0.1


async def test_a_broken_connection_is_counted_and_the_load_goes_on() -> None:
    async def breaks_once(number: int) -> str | None:
        if number == 0:
            raise ConnectionBroken("the connection was closed")
        return None

    def worker() -> Step:
        return breaks_once

    tally = await drive(worker, workers=1, most=3, seconds=10)
    assert tally.refused == {"the connection was closed": 1}
    assert len(tally.latencies_s) == 2
