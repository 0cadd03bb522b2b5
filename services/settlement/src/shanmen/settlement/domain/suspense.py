"""Suspense (待查), and its clearing (销账). Pure."""

from datetime import datetime
from enum import StrEnum

from shanmen.settlement.domain.ledger import SUSPENSE, Posting, PostingKind, entries


class ClearTo(StrEnum):
    """Where money belongs that was in suspense: an account of the ledger."""

    OWNER = "owner"
    """注资/提取: it was the owner's."""
    FEES = "fees"
    """手续费: a fee, of the channel's or ours."""
    MARGIN = "margin"
    """差价: the platform gains or bears it."""


def clearing_key(key: str) -> str:
    """The key of the posting that clears what this one left in suspense."""
    return f"clearing:{key}"


def posting_for_clearing(
    *, key: str, order_no: str | None, amount_fen: int, to: str, occurred_at: datetime
) -> Posting:
    """What a posting left in suspense goes where it belongs; below zero, what went out there."""
    sides = [(SUSPENSE, abs(amount_fen))], [(to, abs(amount_fen))]
    debited, credited = sides if amount_fen > 0 else sides[::-1]
    return Posting(
        clearing_key(key),
        PostingKind.CLEARING,
        order_no,
        occurred_at,
        entries(debited=debited, credited=credited),
    )
