"""Paying spots (打款): what their visits earned, and what became of each payout."""

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
    PayoutRequested,
)
from shanmen.contracts.settlement import EntitlementSettled, SettleFailed
from shanmen.contracts.terms import AccountRef
from shanmen.settlement.domain.ledger import posting_for_payout
from shanmen.settlement.domain.outcomes import kind_when_stuck
from shanmen.settlement.domain.statuses import PayoutStatus
from shanmen.settlement.domain.work import Stuck, WorkFamily, WorkKind
from shanmen.settlement.errors import Contradiction
from shanmen.settlement.ports import SettlementContext
from shanmen.settlement.queries import ledger, payouts
from shanmen.settlement.queries.rows import Record, Records
from shanmen.settlement.usecases.unexplained import MOVED_AFTER_REFUSAL, book_unexplained
from shanmen.settlement.usecases.work import (
    end_shortage,
    put_on_work_list,
    take_off_work_list,
)


async def pay_spot(tx: Tx, spot_id: str, account: AccountRef, ctx: SettlementContext) -> None:
    """Pay a spot for all its visits that are in no payout yet, if they reach the minimum.

    With amounts that reach it by themselves, that is one payout per admission, at once. What was
    too small for an account that was replaced since goes along, to this one.
    """
    waiting = await payouts.lock_waiting(tx, spot_id, account.account_id)
    amount_fen = sum(visit.payable_fen for visit in waiting)
    if amount_fen < ctx.payout_minimum_fen.get(account.channel, 1):
        return
    payout = {
        "payout_id": new_id("pay"),
        "spot_id": spot_id,
        "account_id": account.account_id,
        "channel": account.channel,
        "amount_fen": amount_fen,
        "status": PayoutStatus.REQUESTED,
        "requested_at": ctx.clock.now(),
    }
    await payouts.open_payout(tx, payout, [visit.entitlement_id for visit in waiting])
    await ctx.outbox.add(tx, [payout_request(payout, len(waiting))])


def payout_request(payout: Mapping[str, Any], visit_count: int) -> PayoutRequested:
    """What the gateway is asked for a payout of so many visits."""
    return PayoutRequested(
        operation_id=payout["payout_id"],
        spot_id=payout["spot_id"],
        account=AccountRef(account_id=payout["account_id"], channel=payout["channel"]),
        amount_fen=payout["amount_fen"],
        description=f"门票结算 {visit_count} 张",
    )


async def pay_waiting(ctx: SettlementContext) -> None:
    """Pay every spot whose waiting visits reach the minimum together.

    Two small visits at the same moment do not see each other; this sees them both.
    """
    async with ctx.db.transaction() as tx:
        sums = await payouts.waiting_sums(tx)
    for waiting in sums:
        if waiting.amount_fen >= ctx.payout_minimum_fen.get(waiting.channel, 1):
            account = AccountRef(account_id=waiting.account_id, channel=waiting.channel)
            async with ctx.db.transaction() as tx:
                await pay_spot(tx, waiting.spot_id, account, ctx)


async def settle_payout(tx: Tx, succeeded: OperationSucceeded, ctx: SettlementContext) -> None:
    """Book a payout, and settle all that it paid.

    Raises NotYet for an unknown payout, Contradiction when another amount or channel moved than
    was asked for, or when one of its lines cannot become paid. What moved under a number that was
    refused before is for a person.
    """
    payout_id, at = succeeded.operation_id, succeeded.finished_at
    paid = await payouts.change_payout(tx, payout_id, PayoutStatus.PAID, finished_at=at)
    if paid is None:
        await _suspect(tx, succeeded, ctx)
        return
    lines = await payouts.settle_lines(tx, payout_id, at)
    settled_fen = sum(line.amount_fen for line in lines)
    moved = (succeeded.channel, succeeded.amount_fen)
    if moved != (paid.channel, paid.amount_fen) or settled_fen != paid.amount_fen:
        raise Contradiction(f"payout {payout_id} is not what the channel paid")
    orders = {line.order_no for line in lines}
    posting = posting_for_payout(
        payout_id=payout_id,
        order_no=orders.pop() if len(orders) == 1 else None,
        spot_id=paid.spot_id,
        channel=paid.channel,
        amount_fen=paid.amount_fen,
        occurred_at=at,
    )
    await ledger.record(tx, [posting])
    await tell_settled(tx, lines, payout_id, at, ctx)
    await take_off_work_list(tx, ctx, WorkFamily.PAYOUT, payout_id, how="paid")
    await end_shortage(tx, ctx, paid.channel)


