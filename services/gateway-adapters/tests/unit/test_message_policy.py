"""Every cell of a message's machine, and when a message is tried again."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final

import pytest

from shanmen.gateway_adapters.domain.messages import (
    MESSAGE,
    MessageStatus,
    Patience,
    is_too_late,
    next_try,
)

OPEN, SENT, FAILED = MessageStatus
ALLOWED = {(OPEN, SENT), (OPEN, FAILED), (FAILED, SENT)}
ASKED: Final = datetime(2026, 11, 1, tzinfo=UTC)
PATIENCE: Final = Patience(delays_s=(5, 15, 60), window_s=600)


@pytest.mark.parametrize(("source", "target"), list(product(MessageStatus, repeat=2)))
def test_every_cell(source: MessageStatus, target: MessageStatus) -> None:
    assert MESSAGE.allows(source, target) is ((source, target) in ALLOWED)


@pytest.mark.parametrize(
    ("attempts", "jitter", "delay_s"),
    [(1, 0.0, 5), (2, 0.0, 15), (3, 0.0, 60), (9, 0.0, 60), (1, 0.5, 7.5), (3, 0.9, 114)],
)
def test_the_delay_grows_and_is_spread(attempts: int, jitter: float, delay_s: float) -> None:
    now = ASKED + timedelta(seconds=100)
    assert next_try(ASKED, now, attempts, PATIENCE, jitter=jitter) == now + timedelta(
        seconds=delay_s
    )


def test_there_is_no_try_past_the_window() -> None:
    last = ASKED + timedelta(seconds=540)
    assert next_try(ASKED, last, 3, PATIENCE) == ASKED + timedelta(seconds=600)
    assert next_try(ASKED, last + timedelta(milliseconds=1), 3, PATIENCE) is None
    assert not is_too_late(ASKED, ASKED + timedelta(seconds=600), PATIENCE)
    assert is_too_late(ASKED, ASKED + timedelta(seconds=600.001), PATIENCE)
