"""Corrections (冲正): what a person entered wrongly is undone by a posting to the contrary. Pure.

A correction changes the ledger and nothing else, so only what rests on a person's word alone can
be corrected. What a channel did is undone by a channel (a refund, another payout); what was
settled outside or is unexplained stands behind the status of payouts and refunds.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from shanmen.settlement.domain.ledger import Entry, Posting, PostingKind

CORRECTABLE: Final = frozenset({PostingKind.OWNER_IN, PostingKind.OWNER_OUT})
"""What a person recorded by hand, and no payout, refund or status relies on."""


def correction_key(posting_id: int) -> str:
    """The key of the posting that corrects this one."""
    return f"correction:{posting_id}"


def posting_for_correction(
    *,
    posting_id: int,
    order_no: str | None,
    entries: Iterable[Entry],
    occurred_at: datetime,
) -> Posting:
    """The entries of a posting with their sides changed; a fact of its own day, not of theirs."""
    return Posting(
        correction_key(posting_id),
        PostingKind.CORRECTION,
        order_no,
        occurred_at,
        tuple(Entry(entry.account, entry.credit_fen, entry.debit_fen) for entry in entries),
    )


def channel_of(entries: Iterable[Entry]) -> str:
    """The channel whose account a posting moved, empty if it moved none."""
    families = (entry.account.partition(":") for entry in entries)
    return next((channel for family, _, channel in families if family == "cash"), "")
