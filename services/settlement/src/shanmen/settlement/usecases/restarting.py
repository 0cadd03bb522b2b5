"""Starting payouts and refunds again by hand (人工汇款, 人工退款), or settling them outside.

A number that may still move money goes on under itself. Only where it is dead for certain does
another take its place, or money from elsewhere. Whoever decides holds the row of the payout or
refund: against the channel's answer, and against another person, there is one winner.
"""

from datetime import datetime
from typing import Final

from shanmen.common.db import Tx
from shanmen.common.errors import Conflict, NotFound
from shanmen.common.ids import new_id
from shanmen.contracts.gateway import ResumeRequested
from shanmen.contracts.terms import AccountRef
from shanmen.settlement.domain.ledger import (
    OWNER,
    SUSPENSE,
    posting_for_payout_outside,
    posting_for_refund_outside,
)
from shanmen.settlement.domain.statuses import PayoutStatus, RefundPaymentStatus
from shanmen.settlement.errors import (
    AmountBelowMinimum,
    NumberStillAlive,
    OperationFinished,
    OperationInProgress,
    OperationReplaced,
    ReceiverMissing,
)
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import ledger, payouts, refunds, settlements
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.usecases.paying import payout_request, tell_settled
from shanmen.settlement.usecases.refunding import ask_for_refund, record_given_back
from shanmen.settlement.usecases.unexplained import is_in_suspense, require_explained


async def restart_payout(
    tx: Tx, ctx: SettlementContext, payout_id: str, receiver: AccountRef | None
) -> str:
    """Let a parked payout go on, or pay what a refused one was to pay by another, to `receiver`.

    Returns the number in charge. Raises NotFound, OperationInProgress, OperationFinished,
    OperationReplaced, MoneyUnexplained, ReceiverMissing, AmountBelowMinimum.
    """
    payout = await _lock_payout(tx, payout_id)
    if await payouts.change_payout(tx, payout_id, PayoutStatus.REQUESTED) is not None:
        await ctx.outbox.add(tx, [ResumeRequested(operation_id=payout_id)])
        return payout_id
    lines = await _lines_of_refused(tx, payout)
    await require_explained(tx, payout_id)
    if receiver is None:
        raise ReceiverMissing(f"Say which account shall be paid instead of {payout_id}.")
    if payout.amount_fen < ctx.payout_minimum_fen.get(receiver.channel, 1):
        raise AmountBelowMinimum(f"{receiver.channel} does not pay out {payout.amount_fen} fen.")
    another_id = new_id("pay")
    another = {
        "payout_id": another_id,
        "spot_id": payout.spot_id,
        "account_id": receiver.account_id,
        "channel": receiver.channel,
        "amount_fen": payout.amount_fen,
        "status": PayoutStatus.REQUESTED,
        "requested_at": ctx.clock.now(),
    }
    await payouts.replace_payout(tx, payout_id, another, lines)
    await ctx.outbox.add(tx, [payout_request(another, len(lines))])
    return another_id


async def settle_payout_outside(
    tx: Tx, ctx: SettlementContext, payout_id: str, *, at: datetime
) -> None:
    """Settle what a refused payout was to pay: the owner paid it from elsewhere, or the channel
    did after all.

    Raises NotFound, NumberStillAlive, OperationFinished, OperationReplaced.
    """
    payout = await _lock_payout(tx, payout_id)
    _require_dead(payout_id, payout.status)
    await _lines_of_refused(tx, payout)
    lines = await payouts.settle_lines(tx, payout_id, at)
    orders = {line.order_no for line in lines}
    posting = posting_for_payout_outside(
        payout_id=payout_id,
        order_no=orders.pop() if len(orders) == 1 else None,
        spot_id=payout.spot_id,
        amount_fen=payout.amount_fen,
        paid_from=await _payer(tx, payout_id),
        occurred_at=at,
    )
    await ledger.record(tx, [posting])
    await tell_settled(tx, lines, None, at, ctx)


