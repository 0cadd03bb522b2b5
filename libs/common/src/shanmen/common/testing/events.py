"""Events in tests: hand them to an inbox, watch them move, wait until they have settled."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, overload

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from shanmen.common.broker.protocol import (
    BatchHandler,
    DeadLetter,
    Delivery,
    Fate,
    Ladder,
    Queue,
    Transport,
    Verdict,
)
from shanmen.common.db import Database
from shanmen.common.events import Event, Message
from shanmen.common.ids import new_id
from shanmen.common.inbox import Inbox
from shanmen.common.outbox import OUTBOX
from shanmen.common.service import Running
from shanmen.common.testing.clients import background

T = TypeVar("T")

QUICK: Final = Ladder((0.05, 0.1, 0.2))
"""A ladder that tests can afford to go down."""


def message_of(event: Event, *, id: str | None = None, **attributes: Any) -> Message:  # noqa: A002 - CloudEvents' name
    """An event in an envelope, as its producer's outbox would write it."""
    given: dict[str, Any] = {
        "id": id or new_id("evt"),
        "type": event.TYPE,
        "source": event.TYPE.partition(".")[0],
        "subject": event.subject(),
        "time": datetime.now(UTC),
        "data": event.model_dump(mode="json"),
        "trace": {},
    }
    return Message(**{**given, **attributes})


async def deliver(
    inbox: Inbox[Any], *events: Event | Message, refusals: int = 0
) -> Sequence[Verdict]:
    """Hand events to an inbox as one batch; returns its verdict on each."""
    messages = [event if isinstance(event, Message) else message_of(event) for event in events]
    return await inbox.handle([Delivery(message, refusals) for message in messages])


@overload
async def eventually(
    condition: Callable[[], Awaitable[T]], *, within_s: float = 5.0, what: str = ""
) -> T: ...


@overload
async def eventually(
    condition: Callable[[], T], *, within_s: float = 5.0, what: str = ""
) -> T: ...


async def eventually(
    condition: Callable[[], Any], *, within_s: float = 5.0, what: str = ""
) -> Any:
    """Wait until `condition()` is true, and return it; it may be a coroutine function.

    An AssertionError that it raises means "not yet", and so does a server that does not answer.
    Raises AssertionError when time is up, with what the condition said last.
    """
    deadline = time.monotonic() + within_s
    pause_s = 0.005
    while True:
        last: object
        try:
            result = condition()
            result = last = await result if inspect.isawaitable(result) else result
        except (AssertionError, DBAPIError, OSError) as error:
            result, last = None, error
        if result:
            return result
        if time.monotonic() > deadline:
            name = what or getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"not within {within_s} s: {name}; last: {last!r}")
        await asyncio.sleep(pause_s)
        pause_s = min(0.05, pause_s * 1.5)


class WatchedTransport:
    """Another transport, with an eye on it: what was published, and what is not finished yet.

    Services under test share one, so that what one publishes is known to be on its way to another.
    """

    def __init__(self, transport: Transport, *, ladder: Ladder = QUICK) -> None:
        self._transport = transport
        self._ladder = ladder
        self.published: list[Message] = []
        self.refused: list[tuple[str, str, str]] = []
        """(queue, event id, reason) of every refusal, in order."""
        self.batches: list[tuple[str, int]] = []
        """(queue, size) of every batch that was handled to its end."""
        self._finished: set[tuple[str, str]] = set()

    async def publish(self, messages: Sequence[Message]) -> Sequence[Exception | None]:
        """See Transport."""
        results = await self._transport.publish(messages)
        accepted = zip(messages, results, strict=True)
        self.published += [message for message, refused in accepted if refused is None]
        return results

    async def consume(self, queue: Queue, handle: BatchHandler, stop: asyncio.Event) -> None:
        """See Transport."""

        async def watched(batch: Sequence[Delivery]) -> Sequence[Verdict]:
            verdicts = await handle(batch)
            self.batches.append((queue.name, len(batch)))
            for delivery, verdict in zip(batch, verdicts, strict=True):
                self._note(queue, delivery, verdict)
            return verdicts

        await self._transport.consume(queue, watched, stop)

    async def dead_letters(self, queue: str) -> Sequence[DeadLetter]:
        """See Transport."""
        return await self._transport.dead_letters(queue)

    async def redrive(self, queue: str, ids: Collection[str] | None = None) -> int:
        """See Transport."""
        parked = {letter.id for letter in await self.dead_letters(queue)}
        again = parked if ids is None else parked.intersection(ids)
        self._finished -= {(queue, event_id) for event_id in again}
        return await self._transport.redrive(queue, ids)

    async def aclose(self) -> None:
        """See Transport."""
        await self._transport.aclose()

    def unfinished(self, queues: Collection[Queue]) -> set[tuple[str, str]]:
        """(queue, event id) of what was published to these queues and has not ended there."""
        sent = {(q.name, m.id) for m in self.published for q in queues if m.type in q.types}
        return sent - self._finished

    def _note(self, queue: Queue, delivery: Delivery, verdict: Verdict) -> None:
        if delivery.message is None:
            return
        key = (queue.name, delivery.message.id)
        if verdict.fate is not Fate.DONE:
            self.refused.append((*key, verdict.reason))
        down_another_rung = verdict.fate is Fate.RETRY and delivery.refusals < len(
            self._ladder.delays_s
        )
        if not down_another_rung:
            self._finished.add(key)


async def outbox_size(database: Database) -> int:
    """How many events a service has recorded and not published yet."""
    async with database.transaction() as tx:
        return int(await tx.scalar(select(func.count()).select_from(OUTBOX)) or 0)


async def settled(*services: Running[Any], within_s: float = 10.0) -> None:
    """Wait until these services, which run already and share one WatchedTransport, are quiet."""
    queues = [sub.queue for running in services for sub in running.service.subscriptions]

    async def is_quiet() -> bool:
        for running in services:
            assert await outbox_size(running.context.db) == 0, f"{running.service.name}'s outbox"
        for transport in {
            id(running.transport): running.transport for running in services
        }.values():
            assert isinstance(transport, WatchedTransport), "settled needs a WatchedTransport"
            unfinished = transport.unfinished(queues)
            assert not unfinished, f"on their way: {sorted(unfinished)}"
        return True

    # Twice: between the two looks an effect may have written the next event.
    for _ in range(2):
        await eventually(is_quiet, within_s=within_s, what="services are quiet")


async def drain(*services: Running[Any], within_s: float = 10.0) -> None:
    """Run relays, consumers and jobs of these services until outboxes and queues are empty."""
    async with background(*services):
        await settled(*services, within_s=within_s)
