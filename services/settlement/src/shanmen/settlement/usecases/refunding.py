"""Giving money back (退款): what was not visited, and what no order could take."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from shanmen.common.db import Tx
from shanmen.common.errors import NotYet
from shanmen.common.ids import new_id
from shanmen.contracts.gateway import (
    OperationFailed,
    OperationStuck,
    OperationSucceeded,
    RefundRequested,
)
from shanmen.contracts.orders import DebitOrphaned
from shanmen.contracts.settlement import EntitlementRefunded, RefundFailed
from shanmen.contracts.terms import AccountRef
from shanmen.settlement.domain.ledger import posting_for_refund
from shanmen.settlement.domain.outcomes import kind_when_stuck
from shanmen.settlement.domain.refunds import fee_shares_fen
from shanmen.settlement.domain.statuses import RefundPaymentStatus, Settlement
from shanmen.settlement.domain.work import Stuck, WorkFamily, WorkKind
from shanmen.settlement.errors import Contradiction
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import ledger, refunds, settlements
from shanmen.settlement.queries.rows import Record
from shanmen.settlement.usecases.unexplained import MOVED_AFTER_REFUSAL, book_unexplained
from shanmen.settlement.usecases.work import (
    end_shortage,
    put_on_work_list,
    take_off_work_list,
)


async def refund_orphan(tx: Tx, orphan: DebitOrphaned, ctx: SettlementContext) -> None:
    """Ask for all of a debit that no order could take to go back."""
    refund = {
        "refund_id": new_id("ref"),
        "order_no": orphan.order_no,
        "distributor_id": orphan.distributor_id,
        "original_operation_id": orphan.operation_id,
        "account_id": orphan.account.account_id,
        "channel": orphan.account.channel,
        "part_fen": orphan.amount_fen,
        "fee_fen": 0,
    }
    await ask_for_refund(tx, refund, ctx)


async def refund_part(tx: Tx, lapsed: Record, ctx: SettlementContext) -> None:
    """Refund a lapsed entitlement; where nothing is due, without asking anybody. Raises NotYet."""
    debit = await settlements.debit(tx, lapsed.order_no)
    if debit is None:
        raise NotYet(f"{lapsed.order_no} is not paid")
    fee_fen = 0
    if lapsed.refunds_fee:
        parts_fen = await settlements.parts_of(tx, lapsed.order_no)
        fee_fen = fee_shares_fen(debit.fee_fen, parts_fen)[lapsed.entitlement_id]
    refund = {
        "refund_id": new_id("ref"),
        "entitlement_id": lapsed.entitlement_id,
        "order_no": lapsed.order_no,
        "distributor_id": debit.distributor_id,
        "original_operation_id": debit.operation_id,
        "account_id": debit.account_id,
        "channel": debit.channel,
        "part_fen": lapsed.part_fen,
        "fee_fen": fee_fen,
    }
    if lapsed.part_fen + fee_fen > 0:
        await ask_for_refund(tx, refund, ctx)
        return
    at = lapsed.lapsed_at
    given_back = {"status": RefundPaymentStatus.REFUNDED, "requested_at": at, "finished_at": at}
    nothing = await refunds.add_refund(tx, {**refund, **given_back})
    await record_given_back(tx, nothing, at, ctx)


async def ask_for_refund(tx: Tx, refund: Mapping[str, Any], ctx: SettlementContext) -> None:
    """Open a refund, and ask the gateway for it: back to the account that was debited."""
    asked = await refunds.add_refund(
        tx, {**refund, "status": RefundPaymentStatus.REQUESTED, "requested_at": ctx.clock.now()}
    )
    request = RefundRequested(
        operation_id=asked.refund_id,
        order_no=asked.order_no,
        original_operation_id=asked.original_operation_id,
        account=AccountRef(account_id=asked.account_id, channel=asked.channel),
        amount_fen=asked.amount_fen,
        description=f"订单 {asked.order_no} 退款",
    )
    await ctx.outbox.add(tx, [request])


async def settle_refund(tx: Tx, succeeded: OperationSucceeded, ctx: SettlementContext) -> None:
    """Book a refund whose money has moved.

    Raises NotYet for an unknown refund, Contradiction when another amount or channel moved than
    was asked for. What moved under a number that was refused before is for a person.
    """
    refund_id, at = succeeded.operation_id, succeeded.finished_at
    refund = await refunds.change_refund(
        tx, refund_id, RefundPaymentStatus.REFUNDED, finished_at=at
    )
    if refund is None:
        await _suspect(tx, succeeded, ctx)
        return
    if (succeeded.channel, succeeded.amount_fen) != (refund.channel, refund.amount_fen):
        raise Contradiction(f"refund {refund_id} is not what the channel gave back")
    posting = posting_for_refund(
        refund_id=refund_id,
        order_no=refund.order_no,
        channel=refund.channel,
        part_fen=refund.part_fen,
        fee_fen=refund.fee_fen,
        occurred_at=at,
    )
    await ledger.record(tx, [posting])
    await record_given_back(tx, refund, at, ctx)
    await take_off_work_list(tx, ctx, WorkFamily.REFUND, refund_id, how="refunded")
    await end_shortage(tx, ctx, refund.channel)


async def park_refund(tx: Tx, stuck: OperationStuck, ctx: SettlementContext) -> None:
    """Mark a refund that waits for a person; it may still be given back. Raises NotYet."""
    parked = await refunds.change_refund(
        tx, stuck.operation_id, RefundPaymentStatus.PARKED, reason=stuck.reason
    )
    if parked is None:  # parked before, or told late: what is certain stays
        await _known(tx, stuck.operation_id)
        return
    await _tell_failure(tx, parked, stuck.since, ctx)
    kind = kind_when_stuck(WorkFamily.REFUND, stuck.outcome)
    await put_on_work_list(tx, ctx, _stuck(parked, kind, stuck.reason, stuck.code, stuck.since))


async def fail_refund(tx: Tx, failed: OperationFailed, ctx: SettlementContext) -> None:
    """Mark a refund that the channel refused for good; a person may start another.

    Raises NotYet for an unknown refund, Contradiction for one that went back.
    """
    at = failed.finished_at
    refused = await refunds.change_refund(
        tx, failed.operation_id, RefundPaymentStatus.FAILED, reason=failed.reason, finished_at=at
    )
    if refused is None:
        await _known(tx, failed.operation_id, {RefundPaymentStatus.FAILED})
        return
    await _tell_failure(tx, refused, at, ctx)
    await put_on_work_list(
        tx, ctx, _stuck(refused, WorkKind.REFUND_REFUSED, failed.reason, failed.code, at)
    )


async def record_given_back(tx: Tx, refund: Record, at: datetime, ctx: SettlementContext) -> None:
    """Record that what a refund is for went back, whichever way.

    Raises Contradiction when it had gone back, or its visit was paid for.
    """
    if refund.entitlement_id is None:
        if not await refunds.mark_orphan_refunded(tx, refund.original_operation_id, at):
            raise Contradiction(f"{refund.original_operation_id} went back already")
        return
    entitlement = await settlements.give_back(tx, refund.entitlement_id, Settlement.REFUNDED)
    if entitlement is None:
        raise Contradiction(f"{refund.entitlement_id} cannot be refunded by {refund.refund_id}")
    refunded = EntitlementRefunded(
        entitlement_id=entitlement.entitlement_id,
        order_no=entitlement.order_no,
        spot_id=entitlement.spot_id,
        refund_id=refund.refund_id,
        refunded_fen=refund.amount_fen,
        refunded_at=at,
    )
    await ctx.outbox.add(tx, [refunded])


async def _tell_failure(tx: Tx, refund: Record, at: datetime, ctx: SettlementContext) -> None:
    """退款失败, with the channel's own reason: of an entitlement; an orphaned debit has none."""
    if refund.entitlement_id is None:
        return
    entitlement = await settlements.give_back(
        tx, refund.entitlement_id, Settlement.REFUND_FAILED, reason=refund.reason
    )
    if entitlement is None:
        raise Contradiction(f"{refund.entitlement_id} went back already")
    failure = RefundFailed(
        entitlement_id=entitlement.entitlement_id,
        order_no=entitlement.order_no,
        spot_id=entitlement.spot_id,
        reason=refund.reason,
        failed_at=at,
    )
    await ctx.outbox.add(tx, [failure])


