"""The running Alipay: its books, its key, and what it does by itself."""

import sqlite3
from urllib.parse import urlencode

from shanmen.simulators import channel, downloads, faults
from shanmen.simulators.alipay import books as books_module
from shanmen.simulators.alipay import execution, notices, notifications
from shanmen.simulators.books import Books
from shanmen.simulators.settings import Settings
from shanmen.simulators.signing import SigningKey


class Channel(channel.Channel):
    """Everything that the HTTP side works with. Close it with `close`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            settings,
            name="alipay",
            schema="".join(
                module.SCHEMA for module in (books_module, downloads, notices, faults, execution)
            ),
            postbox=notifications.POSTBOX,
        )
        self.key = SigningKey.load_or_create(settings.data_dir / "alipay_key.pem")

    def public_pem(self) -> str:
        """The key that verifies answers and notifications."""
        return self.key.public_pem()

    def run_overdue(self, books: Books) -> None:
        """Carry out what was deferred and finish what was left waiting."""
        execution.run_overdue(books)

    def next_overdue_ms(self, books: Books) -> int | None:
        """When `run_overdue` has something to do next, if ever."""
        return execution.next_overdue_ms(books)

    def letter(self, row: sqlite3.Row) -> channel.Letter:
        """The signed form of one sending."""
        form = notifications.form(row, self.key, self.now_ms())
        return channel.Letter(
            content=urlencode(form).encode(),
            media_type="application/x-www-form-urlencoded",
            accepted=notifications.ACCEPTED,
        )
