"""Natural batching: what waits shares a run, and nobody pays for a neighbour."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from shanmen.common.batching import Batcher
from shanmen.common.errors import Conflict, Refusal


class Runner:
    """Doubles numbers, in batches that can be held and can fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.most_at_once = 0
        self.running = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.before_answer: Callable[[], object] = lambda: None

    async def __call__(self, commands: Sequence[int]) -> Sequence[int | Refusal]:
        self.batches.append(list(commands))
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        await self.gate.wait()
        self.running -= 1
        if -1 in commands:
            raise RuntimeError("a bad command")
        self.before_answer()
        return [Conflict("zero") if number == 0 else number * 2 for number in commands]


async def test_an_idle_batcher_answers_at_once() -> None:
    runner = Runner()
    assert await Batcher(runner).submit(1) == 2
    assert runner.batches == [[1]]


async def test_what_arrives_during_a_run_goes_into_the_next() -> None:
    runner = Runner()
    batcher = Batcher(runner, in_flight=1, most=5)
    runner.gate.clear()
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0)
    rest = [asyncio.create_task(batcher.submit(number)) for number in range(2, 10)]
    await asyncio.sleep(0)
    runner.gate.set()
    assert await asyncio.gather(first, *rest) == [number * 2 for number in range(1, 10)]
    assert runner.batches == [[1], [2, 3, 4, 5, 6], [7, 8, 9]]


async def test_runs_at_once_are_bounded() -> None:
    runner = Runner()
    batcher = Batcher(runner, in_flight=2, most=1)
    runner.gate.clear()
    submitted = [asyncio.create_task(batcher.submit(number)) for number in range(1, 7)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert runner.running == 2
    runner.gate.set()
    await asyncio.gather(*submitted)
    assert runner.most_at_once == 2


async def test_a_refusal_meets_only_its_own_caller() -> None:
    runner = Runner()
    batcher = Batcher(runner, in_flight=1)
    answers = await asyncio.gather(
        *(batcher.submit(number) for number in (1, 0, 3)), return_exceptions=True
    )
    assert answers[0] == 2
    assert isinstance(answers[1], Conflict)
    assert answers[2] == 6


async def test_a_bad_command_is_isolated() -> None:
    runner = Runner()
    batcher = Batcher(runner, in_flight=1)
    runner.gate.clear()
    submitted = [asyncio.create_task(batcher.submit(number)) for number in (9, 1, -1, 3)]
    await asyncio.sleep(0)
    runner.gate.set()
    answers = await asyncio.gather(*submitted, return_exceptions=True)
    assert [answers[0], answers[1], answers[3]] == [18, 2, 6]
    assert isinstance(answers[2], RuntimeError)
    assert runner.batches[-4:] == [[9, 1, -1, 3], [9], [1], [-1], [3]][-4:]


async def test_a_caller_that_goes_away_does_not_take_its_command_along() -> None:
    runner = Runner()
    batcher = Batcher(runner, in_flight=1)
    runner.gate.clear()
    leaving = asyncio.create_task(batcher.submit(1))
    waiting = asyncio.create_task(batcher.submit(2))
    failing = asyncio.create_task(batcher.submit(-1))
    await asyncio.sleep(0)
    leaving.cancel()
    failing.cancel()
    runner.gate.set()
    assert await waiting == 4
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await batcher.drain()
    assert [1] in runner.batches


async def test_a_command_that_comes_while_a_run_ends_is_not_forgotten() -> None:
    """Between the last look at what waits and the end of the task there must be no gap."""
    runner = Runner()
    batcher = Batcher(runner, in_flight=1)
    late: list[asyncio.Task[int]] = []

    def submit_once_more() -> None:
        if not late:
            late.append(asyncio.create_task(batcher.submit(2)))

    runner.before_answer = submit_once_more
    assert await batcher.submit(1) == 2
    async with asyncio.timeout(1):
        assert await late[0] == 4


async def test_drain_waits_for_everything() -> None:
    runner = Runner()
    batcher = Batcher(runner, in_flight=1, most=1)
    submitted = [asyncio.create_task(batcher.submit(number)) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    await batcher.drain()
    assert runner.batches == [[1], [2], [3]]
    assert all(task.done() for task in submitted) or await asyncio.gather(*submitted)