async def tell_settled(
    tx: Tx, lines: Records, payout_id: str | None, at: datetime, ctx: SettlementContext
) -> None:
    """已结算: these visits are paid for; `payout_id` is None if it was outside of the platform."""
    await ctx.outbox.add(
        tx,
        [
            EntitlementSettled(
                entitlement_id=line.entitlement_id,
                order_no=line.order_no,
                spot_id=line.spot_id,
                payout_id=payout_id,
                paid_fen=line.amount_fen,
                settled_at=at,
            )
            for line in lines
        ],
    )


async def park_payout(tx: Tx, stuck: OperationStuck, ctx: SettlementContext) -> None:
    """Mark a payout that waits for a person; it may still be paid. Raises NotYet."""
    payout_id = stuck.operation_id
    parked = await payouts.change_payout(tx, payout_id, PayoutStatus.PARKED, reason=stuck.reason)
    if parked is None:  # parked before, or told late: what is certain stays
        await _known(tx, payout_id)
        return
    lines = await payouts.fail_lines(tx, payout_id, stuck.reason)
    await ctx.outbox.add(tx, [_settle_failed(line, stuck.reason, stuck.since) for line in lines])
    kind = kind_when_stuck(WorkFamily.PAYOUT, stuck.outcome)
    await put_on_work_list(tx, ctx, _stuck(parked, kind, stuck.reason, stuck.code, stuck.since))


async def fail_payout(tx: Tx, failed: OperationFailed, ctx: SettlementContext) -> None:
    """Mark a payout that the channel refused for good; its visits may yet be paid by another.

    Raises NotYet for an unknown payout, Contradiction for one that is paid.
    """
    payout_id, at = failed.operation_id, failed.finished_at
    refused = await payouts.change_payout(
        tx, payout_id, PayoutStatus.FAILED, reason=failed.reason, finished_at=at
    )
    if refused is None:
        await _known(tx, payout_id, {PayoutStatus.FAILED})
        return
    lines = await payouts.fail_lines(tx, payout_id, failed.reason)
    await ctx.outbox.add(tx, [_settle_failed(line, failed.reason, at) for line in lines])
    kind = WorkKind.PAYOUT_REFUSED
    await put_on_work_list(tx, ctx, _stuck(refused, kind, failed.reason, failed.code, at))


async def _suspect(tx: Tx, succeeded: OperationSucceeded, ctx: SettlementContext) -> None:
    """A payout was paid again: a repeat, unless its number was dead. Raises NotYet."""
    known = await _known(tx, succeeded.operation_id)
    if known.status == PayoutStatus.FAILED:
        stuck = _stuck(known, WorkKind.PAYOUT_REFUSED, *MOVED_AFTER_REFUSAL, succeeded.finished_at)
        await book_unexplained(tx, succeeded, stuck, ctx)


async def _known(
    tx: Tx, payout_id: str, statuses: Collection[PayoutStatus] = tuple(PayoutStatus)
) -> Record:
    """A payout that did not change, where it may be. Raises NotYet, Contradiction."""
    known = await payouts.payout(tx, payout_id)
    if known is None:
        raise NotYet(f"payout {payout_id} is not known")
    if known.status not in statuses:
        raise Contradiction(f"payout {payout_id} is {known.status} already")
    return known


def _settle_failed(line: Record, reason: str, at: datetime) -> SettleFailed:
    return SettleFailed(
        entitlement_id=line.entitlement_id,
        order_no=line.order_no,
        spot_id=line.spot_id,
        reason=reason,
        failed_at=at,
    )


def _stuck(payout: Record, kind: WorkKind, reason: str, code: str, since: datetime) -> Stuck:
    return Stuck(
        family=WorkFamily.PAYOUT,
        kind=kind,
        subject_id=payout.payout_id,
        operation_id=payout.payout_id,
        reason=reason,
        code=code,
        since=since,
        amount_fen=payout.amount_fen,
        channel=payout.channel,
        account_id=payout.account_id,
        spot_id=payout.spot_id,
    )
