"""What the toy services tell."""

from typing import ClassVar

from shanmen.common.events import Event


class ThingHappened(Event):
    """A thing was made."""

    TYPE: ClassVar[str] = "toy.thing_happened.v1"

    thing_no: str
    number: int

    def subject(self) -> str:
        """The thing's number."""
        return self.thing_no


class ThingLost(Event):
    """A thing is gone; nobody listens to this by default."""

    TYPE: ClassVar[str] = "toy.thing_lost.v1"

    thing_no: str

    def subject(self) -> str:
        """The thing's number."""
        return self.thing_no
