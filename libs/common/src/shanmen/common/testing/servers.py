"""What the kit asks of the servers that the tests run against; the root conftest starts them."""

from typing import Protocol


class PostgresServer(Protocol):
    """A PostgreSQL server of which we are the administrator. `start`, `stop`, `kill` block."""

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database on it (`postgresql+asyncpg://…`)."""

    def start(self) -> None:
        """Start it again on the same data; returns when it accepts connections."""

    def stop(self) -> None:
        """Shut it down in good order."""

    def kill(self) -> None:
        """End it as a crash would."""


class RabbitServer(Protocol):
    """A RabbitMQ node of our own. `start`, `stop`, `kill` block."""

    @property
    def url(self) -> str:
        """Its AMQP URL."""

    def start(self) -> None:
        """Start it again on the same data; returns when it accepts connections."""

    def stop(self) -> None:
        """Shut it down in good order."""

    def kill(self) -> None:
        """End it as a crash would."""
