"""Events between the modelled services: delivered in any order, and none is ever lost."""

from collections.abc import Callable
from dataclasses import dataclass, field

from shanmen.common.errors import NotYet


@dataclass(frozen=True)
class Letter:
    """One event on its way to one consumer."""

    name: str
    handle: Callable[[], None]


@dataclass
class Bag:
    """The events that are on their way."""

    letters: list[Letter] = field(default_factory=list)

    def post(self, name: str, handle: Callable[[], None]) -> None:
        """Send an event to a consumer."""
        self.letters.append(Letter(name, handle))

    def take(self, pick: int) -> tuple[str, bool]:
        """Deliver one event: its name, and whether it was in time. Early ones go back."""
        letter = self.letters.pop(pick % len(self.letters))
        try:
            letter.handle()
        except NotYet:
            self.letters.append(letter)
            return letter.name, False
        return letter.name, True

    def deliver_all(self) -> None:
        """Deliver until nothing is on its way. Raises AssertionError for what always is early."""
        early = 0
        while self.letters:
            early = 0 if self.take(0)[1] else early + 1
            assert early <= len(self.letters), f"always early: {self.letters[0].name}"
