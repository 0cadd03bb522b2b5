"""A running channel: its books, its clock, and the work it does by itself."""

import asyncio
import logging
import sqlite3
import ssl
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

import httpx

from shanmen.simulators import clock
from shanmen.simulators.books import Books
from shanmen.simulators.postbox import Postbox
from shanmen.simulators.settings import Settings
from shanmen.simulators.store import Store

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CALLS_KEPT: Final = 5_000
_SENDS_AT_ONCE: Final = 16
_LONGEST_SLEEP_S: Final = 3600.0


@dataclass(frozen=True)
class Letter:
    """One sending of a notification, and the exact answer that says that it was accepted."""

    content: bytes
    media_type: str
    accepted: bytes


class Channel(ABC):
    """Everything that the HTTP side works with. Close it with `close`.

    The channel's day can be moved ahead of the clock on the wall, so that bills and yields need
    no waiting. Books live in the moved time; links to bills are timed by the wall.
    """

    def __init__(self, settings: Settings, *, name: str, schema: str, postbox: Postbox) -> None:
        """Open the books `<name>.sqlite3` in the data folder."""
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.recent_calls: deque[dict[str, Any]] = deque(maxlen=_CALLS_KEPT)
        self._postbox = postbox
        self._wake = asyncio.Event()
        self._store = Store(settings.data_dir / f"{name}.sqlite3", clock.SCHEMA + schema)
        self._ahead_ms = 0

    async def start(self) -> None:
        """Take up the clock where it was left; called once, before anything else."""
        self._ahead_ms = await self.within(clock.ahead_ms)

    def now_ms(self) -> int:
        """The present moment of the channel's own day."""
        return self.wall_ms() + self._ahead_ms

    def wall_ms(self) -> int:
        """The present moment by the clock on the wall."""
        return round(self.settings.clock().timestamp() * 1000)

    async def advance(self, by_ms: int) -> None:
        """Move the channel's day ahead, for good; what is due by then happens."""
        self._ahead_ms = await self.within(lambda books: clock.move(books, by_ms))
        await self.within(self._catch_up)

    @abstractmethod
    def public_pem(self) -> str:
        """The key that verifies answers and notifications."""

    @abstractmethod
    def run_overdue(self, books: Books) -> None:
        """Finish what was left waiting, where its time has come."""

    @abstractmethod
    def next_overdue_ms(self, books: Books) -> int | None:
        """When `run_overdue` has something to do next, if ever."""

    @abstractmethod
    def letter(self, row: sqlite3.Row) -> Letter:
        """The signed message of one sending of a notification."""

    async def within(self, work: Callable[[Books], T]) -> T:
        """Run `work` as one durable transaction; whatever it raises undoes it."""

        def job(connection: sqlite3.Connection) -> tuple[T, bool]:
            books = Books(connection, self.now_ms())
            return work(books), books.leaves_work

        result, leaves_work = await self._store.run(job)
        if leaves_work:
            self._wake.set()
        return result

    async def work(self) -> None:
        """Finish what is overdue and send notifications, until cancelled."""
        free = asyncio.Semaphore(_SENDS_AT_ONCE)
        timeout = httpx.Timeout(self.settings.notify_timeout_s)
        async with (
            httpx.AsyncClient(timeout=timeout, trust_env=False, verify=_trust()) as client,
            asyncio.TaskGroup() as sendings,
        ):
            while True:
                self._wake.clear()
                due, next_ms = await self.within(self._take_work)
                for row in due:
                    await free.acquire()
                    sending = sendings.create_task(self._send(client, row))
                    sending.add_done_callback(lambda _: free.release())
                await self._sleep_until(next_ms)

    def close(self) -> None:
        """Close the books; everything accepted is on the disk already."""
        self._store.close()

    async def _sleep_until(self, next_ms: int | None) -> None:
        wait_s = _LONGEST_SLEEP_S
        if next_ms is not None:
            wait_s = min(wait_s, max(0.0, (next_ms - self.now_ms()) / 1000))
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _send(self, client: httpx.AsyncClient, row: sqlite3.Row) -> None:
        try:
            letter = self.letter(row)
            answer = await client.post(
                row["url"],
                content=letter.content,
                headers={"content-type": letter.media_type},
            )
            is_accepted = answer.content == letter.accepted
        except (httpx.HTTPError, httpx.InvalidURL):
            is_accepted = False
        logger.info("notification of %s %s accepted=%s", row["method"], row["number"], is_accepted)
        await self.within(
            lambda books: self._postbox.record_result(
                books,
                row,
                is_accepted=is_accepted,
                schedule_scale=self.settings.notify_scale,
            )
        )

    def _catch_up(self, books: Books) -> None:
        self.run_overdue(books)
        books.leaves_work = True

    def _take_work(self, books: Books) -> tuple[list[sqlite3.Row], int | None]:
        self.run_overdue(books)
        due = self._postbox.take_due(books, _SENDS_AT_ONCE)
        books.leaves_work = len(due) == _SENDS_AT_ONCE
        moments = [self.next_overdue_ms(books), self._postbox.next_due_ms(books)]
        return due, min((moment for moment in moments if moment is not None), default=None)


@cache
def _trust() -> ssl.SSLContext:
    """Reading the machine's certificates takes longer than starting the rest of the channel."""
    return ssl.create_default_context()
