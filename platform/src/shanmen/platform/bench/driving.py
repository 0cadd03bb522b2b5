"""Driving load: so many workers, so many operations, so many seconds, and then it stops."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

from shanmen.platform.bench.connection import ConnectionBroken

Step = Callable[[int], Awaitable[str | None]]
"""Carries out one operation, by its number; None when it succeeded, else in short why not."""

GRACE_S: Final = 20.0
"""For what is under way when the time is over."""

NO_ANSWER: Final = "no answer"
_AFTER_BREAK_S: Final = 0.1


@dataclass
class Tally:
    """What came of a load: seconds that each success took, failures by reason, and the time from
    the beginning to the last end of an operation."""

    latencies_s: list[float] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


async def drive(
    new_worker: Callable[[], Step],
    *,
    workers: int,
    most: int,
    seconds: float,
    rate: float | None = None,
    grace_s: float = GRACE_S,
) -> Tally:
    """Carry out operations 0, 1, … until `most` of them or the `seconds` are used up.

    Without a `rate` each begins as soon as a worker is free. With one, operation n is due after
    n / rate seconds whatever became of those before, and its time counts from then, not from when
    somebody got round to it: a server that stalls is not let off by a load that waits for it.
    """
    run = _Run(Tally(), perf_counter(), seconds, rate)
    numbers = iter(range(most if rate is None else min(most, round(rate * seconds))))
    tasks = [asyncio.create_task(run.work(new_worker(), numbers)) for _ in range(workers)]
    done, late = await asyncio.wait(tasks, timeout=seconds + grace_s)
    for task in late:
        task.cancel()
        run.tally.refused[NO_ANSWER] += 1
    if late:
        await asyncio.wait(late)
    for task in done:
        task.result()
    return run.tally


@dataclass(frozen=True)
class _Run:
    tally: Tally
    began_at: float
    seconds: float
    rate: float | None

    async def work(self, step: Step, numbers: Iterator[int]) -> None:
        for number in numbers:
            due = perf_counter()
            if self.rate is not None:
                due = self.began_at + number / self.rate
                await asyncio.sleep(max(0.0, due - perf_counter()))
            await self._one(step, number, due)
            if perf_counter() - self.began_at >= self.seconds and self.rate is None:
                return

    async def _one(self, step: Step, number: int, due: float) -> None:
        try:
            refusal = await step(number)
        except ConnectionBroken as error:
            refusal = str(error)
            await asyncio.sleep(_AFTER_BREAK_S)
        ended_at = perf_counter()
        self.tally.seconds = ended_at - self.began_at
        if refusal is None:
            self.tally.latencies_s.append(ended_at - due)
        else:
            self.tally.refused[refusal] += 1
