"""The running Huijinbao: its books, its keys, and what it does by itself."""

import sqlite3
import uuid

from shanmen.simulators import channel, downloads, faults
from shanmen.simulators.books import Books
from shanmen.simulators.huijinbao import books as books_module
from shanmen.simulators.huijinbao import execution, notifications, wealth
from shanmen.simulators.huijinbao.keys import ChannelKeys
from shanmen.simulators.settings import Settings


class Channel(channel.Channel):
    """Everything that the HTTP side works with. Close it with `close`.

    Nonces, too, are timed by the clock on the wall.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            settings,
            name="huijinbao",
            schema="".join(
                module.SCHEMA
                for module in (books_module, wealth, downloads, notifications, faults, execution)
            ),
            postbox=notifications.POSTBOX,
        )
        self.keys = ChannelKeys(settings.data_dir)

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