async def restart_refund(tx: Tx, ctx: SettlementContext, refund_id: str) -> str:
    """Let a parked refund go on, or start another in the place of a refused one.

    Returns the number in charge. Raises NotFound, OperationInProgress, OperationFinished,
    OperationReplaced, MoneyUnexplained.
    """
    refund = await _lock_refund(tx, refund_id)
    if await refunds.change_refund(tx, refund_id, RefundPaymentStatus.REQUESTED) is not None:
        await ctx.outbox.add(tx, [ResumeRequested(operation_id=refund_id)])
        return refund_id
    await _require_refused_refund(tx, refund)
    await require_explained(tx, refund_id)
    await refunds.retire_refund(tx, refund_id)
    another = {name: getattr(refund, name) for name in _KEPT}
    another["refund_id"] = another_id = new_id("ref")
    await ask_for_refund(tx, another, ctx)
    return another_id


async def refund_outside(tx: Tx, ctx: SettlementContext, refund_id: str, *, at: datetime) -> None:
    """Record as given back what a refused refund was to give: the owner did, from elsewhere, or
    the channel after all.

    Raises NotFound, NumberStillAlive, OperationFinished, OperationReplaced.
    """
    refund = await _lock_refund(tx, refund_id)
    _require_dead(refund_id, refund.status)
    await _require_refused_refund(tx, refund)
    posting = posting_for_refund_outside(
        refund_id=refund_id,
        order_no=refund.order_no,
        part_fen=refund.part_fen,
        fee_fen=refund.fee_fen,
        paid_from=await _payer(tx, refund_id),
        occurred_at=at,
    )
    await ledger.record(tx, [posting])
    await record_given_back(tx, refund, at, ctx)


_KEPT: Final = (
    "entitlement_id",
    "order_no",
    "distributor_id",
    "original_operation_id",
    "account_id",
    "channel",
    "part_fen",
    "fee_fen",
)
"""What a refund has in common with the one whose place it takes."""


async def _lock_payout(tx: Tx, payout_id: str) -> Record:
    payout = await payouts.lock_payout(tx, payout_id)
    if payout is None:
        raise NotFound("payout", payout_id)
    return payout


async def _lock_refund(tx: Tx, refund_id: str) -> Record:
    refund = await refunds.lock_refund(tx, refund_id)
    if refund is None:
        raise NotFound("refund", refund_id)
    return refund


async def _lines_of_refused(tx: Tx, payout: Record) -> Records:
    """All that a refused payout was to pay, if nothing else pays it."""
    _require_ended_unpaid(payout.payout_id, payout.status)
    lines = await payouts.unpaid_lines(tx, payout.payout_id)
    if sum(line.amount_fen for line in lines) != payout.amount_fen:
        raise _replaced(payout.payout_id)
    return lines


async def _require_refused_refund(tx: Tx, refund: Record) -> None:
    """That a refund was refused, and nothing else gives back what it was to."""
    _require_ended_unpaid(refund.refund_id, refund.status)
    if not refund.live or await _went_back(tx, refund):
        raise _replaced(refund.refund_id)


async def _payer(tx: Tx, operation_id: str) -> str:
    """Whose money it was: what the operation left in suspense, or else the owner's."""
    return SUSPENSE if await is_in_suspense(tx, operation_id) else OWNER


async def _went_back(tx: Tx, refund: Record) -> bool:
    if refund.entitlement_id is None:
        return await refunds.orphan_is_refunded(tx, refund.original_operation_id)
    return await settlements.is_refunded(tx, refund.entitlement_id)


_REFUSALS: Final = {
    "requested": (OperationInProgress, "{} is on its way: wait for the channel's answer."),
    "paid": (OperationFinished, "{} has been paid: nothing is left to do."),
    "refunded": (OperationFinished, "{} has been refunded: nothing is left to do."),
}
"""Why nothing may be started in the place of a payout or refund, by its status."""


def _require_ended_unpaid(operation_id: str, status: str) -> None:
    if status in _REFUSALS:
        refusal, sentence = _REFUSALS[status]
        raise refusal(sentence.format(operation_id))


def _require_dead(operation_id: str, status: str) -> None:
    """That no money can move under a number any more. Raises NumberStillAlive."""
    if status in {"requested", "parked"}:
        raise NumberStillAlive(
            f"{operation_id} may still be carried out by the channel. Start it again instead, "
            "and settle it outside only once the channel has refused it for good."
        )


def _replaced(operation_id: str) -> Conflict:
    return OperationReplaced(
        f"Another operation took the place of {operation_id}, or it was settled outside."
    )
