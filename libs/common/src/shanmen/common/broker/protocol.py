"""What the event layer asks of a transport, and nothing more.

A transport delivers batches to a handler and carries out one verdict per delivery. It knows no
database; idempotency is the inbox's work. It knows no event types beyond their routing keys.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from shanmen.common.events import Message


class Fate(StrEnum):
    """What becomes of a delivery."""

    DONE = "done"
    """Its effect is committed (now or earlier): forget it."""
    RETRY = "retry"
    """Deliver it again one rung down the ladder; past the last rung, to the dead letters."""
    DEAD = "dead"
    """No retry can help: to the dead letters at once."""


@dataclass(frozen=True)
class Verdict:
    """A fate with its reason (free of payload data)."""

    fate: Fate
    reason: str = ""


DONE = Verdict(Fate.DONE)


@dataclass(frozen=True)
class Delivery:
    """One message as it reached a queue; `refusals` counts the rungs it has been down already.

    `message` is None when what arrived is not a message of ours at all.
    """

    message: Message | None
    refusals: int


BatchHandler = Callable[[Sequence[Delivery]], Awaitable[Sequence[Verdict]]]


@dataclass(frozen=True)
class Queue:
    """One consuming service and concern: its name, and the event types that are bound to it."""

    name: str
    types: frozenset[str]
    batch: int = 100


@dataclass(frozen=True)
class Ladder:
    """The delays, in seconds, before the first, second, … redelivery of a refused message."""

    delays_s: tuple[float, ...] = (0.2, 1, 5, 15, 60, 300, 900)


@dataclass(frozen=True)
class DeadLetter:
    """A message that was given up on, for an operator to look at and to redrive."""

    id: str
    queue: str
    type: str
    subject: str
    reason: str
    refusals: int
    parked_at: datetime


class TransportDown(ConnectionError):
    """The transport cannot be reached; nothing is known to have been published."""


class HandlerStopped(Exception):
    """A handler gave up a batch because it was told to stop; it has to be delivered again."""


class Transport(Protocol):
    """Moves messages from outboxes to inboxes: at least once, in no promised order."""

    async def publish(self, messages: Sequence[Message]) -> Sequence[Exception | None]:
        """Publish durably; one result per message, None when it is safe with the transport.

        Raises TransportDown when nothing can be published at all.
        """

    async def consume(self, queue: Queue, handle: BatchHandler, stop: asyncio.Event) -> None:
        """Deliver batches, one at a time, until `stop` is set and what is in hand is finished.

        A handler that raises HandlerStopped gets its batch again later.
        """

    async def dead_letters(self, queue: str) -> Sequence[DeadLetter]:
        """What is parked for a queue, oldest first."""

    async def redrive(self, queue: str, ids: Collection[str] | None = None) -> int:
        """Send parked messages (all, or those named) back to their queue; returns how many."""

    async def aclose(self) -> None:
        """Let go of every connection."""
