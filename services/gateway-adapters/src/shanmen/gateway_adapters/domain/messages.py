"""What a text message is, how far it can get, and when it is tried again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from shanmen.common.statemachine import Machine, table


class MessageStatus(StrEnum):
    """How far a text message is."""

    OPEN = "open"
    """待发送: to be sent, or sent again, at `next_at`."""
    SENT = "sent"
    """已发送: the SMS gateway has taken it over."""
    FAILED = "failed"
    """发送失败: refused, without a number to go to, or not sent in time."""


MESSAGE: Final = Machine(
    "message",
    MessageStatus.OPEN,
    table(
        [
            (MessageStatus.OPEN, [MessageStatus.SENT, MessageStatus.FAILED]),
            (MessageStatus.SENT, []),
            # An answer that came late may still say that it was taken over.
            (MessageStatus.FAILED, [MessageStatus.SENT]),
        ]
    ),
)


@dataclass(frozen=True)
class Patience:
    """How a text message is tried again: configuration, too."""

    delays_s: tuple[float, ...] = (5, 15, 60, 300, 900, 3600)
    """After each attempt that did not get it sent; the last one repeats."""
    window_s: float = 24 * 3600
    """What is older has failed: nobody wants to be woken for it any more."""


def is_too_late(requested_at: datetime, at: datetime, patience: Patience) -> bool:
    """Whether a message may not be sent any more at this time."""
    return at > requested_at + timedelta(seconds=patience.window_s)


def next_try(
    requested_at: datetime,
    now: datetime,
    attempts: int,
    patience: Patience,
    *,
    jitter: float = 0.0,
) -> datetime | None:
    """When a message is tried again after so many attempts; None when that would be too late.

    `jitter` in [0, 1) spreads the attempts.
    """
    delay_s = patience.delays_s[min(attempts, len(patience.delays_s)) - 1] * (1 + jitter)
    at = now + timedelta(seconds=delay_s)
    return None if is_too_late(requested_at, at, patience) else at
