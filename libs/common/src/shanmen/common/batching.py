"""Natural batching: what arrived while the last transaction ran goes into the next.

There is no timer, so an idle system answers at once; under load the cost of a commit is shared.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from shanmen.common.errors import Refusal

Command = TypeVar("Command")
Result = TypeVar("Result")

RunBatch = Callable[[Sequence[Command]], Awaitable[Sequence[Result | Refusal]]]
"""A use case over a list: one result, or one refusal, per command, in order."""


class Batcher(Generic[Command, Result]):
    """Collects single commands into lists for `run`, a bounded number of lists at a time."""

    def __init__(
        self, run: RunBatch[Command, Result], *, in_flight: int = 2, most: int = 64
    ) -> None:
        self._run = run
        self._in_flight = in_flight
        self._most = most
        self._waiting: deque[tuple[Command, asyncio.Future[Result]]] = deque()
        self._workers = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, command: Command) -> Result:
        """Carry out one command; raises its Refusal.

        The work belongs to the batch: a caller that goes away does not cancel it.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        if self._workers < self._in_flight:
            self._workers += 1
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(future)

    async def drain(self) -> None:
        """Wait until everything submitted so far is carried out."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _work(self) -> None:
        while self._waiting:
            size = min(self._most, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            await self._run_batch(batch)
        # In the same step as the last look at what waits: a task counts for a moment after its
        # end, and a command that came in that moment would find nobody.
        self._workers -= 1

    async def _run_batch(self, batch: list[tuple[Command, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._run([command for command, _ in batch])
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the result
            if len(batch) == 1:
                _fail(batch[0][1], error)
                return
            for single in batch:  # one bad command must not fail its neighbours
                await self._run_batch([single])
            return
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(result, Refusal):
                _fail(future, result)
            elif not future.done():
                future.set_result(result)


def _fail(future: "asyncio.Future[Result]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # seen: a caller that went away must not leave a warning behind
