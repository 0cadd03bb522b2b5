"""Attempt rows as the retry policy sees them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from shanmen.gateway_adapters.domain.operations import Action, Outcome
from shanmen.gateway_adapters.domain.policy import Attempt


def policy_attempts(rows: Sequence[Row[Any]]) -> list[Attempt]:
    """Oldest first; an attempt without an answer counts from its start."""
    return [
        Attempt(
            action=Action(row.action),
            outcome=None if row.outcome is None else Outcome(row.outcome),
            at=row.finished_at or row.started_at,
        )
        for row in rows
    ]
