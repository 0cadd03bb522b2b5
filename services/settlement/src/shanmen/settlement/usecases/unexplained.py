"""Money that moved under a number that was dead for certain: for a person to explain."""

from typing import Final

from shanmen.common.db import Tx
from shanmen.contracts.gateway import OperationSucceeded
from shanmen.settlement.domain.ledger import posting_for_unexplained
from shanmen.settlement.domain.suspense import clearing_key
from shanmen.settlement.domain.work import Stuck
from shanmen.settlement.errors import MoneyUnexplained
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import ledger
from shanmen.settlement.usecases.work import put_on_work_list

MOVED_AFTER_REFUSAL: Final = (
    "The channel moved the money after it had refused to for good.",
    "moved_after_refusal",
)
"""The reason and the code of such a work item."""


async def book_unexplained(
    tx: Tx, succeeded: OperationSucceeded, stuck: Stuck, ctx: SettlementContext
) -> None:
    """Book what moved to suspense, so that cash stays what the channel says, and ask a person.

    Nothing takes the place of that number any more; settled outside, it is explained.
    """
    posting = posting_for_unexplained(
        operation_id=succeeded.operation_id,
        order_no=stuck.order_no,
        channel=succeeded.channel,
        amount_fen=succeeded.amount_fen,
        occurred_at=succeeded.finished_at,
    )
    await ledger.record(tx, [posting])
    await put_on_work_list(tx, ctx, stuck)


async def is_unexplained(tx: Tx, operation_id: str) -> bool:
    """Whether money moved under this number after it was dead."""
    return await ledger.is_recorded(tx, f"unexplained:{operation_id}")


async def is_in_suspense(tx: Tx, operation_id: str) -> bool:
    """Whether what moved under this dead number is in suspense still, and not cleared."""
    if not await is_unexplained(tx, operation_id):
        return False
    return not await ledger.is_recorded(tx, clearing_key(f"unexplained:{operation_id}"))


async def require_explained(tx: Tx, operation_id: str) -> None:
    """That no money moved under a dead number. Raises MoneyUnexplained."""
    if await is_unexplained(tx, operation_id):
        raise MoneyUnexplained(
            f"The channel moved the money of {operation_id} after it had refused to for good. "
            "Compare with its statement, and settle it outside if the money arrived."
        )
