"""Correcting the ledger (冲正): the one way to undo a posting, by another to the contrary."""

from dataclasses import dataclass
from datetime import datetime

from shanmen.common.db import Tx
from shanmen.common.errors import NotFound
from shanmen.settlement.domain.corrections import (
    CORRECTABLE,
    channel_of,
    correction_key,
    posting_for_correction,
)
from shanmen.settlement.domain.ledger import Entry
from shanmen.settlement.errors import NotCorrectable, PostingCorrected
from shanmen.settlement.queries import ledger
from shanmen.settlement.queries.rows import Record


@dataclass(frozen=True)
class Mistake:
    """A posting that may be corrected: its row, its entries, and the channel that it is about."""

    posting: Record
    entries: tuple[Entry, ...]

    @property
    def channel(self) -> str:
        """The channel whose account it moved."""
        return channel_of(self.entries)

    @property
    def amount_fen(self) -> int:
        """What it debits altogether."""
        return sum(entry.debit_fen for entry in self.entries)


async def require_correctable(tx: Tx, key: str) -> Mistake:
    """The posting of this key. Raises NotFound, NotCorrectable, PostingCorrected."""
    posting = await ledger.posting(tx, key)
    if posting is None:
        raise NotFound("posting", key)
    if posting.kind not in CORRECTABLE:
        allowed = sorted(CORRECTABLE)
        raise NotCorrectable(
            f"A posting of kind {posting.kind} cannot be corrected, as more than the ledger rests "
            f"on it; undo the fact itself. Correctable are {', '.join(allowed)}.",
            correctable=allowed,
        )
    if await ledger.is_recorded(tx, correction_key(posting.posting_id)):
        raise PostingCorrected(f"{key} is corrected already.")
    rows = await ledger.entries_of(tx, [posting.posting_id])
    entries = tuple(Entry(row.account, row.debit_fen, row.credit_fen) for row in rows)
    return Mistake(posting, entries)


async def book_correction(tx: Tx, key: str, *, at: datetime) -> None:
    """Undo a posting. Raises NotFound, NotCorrectable, PostingCorrected."""
    mistake = await require_correctable(tx, key)
    correction = posting_for_correction(
        posting_id=mistake.posting.posting_id,
        order_no=mistake.posting.order_no,
        entries=mistake.entries,
        occurred_at=at,
    )
    await ledger.record(tx, [correction])
