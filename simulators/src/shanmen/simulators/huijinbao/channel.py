"""The running Huijinbao: its books, its keys, its clock, and what it does by itself."""

import sqlite3
import uuid

from shanmen.simulators import channel, faults
from shanmen.simulators.books import Books
from shanmen.simulators.huijinbao import bills, execution, notifications, wealth
from shanmen.simulators.huijinbao import books as books_module
from shanmen.simulators.huijinbao.keys import ChannelKeys
from shanmen.simulators.settings import Settings


class Channel(channel.Channel):
    """Everything that the HTTP side works with. Close it with `close`.

    The channel's day can be moved ahead of the clock on the wall, so that yields and bills need
    no waiting. Books live in the moved time; nonces and links to bills are timed by the wall.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            settings,
            name="huijinbao",
            schema="".join(
                module.SCHEMA
                for module in (books_module, wealth, bills, notifications, faults, execution)
            ),
            postbox=notifications.POSTBOX,
        )
        self.keys = ChannelKeys(settings.data_dir)
        self._ahead_ms = 0

    async def start(self) -> None:
        """Take up the clock where it was left."""
        self._ahead_ms = await self.within(_ahead_ms)

    def now_ms(self) -> int:
        """The present moment of the channel's own day."""
        return self.wall_ms() + self._ahead_ms

    def wall_ms(self) -> int:
        """The present moment by the clock on the wall."""
        return super().now_ms()

    async def advance(self, by_ms: int) -> None:
        """Move the channel's day ahead, for good; what is due by then happens."""

        def move(books: Books) -> int:
            books.write("UPDATE clock SET ahead_ms = ahead_ms + ?", by_ms)
            return _ahead_ms(books)

        self._ahead_ms = await self.within(move)
        await self.within(self._catch_up)

    def public_pem(self) -> str:
        """The key that verifies answers and notifications."""
        return self.keys.current.public_pem()

    def run_overdue(self, books: Books) -> None:
        """Accrue yields, carry out what was deferred and finish what was left waiting."""
        execution.run_overdue(books)

    def next_overdue_ms(self, books: Books) -> int | None:
        """When `run_overdue` has something to do next, if ever."""
        return execution.next_overdue_ms(books)

    def letter(self, row: sqlite3.Row) -> channel.Letter:
        """The signed message of one sending."""
        return notifications.letter(row, self.keys, self.wall_ms(), str(uuid.uuid4()))

    def _catch_up(self, books: Books) -> None:
        execution.run_overdue(books)
        books.leaves_work = True


def _ahead_ms(books: Books) -> int:
    row = books.row("SELECT ahead_ms FROM clock")
    return 0 if row is None else int(row["ahead_ms"])
