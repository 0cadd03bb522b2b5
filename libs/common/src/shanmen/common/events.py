"""Events: what the services tell each other, and the envelope it travels in.

An `Event` is a typed payload of `shanmen.contracts`. A `Message` is that payload with CloudEvents
attributes and the W3C trace context, as it lies in an outbox row or a broker message.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shanmen.common.errors import Malformed


class Event(BaseModel):
    """A fact, or a command addressed to one owner, in the published language.

    Consumers ignore fields that they do not know, so a producer may add some at any time.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    TYPE: ClassVar[str]
    """Producer, name in the past tense and version, such as `orders.order_paid.v1`."""

    def subject(self) -> str:
        """The number of the thing that the event is about."""
        raise NotImplementedError


@dataclass(frozen=True)
class Message:
    """An event in its envelope (CloudEvents 1.0 attributes)."""

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    data: Mapping[str, Any]
    trace: Mapping[str, str]

    @property
    def dataschema(self) -> str:
        """Where the payload's JSON Schema lies in the published documents."""
        return f"docs/events/{self.type}.json"


def parse_event(message: Message, known: Mapping[str, type[Event]]) -> Event:
    """The typed payload of a message. Raises Malformed for an unknown type or a bad payload."""
    event_type = known.get(message.type)
    if event_type is None:
        raise Malformed(f"no handler for events of type {message.type!r}")
    try:
        return event_type.model_validate(message.data)
    except ValidationError as error:
        # The input is left out on purpose: payloads must not leak into logs and dead letters.
        problems = error.errors(include_input=False, include_url=False)
        fields = ", ".join(".".join(map(str, problem["loc"])) for problem in problems)
        raise Malformed(f"{message.type} {message.id}: bad fields {fields}") from None