async def _suspect(tx: Tx, succeeded: OperationSucceeded, ctx: SettlementContext) -> None:
    """A refund went back again: a repeat, unless its number was dead. Raises NotYet."""
    known = await _known(tx, succeeded.operation_id)
    if known.status == RefundPaymentStatus.FAILED:
        stuck = _stuck(known, WorkKind.REFUND_REFUSED, *MOVED_AFTER_REFUSAL, succeeded.finished_at)
        await book_unexplained(tx, succeeded, stuck, ctx)


async def _known(
    tx: Tx, refund_id: str, statuses: Collection[RefundPaymentStatus] = tuple(RefundPaymentStatus)
) -> Record:
    """A refund that did not change, where it may be. Raises NotYet, Contradiction."""
    known = await refunds.refund(tx, refund_id)
    if known is None:
        raise NotYet(f"refund {refund_id} is not known")
    if known.status not in statuses:
        raise Contradiction(f"refund {refund_id} is {known.status} already")
    return known


def _stuck(refund: Record, kind: WorkKind, reason: str, code: str, since: datetime) -> Stuck:
    return Stuck(
        family=WorkFamily.REFUND,
        kind=kind,
        subject_id=refund.refund_id,
        operation_id=refund.refund_id,
        reason=reason,
        code=code,
        since=since,
        amount_fen=refund.amount_fen,
        channel=refund.channel,
        account_id=refund.account_id,
        order_no=refund.order_no,
        distributor_id=refund.distributor_id,
    )
