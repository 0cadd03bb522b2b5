"""The port that every SMS gateway is seen through.

A sender makes one call and tells what came of it. It never retries, and never raises for trouble
at the gateway. A phone number goes in and comes out nowhere: not in an answer, a log or an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class SmsOutcome(StrEnum):
    """What became of one call."""

    SENT = "sent"
    """The gateway has taken the message over."""
    RETRY = "retry"
    """Not taken, or nobody knows: the same message again, later."""
    REFUSED = "refused"
    """Not taken, and never will be as it is."""


@dataclass(frozen=True)
class TextMessage:
    """One message to one phone.

    Sent again it keeps its `request_id`, by which the gateway tells that it has it already.
    """

    request_id: str
    phone: str = field(repr=False)
    template: str
    params: Mapping[str, str]


@dataclass(frozen=True)
class SmsAnswer:
    """What became of one call.

    `code` is the gateway's own, or names the trouble on the way; empty when the message was sent.
    `provider_ref` is the gateway's number for the message.
    """

    outcome: SmsOutcome
    code: str = ""
    provider_ref: str | None = None


class SmsSender(Protocol):
    """One SMS gateway."""

    async def send(self, message: TextMessage) -> SmsAnswer:
        """Hand a message over. Safe to repeat with the identical message."""

    async def aclose(self) -> None:
        """Close the connections."""


def mask_phone(phone: str) -> str:
    """The last two digits, which tell a number from another and nobody's number."""
    return "*" * (len(phone) - 2) + phone[-2:] if len(phone) > 4 else "****"
